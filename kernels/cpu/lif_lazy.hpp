// SPDX-License-Identifier: Apache-2.0
// lif_step where currents arrive, and nowhere else.
#pragma once

#include <algorithm>

#include "lazy.hpp"
#include "lif.hpp"

namespace spikerun::lif {

// Within +-limit.
template <class V>
SPIKERUN_INLINE void clamp_all(V& x, int32_t limit) {
    x = x < -limit ? V{} - limit : x;
    x = x > limit ? V{} + limit : x;
}

// Where currents arrive; see LazyStep. plain: the current has no memory and there is no refractory time: u
// and wait are not touched. Others have no bias. What kind of reset and limits there is is asked in each
// part: a class for each kind is hardly faster, and takes a minute to compile.
template <bool plain>
class LazyLif {
  public:
    struct All {  // as in Parameters
        Repeated threshold, keep_v, keep_u, v_reset, v_min, bias, bias_u;
        bool leaks, short_keep;  // whether some membranes leak; whether all do
        bool biased;             // whether there is a bias, though all might cancel out
        bool chip;
        Reset reset;
        std::optional<Drift> drift;
    };
    SPIKERUN_INLINE LazyLif(const Registers& q, Workspace& ws, const Parameters& p, const All& all)
        : p_(p),
          all_(all),
          i_(q.i.in(ws)),
          u_(q.u.in(ws)),
          v_(q.v.in(ws)),
          wait_(q.wait.in(ws)),
          pending_(q.pending.in(ws)),
          s_(q.s.in(ws)) {}

    void trim(size_t n, size_t end) const {
        for (int32_t* const state : {u_, v_, wait_}) std::fill(state + n, state + end, 0);
        for (int16_t* const words : {pending_, s_}) std::fill(words + n, words + end, int16_t{0});
    }
    SPIKERUN_INLINE void fetch(size_t j) const {
        fetch_to_write(i_ + j);
        fetch_to_write(v_ + j);
        if constexpr (!plain) {
            fetch_to_write(u_ + j);
            fetch_to_write(wait_ + j);
        }
    }
    template <size_t W>
    SPIKERUN_INLINE Outcome update(size_t j, size_t phase, uint32_t missed) const {
        using Int = typename Lanes<W>::Int;
        constexpr size_t parts = Lanes<W>::parts;
        Int before[parts], leaked[parts], u[parts], restless{}, fired{};
        for (size_t k = 0; k < parts; ++k) load(before[k], v_ + j + k * W);
        const int32_t* const keep = all_.keep_v.at(j, phase);
        if constexpr (!plain) {
            if (missed != 0 && all_.leaks) spikerun::leak<W>(before, keep, missed, all_.short_keep);
            missed = 0;
            for (size_t k = 0; k < parts; ++k) load(u[k], u_ + j + k * W);
            spikerun::leak<W>(u, all_.keep_u.at(j, phase), 1, false);
        }
        if (plain && all_.drift && missed != 0) {
            coast<W>(before, keep, *all_.drift, j, phase, missed);
            missed = 0;
        }
        for (size_t k = 0; k < parts; ++k) leaked[k] = before[k];
        if (all_.leaks) spikerun::leak<W>(leaked, keep, missed + 1, all_.short_keep);
        for (size_t k = 0; k < parts; ++k)
            update_part<W>(j + k * W, phase + k * W, before[k], leaked[k], u[k], restless, fired);
        return {any(restless), any(fired),
                all_.drift ? quiet_steps<W>(leaked, *all_.drift, j, phase) : Lazy::horizon};
    }

    template <size_t W>
    SPIKERUN_INLINE void leak(size_t j, size_t phase, uint32_t missed) const {
        if (!all_.leaks && !all_.drift) return;
        const int32_t* const keep = all_.keep_v.at(j, phase);
        typename Lanes<W>::Int v[Lanes<W>::parts];
        for (size_t k = 0; k < Lanes<W>::parts; ++k) load(v[k], v_ + j + k * W);
        if (all_.drift)
            coast<W>(v, keep, *all_.drift, j, phase, missed);
        else
            spikerun::leak<W>(v, keep, missed, all_.short_keep);
        for (size_t k = 0; k < Lanes<W>::parts; ++k) store(v[k], v_ + j + k * W);
    }
    // What plain neurons do not store: the currents of the last pass. n neurons.
    void store_currents(size_t n, size_t period) const {
        for (size_t j = 0; j < n; ++j) {
            const uint32_t sum =
                (bits(i_[j]) << p_.fraction_bits) + bits(*all_.bias_u.at(j, phase_of(j, period)));
            u_[j] = all_.chip ? wrap24(sum) : clamp(sum, wide_limit);
        }
    }

  private:
    // before: v as it was; leaked: a step later, without currents; u: likewise, where it has memory.
    template <size_t W, class Int>
    SPIKERUN_INLINE void update_part(size_t j, size_t phase, const Int& before, Int& leaked, Int& u,
                                     Int& restless, Int& fired) const {
        using Unsigned = typename Lanes<W>::Unsigned;
        using Short = typename Lanes<W>::Short;
        Int current, threshold, least;
        load(current, i_ + j);
        load(threshold, all_.threshold.at(j, phase));
        load(least, all_.v_min.at(j, phase));
        Unsigned sums = reinterpret_cast<Unsigned>(current) << p_.fraction_bits;  // modulo 2^32
        if constexpr (!plain) sums += reinterpret_cast<Unsigned>(u);
        Int bias{};
        if (plain && all_.biased) {
            Unsigned bias_u;
            load(bias_u, all_.bias_u.at(j, phase));
            load(bias, all_.bias.at(j, phase));
            sums += bias_u;
        }
        if (all_.chip) sums = 0x800000 - ((0x800000 - sums) & 0xFFFFFF);
        u = reinterpret_cast<Int>(sums);
        if (!all_.chip) clamp_all(u, wide_limit);

        Int v = leaked + u + bias, awake = ~Int{}, wait{}, pending{};
        if constexpr (!plain) {
            load(wait, wait_ + j);
            awake = wait <= 0;
        }
        if (all_.reset == Reset::subtract_after_leak) {
            Short late;
            load(late, pending_ + j);
            pending = __builtin_convertvector(late, Int);
            v -= threshold & (pending != 0);
        }
        clamp_all(v, all_.chip ? chip_limit : wide_limit);
        v = v < least ? least : v;
        const Int barrier = threshold - p_.inclusive, spike = awake & (v > barrier);
        if (all_.reset == Reset::subtract) v -= threshold & spike;
        if (all_.reset == Reset::value) {
            Int after;
            load(after, all_.v_reset.at(j, phase));
            choose(v, spike, after);
        }
        if constexpr (!plain) {
            choose(v, ~awake, before);
            wait -= 1 & ~awake;
            choose(wait, spike, Int{} + p_.refractory);
            restless |= u | wait;
            store(wait, wait_ + j);
            store(u, u_ + j);
        }
        if (all_.reset == Reset::subtract_after_leak) {
            choose(pending, awake, spike & 1);
            restless |= pending;
            store(__builtin_convertvector(pending, Short), pending_ + j);
        }
        restless |= (v > barrier) | (v < least);  // a reset may lead below the least
        fired |= spike;
        leaked = v;
        store(v, v_ + j);
        store(__builtin_convertvector(spike & 1, Short), s_ + j);
    }

    const Parameters& p_;
    const All& all_;
    const int32_t* i_;
    int32_t *u_, *v_, *wait_;
    int16_t *pending_, *s_;
};

}  // namespace spikerun::lif
