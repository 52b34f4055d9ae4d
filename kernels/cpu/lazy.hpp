// SPDX-License-Identifier: Apache-2.0
// Neurons that are updated only in tiles where a current arrives, and in those that are awake: where some
// neuron might fire, or where more than its membrane changes, without any current. All others are at rest:
// their membranes leak toward zero, or drift by a bias, and none fires before a pass that is known and wakes
// it. What they miss is made up for when they are updated, with the bits of all steps.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "lanes.hpp"
#include "program.hpp"
#include "repeated.hpp"

namespace spikerun {

// What neurons add to their membranes in each step, without a current: their bias.
struct Drift {
    Repeated values;   // what is added
    Repeated least;    // where membranes end
    Repeated barrier;  // what must be exceeded to fire
    Repeated rise;     // the values that lead over the barrier in time, 0 where that never happens
    int32_t most;      // magnitude of a value
    bool leaks;        // whether some membranes leak
};

// None where all biases are 0. bias(j), floor(j) of the membrane, barrier(j), keep(j), the factor: of neuron
// j.
template <class Bias, class Floor, class Barrier, class Keep>
std::optional<Drift> drift_of(size_t n, size_t period, Bias bias, Floor floor, Barrier barrier, Keep keep) {
    int32_t most = 0;
    bool leaks = false;
    for (size_t j = 0; j < period; ++j) {
        most = std::max(most, std::abs(bias(j)));
        leaks |= keep(j) < 1 << 16;
    }
    if (most == 0) return {};
    // Leaking membranes rise no further than to where the leak equals the drift, or to a step above 0.
    const auto rise = [&](size_t j) {
        const double up = bias(j), lost = 1 - keep(j) / 65536.0, top = barrier(j) - 1.0;
        return up > 0 && (lost <= 0 || up / lost > top || up + 1 > top) ? bias(j) : 0;
    };
    return Drift{Repeated::made(n, period, bias),
                 Repeated::made(n, period, floor),
                 Repeated::made(n, period, barrier),
                 Repeated::made(n, period, rise),
                 most,
                 leaks};
}

// What so many steps at rest do to a tile that does not leak, or to those of its neurons that do not: several
// steps are one product, of at most 30 bits. whole: all ones where a neuron takes part.
template <size_t W>
SPIKERUN_INLINE void drift_on(typename Lanes<W>::Int (&v)[Lanes<W>::parts],
                              const typename Lanes<W>::Int (&whole)[Lanes<W>::parts], const Drift& drift,
                              size_t j, size_t phase, uint32_t times) {
    using Int = typename Lanes<W>::Int;
    const int32_t* const values = drift.values.at(j, phase);
    const int32_t* const least = drift.least.at(j, phase);
    const uint32_t most = std::max(1U, (1U << 29) / static_cast<uint32_t>(drift.most));
    for (bool more = true; more && times != 0;) {
        const uint32_t n = std::min(times, most);
        Int changed{};
        for (size_t k = 0; k < Lanes<W>::parts; ++k) {
            Int value, floor;
            load(value, values + k * W);
            load(floor, least + k * W);
            Int next = v[k] + value * static_cast<int32_t>(n);
            next = next < floor ? floor : next;
            changed |= (next ^ v[k]) & whole[k];
            choose(v[k], whole[k], next);
        }
        times -= n;
        more = any(changed);  // what a step does not change, further ones do not either
    }
}

// The same where some membranes leak, by `keep`: step by step, until only the others change.
template <size_t W>
SPIKERUN_INLINE void coast(typename Lanes<W>::Int (&v)[Lanes<W>::parts], const int32_t* keep,
                           const Drift& drift, size_t j, size_t phase, uint32_t times) {
    using Int = typename Lanes<W>::Int;
    constexpr size_t parts = Lanes<W>::parts;
    const int32_t* const values = drift.values.at(j, phase);
    const int32_t* const least = drift.least.at(j, phase);
    Int whole[parts];
    for (size_t k = 0; k < parts; ++k) {
        Int factor;
        load(factor, keep + k * W);
        whole[k] = factor >= 1 << 16;
    }
    for (bool more = drift.leaks; more && times != 0; --times) {
        Int before[parts], changed{};
        for (size_t k = 0; k < parts; ++k) before[k] = v[k];
        leak<W>(v, keep, 1, false);
        for (size_t k = 0; k < parts; ++k) {
            Int value, floor;
            load(value, values + k * W);
            load(floor, least + k * W);
            v[k] += value;
            v[k] = v[k] < floor ? floor : v[k];
            changed |= (v[k] ^ before[k]) & ~whole[k];
        }
        more = any(changed);
    }
    if (times != 0) drift_on<W>(v, whole, drift, j, phase, times);
}

// For how many steps no neuron of a tile fires by its drift, at least; v: none is over its barrier.
template <size_t W>
SPIKERUN_INLINE uint32_t quiet_steps(const typename Lanes<W>::Int (&v)[Lanes<W>::parts], const Drift& drift,
                                     size_t j, size_t phase) {
    const int32_t* const rise = drift.rise.at(j, phase);
    const int32_t* const barrier = drift.barrier.at(j, phase);
    int32_t membrane[Marks::tile];
    for (size_t k = 0; k < Lanes<W>::parts; ++k) store(v[k], membrane + k * W);
    float fewest = static_cast<float>(Lazy::horizon);
    for (size_t k = 0; k < Marks::tile; ++k) {
        // Below 0 a leak leads upward, too.
        const int32_t from = drift.leaks ? std::max(membrane[k], 0) : membrane[k];
        const float up = static_cast<float>(rise[k]);
        const float steps = (static_cast<float>(barrier[k]) - static_cast<float>(from)) / (up > 0 ? up : 1);
        fewest = up > 0 && steps < fewest ? steps : fewest;
    }
    // Less than the error of all this.
    constexpr float surely = 1 - 1.0F / (1 << 18);
    return fewest > 2 ? static_cast<uint32_t>(fewest * surely - 1) : 0;
}

// Whether neurons of a tile might do more than leak and drift without a current, and whether some fired; for
// how many steps surely none fires without one.
struct Outcome {
    bool awake, fired;
    uint32_t quiet = Lazy::horizon;
};

// One pass. Neuron, of which both functions take the place of the first neuron of a tile, and that modulo the
// period of the parameters: update<W>(j, phase, missed) updates a tile that was at rest in so many passes
// before; leak<W>(j, phase, missed) does with it what these would have done.
template <size_t W>
struct LazyStep {
    template <class Neuron>
    SPIKERUN_INLINE static void run(const Neuron& neuron, Lazy& lazy, const Marks& currents, Marks& spikes,
                                    int16_t* s, size_t size, size_t period, uint32_t now) {
        constexpr size_t tile = Marks::tile;
        spikes.erase(s);
        if (!lazy.due.empty()) wake_due(lazy, now);
        // A word is updated when the next one is known, whose tiles are fetched meanwhile.
        size_t word = 0;
        uint64_t bits = 0;
        Marks::each_word(currents, lazy.awake,
                         [&](size_t next_word, uint64_t next_bits) SPIKERUN_LAMBDA_INLINE {
                             for (uint64_t left = next_bits; left != 0; left &= left - 1) {
                                 const size_t place = 64 * next_word + lowest_bit(left);
                                 fetch_to_write(&lazy.next[place]);
                                 fetch_to_write(s + place * tile);
                                 neuron.fetch(place * tile);
                             }
                             update(neuron, lazy, spikes, s, size, period, now, word, bits);
                             word = next_word;
                             bits = next_bits;
                         });
        update(neuron, lazy, spikes, s, size, period, now, word, bits);
    }

