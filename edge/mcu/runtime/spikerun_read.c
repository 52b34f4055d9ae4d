#include "spikerun.h"
#include "spikerun_word.h"

void spikerun_read_membrane(const spikerun_shape* shape, const int32_t* membrane, int32_t* out) {
    for (int32_t channel = 0; channel < shape->channels; channel++) {
        for (int32_t pixel = 0; pixel < shape->pixels; pixel++) {
            *out++ = membrane[pixel * shape->channels + channel];
        }
    }
}

void spikerun_count_words(const uint8_t* words, int32_t count, int32_t sign, int32_t* out) {
    for (int32_t n = 0; n < count; n++) {
        out[n] += spikerun_value(words[n], sign);
    }
}
