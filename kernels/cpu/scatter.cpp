// SPDX-License-Identifier: Apache-2.0
// scatter: events go on their way through synapses that have delays of their own; arrive: what is due is
// added.
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"
#include "late.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

// The synapses of each active input, in a ring of `size` sums of which the first that is meant is at `base`.
struct Send {
    SPIKERUN_INLINE static void run(const Late& map, const Event* events, size_t count, uint32_t mask,
                                    uint32_t bits, uint32_t base, uint32_t size, int32_t* ring) {
        const uint32_t* const offset = map.offset();
        const int8_t* const weight = map.weight();
        for (size_t e = 0; e < count; ++e) {
            const size_t row = row_of(events[e]);
            const uint32_t value = (static_cast<uint32_t>(value_of(events[e])) & mask) << bits;
            for (size_t k = map.begin(row), end = map.begin(row + 1); k < end; ++k) {
                uint32_t place = base + offset[k];  // both are less than the size, which is at most 2^28
                place -= place >= size ? size : 0;
                ring[place] = wrapping_multiply_add(ring[place], static_cast<int32_t>(value), weight[k]);
            }
        }
    }
};

struct List {
    SPIKERUN_INLINE static size_t run(const int16_t* x, size_t n, Event* events) {
        return collect_events(x, n, 1, events);
    }
};

struct Take {
    SPIKERUN_INLINE static void run(int32_t* SPIKERUN_RESTRICT due, int32_t* SPIKERUN_RESTRICT acc,
                                    size_t n) {
        for (size_t j = 0; j < n; ++j) {
            acc[j] = wrapping_add(acc[j], due[j]);
            due[j] = 0;
        }
    }
};

void require_slots(int64_t slots, size_t size, const Numbers& ring) {
    require(slots > 0 && (slots & (slots - 1)) == 0, "slots", "expected a power of two, got " + text(slots));
    require_same(size * unsign(slots), ring.size, "ring");
}

void scatter(Program& program, When when, int64_t x_id, int64_t ring_id, LatePointer map, int64_t delay,
             int64_t bits, int64_t slots, bool unsigned_words) {
    const Words x = program.words(x_id, "x");
    const Numbers ring = program.numbers(ring_id, "ring");
    require_same(map->n_in(), x.size, "x");
    require_slots(slots, map->n_out(), ring);
    require_range("bits", bits, 0, 31);
    const auto least = static_cast<int64_t>(map->delays().begin);
    require_range("delay", delay, -least, slots - 1 - static_cast<int64_t>(map->delays().end));
    require(!ring.tracked(), "ring", "is tracked");
    const size_t place = program.new_passed();
    program.need({x.size + Marks::tile, 0, 0});
    const uint32_t mask = unsigned_words ? UINT16_MAX : UINT32_MAX;  // words of 2^15 and more look negative
    program.append(
        when, [=, map = std::move(map), shift = static_cast<uint32_t>(bits)](Workspace& ws, int64_t t) {
            Event* const events = ws.scratch[0].events.data();
            const size_t count = run<List>(x.in(ws), x.size, events);
            ws.passed[place].add(true, true, count);
            const size_t first = unsign(t + delay + least) & unsign(slots - 1);
            run<Send>(*map, events, count, mask, shift, static_cast<uint32_t>(first * map->n_out()),
                      static_cast<uint32_t>(ring.size), ring.in(ws));
        });
}

void arrive(Program& program, When when, int64_t ring_id, int64_t acc_id, int64_t slots) {
    const Numbers ring = program.numbers(ring_id, "ring");
    const Numbers acc = program.numbers(acc_id, "acc");
    require_slots(slots, acc.size, ring);
    require(!acc.tracked() && !ring.tracked(), "acc", "is tracked, or ring");
    require_apart("ring, acc", {ring, acc});
    constexpr size_t tile = 4096;
    program.append_tiles(when, acc.size, tile, [=](Workspace& ws, int64_t t, size_t j, size_t n) {
        const size_t first = (unsign(t) & unsign(slots - 1)) * acc.size;
        run<Take>(ring.in(ws) + first + j, acc.in(ws) + j, n);
    });
}

}  // namespace

void bind_scatter(ProgramClass& cls) {
    operation(cls, "scatter", &scatter, "x"_a, "ring"_a, "map"_a, "delay"_a, "bits"_a, "slots"_a,
              "unsigned_words"_a = false);
    operation(cls, "arrive", &arrive, "ring"_a, "acc"_a, "slots"_a);
}

}  // namespace spikerun
