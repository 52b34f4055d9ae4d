#include "spikerun.h"
#include "spikerun_word.h"

static int32_t largest(const spikerun_max_pool* self, const uint8_t* image, int32_t row, int32_t column) {
    int32_t best = INT32_MIN;
    for (int32_t i = 0; i < self->kernel_height; i++) {
        const int32_t y = row * self->stride_y - self->padding_y + i * self->dilation_y;
        for (int32_t j = 0; j < self->kernel_width; j++) {
            const int32_t x = column * self->stride_x - self->padding_x + j * self->dilation_x;
            if (y >= 0 && y < self->source_height && x >= 0 && x < self->source_width) {
                const int32_t value = spikerun_value(image[y * self->source_width + x], self->sign);
                best = value > best ? value : best;
            }
        }
    }
    return best;
}

void spikerun_max_pool_words(const spikerun_max_pool* self, const uint8_t* source, uint8_t* words) {
    for (int32_t channel = 0; channel < self->channels; channel++) {
        const uint8_t* image = source + channel * self->source_height * self->source_width;
        for (int32_t row = 0; row < self->target_height; row++) {
            for (int32_t column = 0; column < self->target_width; column++) {
                *words++ = (uint8_t)(largest(self, image, row, column) & 0xff);
            }
        }
    }
}
