/* SPDX-License-Identifier: Apache-2.0 */
/* spikerun runtime: spiking networks of integers, event by event.
 *
 * C99, freestanding: needs <stdint.h> and <stddef.h> only. No heap, no recursion, no variable length array,
 * no state of its own: every function works on the memory that it is given and may be called from several
 * threads at once.
 *
 * A network is a list of operations on registers. A register holds int32_t (currents, membranes, other state)
 * or bytes (words, spikes, payloads). An image lies channels last: row, column, channel; neurons without an
 * image are channels of one pixel.
 *
 * Words. All T spikes of a neuron may travel as one byte, the integer that the spikes stand for; a neuron
 * whose word is 0 is silent and costs one comparison. Unsigned words are 0 .. 2^T - 1, signed ones
 * -2^(T-1) .. 2^(T-1) - 1 in two's complement (then `sign` is 0x80, else 0). Wide words, of inputs of 9 to
 * 16 bits and what pools make of them, are two bytes, least significant first (then `sign` is 0x8000, or 0);
 * functions with `_wide` take them.
 *
 * An operation KIND has constants, spikerun_KIND, and a function, spikerun_KIND_run; where it depends on
 * time, `phase` says what that is. The generator has proved from the weights that no membrane can overflow,
 * so no function here checks for it.
 */
#ifndef SPIKERUN_H
#define SPIKERUN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    SPIKERUN_OK = 0,
    SPIKERUN_ERROR_ARGUMENT = 1, /* a pointer is NULL */
    SPIKERUN_ERROR_INPUT = 2,    /* a value of the input is outside its range, or there are too many */
    SPIKERUN_ERROR_STATE = 3,    /* the state was never reset, or is not of this network */
    SPIKERUN_ERROR_SIZE = 4,     /* bytes that are no snapshot of this network: as many as there are, */
    SPIKERUN_ERROR_NETWORK = 5,  /* of another network, */
    SPIKERUN_ERROR_DAMAGED = 6   /* or not as they were saved, or by another version */
} spikerun_status;

/* A number for each neuron: values[pixel * pixel_step + channel * channel_step]. */
typedef struct {
    const int32_t* values;
    int32_t channel_step; /* 0 or 1 */
    int32_t pixel_step;   /* 0 or the number of channels */
} spikerun_parameter;

/* The neurons of a register. */
typedef struct {
    int32_t channels;
    int32_t pixels; /* rows * columns */
} spikerun_shape;

/* ---- maps: acc += C(x) ------------------------------------------------------------------------------------
 * They reach `channels` of the `pitch` channels of each target pixel, from the channel `offset` on.
 * Functions that take `row` compute that row of target pixels alone: x is the whole source, acc the row. */

/* What the values of active neurons are. */
typedef enum { SPIKERUN_VALUES_ONE, SPIKERUN_VALUES_SMALL, SPIKERUN_VALUES_ANY } spikerun_values;

/* All to all: rows of weights[input][pixel], as spikerun_rows.h has them; values: a spikerun_values; memory:
 * two numbers for each input, of 128 inputs at most. */
typedef struct {
    const uint32_t* weights;
    int32_t inputs, channels, pixels, pitch, offset, sign, values;
} spikerun_dense;
void spikerun_dense_run(const spikerun_dense* self, const uint8_t* x, int32_t* acc, int32_t* memory);
void spikerun_dense_wide_run(const spikerun_dense* self, const uint8_t* x, int32_t* acc, int32_t* memory);

/* Cross-correlation, zero padding: rows of weights[group][kernel column][kernel row][source channel], with
 * the target channels of the group. memory: two numbers for each of `room` active neurons, three for each
 * group of each column from the first to the last that is seen, and three for the end. room: all neurons at
 * least that a target pixel sees in the columns from its first to its last one. */
typedef struct {
    const uint32_t* weights;
    int32_t groups, source_channels, channels; /* channels of one group */
    int32_t source_height, source_width, target_height, target_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int32_t pitch, offset, sign, values, room;
} spikerun_conv;
void spikerun_conv_run(const spikerun_conv* self, int32_t row, const uint8_t* x, int32_t* acc,
                       int32_t* memory);
