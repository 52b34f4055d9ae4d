// SPDX-License-Identifier: Apache-2.0
// The module. Each family of operations binds itself, in the file that holds its kernels, and is named here.
#include "bindings.hpp"

#include "isa.hpp"

#define SPIKERUN_OPERATIONS(_) \
    _(copy)                    \
    _(weigh)                   \
    _(delay)                   \
    _(poisson)                 \
    _(scatter)                 \
    _(apply)                   \
    _(fire)                    \
    _(fire_levels)             \
    _(send)                    \
    _(if_step)                 \
    _(lif_step)                \
    _(collect)                 \
    _(max_pool)                \
    _(count)                   \
    _(decide)

namespace spikerun {

// Raised whenever the meaning of a call changes; kernels/cpu/native.py expects the same number.
constexpr int abi = 11;

#define SPIKERUN_DECLARE(family) void bind_##family(ProgramClass& cls);
SPIKERUN_OPERATIONS(SPIKERUN_DECLARE)

}  // namespace spikerun

NB_MODULE(_spikerun_cpu, module) {
    using namespace spikerun;
    module.doc() = "CPU kernels of spikerun; import spikerun.kernels instead.";
    module.attr("ABI") = abi;
    nb::set_leak_warnings(false);  // objects that live until the interpreter ends are no leak
    module.def("isas", &isas, "The instruction sets that this processor has kernels for, the best one last.");
    module.def("isa", &isa, "The instruction set in use.");
    module.def("choose_isa", &choose_isa, "name"_a,
               "Use another of isas(): from the next call of a kernel on, for convolutions that are made "
               "afterwards.");
    bind_linear(module);
    bind_late(module);
    bind_threads(module);
    ProgramClass program(module, "Program", "Operations on registers, executed pass by pass.");
    bind_run(module, program);
    bind_prepared(module, program);
    bind_feed(module);
#define SPIKERUN_BIND(family) bind_##family(program);
    SPIKERUN_OPERATIONS(SPIKERUN_BIND)
}
