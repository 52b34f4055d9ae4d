/* SPDX-License-Identifier: Apache-2.0 */
/* The active neurons that a target row sees are listed column by column, shortly before they are needed: what
 * a target pixel sees is then one stretch of the list, and all its rows of weights are added in one pass over
 * its membranes. Columns are counted with the padding, so the first is 0; nothing is active there. */
#include "spikerun.h"
#include "spikerun_rows.h"
#include "spikerun_word.h"

/* Functions that need all registers. */
#if defined(__GNUC__)
#define APART static __attribute__((noinline))
#else
#define APART static
#endif

/* What comes before a place, a group of channels of a column: events, and sums of values and magnitudes,
 * modulo 2^32: those of a whole row may pass it, and only differences of what a pixel sees are used. */
typedef struct {
    int32_t events;
    uint32_t total, size;
} mark;

/* The list of a target row: a mark for each place and one for the end; the places before `place` are listed,
 * of which the events that no pixel needs any more may be missing. */
typedef struct {
    const spikerun_conv* conv;
    const uint8_t* x; /* the first source row that is seen, at the next place within the image */
    mark* marks;
    spikerun_event *events, *next;
    uint32_t at;            /* where the weights of the next place begin, if the first pixel sees it */
    uint32_t row_bytes;     /* of a row of weights */
    int32_t rows, row_step; /* kernel rows within the image, and the bytes from one to the next in x */
    int32_t place, places;  /* the next, and all */
    uint32_t total, size;   /* sums of all values so far, and of their magnitudes */
} list;

/* What `append` changes. */
typedef struct {
    spikerun_event* next;
    uint32_t total, size;
} tail;

static inline void append(tail* to, uint32_t at, int32_t value, int32_t sign) {
    to->next->at = at;
    to->next->value = value;
    to->next++;
    to->total += (uint32_t)value;
    if (sign != 0) {
        to->size += (uint32_t)(value < 0 ? -value : value);
    }
}

/* Lists the active neurons among the words of a place in one row. */
static inline void list_words(const uint8_t* x, const uint8_t* end, uint32_t at, uint32_t step, int32_t sign,
                              tail* to) {
    SPIKERUN_ROLLED
    do {
        const uint32_t word = spikerun_load(x, 0);
        if (word != 0) {
            append(to, at, spikerun_value(word, sign), sign);
        }
        at += step;
        x += SPIKERUN_WORD_BYTES;
    } while (x != end);
}

/* The same of unsigned words, four at once, of which many are 0. */
static inline void list_fours(const uint8_t* x, const uint8_t* end, uint32_t at, uint32_t step, tail* to) {
    SPIKERUN_ROLLED
    do {
        uint32_t four = *(const uint32_t*)(const void*)x, here = at;
        SPIKERUN_ROLLED
        for (; four != 0; four >>= 8, here += step) {
            if ((four & 0xffu) != 0) {
                append(to, here, (int32_t)(four & 0xffu), 0);
            }
        }
        at += 4 * step;
        x += 4;
    } while (x != end);
}

/* How words are looked at. */
enum { ONE_BY_ONE, SINGLE, IN_FOURS }; /* SINGLE: each place has one */

/* Lists as many places as there is room for. `sign` and `how` are constant where it is called, so that its
 * loops are short. */
static inline void list_places(list* self, int32_t sign, int32_t how) {
    const spikerun_conv* const conv = self->conv;
    const int32_t channels = conv->source_channels, words = channels * SPIKERUN_WORD_BYTES;
    const int32_t first = conv->padding_x * conv->groups, end = first + conv->source_width * conv->groups;
    const uint32_t step = self->row_bytes, next_row = step * (uint32_t)channels;
    const uint32_t next_place = next_row * (uint32_t)conv->kernel_height;
    const int32_t rows = self->rows, row_step = self->row_step;
    const spikerun_event* const full = self->events + conv->room - channels * conv->kernel_height;
    spikerun_event* const events = self->events;
    tail to = {self->next, self->total, self->size};
    const uint8_t* x = self->x;
    uint32_t at = self->at;
    int32_t place = self->place;
    mark* now = self->marks + place;
    SPIKERUN_ROLLED
    for (; place < self->places; at += next_place) {
        if (place >= first && place < end) {
            if (to.next > full) { /* padding needs no room: behind the image there may be none left */
                break;
            }
            const uint8_t* from = x;
            uint32_t weights = at;
            int32_t row = rows;
            SPIKERUN_ROLLED
            do {
                if (how == SINGLE) {
                    const uint32_t word = spikerun_load(from, 0);
                    if (word != 0) {
                        append(&to, weights, (int32_t)word, 0);
                    }
                } else if (how == IN_FOURS) {
                    list_fours(from, from + words, weights, step, &to);
                } else {
                    list_words(from, from + words, weights, step, sign, &to);
                }
                from += row_step;
                weights += how == SINGLE ? step : next_row;
            } while (--row > 0);
            x += words;
        }
        place++;
        now++;
        now->events = (int32_t)(to.next - events);
        now->total = to.total;
        now->size = sign == 0 ? to.total : to.size;
    }
    self->x = x;
    self->at = at;
    self->place = place;
    self->next = to.next;
    self->total = to.total;
    self->size = to.size;
}

APART void list_unsigned(list* self) {
    list_places(self, 0, ONE_BY_ONE);
}