void spikerun_conv_wide_run(const spikerun_conv* self, int32_t row, const uint8_t* x, int32_t* acc,
                            int32_t* memory);

/* The same sums, every word multiplied, active or not; words are unsigned, dilation_x is 1, and a linear map
 * is one of a single pixel. weights: of six target channels at a time, and of sixteen words that they see
 * ([kernel row][kernel column][source channel]), those of one target behind those of the other, as bytes,
 * weight + 128, in words of 32 bits, the first in the lowest bits. What is missing to the last target or word
 * is as if it were 0. memory: the bytes that a pixel sees. */
typedef struct {
    const uint32_t* weights;
    int32_t source_channels, channels;
    int32_t source_height, source_width, target_height, target_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y;
    int32_t pitch, offset;
} spikerun_dot;
void spikerun_dot_run(const spikerun_dot* self, int32_t row, const uint8_t* x, int32_t* acc, int32_t* memory);

/* The same sums, every word of a byte multiplied, active or not, two products at a time; dilation_x is 1. For
 * two targets at a time, and for each kernel row, weights lie as bytes, four in a word, the first in the
 * lowest bits: those of both targets for one word, and for another. In each kernel row ([kernel
 * column][source channel]) these are, of four, the words 0 and 2, then 1 and 3, and in the end what is left.
 * What is missing to the last target, and to the last word, is 0. memory: four numbers for each of these
 * pairs of words, and the bytes of a kernel row. */
typedef struct {
    const uint32_t* weights;
    int32_t source_channels, channels;
    int32_t source_height, source_width, target_height, target_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y;
    int32_t pitch, offset, sign;
} spikerun_pairs;
void spikerun_pairs_run(const spikerun_pairs* self, int32_t row, const uint8_t* x, int32_t* acc,
                        int32_t* memory);

/* Cross-correlation of each channel with itself alone. weights: [kernel row][kernel column][channel] of int8,
 * four in a word, the first in the lowest bits; of each tap they begin at a word. */
typedef struct {
    const uint32_t* weights;
    int32_t channels, source_height, source_width, target_height, target_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int32_t pitch, offset, sign;
} spikerun_depthwise;
void spikerun_depthwise_run(const spikerun_depthwise* self, int32_t row, const uint8_t* x, int32_t* acc);
void spikerun_depthwise_wide_run(const spikerun_depthwise* self, int32_t row, const uint8_t* x, int32_t* acc);

/* A list of synapses for each input: starts[n] <= k < starts[n + 1]; targets are elements of acc, in
 * `targets` or, where they are too many for 16 bits, in `wide_targets`. The other pointer is NULL. */
typedef struct {
    const uint32_t* starts;
    const uint16_t* targets;
    const uint32_t* wide_targets;
    const int8_t* weights;
    int32_t inputs, sign;
} spikerun_sparse;
void spikerun_sparse_run(const spikerun_sparse* self, const uint8_t* x, int32_t* acc);
void spikerun_sparse_wide_run(const spikerun_sparse* self, const uint8_t* x, int32_t* acc);

/* Packed: only weights that are not 0, in rows, the entries of one row behind those of the other.
 * counts[row], or where one of them is over 255 wide_counts[row], is how many there are; the other pointer is
 * NULL. Where in a row they lie say the marks. Delta: marks[k] is how many elements the entry k lies behind
 * the entry before it, that of the first behind the begin of the row; entries of weight 0 bridge what is over
 * 255. Bitmap: each row has `mask_bytes` marks, where bit b of the k-th is set if the element 8 k + b has an
 * entry. */

