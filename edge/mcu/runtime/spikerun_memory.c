#include "spikerun.h"

void spikerun_clear(int32_t* numbers, int32_t count) {
    for (int32_t n = 0; n < count; n++) {
        numbers[n] = 0;
    }
}

void spikerun_clear_words(uint8_t* words, int32_t count) {
    for (int32_t n = 0; n < count; n++) {
        words[n] = 0;
    }
}

void spikerun_copy_words(const uint8_t* source, int32_t count, uint8_t* words) {
    for (int32_t n = 0; n < count; n++) {
        words[n] = source[n];
    }
}
