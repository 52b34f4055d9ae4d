#include "spikerun.h"
#include "spikerun_word.h"

void spikerun_sparse_add(const spikerun_sparse* self, const uint8_t* words, int32_t* membrane) {
    for (int32_t n = 0; n < self->inputs; n++) {
        if (words[n] == 0) {
            continue;
        }
        const int32_t value = spikerun_value(words[n], self->sign);
        for (uint32_t k = self->starts[n]; k < self->starts[n + 1]; k++) {
            membrane[self->targets[k]] += value * self->weights[k];
        }
    }
}
