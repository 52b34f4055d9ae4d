// SPDX-License-Identifier: Apache-2.0
// apply: acc += C(x), modulo 2^32; event-driven if at most `cut` inputs are not zero, else dense.
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

void apply(Program& program, When when, int64_t x_id, int64_t acc_id, LinearPointer map, int64_t cut) {
    const Words x = program.words(x_id, "x");
    const Numbers acc = program.numbers(acc_id, "acc");
    require_same(map->n_in(), x.size, "x");
    require_same(map->n_out(), acc.size, "acc");
    require_range("cut", cut, 0, std::numeric_limits<int64_t>::max());
    program.need(map->scratch_size());
    const size_t parts = map->parts();
    program.append(when, parts,
                   [=, map = std::move(map), limit = unsign(cut)](Workspace& ws, int64_t, Share share,
                                                                  Scratch& scratch) {
                       const int16_t* const source = x.in(ws);
                       if (limit >= x.size || run<CountNonzero>(source, x.size) <= limit)
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
