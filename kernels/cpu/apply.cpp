// SPDX-License-Identifier: Apache-2.0
// apply: acc += C(x), modulo 2^32; event-driven if at most `cut` inputs are not zero, as far as a sample of
// them tells, else dense.
#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

constexpr size_t line = 32;      // words that are looked at together, a cache line
constexpr size_t enough = 4096;  // words, whose activity is that of all
constexpr int64_t seldom = 32;  // where the choice needs no count, one run in so many is counted all the same

// About how many of x are not zero: of large x one line in so many is counted, somewhere in each stretch,
// since channels repeat.
struct CountSome {
    SPIKERUN_INLINE static size_t run(const int16_t* x, size_t n) {
        const size_t stretch = std::min<size_t>(n / enough, 16);
        if (stretch <= 1) return CountNonzero::run(x, n);
        const size_t stretches = n / (line * stretch);
        size_t count = 0;
        for (size_t k = 0; k < stretches; ++k) {
            const size_t somewhere = (static_cast<uint32_t>(k * 0x9E3779B1u) >> 16) * stretch >> 16;
            count += CountNonzero::run(x + (k * stretch + somewhere) * line, line);
        }
        return count * stretch;
    }
};

// The inputs that are not zero.
struct ListMarked {
    SPIKERUN_INLINE static size_t run(const int16_t* x, const Marks& marks, Event* events) {
        size_t count = 0;
        marks.each_run([&](size_t first, size_t n) SPIKERUN_LAMBDA_INLINE {
            count = append_events(x, first * Marks::tile, (first + n) * Marks::tile, 0, 1, events, count);
        });
        return count;
    }
};
struct ListAll {
    SPIKERUN_INLINE static size_t run(const int16_t* x, size_t n, Event* events) {
        return collect_events(x, n, 1, events);
    }
};

// Where the inputs are tracked, or the sums: only what is active is looked at, and the sums that it reaches
// are marked. Beyond a part of the inputs, other kernels are faster.
void apply_tracked(Program& program, When when, Words x, Numbers acc, LinearPointer map, size_t cut) {
    constexpr size_t part = 4;
    const size_t place = program.new_passed(), few = x.size / part;
    program.need({x.size + Marks::tile, 0, 0});
    map->prepare_listed();
    program.append(when, [=, map = std::move(map)](Workspace& ws, int64_t) {
        Scratch& scratch = ws.scratch[0];
        const int16_t* const source = x.in(ws);
        Event* const events = scratch.events.data();
        const size_t count =
            x.tracked() ? run<ListMarked>(source, x.marks(ws), events) : run<ListAll>(source, x.size, events);
        ws.passed[place].add(count <= std::max(few, cut), true, count);
        if (count == 0) return;
        Marks* const marks = acc.tracked() ? &acc.marks(ws) : nullptr;
        if (count <= few && map->apply_listed(events, count, acc.in(ws), marks)) return;
        if (count <= cut)
            map->apply_event(source, acc.in(ws), scratch, {});
        else
            map->apply_dense(source, acc.in(ws), scratch, {});
        if (marks != nullptr) marks->add_all();
    });
    if (x.tracked()) program.idle([=](Workspace& ws) { return x.marks(ws).none() ? forever : 0; });
}

void apply(Program& program, When when, int64_t x_id, int64_t acc_id, LinearPointer map, int64_t cut) {
    const Words x = program.words(x_id, "x");
    const Numbers acc = program.numbers(acc_id, "acc");
    require_same(map->n_in(), x.size, "x");
    require_same(map->n_out(), acc.size, "acc");
    require_range("cut", cut, 0, std::numeric_limits<int64_t>::max());
    program.need(map->scratch_size());
    if (x.tracked() || acc.tracked())
        return apply_tracked(program, when, x, acc, std::move(map), unsign(cut));
    const size_t parts = map->parts();
    const size_t place = program.new_passed();
    const bool chooses = cut > 0 && unsign(cut) < x.size;
    program.append(when, parts,
                   [=, map = std::move(map), limit = unsign(cut)](Workspace& ws, int64_t, Share share,
                                                                  Scratch& scratch) {
                       const int16_t* const source = x.in(ws);
                       size_t active = chooses ? run<CountSome>(source, x.size) : 0;
                       const bool event = chooses ? active <= limit : limit > 0;
                       if (share.first()) {
                           Passed& passed = ws.passed[place];
                           const bool look = !chooses && passed.runs % seldom == 0;
                           if (look) active = run<CountSome>(source, x.size);
                           passed.add(event, chooses || look, active);
                       }
                       if (event)
                           map->apply_event(source, acc.in(ws), scratch, share);
                       else
                           map->apply_dense(source, acc.in(ws), scratch, share);
                   });
}

}  // namespace

void bind_apply(ProgramClass& cls) {
    operation(cls, "apply", &apply, "x"_a, "acc"_a, "map"_a, "cut"_a);
}

}  // namespace spikerun
