// SPDX-License-Identifier: Apache-2.0
// Maps whose synapses have delays of their own, as Python sees them.
#include "late.hpp"

#include <algorithm>

#include "bindings.hpp"

namespace spikerun {

namespace {

LatePointer late(nb::object indptr, nb::object target, nb::object weight, nb::object delay, int64_t n_out) {
    auto begin = copied<int64_t, 1>(indptr, "indptr");
    const auto targets = take<const int32_t, 1>(target, "target");
    const auto delays = take<const uint8_t, 1>(delay, "delay");
    auto weights = copied<int8_t, 1>(weight, "weight");
    require_range("n_out", n_out, 1, int64_t{1} << 24);  // times 256 delays
    require_range("indptr", static_cast<int64_t>(begin.size()), 2, max_size + 1);
    require(begin.front() == 0 && std::is_sorted(begin.begin(), begin.end()), "indptr", "must rise from 0");
    require(unsign(begin.back()) == weights.size(), "indptr", "must end with the number of synapses");
    require_same(weights.size(), targets.size(), "target");
    require_same(weights.size(), delays.size(), "delay");
    const uint8_t* const steps = delays.data();
    const auto [least, largest] = std::minmax_element(steps, steps + delays.size());
    const Span ends = weights.empty() ? Span{0, 0} : Span{*least, *largest};
    std::vector<uint32_t> offset(weights.size());
    for (size_t k = 0; k < weights.size(); ++k) {
        const int32_t place = targets.data()[k];
        if (place < 0 || place >= n_out) require_range("target", place, 0, n_out - 1);
        offset[k] =
            static_cast<uint32_t>((steps[k] - ends.begin) * unsign(n_out)) + static_cast<uint32_t>(place);
    }
    return std::make_shared<Late>(std::move(begin), std::move(offset), std::move(weights), unsign(n_out),
                                  ends);
}

}  // namespace

void bind_late(nb::module_& module) {
    nb::class_<Late>(module, "Late", "The map of one projection whose synapses have delays of their own.")
        .def_static("make", &late, "indptr"_a, "target"_a, "weight"_a, "delay"_a, "n_out"_a,
                    "Synapses in rows of their sources.")
        .def_prop_ro("n_in", &Late::n_in)
        .def_prop_ro("n_out", &Late::n_out)
        .def_prop_ro("bytes", &Late::bytes);
}

}  // namespace spikerun
