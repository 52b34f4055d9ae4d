// SPDX-License-Identifier: Apache-2.0
// lif_step: leaky integrate-and-fire in fixed point, with dec(x, k) = sign(x) * ((|x| * k) >> 16).
//
// u = lim(dec(u, keep_u) + (i << fraction_bits) + bias_u)
// wait > 0: wait -= 1, s = 0, v as it was
// else: v = max(lim(dec(v, keep_v) + u + bias - threshold * pending), v_min), s = (v > threshold; inclusive:
//       v >= threshold), then the reset, and wait = refractory where s
// lim: wide clamps to +-(2^29 - 1); chip wraps u to (-2^23, 2^23] and clamps v to +-(2^23 - 1).
//
// All in 32 bits, so that loops become vectors: four numbers of 2^29 add up in them, and the product of a
// keep factor is put together from two. Beyond those limits results are defined (they wrap), but mean
// nothing.
#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"
#include "lif_lazy.hpp"

namespace spikerun {

namespace {

using namespace lif;

// Those of the first neuron of a stretch, and the registers there.
struct Stretch {
    const int32_t *threshold, *keep_v, *keep_u, *bias, *bias_u, *v_reset, *v_min;
    const int32_t* i;
    int32_t *u, *v, *wait;
    int16_t *pending, *s;
};

Stretch stretch(const Registers& q, Workspace& ws, const Parameters& p, size_t j) noexcept {
    return {p.threshold.at(j), p.keep_v.at(j),       p.keep_u.at(j), p.bias.at(j),   p.bias_u.at(j),
            p.v_reset.at(j),   p.v_min.at(j),        q.i.in(ws) + j, q.u.in(ws) + j, q.v.in(ws) + j,
            q.wait.in(ws) + j, q.pending.in(ws) + j, q.s.in(ws) + j};
}

// n neurons. Defined for every content of every register.
template <Reset reset, bool chip>
struct LifStep {
    SPIKERUN_INLINE static void run(const Stretch& q, const Parameters& p, size_t n) {
        constexpr int32_t limit = chip ? chip_limit : wide_limit;
        const int32_t* SPIKERUN_RESTRICT const i = q.i;
        int32_t* SPIKERUN_RESTRICT const us = q.u;
        int32_t* SPIKERUN_RESTRICT const vs = q.v;
        int32_t* SPIKERUN_RESTRICT const waits = q.wait;
        int16_t* SPIKERUN_RESTRICT const pendings = q.pending;
        int16_t* SPIKERUN_RESTRICT const s = q.s;
        const int32_t* SPIKERUN_RESTRICT const thresholds = q.threshold;
        const int32_t* SPIKERUN_RESTRICT const keep_v = q.keep_v;
        const int32_t* SPIKERUN_RESTRICT const keep_u = q.keep_u;
        const int32_t* SPIKERUN_RESTRICT const bias = q.bias;
        const int32_t* SPIKERUN_RESTRICT const bias_u = q.bias_u;
        const int32_t* SPIKERUN_RESTRICT const v_reset = q.v_reset;
        const int32_t* SPIKERUN_RESTRICT const v_min = q.v_min;
        const int32_t fraction_bits = p.fraction_bits, refractory = p.refractory, inclusive = p.inclusive;
        for (size_t j = 0; j < n; ++j) {
            const uint32_t sum = kept(us[j], keep_u[j]) + (bits(i[j]) << fraction_bits) + bits(bias_u[j]);
            const int32_t u = chip ? wrap24(sum) : clamp(sum, limit);
            const int32_t threshold = thresholds[j], before = vs[j], wait = waits[j];
            const int32_t late = reset == Reset::subtract_after_leak ? threshold & mask(pendings[j] != 0) : 0;
            const uint32_t next = kept(before, keep_v[j]) + bits(u) + bits(bias[j]) - bits(late);
            const int32_t v = std::max(clamp(next, limit), v_min[j]);
            const int32_t awake = mask(wait <= 0), spike = awake & mask(v > threshold - inclusive);
            const int32_t fired = reset == Reset::value      ? v_reset[j]
                                  : reset == Reset::subtract ? v - threshold
                                                             : v;
            us[j] = u;
            vs[j] = chosen(awake, chosen(spike, fired, v), before);
            waits[j] = chosen(spike, refractory, wait - (1 & ~awake));
            if constexpr (reset == Reset::subtract_after_leak) {
                pendings[j] = static_cast<int16_t>(chosen(awake, spike & 1, pendings[j]));
            }
            s[j] = static_cast<int16_t>(spike & 1);
        }
    }
};

void clear(const Registers& q, Workspace& ws, size_t j, size_t n) noexcept {
    for (const Numbers& state : {q.u, q.v, q.wait}) std::fill_n(state.in(ws) + j, n, 0);
    std::fill_n(q.pending.in(ws) + j, n, int16_t{0});
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

template <Reset reset, bool chip>
void append(Program& program, When when, const Registers& q, Parameters p, int64_t interval, int64_t phase) {
    const size_t n = q.i.size;
    const size_t tile =
        tiled(n, {&p.threshold, &p.keep_v, &p.keep_u, &p.bias, &p.bias_u, &p.v_reset, &p.v_min});
    program.append_tiles(when, n, tile,
                         [=, p = std::move(p)](Workspace& ws, int64_t t, size_t j, size_t count) {
                             if (interval != 0 && (t - when.begin) % interval == phase)
                                 clear(q, ws, j, count);
                             run<LifStep<reset, chip>>(stretch(q, ws, p, j), p, count);
                         });
}

bool is_plain(const Parameters& p) {
    return p.keep_u.largest() == 0 && p.refractory == 0;
}

bool is_biased(const Parameters& p) {
    const auto zero = [](const Values& values) { return values.least() == 0 && values.largest() == 0; };
    return !zero(p.bias) || !zero(p.bias_u);
}

template <bool plain>
void append_lazy_as(Program& program, When when, const Registers& q, const Parameters& p, Reset reset,
                    bool chip, bool restless) {
    using Neuron = LazyLif<plain>;
    struct Kept {
        Parameters p;
        typename Neuron::All all;
    };
    const size_t n = q.i.size;
    const size_t period =
        period_of(n, {&p.threshold, &p.keep_v, &p.keep_u, &p.v_reset, &p.v_min, &p.bias, &p.bias_u});
    const auto all = [&](const Values& values) { return Repeated(values, n, period); };
    const bool own = whole(n, {&p.threshold, &p.keep_v, &p.v_min, &p.bias, &p.bias_u});
    const int32_t limit = chip ? chip_limit : wide_limit;
    auto drift = drift_of(
        n, own ? n : period, [&](size_t j) { return p.bias[j] + p.bias_u[j]; },
        [&](size_t j) { return std::max(p.v_min[j], -limit); },
        [&](size_t j) { return p.threshold[j] - p.inclusive; }, [&](size_t j) { return p.keep_v[j]; });
    const bool drifts = drift.has_value();
    const auto kept = std::make_shared<const Kept>(
        Kept{p,
             {all(p.threshold), all(p.keep_v), all(p.keep_u), all(p.v_reset), all(p.v_min), all(p.bias),
              all(p.bias_u), p.keep_v.least() < 1 << 16, p.keep_v.largest() < 1 << 16, is_biased(p), chip,
              reset, std::move(drift)}});
    append_lazy<Neuron>(
        program, when, q.i, q.s, period, restless || is_biased(p), drifts,
        [=](Workspace& ws) { return Neuron(q, ws, kept->p, kept->all); },
        [n, period](const Neuron& neuron) {
            if (plain) neuron.store_currents(n, period);
        });
}

// Whether it is known what neurons do where no current arrives and none has memory: they leak and drift.
bool rests(const Parameters& p, int64_t interval) {
    return (is_plain(p) || !is_biased(p)) && interval == 0 && (p.inclusive == 0 || p.threshold.least() > 0);
}

Reset reset_of(const std::string& name) {
    if (name == "value") return Reset::value;
    if (name == "subtract") return Reset::subtract;
    if (name == "none") return Reset::none;
    require(name == "subtract_after_leak", "reset",
            "expected 'value', 'subtract', 'subtract_after_leak' or 'none', got '" + name + "'");
    return Reset::subtract_after_leak;
}

template <Reset reset>
void append_with(bool chip, Program& program, When when, const Registers& q, Parameters p, int64_t interval,
                 int64_t phase) {
    (chip ? append<reset, true> : append<reset, false>)(program, when, q, std::move(p), interval, phase);
}

void lif_step(Program& program, When when, int64_t i, int64_t u, int64_t v, int64_t wait, int64_t pending,
              int64_t s, nb::object threshold, nb::object keep_v, nb::object keep_u, nb::object bias,
              nb::object bias_u, nb::object v_reset, nb::object v_min, int64_t fraction_bits,
              std::string reset, int64_t refractory, std::string limits, int64_t reset_interval,
              int64_t reset_offset, bool inclusive, bool restless) {
    constexpr int64_t most = std::numeric_limits<int32_t>::max();
    const Registers q = registers_of(program, i, u, v, wait, pending, s);
    const size_t n = q.i.size;
    require_range("fraction_bits", fraction_bits, 0, 12);
    require_range("refractory", refractory, 0, most);
    require_range("reset_interval", reset_interval, 0, most);
    require_range("reset_offset", reset_offset, 0, most);
    require(limits == "wide" || limits == "chip", "limits",
            "expected 'wide' or 'chip', got '" + limits + "'");
    Parameters p{values_of(threshold, "threshold", n), values_of(keep_v, "keep_v", n),
                 values_of(keep_u, "keep_u", n),       values_of(bias, "bias", n),
                 values_of(bias_u, "bias_u", n),       values_of(v_reset, "v_reset", n),
                 values_of(v_min, "v_min", n),         static_cast<int32_t>(fraction_bits),
                 static_cast<int32_t>(refractory),     static_cast<int32_t>(inclusive)};
    const bool chip = limits == "chip";
    const int32_t limit = chip ? chip_limit : wide_limit;
    p.threshold.require_within(0, limit);
    p.keep_v.require_within(0, 1 << 16);
    p.keep_u.require_within(0, 1 << 16);
    for (const Values* const value : {&p.bias, &p.bias_u, &p.v_reset}) value->require_within(-limit, limit);
    p.v_min.require_within(-wide_limit, 0);
    const int64_t phase = reset_interval == 0 ? 0 : reset_offset % reset_interval;
    const Reset kind = reset_of(reset);
    if (q.s.tracked()) {
        require(rests(p, reset_interval), "s", "is tracked, but these neurons are never at rest");
        for (const int64_t state : {u, v, wait, pending}) program.require_tiles(state, "u, v, wait, pending");
        (is_plain(p) ? append_lazy_as<true> : append_lazy_as<false>)(program, when, q, p, kind, chip,
                                                                     restless);
        return;
    }
    const auto each = [&](auto append) {
        append(chip, program, when, q, std::move(p), reset_interval, phase);
    };
    switch (kind) {
        case Reset::value:
            return each(append_with<Reset::value>);
        case Reset::subtract:
            return each(append_with<Reset::subtract>);
        case Reset::subtract_after_leak:
            return each(append_with<Reset::subtract_after_leak>);
        case Reset::none:
            return each(append_with<Reset::none>);
    }
}

}  // namespace

void bind_lif_step(ProgramClass& cls) {
    operation(cls, "lif_step", &lif_step, "i"_a, "u"_a, "v"_a, "wait"_a, "pending"_a, "s"_a, "threshold"_a,
              "keep_v"_a, "keep_u"_a, "bias"_a, "bias_u"_a, "v_reset"_a, "v_min"_a, "fraction_bits"_a,
              "reset"_a, "refractory"_a, "limits"_a, "reset_interval"_a, "reset_offset"_a, "inclusive"_a,
              "restless"_a = false);
}

}  // namespace spikerun
