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

void apply(const Linear& map, nb::object x, nb::object acc, int64_t part, int64_t parts, bool event) {
    const auto input = take<const int16_t, 1>(x, "x");
    const auto output = take<int32_t, 1>(acc, "acc");
    require_same(map.n_in(), input.size(), "x");
    require_same(map.n_out(), output.size(), "acc");
    require_range("parts", parts, 1, static_cast<int64_t>(map.parts()));
    require_range("part", part, 0, parts - 1);
    const Share share{unsign(part), unsign(parts)};
    thread_local Scratch scratch;
    scratch.grow(map.scratch_size());
    const int16_t* const source = input.data();
    int32_t* const target = output.data();
    const nb::gil_scoped_release release;
    if (event)
        map.apply_event(source, target, scratch, share);
    else
        map.apply_dense(source, target, scratch, share);
}

}  // namespace

void bind_linear(nb::module_& module) {
    LinearClass cls(module, "Linear", "The linear map of one projection: acc += C(x), in two kernels.");
    const auto def_apply = [&](const char* name, bool event) {
        cls.def(
            name,
            [event](const Linear& map, nb::object x, nb::object acc, int64_t part, int64_t parts) {
                apply(map, x, acc, part, parts, event);
            },
            "x"_a, "acc"_a, "part"_a = 0, "parts"_a = 1, "Add the sums of one of some parts of the outputs.");
    };
    def_apply("apply_event", true);
    def_apply("apply_dense", false);
    cls.def_prop_ro("parts", &Linear::parts, "Into how many parts the outputs can be taken apart.")
        .def_prop_ro("n_in", &Linear::n_in)
        .def_prop_ro("n_out", &Linear::n_out)
        .def_prop_ro("bytes", &Linear::bytes);
#define SPIKERUN_BIND(map) bind_##map(cls);
    SPIKERUN_MAPS(SPIKERUN_BIND)
}

}  // namespace spikerun
