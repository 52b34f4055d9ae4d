/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_rows.h"
#include "spikerun_word.h"

/* Active neurons that are added at once. */
#define EVENTS 128

/* Active neurons that wait to be added. */
typedef struct {
    const spikerun_dense* dense;
    int32_t* acc;
    spikerun_event *begin, *next;
    int32_t total, size; /* sums of values, and of their magnitudes */
} waiting;

/* Adds the rows of those that wait to all pixels, each of which has a row of its own. */
static void flush(waiting* self) {
    const spikerun_dense* const dense = self->dense;
    int32_t* acc = self->acc;
    spikerun_active active = {self->begin, self->next, (uintptr_t)dense->weights, self->total, self->size};
    if (self->begin == self->next) {
        return;
    }
    for (int32_t pixel = 0; pixel < dense->pixels; pixel++) {
        if (dense->values == SPIKERUN_VALUES_ONE) {
            spikerun_add_spikes(acc, dense->channels, &active);
        } else {
            spikerun_add_events(acc, dense->channels, &active);
        }
        active.weights += (uintptr_t)((dense->channels + 3) / 4 * 4);
        acc += dense->pitch;
    }
    self->next = self->begin;
    self->total = 0;
    self->size = 0;
}

/* One more that waits; `batch`: the largest sum of magnitudes that are added at once. */
static inline void append(waiting* self, uint32_t at, int32_t value, int32_t batch) {
    const int32_t magnitude = value < 0 ? -value : value;
    const int32_t limited = SPIKERUN_WORD_BYTES == 2 || batch < EVENTS * 255;
    if (self->next == self->begin + EVENTS || (limited && self->size + magnitude > batch)) {
        flush(self);
    }
    self->next->at = at;
    self->next->value = value;
    self->next++;
    self->total += value;
    self->size += magnitude;
}

/* Adds the rows of all active neurons; `sign` is constant where it is called, so that its loops are short. */
static inline void add_active(const spikerun_dense* self, const uint8_t* x, int32_t sign, int32_t* acc,
                              spikerun_event* events) {
    const int32_t inputs = self->inputs, batch = SPIKERUN_BATCH(self->values);
    const uint32_t row = (uint32_t)((self->channels + 3) / 4 * 4 * self->pixels);
    waiting active = {self, acc, events, events, 0, 0};
    uint32_t at = 0;
    int32_t n = 0;
    if (SPIKERUN_WORD_BYTES == 1 && (uintptr_t)x % 4 == 0) { /* four words at once, of which many are 0 */
        for (; n + 4 <= inputs; n += 4, at += 4 * row) {
            uint32_t four = *(const uint32_t*)(const void*)(x + n), here = at;
            for (; four != 0; four >>= 8, here += row) {
                if ((four & 0xffu) != 0) {
                    append(&active, here, spikerun_value(four & 0xffu, sign), batch);
                }
            }
        }
    }
    for (; n < inputs; n++, at += row) {
        const uint32_t word = spikerun_load(x, n);
        if (word != 0) {
            append(&active, at, spikerun_value(word, sign), batch);
        }
    }
    flush(&active);
}

void SPIKERUN_RUN(dense)(const spikerun_dense* self, const uint8_t* x, int32_t* acc, int32_t* memory) {
    spikerun_event* const events = (spikerun_event*)(void*)memory;
    if (self->sign == 0) {
        add_active(self, x, 0, acc + self->offset, events);
    } else {
        add_active(self, x, SPIKERUN_SIGN, acc + self->offset, events);
    }
}
