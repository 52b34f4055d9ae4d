#include "bindings.hpp"

// Raised whenever the meaning of a call changes; kernels/cpu/native.py expects the same number.
constexpr int abi = 1;

NB_MODULE(_spikerun_cpu, module) {
    module.doc() = "CPU kernels of spikerun; import spikerun.kernels instead.";
    module.attr("ABI") = abi;
    spikerun::bind_linear(module);
    spikerun::bind_program(module);
}
