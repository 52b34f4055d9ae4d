/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_rows.h"
#include "spikerun_word.h"

/* Active neurons that are added at once. */
#define EVENTS 128

/* Adds the rows of the active neurons to all pixels, each of which has a row of
 * its own. */
static void flush(const spikerun_dense* self, spikerun_active* active, int32_t* acc) {
    active->weights = (uintptr_t)self->weights;
    for (int32_t pixel = 0; pixel < self->pixels; pixel++) {
        if (self->values == SPIKERUN_VALUES_ONE) {
            spikerun_add_spikes(acc, self->channels, active);
        } else {
            spikerun_add_events(acc, self->channels, active);
        }
        active->weights += (uintptr_t)((self->channels + 3) / 4 * 4);
        acc += self->pitch;
    }
    active->total = 0;
    active->size = 0;
}

void SPIKERUN_RUN(dense)(const spikerun_dense* self, const uint8_t* x, int32_t* acc, int32_t* memory) {
    spikerun_event* const events = (spikerun_event*)(void*)memory;
    spikerun_event* event = events;
    spikerun_active active = {events, events, 0, 0, 0};
    const int32_t inputs = self->inputs, batch = SPIKERUN_BATCH(self->values), sign = self->sign;
    const uint32_t row = (uint32_t)((self->channels + 3) / 4 * 4 * self->pixels);
    uint32_t at = 0;
    acc += self->offset;
    for (int32_t n = 0; n < inputs; n++, at += row) {
        const uint32_t word = spikerun_load(x, n);
        if (word == 0) {
            continue;
        }
        const int32_t value = spikerun_value(word, sign), magnitude = value < 0 ? -value : value;
        if (event == events + EVENTS || (active.size + magnitude > batch && event != events)) {
            active.end = event;
            flush(self, &active, acc);
            event = events;
        }
        event->at = at;
        event->value = value;
        event++;
        active.total += value;
        active.size += magnitude;
    }
    if (event != events) {
        active.end = event;
        flush(self, &active, acc);
    }
}