/* A row for each input: elements are those of acc. */
typedef struct {
    const uint8_t* marks;
    const int8_t* weights;
    const uint8_t* counts;
    const uint16_t* wide_counts;
    int32_t inputs, mask_bytes, sign;
} spikerun_packed;
typedef spikerun_packed spikerun_delta;
void spikerun_delta_run(const spikerun_delta* self, const uint8_t* x, int32_t* acc);
void spikerun_delta_wide_run(const spikerun_delta* self, const uint8_t* x, int32_t* acc);
typedef spikerun_packed spikerun_bitmap;
void spikerun_bitmap_run(const spikerun_bitmap* self, const uint8_t* x, int32_t* acc);
void spikerun_bitmap_wide_run(const spikerun_bitmap* self, const uint8_t* x, int32_t* acc);

/* Cross-correlation, event by event. weights: [source channel][kernel row][kernel column, reversed][target
 * channel of the group], so that one spike adds runs that are contiguous in weights and membranes. A row for
 * each kernel row of each source channel where that reaches a run of membranes (stride_x and dilation_x are
 * 1, channels is pitch), else for each tap. The entries of a source channel (counted over all groups) begin
 * at `starts` or, where they are too many for 16 bits, `wide_starts`. */
typedef struct {
    const uint8_t* marks;
    const int8_t* weights;
    const uint8_t* counts;
    const uint16_t* wide_counts;
    const uint16_t* starts;
    const uint32_t* wide_starts;
    int32_t groups, source_channels, channels, mask_bytes;
    int32_t source_height, source_width, target_height, target_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int32_t pitch, offset, sign;
} spikerun_conv_packed;
typedef spikerun_conv_packed spikerun_conv_delta;
void spikerun_conv_delta_run(const spikerun_conv_delta* self, const uint8_t* x, int32_t* acc);
void spikerun_conv_delta_wide_run(const spikerun_conv_delta* self, const uint8_t* x, int32_t* acc);
typedef spikerun_conv_packed spikerun_conv_bitmap;
void spikerun_conv_bitmap_run(const spikerun_conv_bitmap* self, const uint8_t* x, int32_t* acc);
void spikerun_conv_bitmap_wide_run(const spikerun_conv_bitmap* self, const uint8_t* x, int32_t* acc);

/* Each neuron to its own place, times the gain of its channel. */
typedef struct {
    const int32_t* gains;
    int32_t gain_step; /* 0 or 1 */
    int32_t channels, target_width, pitch, offset, sign;
} spikerun_diagonal;
void spikerun_diagonal_run(const spikerun_diagonal* self, int32_t row, const uint8_t* x, int32_t* acc);
void spikerun_diagonal_wide_run(const spikerun_diagonal* self, int32_t row, const uint8_t* x, int32_t* acc);

/* Sums over windows, channel by channel, times the gain of the channel. */
typedef struct {
    const int32_t* gains;
    int32_t gain_step; /* 0 or 1 */
    int32_t channels, source_height, source_width, target_height, target_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x;
    int32_t pitch, offset, sign;
} spikerun_sum_pool;
void spikerun_sum_pool_run(const spikerun_sum_pool* self, int32_t row, const uint8_t* x, int32_t* acc);
void spikerun_sum_pool_wide_run(const spikerun_sum_pool* self, int32_t row, const uint8_t* x, int32_t* acc);

/* ---- registers ------------------------------------------------------------------------------------------
 * A shape may be that of a stretch of a register, of which there are `row` before it. */

/* acc = value. */
typedef struct {
    spikerun_shape shape;
    spikerun_parameter value;
} spikerun_fill;
void spikerun_fill_run(const spikerun_fill* self, int32_t row, int32_t* acc);

/* x = 0. */
typedef struct {
    int32_t bytes;
} spikerun_clear;
void spikerun_clear_run(const spikerun_clear* self, void* x);

/* y = x. */
typedef struct {
    int32_t bytes;
} spikerun_copy;
void spikerun_copy_run(const spikerun_copy* self, const void* x, void* y);

/* y = x of `steps` passes ago; ring: steps * bytes, zeros at first; phase: the pass modulo `steps`. */
typedef struct {
    int32_t bytes, steps;
} spikerun_delay;
void spikerun_delay_run(const spikerun_delay* self, int32_t phase, const uint8_t* x, uint8_t* ring,
                        uint8_t* y);

