/* spikerun runtime: spiking networks of integers, event by event.
 *
 * C99, freestanding: needs <stdint.h> and <stddef.h> only. No heap, no recursion, no variable length array,
 * no state of its own: every function works on the memory that it is given and may be called from several
 * threads at once.
 *
 * Words. All T spikes of a neuron travel as one byte, the integer that the spikes stand for; a neuron whose
 * word is 0 is silent and costs one comparison. Words of a population lie in C order: channel, row, column.
 * Unsigned words are 0 .. 2^T - 1, signed ones -2^(T-1) .. 2^(T-1) - 1 in two's complement (then `sign` is
 * 0x80, else 0).
 *
 * Membranes are int32_t and lie channels last: row, column, channel; neurons without an image have one row
 * and column. The generator has proved from the weights that no membrane can overflow, so no function here
 * checks for it.
 *
 * Geometry is int32_t throughout; `offset` is the first membrane that a connection reaches (channel
 * concatenation) and `pitch` the distance between two pixels, which is the number of channels of the target.
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
    SPIKERUN_ERROR_INPUT = 2     /* a value of the frame is outside the range of the input's words */
} spikerun_status;

/* A number for each neuron: values[pixel * pixel_step + channel * channel_step]. */
typedef struct {
    const int32_t* values;
    int32_t channel_step; /* 0 or 1 */
    int32_t pixel_step;   /* 0 or the number of channels */
} spikerun_parameter;

/* The neurons of a population, as its membranes lie in memory. */
typedef struct {
    int32_t channels;
    int32_t pixels; /* rows * columns */
} spikerun_shape;

/* All to all: membrane[offset + r * pitch + k] += word[n] * weights[n][r * run + k], r < runs, k < run. */
typedef struct {
    const int8_t* weights;
    int32_t inputs, runs, run, pitch, offset, sign;
} spikerun_dense;

/* Cross-correlation, zero padding. weights: [source channel][kernel row][kernel column, reversed][target
 * channel of the group], so that one spike adds runs that are contiguous in weights and membranes. */
typedef struct {
    const int8_t* weights;
    int32_t groups, source_channels, source_height, source_width; /* source_channels: of one group */
    int32_t target_channels, target_height, target_width;         /* target_channels: of one group */
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int32_t pitch, offset, sign;
} spikerun_conv;

/* A list of synapses for each source neuron: starts[n] <= k < starts[n + 1]; targets are membranes. */
typedef struct {
    const uint32_t* starts;
    const uint16_t* targets;
    const int8_t* weights;
    int32_t inputs, sign;
} spikerun_sparse;

/* Each neuron to its own place, times a gain: gain_step 0 is one gain for all, 1 one for each channel. */
typedef struct {
    const int32_t* gains;
    int32_t gain_step, channels, pixels, channel_stride, pixel_stride, offset, sign;
} spikerun_diagonal;

/* Sums over windows, channel by channel, times a gain. */
typedef struct {
    const int32_t* gains;
    int32_t gain_step, channels, source_height, source_width, target_height, target_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x;
    int32_t channel_stride, pixel_stride, offset, sign;
} spikerun_sum_pool;

/* The largest word of each window; what lies in the padding does not take part. */
typedef struct {
    int32_t channels, source_height, source_width, target_height, target_width;
    int32_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int32_t sign;
} spikerun_max_pool;

/* A few-spikes neuron: word = clip(floor(membrane / threshold)) to `bits` bits, of which only the max_spikes
 * most significant are kept. threshold << bits must fit int32_t. */
typedef struct {
    spikerun_shape shape;
    spikerun_parameter threshold;
    int32_t bits, max_spikes, is_signed;
} spikerun_fire;

/* Membranes of IF and LIF neurons saturate here. */
#define SPIKERUN_V_LIMIT 8388607

/* Integrate-and-fire; the currents have been added to the membranes. v_min >= -SPIKERUN_V_LIMIT. */
typedef struct {
    spikerun_shape shape;
    spikerun_parameter threshold, bias, v_min;
    int32_t reset_to_zero;
} spikerun_if;

