// SPDX-License-Identifier: Apache-2.0
// Linear maps as Python sees them. Each binds its constructor in its own file, and is named here.
#include "bindings.hpp"

#define SPIKERUN_MAPS(_) \
    _(dense)             \
    _(blocks)            \
    _(sparse)            \
    _(conv)              \
    _(diagonal)          \
    _(sum_pool)          \
    _(unsigned_words)

namespace spikerun {

#define SPIKERUN_DECLARE(map) void bind_##map(LinearClass& cls);
SPIKERUN_MAPS(SPIKERUN_DECLARE)

namespace {

void apply(const Linear& map, nb::object x, nb::object acc, bool event) {
    const auto input = take<const int16_t, 1>(x, "x");
    const auto output = take<int32_t, 1>(acc, "acc");
    require_same(map.n_in(), input.size(), "x");
    require_same(map.n_out(), output.size(), "acc");
    thread_local Scratch scratch;
    scratch.grow(map.scratch_size());
    const int16_t* const source = input.data();
    int32_t* const target = output.data();
    const nb::gil_scoped_release release;
    if (event)
        map.apply_event(source, target, scratch);
    else
        map.apply_dense(source, target, scratch);
}

}  // namespace

void bind_linear(nb::module_& module) {
    LinearClass cls(module, "Linear", "The linear map of one projection: acc += C(x), in two kernels.");
    cls.def(
           "apply_event", [](const Linear& map, nb::object x, nb::object acc) { apply(map, x, acc, true); },
           "x"_a, "acc"_a)
        .def(
            "apply_dense", [](const Linear& map, nb::object x, nb::object acc) { apply(map, x, acc, false); },
            "x"_a, "acc"_a)
        .def_prop_ro("n_in", &Linear::n_in)
        .def_prop_ro("n_out", &Linear::n_out)
        .def_prop_ro("bytes", &Linear::bytes);
#define SPIKERUN_BIND(map) bind_##map(cls);
    SPIKERUN_MAPS(SPIKERUN_BIND)
}

}  // namespace spikerun