/* y = g x, total += g x; g = significance[phase]. */
typedef struct {
    spikerun_shape shape;
    const int32_t* significance;
    int32_t sign;
} spikerun_weigh;
void spikerun_weigh_run(const spikerun_weigh* self, int32_t phase, const uint8_t* x, uint8_t* y);
void spikerun_weigh_wide_run(const spikerun_weigh* self, int32_t phase, const uint8_t* x, uint8_t* y);
typedef spikerun_weigh spikerun_accumulate;
void spikerun_accumulate_run(const spikerun_accumulate* self, int32_t phase, const uint8_t* x,
                             int32_t* total);
void spikerun_accumulate_wide_run(const spikerun_accumulate* self, int32_t phase, const uint8_t* x,
                                  int32_t* total);

/* total += x << bits, modulo 2^32. */
typedef struct {
    spikerun_shape shape;
    int32_t bits;
} spikerun_add_shifted;
void spikerun_add_shifted_run(const spikerun_add_shifted* self, const int32_t* x, int32_t* total);

/* s = the events that the integers q send at this step, g = significance[phase]. */
typedef enum {
    SPIKERUN_CODE_BITS,   /* s = (q & |g|) != 0 */
    SPIKERUN_CODE_TTFS,   /* s = q == g and g > 0 */
    SPIKERUN_CODE_GRADED, /* s = g q */
    SPIKERUN_CODE_CURRENT /* s = g q */
} spikerun_code;
typedef struct {
    spikerun_shape shape;
    const int32_t* significance;
    int32_t code, sign;
} spikerun_encode;
void spikerun_encode_run(const spikerun_encode* self, int32_t phase, const uint8_t* q, uint8_t* s);
void spikerun_encode_wide_run(const spikerun_encode* self, int32_t phase, const uint8_t* q, uint8_t* s);

/* ---- neurons --------------------------------------------------------------------------------------------
 */

/* word = clip(floor(v / threshold)) to `bits` bits, of which only the max_spikes most significant are kept.
 * threshold << bits must fit int32_t. factors: NULL, or a number for each of four channels, or of all
 * (factor_step is 4, and their number a multiple of it, else 0): (v * factor) >> 32, clipped to 0 .. 255, is
 * the word and 8 - bits bits that follow it. */
typedef struct {
    spikerun_shape shape;
    spikerun_parameter threshold;
    const int32_t* factors;
    int32_t factor_step, bits, max_spikes, is_signed;
} spikerun_fire;
void spikerun_fire_run(const spikerun_fire* self, int32_t row, const int32_t* v, uint8_t* word);

/* word = words[k], k = how many of the `count` levels, which do not decrease, are <= v. Channels have levels
 * and words of their own, or all the same: `level_step` and `word_step` lead from one channel to the next.
 * top: the largest power of two up to count. */
typedef struct {
    spikerun_shape shape;
    const int32_t* levels;
    const uint8_t* words;
    int32_t count, top, level_step, word_step;
} spikerun_fire_levels;
void spikerun_fire_levels_run(const spikerun_fire_levels* self, const int32_t* v, uint8_t* word);

/* u = v, left = limit: what was integrated is now to be sent, in at most `limit` spikes. */
typedef struct {
    spikerun_shape shape;
    int32_t limit;
} spikerun_latch;
void spikerun_latch_run(const spikerun_latch* self, const int32_t* v, int32_t* u, uint8_t* left);

/* One step of restoring division, g = significance[phase]. g > 0: s = (u >= threshold g) and (left > 0);
 * g < 0 (the sign): s = (u < 0) and (left > 0); g = 0: s = 0. Then u -= threshold g s, left -= s. */
typedef struct {
    spikerun_shape shape;
    spikerun_parameter threshold;
    const int32_t* significance;
} spikerun_send;
void spikerun_send_run(const spikerun_send* self, int32_t phase, int32_t* u, uint8_t* left, uint8_t* s);

/* Membranes of IF and LIF neurons saturate here. */
#define SPIKERUN_V_LIMIT 8388607

