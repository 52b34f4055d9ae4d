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

/* Adds the rows of all active neurons; `sign` is constant where it is called, so that its loop is short. */
static inline void add_active(const spikerun_dense* self, const uint8_t* x, int32_t sign, int32_t* acc,
                              spikerun_event* events) {
    const int32_t inputs = self->inputs, batch = SPIKERUN_BATCH(self->values);
    const uint32_t row = (uint32_t)((self->channels + 3) / 4 * 4 * self->pixels);
    const int32_t limited = SPIKERUN_WORD_BYTES == 2 || batch < EVENTS * 255;
    const spikerun_event* const full = events + EVENTS;
    spikerun_event* event = events;
    spikerun_active active = {events, events, 0, 0, 0};
    uint32_t at = 0;
    for (int32_t n = 0; n < inputs; n++, at += row) {
        const uint32_t word = spikerun_load(x, n);
        if (word == 0) {
            continue;
        }
        const int32_t value = spikerun_value(word, sign), magnitude = value < 0 ? -value : value;
        const int32_t beyond = limited && active.size + magnitude > batch && event != events;
        if (event == full || beyond) {
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

void SPIKERUN_RUN(dense)(const spikerun_dense* self, const uint8_t* x, int32_t* acc, int32_t* memory) {
    spikerun_event* const events = (spikerun_event*)(void*)memory;
    if (self->sign == 0) {
        add_active(self, x, 0, acc + self->offset, events);
    } else {
        add_active(self, x, SPIKERUN_SIGN, acc + self->offset, events);
    }
}
