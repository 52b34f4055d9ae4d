/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_rows.h"
#include "spikerun_word.h"

/* Active neurons that are added at once. */
#define EVENTS 128

/* Adds the rows of active neurons to all pixels, each of which has a row of its own. */
static void add_rows(const spikerun_dense* self, spikerun_active* active, int32_t* acc) {
    if (active->begin == active->end) {
        return;
    }
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
}

/* Active neurons that wait to be added, and the sums of their values and magnitudes. */
typedef struct {
    spikerun_event* next;
    int32_t total, size;
} waiting;

/* One more that waits; if there are too many, or their magnitudes sum to more than `batch`, these are added
 * before. `sign` is constant where it is called. */
static inline waiting append(const spikerun_dense* self, waiting now, uint32_t at, int32_t value,
                             int32_t sign, int32_t batch, int32_t* acc, spikerun_event* events) {
    const int32_t magnitude = sign != 0 && value < 0 ? -value : value;
    const int32_t limited = SPIKERUN_WORD_BYTES == 2 || batch < EVENTS * 255;
    const int32_t size = sign != 0 ? now.size : now.total;
    if (now.next == events + EVENTS || (limited && size + magnitude > batch)) {
        spikerun_active active = {events, now.next, 0, now.total, size};
        add_rows(self, &active, acc);
        now.next = events;
        now.total = 0;
        now.size = 0;
    }
    now.next->at = at;
    now.next->value = value;
    now.next++;
    now.total += value;
    now.size += sign != 0 ? magnitude : 0;
    return now;
}

/* Adds the rows of all active neurons; `sign` is constant where it is called, so that its loops are short. */
static inline void add_active(const spikerun_dense* self, const uint8_t* x, int32_t sign, int32_t* acc,
                              spikerun_event* events) {
    const int32_t inputs = self->inputs, batch = SPIKERUN_BATCH(self->values);
    const uint32_t row = (uint32_t)((self->channels + 3) / 4 * 4 * self->pixels);
    waiting now = {events, 0, 0};
    uint32_t at = 0;
    int32_t n = 0;
    if (SPIKERUN_WORD_BYTES == 1 && (uintptr_t)x % 4 == 0) { /* four words at once, of which many are 0 */
        for (; n + 4 <= inputs; n += 4, at += 4 * row) {
            uint32_t four = *(const uint32_t*)(const void*)(x + n), here = at;
            for (; four != 0; four >>= 8, here += row) {
                if ((four & 0xffu) != 0) {
                    const int32_t value = spikerun_value(four & 0xffu, sign);
                    now = append(self, now, here, value, sign, batch, acc, events);
                }
            }
        }
    }
    for (; n < inputs; n++, at += row) {
        const uint32_t word = spikerun_load(x, n);
        if (word != 0) {
            now = append(self, now, at, spikerun_value(word, sign), sign, batch, acc, events);
        }
    }
    spikerun_active active = {events, now.next, 0, now.total, sign != 0 ? now.size : now.total};
    add_rows(self, &active, acc);
}

void SPIKERUN_RUN(dense)(const spikerun_dense* self, const uint8_t* x, int32_t* acc, int32_t* memory) {
    spikerun_event* const events = (spikerun_event*)(void*)memory;
    if (self->sign == 0) {
        add_active(self, x, 0, acc + self->offset, events);
    } else {
        add_active(self, x, SPIKERUN_SIGN, acc + self->offset, events);
    }
}