APART void list_signed(list* self) {
    list_places(self, SPIKERUN_SIGN, ONE_BY_ONE);
}

APART void list_singles(list* self) {
    list_places(self, 0, SINGLE);
}

#ifndef SPIKERUN_WIDE
APART void list_in_fours(list* self) {
    list_places(self, 0, IN_FOURS);
}
#endif

/* Lists more, in place of the events before the place `from`. */
APART void list_more(list* self, int32_t from) {
    const spikerun_conv* const conv = self->conv;
    const int32_t gone = from < self->place ? self->marks[from].events : (int32_t)(self->next - self->events);
    const spikerun_event* old = self->events + gone;
    spikerun_event* kept = self->events;
    SPIKERUN_ROLLED
    while (old < self->next) {
        *kept++ = *old++;
    }
    self->next = kept;
    SPIKERUN_ROLLED
    for (int32_t place = from; place <= self->place; place++) {
        self->marks[place].events -= gone;
    }
    if (conv->sign != 0) {
        list_signed(self);
    } else if (conv->source_channels == 1) {
        list_singles(self);
#ifndef SPIKERUN_WIDE
    } else if (conv->source_channels % 4 == 0 && (uintptr_t)self->x % 4 == 0) {
        list_in_fours(self);
#endif
    } else {
        list_unsigned(self);
    }
}

/* Adds the events between two marks; `at`: where in the weights those lie of the first column that the pixel
 * sees, if the first pixel saw it. */
static inline void add(const list* self, const mark* from, const mark* until, int32_t at, int32_t* acc) {
    const spikerun_conv* const conv = self->conv;
    if (from->events != until->events) {
        const spikerun_active active = {self->events + from->events, self->events + until->events,
                                        (uintptr_t)conv->weights - (uintptr_t)(intptr_t)at,
                                        (int32_t)(until->total - from->total),
                                        (int32_t)(until->size - from->size)};
        if (conv->values == SPIKERUN_VALUES_ONE && active.total <= SPIKERUN_SPIKES) {
            spikerun_add_spikes(acc, conv->channels, &active);
        } else {
            spikerun_add_events(acc, conv->channels, &active);
        }
    }
}

/* Adds what a pixel sees from the column `left` on, tap by tap: of each group, and with gaps between them. */
APART void add_taps(const list* self, int32_t left, int32_t* acc) {
    const spikerun_conv* const conv = self->conv;
    const int32_t groups = conv->groups, rows = conv->kernel_height * conv->source_channels;
    for (int32_t group = 0; group < groups; group++) {
        for (int32_t j = 0; j < conv->kernel_width; j++) {
            const int32_t place = (left + j * conv->dilation_x) * groups + group;
            const int32_t behind = place - group * conv->kernel_width - j;
            add(self, self->marks + place, self->marks + place + 1, behind * rows * (int32_t)self->row_bytes,
                acc);
        }
        acc += conv->channels;
    }
}

/* Adds what all pixels of the row see. */
static void add_row(list* self, int32_t* acc) {
    const spikerun_conv* const conv = self->conv;
    const int32_t groups = conv->groups, span = (conv->kernel_width - 1) * conv->dilation_x + 1;
    const int32_t whole = groups == 1 && span == conv->kernel_width;
    const int32_t stride = conv->stride_x, pitch = conv->pitch;
    const int32_t step = stride * conv->kernel_height * conv->source_channels * (int32_t)self->row_bytes;
    const int32_t* const end = acc + conv->target_width * pitch;
    int32_t at = 0, left = 0;
    for (; acc < end; acc += pitch, left += stride, at += step) {
        while (self->place < (left + span) * groups) {
            list_more(self, left * groups);
        }
        if (whole) {
            add(self, self->marks + left, self->marks + left + span, at, acc);
        } else {
            add_taps(self, left, acc);
        }
    }
}

void SPIKERUN_RUN(conv)(const spikerun_conv* self, int32_t row, const uint8_t* x, int32_t* acc,
                        int32_t* memory) {
    const int32_t span = (self->kernel_width - 1) * self->dilation_x + 1;
    const int32_t places = ((self->target_width - 1) * self->stride_x + span) * self->groups;
    const int32_t channels = self->source_channels, dilation = self->dilation_y;
    const int32_t image_row = self->source_width * self->groups * channels * SPIKERUN_WORD_BYTES;
    const int32_t top = row * self->stride_y - self->padding_y;
    const uint32_t row_bytes = (uint32_t)((self->channels + 3) / 4 * 4);
    int32_t first = 0, last = self->kernel_height;
    mark* const marks = (mark*)(void*)memory;
    spikerun_event* const events = (spikerun_event*)(void*)(marks + places + 1);
    while (first < last && top + first * dilation < 0) {
        first++;
    }
    while (last > first && top + (last - 1) * dilation >= self->source_height) {
        last--;
    }
    if (first < last) {
        list seen = {self,
                     x + (top + first * dilation) * image_row,
                     marks,
                     events,
                     events,
                     (uint32_t)(first * channels) * row_bytes,
                     row_bytes,
                     last - first,
                     dilation * image_row,
                     0,
                     places,
                     0,
                     0};
        marks[0].events = 0;
        marks[0].total = 0;
        marks[0].size = 0;
        add_row(&seen, acc + self->offset);
    }
}
