// SPDX-License-Identifier: Apache-2.0
// if_step: v = clip(v + i + bias, max(v_min, -(2^23 - 1)), 2^23 - 1); s = (v >= threshold); then the reset.
#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

struct IfStep {
    SPIKERUN_INLINE static void run(const int32_t* SPIKERUN_RESTRICT i, int32_t* SPIKERUN_RESTRICT v,
                                    int16_t* SPIKERUN_RESTRICT s, const int32_t* SPIKERUN_RESTRICT threshold,
                                    const int32_t* SPIKERUN_RESTRICT bias,
                                    const int32_t* SPIKERUN_RESTRICT v_min, size_t n, bool to_zero) {
        for (size_t j = 0; j < n; ++j) {
            const int64_t sum = int64_t{v[j]} + i[j] + bias[j];
            const int64_t low = std::max<int64_t>(v_min[j], -membrane_limit);
            const auto x = static_cast<int32_t>(std::min(std::max(sum, low), membrane_limit));
            const bool spike = x >= threshold[j];
            const int32_t after = to_zero ? 0 : x - (spike ? threshold[j] : 0);
            v[j] = spike ? after : x;
            s[j] = spike;
        }
    }
};

void if_step(Program& program, When when, int64_t i_id, int64_t v_id, int64_t s_id, nb::object threshold,
             nb::object bias, nb::object v_min, std::string reset) {
    const Numbers i = program.numbers(i_id, "i");
    const Numbers v = program.numbers(v_id, "v");
    const Words s = program.words(s_id, "s");
    require_same(i.size, v.size, "v");
    require_same(i.size, s.size, "s");
    require_apart("v", {i, v});
    require(reset == "zero" || reset == "subtract", "reset",
            "expected 'zero' or 'subtract', got '" + reset + "'");
    Values thresholds = values_of(threshold, "threshold", i.size);
    Values biases = values_of(bias, "bias", i.size);
    Values floors = values_of(v_min, "v_min", i.size);
    thresholds.require_within(1, std::numeric_limits<int32_t>::max());
    const size_t tile = tiled(i.size, {&thresholds, &biases, &floors});
    const bool to_zero = reset == "zero";
    program.append_tiles(when, i.size, tile, [=](Workspace& ws, int64_t, size_t j, size_t n) {
        run<IfStep>(i.in(ws) + j, v.in(ws) + j, s.in(ws) + j, thresholds.at(j), biases.at(j), floors.at(j), n,
                    to_zero);
    });
}

}  // namespace

void bind_if_step(ProgramClass& cls) {
    operation(cls, "if_step", &if_step, "i"_a, "v"_a, "s"_a, "threshold"_a, "bias"_a, "v_min"_a, "reset"_a);
}

}  // namespace spikerun