    // Wakes the tiles in which a neuron might fire now; passes are compared modulo 2^32.
    SPIKERUN_INLINE static void wake_due(Lazy& lazy, uint32_t now) {
        for (size_t word = 0; word < lazy.first.size(); ++word) {
            if (static_cast<int32_t>(lazy.first[word] - now) > 0) continue;
            const size_t end = std::min(lazy.due.size(), 64 * word + 64);
            uint32_t least = Lazy::horizon;  // passes from now
            for (size_t place = 64 * word; place < end; ++place) {
                const auto left = static_cast<int32_t>(lazy.due[place] - now);
                if (left <= 0)
                    lazy.awake.add(place * Marks::tile);
                else
                    least = std::min(least, static_cast<uint32_t>(left));
            }
            lazy.first[word] = now + least;
        }
    }

    // The marked tiles of 64.
    template <class Neuron>
    SPIKERUN_INLINE static void update(const Neuron& neuron, Lazy& lazy, Marks& spikes, int16_t* s,
                                       size_t size, size_t period, uint32_t now, size_t word, uint64_t bits) {
        if (bits == 0) return;
        uint64_t awake = 0, fired = 0;
        for (uint64_t left = bits; left != 0; left &= left - 1) {
            const uint64_t bit = left & (0 - left);
            const size_t place = 64 * word + lowest_bit(left), j = place * Marks::tile;
            Outcome outcome = neuron.template update<W>(j, phase_of(j, period), now - lazy.next[place]);
            if (j + Marks::tile > size) {  // behind the last neuron there is none
                neuron.trim(size, j + Marks::tile);
                outcome.fired = std::any_of(s + j, s + size, [](int16_t x) { return x != 0; });
            }
            lazy.next[place] = now + 1;
            awake |= outcome.awake ? bit : 0;
            fired |= outcome.fired ? bit : 0;
            if (!lazy.due.empty()) {
                const uint32_t due = now + 1 + std::min(outcome.quiet, Lazy::horizon);
                lazy.due[place] = due;
                if (static_cast<int32_t>(due - lazy.first[word]) < 0) lazy.first[word] = due;
            }
        }
        lazy.awake.set(word, awake);
        if (fired != 0) spikes.set(word, fired);
    }
};

// Brings all neurons up to the pass `now`.
template <size_t W>
struct LazySettle {
    template <class Neuron>
    SPIKERUN_INLINE static void run(const Neuron& neuron, Lazy& lazy, size_t period, uint32_t now) {
        for (size_t place = 0; place < lazy.next.size(); ++place) {
            const size_t j = place * Marks::tile;
            if (lazy.next[place] != now)
                neuron.template leak<W>(j, phase_of(j, period), now - lazy.next[place]);
            lazy.next[place] = now;
        }
    }
};

// Appends the operation that updates neurons from currents `i` to spikes `s`. make(ws): the Neuron;
// finish(neuron): stores what its steps do not. restless: the neurons do not begin at rest; drift: they may
// fire by themselves.
template <class Neuron, class Make, class Finish>
void append_lazy(Program& program, When when, Numbers i, Words s, size_t period, bool restless, bool drift,
                 Make make, Finish finish) {
    require(i.tracked() && s.tracked(), "i, s", "must be tracked both");
    require(when.period == 1 && when.end == forever, "period", "lazy neurons are updated in each pass");
    const size_t place = program.new_lazy(i.size, restless || drift, drift, [=](Workspace& ws, Lazy& lazy) {
        if (ws.t <= when.begin) return;
        const Neuron neuron = make(ws);
        run_in_lanes<LazySettle>(neuron, lazy, period, static_cast<uint32_t>(ws.t));
        if (lazy.stepped) finish(neuron);
        lazy.stepped = false;
    });
    program.append(when, [=](Workspace& ws, int64_t t) {
        Lazy& lazy = ws.lazy[place];
        if (t == when.begin) lazy.forget(t);
        run_in_lanes<LazyStep>(make(ws), lazy, i.marks(ws), s.marks(ws), s.in(ws), i.size, period,
                               static_cast<uint32_t>(t));
        lazy.stepped = true;
    });
    program.idle([=](Workspace& ws) -> int64_t {
        const Lazy& lazy = ws.lazy[place];
        if (!i.marks(ws).none() || !s.marks(ws).none() || !lazy.awake.none()) return 0;
        if (ws.t < when.begin) return when.begin - ws.t;
        if (lazy.first.empty()) return forever;
        auto least = static_cast<int32_t>(Lazy::horizon);
        for (const uint32_t first : lazy.first)
            least = std::min(least, static_cast<int32_t>(first - static_cast<uint32_t>(ws.t)));
        return std::max(0, least);
    });
}

}  // namespace spikerun
