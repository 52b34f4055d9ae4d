// SPDX-License-Identifier: Apache-2.0
// delay: y = x of `steps` passes ago, zeros at first.
#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

// Exchanges place with what the ring holds.
struct Exchange {
    SPIKERUN_INLINE static void run(const int16_t* SPIKERUN_RESTRICT x, int16_t* SPIKERUN_RESTRICT place,
                                    int16_t* SPIKERUN_RESTRICT y, size_t n) {
        for (size_t j = 0; j < n; ++j) {
            y[j] = place[j];
            place[j] = x[j];
        }
    }
};

void delay(Program& program, When when, int64_t x_id, int64_t ring_id, int64_t y_id, int64_t steps) {
    const Words x = program.words(x_id, "x");
    const Words ring = program.words(ring_id, "ring");
    const Words y = program.words(y_id, "y");
    require_same(x.size, y.size, "y");
    require_range("steps", steps, 1, max_size);
    require_same(x.size * unsign(steps), ring.size, "ring");
    require_apart("x, ring, y", {x, ring, y});
    require(when.first == 0 && when.last == when.period - 1, "first", "a delay executes at every pass");
    program.append(when, [=](Workspace& ws, int64_t t) {
        const size_t place = unsign((t - when.begin) % steps) * x.size;
        run<Exchange>(x.in(ws), ring.in(ws) + place, y.in(ws), x.size);
    });
}

}  // namespace

void bind_delay(ProgramClass& cls) {
    operation(cls, "delay", &delay, "x"_a, "ring"_a, "y"_a, "steps"_a);
}

}  // namespace spikerun
