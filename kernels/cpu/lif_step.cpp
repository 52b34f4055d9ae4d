// SPDX-License-Identifier: Apache-2.0
// lif_step: Loihi's fixed-point leaky integrate-and-fire, with dec(x, d) = sign(x) * ((|x| * (4096 - d)) >>
// 12).
//
// u = wrap24(dec(u, du) + (i << 6)) in (-2^23, 2^23]
// wait > 0: wait -= 1, s = 0, v as it was
// else: v = clip(dec(v, dv) + u + bias - (threshold << 6) * pending, +-(2^23 - 1)), s = (v > threshold << 6),
//       then the reset, and wait = refractory where s
#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

enum class Reset { zero, subtract, subtract_after_leak };

struct Parameters {
    Values threshold, bias, du, dv;
    Reset reset;
    int32_t refractory;
};

struct Registers {
    Numbers i, u, v, wait;
    Words pending, s;
};

// x, decayed by d / 4096 toward zero.
SPIKERUN_INLINE int64_t decay(int64_t x, int64_t d) {
    const int64_t magnitude = ((x < 0 ? -x : x) * (4096 - d)) >> 12;
    return x < 0 ? -magnitude : magnitude;
}

// The value congruent to x modulo 2^24 in (-2^23, 2^23].
SPIKERUN_INLINE int64_t wrap24(int64_t x) {
    const int64_t low = x & 0xFFFFFF;
    return low > 0x800000 ? low - 0x1000000 : low;
}

// The neurons first .. first + n of a tile. Defined for every content of every register.
struct LifStep {
    SPIKERUN_INLINE static void run(const Registers& q, const Parameters& p, Workspace& ws, size_t first,
                                    size_t n) {
        const int32_t* const i = q.i.in(ws) + first;
        int32_t* const us = q.u.in(ws) + first;
        int32_t* const vs = q.v.in(ws) + first;
        int32_t* const wait = q.wait.in(ws) + first;
        int16_t* const pending = q.pending.in(ws) + first;
        int16_t* const s = q.s.in(ws) + first;
        const int32_t* const thresholds = p.threshold.at(first);
        const int32_t* const bias = p.bias.at(first);
        const int32_t* const du = p.du.at(first);
        const int32_t* const dv = p.dv.at(first);
        for (size_t j = 0; j < n; ++j) {
            const int64_t u = wrap24(decay(us[j], du[j]) + int64_t{i[j]} * 64);
            us[j] = static_cast<int32_t>(u);
            s[j] = 0;
            if (wait[j] > 0) {
                --wait[j];
                continue;
            }
            const int64_t threshold = int64_t{thresholds[j]} * 64;
            const int64_t late = threshold * pending[j];
            int64_t v = clip(decay(vs[j], dv[j]) + u + bias[j] - late, -membrane_limit, membrane_limit);
            const bool spike = v > threshold;
            if (p.reset == Reset::subtract_after_leak) {
                pending[j] = spike;
            } else if (spike) {
                v = p.reset == Reset::zero ? 0 : v - threshold;
            }
            vs[j] = static_cast<int32_t>(v);
            s[j] = spike;
            if (spike) wait[j] = p.refractory;
        }
    }
};

void clear(const Registers& q, Workspace& ws) noexcept {
    for (const Numbers& state : {q.u, q.v, q.wait}) std::fill_n(state.in(ws), state.size, 0);
    std::fill_n(q.pending.in(ws), q.pending.size, int16_t{0});
}

Reset reset_of(const std::string& name) {
    if (name == "zero") return Reset::zero;
    if (name == "subtract") return Reset::subtract;
    require(name == "subtract_after_leak", "reset",
            "expected 'zero', 'subtract' or 'subtract_after_leak', got '" + name + "'");
    return Reset::subtract_after_leak;
}

Registers registers_of(const Program& program, int64_t i, int64_t u, int64_t v, int64_t wait, int64_t pending,
                       int64_t s) {
    const Registers q{program.numbers(i, "i"),           program.numbers(u, "u"),
                      program.numbers(v, "v"),           program.numbers(wait, "wait"),
                      program.words(pending, "pending"), program.words(s, "s")};
    require_same(q.i.size, q.u.size, "u");
    require_same(q.i.size, q.v.size, "v");
    require_same(q.i.size, q.wait.size, "wait");
    require_same(q.i.size, q.pending.size, "pending");
    require_same(q.i.size, q.s.size, "s");
    require_apart("i, u, v, wait", {q.i, q.u, q.v, q.wait});
    require_apart("s", {q.pending, q.s});
    return q;
}

void lif_step(Program& program, When when, int64_t i, int64_t u, int64_t v, int64_t wait, int64_t pending,
              int64_t s, nb::object threshold, nb::object bias, nb::object du, nb::object dv,
              std::string reset, int64_t refractory, int64_t reset_interval, int64_t reset_offset) {
    constexpr int64_t limit = std::numeric_limits<int32_t>::max();
    const Registers q = registers_of(program, i, u, v, wait, pending, s);
    const size_t n = q.i.size;
    require_range("refractory", refractory, 0, limit);
    require_range("reset_interval", reset_interval, 0, limit);
    require_range("reset_offset", reset_offset, 0, limit);
    Parameters p{values_of(threshold, "threshold", n),
                 values_of(bias, "bias", n),
                 values_of(du, "du", n),
                 values_of(dv, "dv", n),
                 reset_of(reset),
                 static_cast<int32_t>(refractory)};
    p.threshold.require_within(0, (1 << 17) - 1);
    p.du.require_within(0, 4096);
    p.dv.require_within(0, 4096);
    const size_t tile = tiled(n, {&p.threshold, &p.bias, &p.du, &p.dv});
    const int64_t phase = reset_interval == 0 ? 0 : reset_offset % reset_interval;
    program.append(when, [=, p = std::move(p)](Workspace& ws, int64_t t) {
        if (reset_interval != 0 && (t - when.begin) % reset_interval == phase) clear(q, ws);
        for_each_tile(n, tile, [&](size_t j, size_t count) { run<LifStep>(q, p, ws, j, count); });
    });
}

}  // namespace

void bind_lif_step(ProgramClass& cls) {
    operation(cls, "lif_step", &lif_step, "i"_a, "u"_a, "v"_a, "wait"_a, "pending"_a, "s"_a, "threshold"_a,
              "bias"_a, "du"_a, "dv"_a, "reset"_a, "refractory"_a, "reset_interval"_a, "reset_offset"_a);
}

}  // namespace spikerun
