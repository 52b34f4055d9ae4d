/* SPDX-License-Identifier: Apache-2.0 */
/* The active neurons that the target row sees are listed, column by column: what a target pixel sees
 * is then one stretch of the list, and all its rows of weights are added in one pass over its membranes. */
#include "spikerun.h"
#include "spikerun_rows.h"
#include "spikerun_word.h"

/* What comes before a place, a group of channels of a column: events, and sums of values and magnitudes. */
typedef struct {
    int32_t events, total, size;
} mark;

/* The list: a mark for each place and one for the end. */
typedef struct {
    const spikerun_conv* conv;
    mark* marks;
    spikerun_event* events;
    int32_t row_bytes; /* of a row of weights */
} list;

/* Lists the active neurons among the words of a place in one source row, whose weights begin at `at`. */
static inline spikerun_event* list_words(const uint8_t* x, int32_t channels, int32_t sign, uint32_t at,
                                         uint32_t step, spikerun_event* event, mark* now) {
    const uint8_t* const end = x + channels * SPIKERUN_WORD_BYTES;
    int32_t total = now->total, size = now->size;
    for (; x < end; x += SPIKERUN_WORD_BYTES, at += step) {
        const uint32_t word = spikerun_load(x, 0);
        if (word != 0) {
            const int32_t value = spikerun_value(word, sign);
            event->at = at;
            event->value = value;
            event++;
            total += value;
            size += value < 0 ? -value : value;
        }
    }
    now->total = total;
    now->size = size;
    return event;
}

/* Lists the active neurons that the target row sees whose first source row is `top`. */
static void list_rows(const list* self, const uint8_t* x, int32_t top) {
    const spikerun_conv* const conv = self->conv;
    const int32_t places = conv->source_width * conv->groups, channels = conv->source_channels;
    const int32_t words = channels * SPIKERUN_WORD_BYTES;
    const uint32_t row_bytes = (uint32_t)self->row_bytes, step = (uint32_t)channels * row_bytes;
    spikerun_event* event = self->events;
    mark now = {0, 0, 0};
    uint32_t at = 0;
    for (int32_t place = 0; place < places; place++) {
        int32_t y = top;
        self->marks[place] = now;
        for (int32_t i = 0; i < conv->kernel_height; i++, y += conv->dilation_y, at += step) {
            if (y < 0 || y >= conv->source_height) {
                continue;
            }
            const uint8_t* const from = x + (y * places + place) * words;
            if (conv->sign == 0) { /* a shorter loop, as the compiler knows the sign */
                event = list_words(from, channels, 0, at, row_bytes, event, &now);
            } else {
                event = list_words(from, channels, SPIKERUN_SIGN, at, row_bytes, event, &now);
            }
        }
        now.events = (int32_t)(event - self->events);
    }
    self->marks[places] = now;
}

/* Adds the events of the places from `begin` to `end`; `place` is that whose weights are the first of all. */
static void add(const list* self, int32_t begin, int32_t end, int32_t place, int32_t* acc) {
    const spikerun_conv* const conv = self->conv;
    const mark *const from = self->marks + begin, *const until = self->marks + end;
    const intptr_t behind = -(intptr_t)place * conv->kernel_height * conv->source_channels * self->row_bytes;
    const spikerun_active active = {self->events + from->events, self->events + until->events,
                                    (uintptr_t)conv->weights + (uintptr_t)behind, until->total - from->total,
                                    until->size - from->size};
    if (active.begin == active.end) {
        return;
    }
    if (conv->values == SPIKERUN_VALUES_ONE && active.total <= SPIKERUN_SPIKES) {
        spikerun_add_spikes(acc, conv->channels, &active);
    } else {
        spikerun_add_events(acc, conv->channels, &active);
    }
}

/* Adds what a group sees from the column `left` on, tap by tap. */
static void add_group(const list* self, int32_t left, int32_t group, int32_t* acc) {
    const spikerun_conv* const conv = self->conv;
    for (int32_t j = 0; j < conv->kernel_width; j++) {
        const int32_t column = left + j * conv->dilation_x;
        if (column >= 0 && column < conv->source_width) {
            const int32_t place = column * conv->groups + group;
            add(self, place, place + 1, place - (group * conv->kernel_width + j), acc);
        }
    }
}

static void add_pixel(const list* self, int32_t left, int32_t* acc) {
    const spikerun_conv* const conv = self->conv;
    const int32_t room = conv->source_width - left;
    const int32_t begin = left < 0 ? 0 : left,
                  end = left + (conv->kernel_width < room ? conv->kernel_width : room);
    if (conv->groups == 1 && (conv->dilation_x == 1 || conv->kernel_width == 1)) {
        if (begin < end) {
            add(self, begin, end, left, acc);
        }
        return;
    }
    for (int32_t group = 0; group < conv->groups; group++) {
        add_group(self, left, group, acc + group * conv->channels);
    }
}

void SPIKERUN_RUN(conv)(const spikerun_conv* self, int32_t row, const uint8_t* x, int32_t* acc,
                        int32_t* memory) {
    const int32_t places = self->source_width * self->groups;
    mark* const marks = (mark*)(void*)memory;
    const list seen = {self, marks, (spikerun_event*)(void*)(marks + places + 1),
                       (self->channels + 3) / 4 * 4};
    int32_t left = -self->padding_x;
    acc += self->offset;
    list_rows(&seen, x, row * self->stride_y - self->padding_y);
    for (int32_t column = 0; column < self->target_width; column++) {
        add_pixel(&seen, left, acc);
        left += self->stride_x;
        acc += self->pitch;
    }
}
