/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

static void flush(const spikerun_dense* self, const int8_t** rows, const int32_t* values, int32_t count,
                  int32_t* acc) {
    for (int32_t pixel = 0; pixel < self->pixels; pixel++) {
        spikerun_add_rows(acc + pixel * self->pitch, self->channels, rows, values, count);
        for (int32_t k = 0; k < count; k++) {
            rows[k] += self->channels;
        }
    }
}

void SPIKERUN_RUN(dense)(const spikerun_dense* self, const uint8_t* x, int32_t* acc) {
    const int8_t* rows[SPIKERUN_ROWS];
    int32_t values[SPIKERUN_ROWS];
    const int32_t outputs = self->pixels * self->channels;
    int32_t count = 0;
    acc += self->offset;
    for (int32_t n = 0; n < self->inputs; n++) {
        const uint32_t word = spikerun_load(x, n);
        if (word == 0) {
            continue;
        }
        rows[count] = self->weights + n * outputs;
        values[count] = spikerun_value(word, self->sign);
        if (++count == SPIKERUN_ROWS) {
            flush(self, rows, values, count, acc);
            count = 0;
        }
    }
    if (count > 0) {
        flush(self, rows, values, count, acc);
    }
}