typedef enum {
    SPIKERUN_RESET_ZERO = 0,
    SPIKERUN_RESET_SUBTRACT = 1,
    SPIKERUN_RESET_SUBTRACT_AFTER_LEAK = 2
} spikerun_reset;

/* Leaky integrate-and-fire in 24-bit fixed point. threshold: aligned, that is times 64; du, dv: 0 .. 4096;
 * reset_offset < reset_interval, or both 0. */
typedef struct {
    spikerun_shape shape;
    spikerun_parameter threshold, bias, du, dv;
    int32_t reset, refractory, reset_interval, reset_offset;
} spikerun_lif;

/* membrane = bias. */
void spikerun_fill(const spikerun_shape* shape, const spikerun_parameter* bias, int32_t* membrane);

void spikerun_dense_add(const spikerun_dense* self, const uint8_t* words, int32_t* membrane);
void spikerun_conv_add(const spikerun_conv* self, const uint8_t* words, int32_t* membrane);
void spikerun_sparse_add(const spikerun_sparse* self, const uint8_t* words, int32_t* membrane);
void spikerun_diagonal_add(const spikerun_diagonal* self, const uint8_t* words, int32_t* membrane);
void spikerun_sum_pool_add(const spikerun_sum_pool* self, const uint8_t* words, int32_t* membrane);

void spikerun_fire_words(const spikerun_fire* self, const int32_t* membrane, uint8_t* words);

/* One step of time; spikes are 0 or 1, in C order. */
void spikerun_if_step(const spikerun_if* self, int32_t* membrane, uint8_t* spikes);
/* The t-th step. state: two numbers for each neuron, its current, and what its refractory time needs; begins
 * as 0. */
void spikerun_lif_step(const spikerun_lif* self, int32_t t, const int32_t* current, int32_t* membrane,
                       int32_t* state, uint8_t* spikes);

void spikerun_clear(int32_t* numbers, int32_t count);
void spikerun_clear_words(uint8_t* words, int32_t count);
void spikerun_copy_words(const uint8_t* source, int32_t count, uint8_t* words);

void spikerun_max_pool_words(const spikerun_max_pool* self, const uint8_t* source, uint8_t* words);

/* out[C order] = membrane[channels last]. */
void spikerun_read_membrane(const spikerun_shape* shape, const int32_t* membrane, int32_t* out);
/* out += the integers that the words stand for. */
void spikerun_count_words(const uint8_t* words, int32_t count, int32_t sign, int32_t* out);

/* SPIKERUN_ERROR_INPUT unless every word is one of `bits` bits. */
spikerun_status spikerun_check_words(const uint8_t* words, int32_t count, int32_t bits, int32_t is_signed);

/* At most this many rows of weights are added in one pass over the membranes. */
#define SPIKERUN_ROWS 4
/* sum[i] += values[0] * rows[0][i] + ... for i < length; 1 <= count <= SPIKERUN_ROWS, |values| <= 255. */
void spikerun_add_rows(int32_t* sum, int32_t length, const int8_t* const* rows, const int32_t* values,
                       int32_t count);

/* CRC-32 (IEEE 802.3, as in zlib). Start with 0; the result of one call continues in the next. */
uint32_t spikerun_crc32(uint32_t crc, const void* data, size_t bytes);
/* The same of the membranes in C order, each as four bytes, least significant first. */
uint32_t spikerun_crc32_membrane(uint32_t crc, const spikerun_shape* shape, const int32_t* membrane);

/* Called after each population, and in each step of time, with what it computed: tests look at it, firmware
 * passes NULL. A pointer is NULL where the population has no membrane, or no words; `count` is the number of
 * words. */
typedef struct {
    void (*population)(void* context, int32_t index, const spikerun_shape* shape, const int32_t* membrane,
                       const uint8_t* words, int32_t count);
    void* context;
} spikerun_observer;

#ifdef __cplusplus
}
#endif

#endif