typedef enum {
    SPIKERUN_RESET_ZERO = 0,
    SPIKERUN_RESET_SUBTRACT = 1,
    SPIKERUN_RESET_SUBTRACT_AFTER_LEAK = 2,
    SPIKERUN_RESET_VALUE = 3,
    SPIKERUN_RESET_NONE = 4
} spikerun_reset;

typedef enum {
    SPIKERUN_LIMITS_WIDE = 0, /* u and v are clamped to +-(2^29 - 1) */
    SPIKERUN_LIMITS_CHIP = 1  /* u wraps to (-2^23, 2^23], v is clamped to +-(2^23 - 1) */
} spikerun_limits;

/* v = clip(v + i + bias, max(v_min, -limit), limit), s = v >= threshold, then the reset. */
typedef struct {
    spikerun_shape shape;
    spikerun_parameter threshold, bias, v_min;
    int32_t reset;
} spikerun_if_step;
void spikerun_if_step_run(const spikerun_if_step* self, const int32_t* i, int32_t* v, uint8_t* s);

/* Leaky integrate-and-fire in fixed point; keep_v, keep_u: 0 .. 2^16, the share that a step keeps. wait:
 * refractory steps left; pending: a spike whose threshold is subtracted at the next update; phase: the step
 * modulo reset_interval; if that is not 0, the whole state is cleared where the step is reset_offset modulo
 * reset_interval. */
typedef struct {
    spikerun_shape shape;
    spikerun_parameter threshold, keep_v, keep_u, bias, bias_u, v_reset, v_min;
    int32_t fraction_bits, reset, refractory, limits, reset_interval, reset_offset;
    int32_t inclusive; /* s = v >= threshold, else s = v > threshold */
} spikerun_lif_step;
void spikerun_lif_step_run(const spikerun_lif_step* self, int32_t phase, const int32_t* i, int32_t* u,
                           int32_t* v, int32_t* wait, uint8_t* pending, uint8_t* s);

/* What the membranes of a window come to. */
typedef enum {
    SPIKERUN_MODE_MAX, /* answer = max(answer, v) */
    SPIKERUN_MODE_MEAN /* answer += floor(v / 2^shift) */
} spikerun_mode;
typedef struct {
    spikerun_shape shape;
    int32_t mode, shift;
} spikerun_collect;
void spikerun_collect_run(const spikerun_collect* self, const int32_t* v, int32_t* answer);

/* y = the largest word of each window of a row, x is the whole source; what lies in the padding does not
 * take part. */
typedef struct {
    int32_t channels, source_height, source_width, target_height, target_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int32_t sign;
} spikerun_max_pool;
void spikerun_max_pool_run(const spikerun_max_pool* self, int32_t row, const uint8_t* x, uint8_t* y);
void spikerun_max_pool_wide_run(const spikerun_max_pool* self, int32_t row, const uint8_t* x, uint8_t* y);

/* acc = the largest sum of each window. */
typedef spikerun_max_pool spikerun_max_pool_sums;
void spikerun_max_pool_sums_run(const spikerun_max_pool_sums* self, const int32_t* sums, int32_t* acc);

/* The largest word, spike by spike, most significant first. alive: a byte for each tap of each window, 1 for
 * those that are still candidates; all inside the image are from the phase restart_at on. y = the largest x
 * of the candidates, at the phase sign_at the smallest; those that differ from it are dropped. */
typedef struct {
    spikerun_max_pool window;
    int32_t restart_at, sign_at;
} spikerun_max_pool_step;
void spikerun_max_pool_step_run(const spikerun_max_pool_step* self, int32_t phase, const uint8_t* x,
                                uint8_t* alive, uint8_t* y);
void spikerun_max_pool_step_wide_run(const spikerun_max_pool_step* self, int32_t phase, const uint8_t* x,
                                     uint8_t* alive, uint8_t* y);

/* ---- frames and results: C order outside, channels last inside --------------------------------------------
 */

