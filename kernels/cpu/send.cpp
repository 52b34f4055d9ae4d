// SPDX-License-Identifier: Apache-2.0
// latch and send: a membrane becomes spikes, by restoring division, most significant first.
#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

// s = (u >= threshold g) and (left > 0), u -= threshold g s, left -= s
struct SendValue {
    SPIKERUN_INLINE static void run(int32_t* SPIKERUN_RESTRICT u, int16_t* SPIKERUN_RESTRICT left,
                                    const int32_t* SPIKERUN_RESTRICT threshold, int16_t* SPIKERUN_RESTRICT s,
                                    size_t n, int32_t g) {
        for (size_t j = 0; j < n; ++j) {
            const int32_t part = threshold[j] * g;
            const bool spike = (u[j] >= part) & (left[j] > 0);
            u[j] = spike ? u[j] - part : u[j];
            left[j] = static_cast<int16_t>(left[j] - spike);
            s[j] = spike;
        }
    }
};

// s = (u < 0) and (left > 0), u += threshold |g| s, left -= s
struct SendSign {
    SPIKERUN_INLINE static void run(int32_t* SPIKERUN_RESTRICT u, int16_t* SPIKERUN_RESTRICT left,
                                    const int32_t* SPIKERUN_RESTRICT threshold, int16_t* SPIKERUN_RESTRICT s,
                                    size_t n, int32_t magnitude) {
        for (size_t j = 0; j < n; ++j) {
            const bool spike = (u[j] < 0) & (left[j] > 0);
            u[j] = spike ? u[j] + threshold[j] * magnitude : u[j];
            left[j] = static_cast<int16_t>(left[j] - spike);
            s[j] = spike;
        }
    }
};

void latch(Program& program, When when, int64_t v_id, int64_t u_id, int64_t left_id, int64_t limit) {
    const Numbers v = program.numbers(v_id, "v");
    const Numbers u = program.numbers(u_id, "u");
    const Words left = program.words(left_id, "left");
    require_same(v.size, u.size, "u");
    require_same(v.size, left.size, "left");
    require_apart("u", {v, u});
    require_range("limit", limit, 0, std::numeric_limits<int16_t>::max());
    program.append(when, [=](Workspace& ws, int64_t) {
        std::copy_n(v.in(ws), v.size, u.in(ws));
        std::fill_n(left.in(ws), left.size, static_cast<int16_t>(limit));
    });
}

void send(Program& program, When when, int64_t u_id, int64_t left_id, int64_t s_id, nb::object threshold,
          std::vector<int64_t> significance) {
    constexpr int64_t limit = std::numeric_limits<int32_t>::max();
    const Numbers u = program.numbers(u_id, "u");
    const Words left = program.words(left_id, "left");
    const Words s = program.words(s_id, "s");
    require_same(u.size, left.size, "left");
    require_same(u.size, s.size, "s");
    require_apart("s", {left, s});
    Values values = values_of(threshold, "threshold", u.size);
    values.require_within(1, limit);
    const std::vector<int32_t> weights = significance_of(significance, when, limit);
    for (const int64_t g : weights)
        require(values.largest() * (g < 0 ? -g : g) <= limit, "significance",
                "times threshold does not fit int32");
    const size_t tile = tiled(u.size, {&values});
    program.append_tiles(when, u.size, tile, [=](Workspace& ws, int64_t t, size_t j, size_t n) {
        const int32_t g = weights[unsign(t % when.period)];
        if (g == 0)
            std::fill_n(s.in(ws) + j, n, int16_t{0});
        else if (g > 0)
            run<SendValue>(u.in(ws) + j, left.in(ws) + j, values.at(j), s.in(ws) + j, n, g);
        else
            run<SendSign>(u.in(ws) + j, left.in(ws) + j, values.at(j), s.in(ws) + j, n, -g);
    });
}

}  // namespace

void bind_send(ProgramClass& cls) {
    operation(cls, "latch", &latch, "v"_a, "u"_a, "left"_a, "limit"_a);
    operation(cls, "send", &send, "u"_a, "left"_a, "s"_a, "threshold"_a, "significance"_a);
}

}  // namespace spikerun
