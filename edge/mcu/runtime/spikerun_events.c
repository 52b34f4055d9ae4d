/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

#ifdef SPIKERUN_WIDE
typedef uint32_t event;
#else
typedef uint16_t event;
#endif

spikerun_status SPIKERUN_WORDS(check_events)(const event* events, uint32_t count, uint32_t limit) {
    if (count > limit) {
        return SPIKERUN_ERROR_INPUT;
    }
    for (uint32_t n = 0; n < count; n++) {
        if (events[n] >= limit) {
            return SPIKERUN_ERROR_INPUT;
        }
    }
    return SPIKERUN_OK;
}

void SPIKERUN_WORDS(place_events)(const spikerun_shape* shape, uint32_t first, const event* events,
                                  uint32_t count, uint8_t* words) {
    const uint32_t channels = (uint32_t)shape->channels;
    const uint32_t pixels = (uint32_t)shape->pixels;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t pixel = events[n] - first; /* of another input: beyond all, as it wraps */
        uint32_t channel = 0;
        if (pixel >= channels * pixels) {
            continue;
        }
        if (pixels == 1u) {
            channel = pixel;
            pixel = 0;
        }
        while (pixel >= pixels) { /* channels of images are few, and some cores cannot divide */
            pixel -= pixels;
            channel++;
        }
        words[pixel * channels + channel] = 1;
    }
}