void spikerun_take(const spikerun_shape* shape, const uint8_t* frame, uint8_t* words);
void spikerun_take_wide(const spikerun_shape* shape, const uint8_t* frame, uint8_t* words);
void spikerun_read_values(const spikerun_shape* shape, const int32_t* values, int32_t* out);
/* The integers that the words stand for. */
void spikerun_read_words(const spikerun_shape* shape, int32_t sign, const uint8_t* words, int32_t* out);
void spikerun_read_words_wide(const spikerun_shape* shape, int32_t sign, const uint8_t* words, int32_t* out);

/* SPIKERUN_ERROR_INPUT unless every word is one of `bits` bits. */
spikerun_status spikerun_check_words(const uint8_t* words, int32_t count, int32_t bits, int32_t is_signed);
spikerun_status spikerun_check_words_wide(const uint8_t* words, int32_t count, int32_t bits,
                                          int32_t is_signed);

/* SPIKERUN_ERROR_INPUT if there are more than `limit` events, or one is not below it. */
spikerun_status spikerun_check_events(const uint16_t* events, uint32_t count, uint32_t limit);
spikerun_status spikerun_check_events_wide(const uint32_t* events, uint32_t count, uint32_t limit);
/* words = 1 where one of the events is, counted in C order; that of the first word is `first`. */
void spikerun_place_events(const spikerun_shape* shape, uint32_t first, const uint16_t* events,
                           uint32_t count, uint8_t* words);
void spikerun_place_events_wide(const spikerun_shape* shape, uint32_t first, const uint32_t* events,
                                uint32_t count, uint8_t* words);

/* ---- snapshots: what is kept from step to step, as bytes --------------------------------------------------
 * "SPKS", the version (four bytes), eight bytes of the network's digest, the number of steps done (eight),
 * the registers of `kept` one behind the other, each channels last, and the CRC-32 of all that. Numbers have
 * their least significant byte first. kept: five numbers for each register: the byte at which it begins in
 * memory, its elements, the bytes of each, the smallest and the largest that it may be. size: of a snapshot,
 * in bytes. */
typedef struct {
    const int32_t* kept;
    const uint32_t* network;
    int32_t count, size;
} spikerun_snapshot;
/* steps: the lower 32 bits, then the upper ones. */
void spikerun_save_state(const spikerun_snapshot* self, const int32_t* memory, const uint32_t* steps,
                         uint8_t* bytes);
spikerun_status spikerun_check_snapshot(const spikerun_snapshot* self, const uint8_t* bytes, size_t size);
void spikerun_load_state(const spikerun_snapshot* self, const uint8_t* bytes, int32_t* memory,
                         uint32_t* steps);
/* From the clock of step 0 to that of step `steps`; the others as spikerun_tick has them. */
void spikerun_wind(int32_t* clock, int32_t last, const int32_t* periods, int32_t count,
                   const uint32_t* steps);

/* Counts the passes of a network for ever, without overflow: clock[0] to `last` and no further, then each of
 * the `count` others to its period and back to 0. */
void spikerun_tick(int32_t* clock, int32_t last, const int32_t* periods, int32_t count);

/* CRC-32 (IEEE 802.3, as in zlib). Start with 0; the result of one call continues in the next. */
uint32_t spikerun_crc32(uint32_t crc, const void* data, size_t bytes);
/* The same of numbers, each as four bytes, least significant first. */
uint32_t spikerun_crc32_values(uint32_t crc, const int32_t* values, int32_t count);

/* A constant table, so that a self-test can check that the flash holds what was generated. */
typedef struct {
    const void* data;
    size_t bytes;
} spikerun_constant;

/* Called in every pass, for each register that may be looked at, once the pass has written it: tests look,
 * firmware passes NULL. One of the pointers is NULL; both lie channels last. count: numbers, or bytes of
 * words. */
typedef struct {
    void (*see)(void* context, int32_t trace, const int32_t* values, const uint8_t* words, int32_t count);
    void* context;
} spikerun_observer;
void spikerun_see(const spikerun_observer* observer, int32_t trace, const int32_t* values,
                  const uint8_t* words, int32_t count);

#ifdef __cplusplus
}
#endif

#endif
