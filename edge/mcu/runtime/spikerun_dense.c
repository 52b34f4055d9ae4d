#include "spikerun.h"
#include "spikerun_word.h"

static void flush(const spikerun_dense* self, const int8_t** rows, const int32_t* values, int32_t count,
                  int32_t* membrane) {
    for (int32_t r = 0; r < self->runs; r++) {
        spikerun_add_rows(membrane + r * self->pitch, self->run, rows, values, count);
        for (int32_t k = 0; k < count; k++) {
            rows[k] += self->run;
        }
    }
}

void spikerun_dense_add(const spikerun_dense* self, const uint8_t* words, int32_t* membrane) {
    const int8_t* rows[SPIKERUN_ROWS];
    int32_t values[SPIKERUN_ROWS];
    const int32_t outputs = self->runs * self->run;
    int32_t count = 0;
    membrane += self->offset;
    for (int32_t n = 0; n < self->inputs; n++) {
        if (words[n] == 0) {
            continue;
        }
        rows[count] = self->weights + n * outputs;
        values[count] = spikerun_value(words[n], self->sign);
        if (++count == SPIKERUN_ROWS) {
            flush(self, rows, values, count, membrane);
            count = 0;
        }
    }
    if (count > 0) {
        flush(self, rows, values, count, membrane);
    }
}
