/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

#define WIDE_LIMIT 0x1fffffff

/* x keep / 2^16, truncated toward zero */
static int32_t kept(int32_t x, int32_t keep) {
    const uint32_t magnitude = (uint32_t)(x < 0 ? -x : x);
    const int32_t share = (int32_t)(((uint64_t)magnitude * (uint32_t)keep) >> 16);
    return x < 0 ? -share : share;
}

/* x modulo 2^24, in (-2^23, 2^23]; x may have wrapped modulo 2^32 */
static int32_t wrap24(uint32_t x) {
    const uint32_t below = (0x800000u - x) & 0xffffffu;
    return 0x800000 - (int32_t)below;
}

static int32_t clip(int32_t v, int32_t limit) {
    return v < -limit ? -limit : v > limit ? limit : v;
}

static int32_t at(const spikerun_parameter* parameter, int32_t pixel, int32_t channel) {
    return parameter->values[pixel * parameter->pixel_step + channel * parameter->channel_step];
}

/* The state of one neuron. */
typedef struct {
    int32_t u, v, wait, pending;
} cell;

/* The current after one step. No sum overflows: i << fraction_bits and all others are within WIDE_LIMIT. */
static int32_t current(const spikerun_lif_step* f, int32_t pixel, int32_t channel, int32_t i, int32_t u) {
    const uint32_t left = (uint32_t)kept(u, at(&f->keep_u, pixel, channel));
    const uint32_t sum = left + ((uint32_t)i << f->fraction_bits) + (uint32_t)at(&f->bias_u, pixel, channel);
    return f->limits == SPIKERUN_LIMITS_CHIP ? wrap24(sum) : clip((int32_t)sum, WIDE_LIMIT);
}

/* One step of one neuron; returns its spike. */
static int32_t step(const spikerun_lif_step* f, int32_t pixel, int32_t channel, int32_t i, cell* c) {
    const int32_t threshold = at(&f->threshold, pixel, channel), floor = at(&f->v_min, pixel, channel);
    const int32_t limit = f->limits == SPIKERUN_LIMITS_CHIP ? SPIKERUN_V_LIMIT : WIDE_LIMIT;
    c->u = current(f, pixel, channel, i, c->u);
    if (c->wait > 0) {
        c->wait--;
        return 0;
    }
    const int32_t left = kept(c->v, at(&f->keep_v, pixel, channel));
    const int32_t v = clip(left + c->u + at(&f->bias, pixel, channel) - (c->pending ? threshold : 0), limit);
    c->v = v < floor ? floor : v;
    const int32_t spike = c->v > threshold - f->inclusive;
    c->pending = f->reset == SPIKERUN_RESET_SUBTRACT_AFTER_LEAK && spike;
    if (spike) {
        c->wait = f->refractory;
        if (f->reset == SPIKERUN_RESET_VALUE) {
            c->v = at(&f->v_reset, pixel, channel);
        } else if (f->reset == SPIKERUN_RESET_SUBTRACT) {
            c->v -= threshold;
        }
    }
    return spike;
}

void spikerun_lif_step_run(const spikerun_lif_step* self, int32_t phase, const int32_t* i, int32_t* u,
                           int32_t* v, int32_t* wait, uint8_t* pending, uint8_t* s) {
    const int32_t channels = self->shape.channels, count = channels * self->shape.pixels;
    const int32_t interval = self->reset_interval;
    const int32_t clear = interval > 0 && phase == self->reset_offset % interval;
    for (int32_t n = 0; n < count; n++) {
        cell c = {0, 0, 0, 0};
        if (!clear) {
            c.u = u[n];
            c.v = v[n];
            c.wait = wait[n];
            c.pending = pending[n];
        }
        s[n] = (uint8_t)step(self, n / channels, n % channels, i[n], &c);
        u[n] = c.u;
        v[n] = c.v;
        wait[n] = c.wait;
        pending[n] = (uint8_t)c.pending;
    }
}
