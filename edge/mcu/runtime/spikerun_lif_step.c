/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

/* x (1 - decay / 4096), truncated toward zero */
static int32_t decayed(int32_t x, int32_t decay) {
    const uint32_t magnitude = (uint32_t)(x < 0 ? -x : x);
    const int32_t kept = (int32_t)(((uint64_t)magnitude * (uint32_t)(4096 - decay)) >> 12);
    return x < 0 ? -kept : kept;
}

/* x modulo 2^24, in (-2^23, 2^23]; x may have wrapped modulo 2^32 */
static int32_t wrap24(uint32_t x) {
    const uint32_t below = (0x800000u - x) & 0xffffffu;
    return 0x800000 - (int32_t)below;
}

static int32_t clip(int32_t v) {
    return v < -SPIKERUN_V_LIMIT ? -SPIKERUN_V_LIMIT : v > SPIKERUN_V_LIMIT ? SPIKERUN_V_LIMIT : v;
}

static int32_t at(const spikerun_parameter* parameter, int32_t pixel, int32_t channel) {
    return parameter->values[pixel * parameter->pixel_step + channel * parameter->channel_step];
}

/* The state of one neuron. */
typedef struct {
    int32_t u, v, wait, pending;
} cell;

/* One step of one neuron; returns its spike. */
static int32_t step(const spikerun_lif_step* f, int32_t pixel, int32_t channel, int32_t current, cell* c) {
    const int32_t threshold = at(&f->threshold, pixel, channel) * 64;
    c->u = wrap24((uint32_t)decayed(c->u, at(&f->du, pixel, channel)) + 64u * (uint32_t)current);
    if (c->wait > 0) {
        c->wait--;
        return 0;
    }
    const int32_t leaked = decayed(c->v, at(&f->dv, pixel, channel));
    c->v = clip(leaked + c->u + at(&f->bias, pixel, channel) - (c->pending ? threshold : 0));
    const int32_t spike = c->v > threshold;
    c->pending = f->reset == SPIKERUN_RESET_SUBTRACT_AFTER_LEAK && spike;
    if (spike) {
        c->wait = f->refractory;
        if (f->reset == SPIKERUN_RESET_ZERO) {
            c->v = 0;
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
