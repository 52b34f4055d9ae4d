// SPDX-License-Identifier: Apache-2.0
// Neurons that are updated only in tiles where a current arrives, and in those that are awake: where some neuron
// might fire, or where more than the leak of its membrane changes, without any current. All others are at rest:
// their membranes leak at most, toward zero, and neither that nor anything else makes them fire. What they miss is
// made up for when a current arrives, step by step and so with the same bits; a membrane that has reached
// zero misses nothing.
#pragma once

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "isa.hpp"
#include "program.hpp"
#include "values.hpp"

namespace spikerun {

// Parameters of n neurons, which begin anew every `period` neurons, for stretches of up to 64 tiles.
class Repeated {
  public:
    static constexpr size_t longest = 64 * Marks::tile;
    Repeated(const Values& values, size_t n, size_t period) : data_(values.data()), own_(values.size() == n) {
        const size_t given = data_.size(), length = own_ ? n + longest : period + longest;
        data_.resize(length);
        for (size_t j = given; j < length; ++j) data_[j] = data_[j - given];
    }
    // j: the first neuron; phase: j modulo the period.
    SPIKERUN_INLINE const int32_t* at(size_t j, size_t phase) const { return data_.data() + (own_ ? j : phase); }

  private:
    std::vector<int32_t> data_;
    bool own_;
};

inline size_t period_of(size_t n, std::initializer_list<const Values*> all) {
    size_t period = 1;
    for (const Values* values : all)
        if (values->size() < n) period = std::lcm(period, values->size());
    return period;
}

// v = the magnitude of v times keep / 2^16, so many times, with the sign of v; one tile. Most membranes have less
// than 16 bits, whose products need no more than 32. What a step does not change, further ones do not either.
SPIKERUN_INLINE void leak(int32_t* SPIKERUN_RESTRICT v, const int32_t* SPIKERUN_RESTRICT keep, uint32_t times) {
    constexpr size_t n = Marks::tile;
    constexpr uint32_t often = 8;  // steps, after which nothing may be left to do
    uint32_t sign[n], x[n], factor[n], any = 0;
    for (size_t k = 0; k < n; ++k) {
        sign[k] = static_cast<uint32_t>(v[k] >> 31);
        x[k] = (static_cast<uint32_t>(v[k]) ^ sign[k]) - sign[k];
        factor[k] = static_cast<uint32_t>(keep[k]);
        any |= x[k];
    }
    for (uint32_t done = 0, changed = any; done < times && changed != 0;) {
        const uint32_t end = done + std::min(often, times - done);
        const bool small = any < 1U << 16;
        changed = any = 0;
        for (; done + 1 < end; ++done)
            for (size_t k = 0; k < n; ++k)
                x[k] = (small ? 0 : (x[k] >> 16) * factor[k]) + ((x[k] & 0xFFFF) * factor[k] >> 16);
        for (size_t k = 0; k < n; ++k) {
            const uint32_t next = (x[k] >> 16) * factor[k] + ((x[k] & 0xFFFF) * factor[k] >> 16);
            changed |= next ^ x[k];
            any |= next;
            x[k] = next;
        }
        ++done;
    }
    for (size_t k = 0; k < n; ++k) v[k] = static_cast<int32_t>((x[k] ^ sign[k]) - sign[k]);
}

// One pass. Neuron, of which all functions take the place of the first neuron and that modulo the period of the
// parameters: step(j, phase, n) updates n neurons; awake(j, phase) tells it of a tile that was updated; leak(j, phase,
// times) does with a tile at rest what so many steps do.
template <class Neuron>
struct LazyStep {
    SPIKERUN_INLINE static void run(const Neuron& neuron, Lazy& lazy, const Marks& currents, Marks& spikes,
                                    int16_t* s, size_t period, uint32_t now) {
        constexpr size_t tile = Marks::tile;
        spikes.take_runs([&](size_t first, size_t n)
                             SPIKERUN_LAMBDA_INLINE { std::fill_n(s + first * tile, n * tile, int16_t{0}); });
        Marks::each_word(currents, lazy.awake, [&](size_t word, uint64_t bits) SPIKERUN_LAMBDA_INLINE {
            uint64_t awake = 0, fired = 0;
            Marks::runs(bits, 64 * word, [&](size_t first, size_t n) SPIKERUN_LAMBDA_INLINE {
                const size_t j = first * tile, phase = j % period;
                catch_up(neuron, lazy, first, n, phase, now);
                neuron.step(j, phase, n * tile);
                for (size_t k = 0; k < n; ++k) {
                    const uint64_t bit = uint64_t{1} << (first + k) % 64;
                    if (neuron.awake(j + k * tile, phase + k * tile)) awake |= bit;
                    if (any(s + j + k * tile)) fired |= bit;
                    lazy.next[first + k] = now + 1;
                }
            });
            lazy.awake.set(word, awake);
            if (fired != 0) spikes.set(word, fired);
        });
    }

    SPIKERUN_INLINE static void catch_up(const Neuron& neuron, Lazy& lazy, size_t first, size_t n, size_t phase,
                                         uint32_t now) {
        constexpr size_t tile = Marks::tile;
        for (size_t k = 0; k < n; ++k)
            if (const uint32_t missed = now - lazy.next[first + k]; missed != 0) {
                neuron.leak((first + k) * tile, phase + k * tile, missed);
                lazy.next[first + k] = now;
            }
    }

    SPIKERUN_INLINE static bool any(const int16_t* s) {
        int16_t some = 0;
        for (size_t k = 0; k < Marks::tile; ++k) some = static_cast<int16_t>(some | s[k]);
        return some != 0;
    }
};

// Brings all neurons up to the pass `now`.
template <class Neuron>
struct LazySettle {
    SPIKERUN_INLINE static void run(const Neuron& neuron, Lazy& lazy, size_t period, uint32_t now) {
        for (size_t first = 0; first < lazy.next.size(); ++first)
            LazyStep<Neuron>::catch_up(neuron, lazy, first, 1, first * Marks::tile % period, now);
    }
};

// Appends the operation that updates neurons from currents `i` to spikes `s`. make(ws): the Neuron; finish(neuron,
// marks of i): stores what its steps do not. restless: the neurons do not begin at rest.
template <class Neuron, class Make, class Finish>
void append_lazy(Program& program, When when, Numbers i, Words s, size_t period, bool restless, Make make,
                 Finish finish) {
    require(i.tracked() && s.tracked(), "i, s", "must be tracked both");
    require(when.period == 1 && when.end == forever, "period", "lazy neurons are updated in each pass");
    const size_t place = program.new_lazy(i.size, restless, [=](Workspace& ws, Lazy& lazy) {
        if (ws.t <= when.begin) return;
        const Neuron neuron = make(ws);
        run<LazySettle<Neuron>>(neuron, lazy, period, static_cast<uint32_t>(ws.t));
        if (lazy.stepped) finish(neuron, i.marks(ws));
        lazy.stepped = false;
    });
    program.append(when, [=](Workspace& ws, int64_t t) {
        Lazy& lazy = ws.lazy[place];
        const auto now = static_cast<uint32_t>(t);
        if (t == when.begin) std::fill(lazy.next.begin(), lazy.next.end(), now);
        run<LazyStep<Neuron>>(make(ws), lazy, i.marks(ws), s.marks(ws), s.in(ws), period, now);
        lazy.stepped = true;
    });
    program.idle([=](Workspace& ws) {
        return i.marks(ws).none() && s.marks(ws).none() && ws.lazy[place].awake.none();
    });
}

}  // namespace spikerun
