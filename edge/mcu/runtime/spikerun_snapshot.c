/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

/* "SPKS", the version, eight bytes of the network, eight of the steps; behind the registers a CRC-32 */
enum { MAGIC = 0x534b5053, VERSION = 1, STEPS = 16, HEADER = 24, CRC_BYTES = 4 };
enum { PLACE, COUNT, BYTES, LOW, HIGH, FIELDS };

static void put(uint8_t* to, uint32_t value) {
    for (int32_t n = 0; n < 4; n++) {
        to[n] = (uint8_t)((value >> (8 * n)) & 255u);
    }
}

static uint32_t get(const uint8_t* from) {
    return from[0] | ((uint32_t)from[1] << 8) | ((uint32_t)from[2] << 16) | ((uint32_t)from[3] << 24);
}

void spikerun_save_state(const spikerun_snapshot* self, const int32_t* memory, const uint32_t* steps,
                         uint8_t* bytes) {
    uint8_t* to = bytes + HEADER;
    put(bytes, MAGIC);
    put(bytes + 4, VERSION);
    put(bytes + 8, self->network[0]);
    put(bytes + 12, self->network[1]);
    put(bytes + STEPS, steps[0]);
    put(bytes + STEPS + 4, steps[1]);
    for (int32_t k = 0; k < self->count; k++) {
        const int32_t* const row = self->kept + k * FIELDS;
        const int32_t* const numbers = memory + row[PLACE] / 4;
        const uint8_t* const words = (const uint8_t*)numbers;
        if (row[BYTES] == 4) {
            for (int32_t n = 0; n < row[COUNT]; n++) {
                put(to + 4 * n, (uint32_t)numbers[n]);
            }
        } else {
            for (int32_t n = 0; n < row[COUNT] * row[BYTES]; n++) {
                to[n] = words[n];
            }
        }
        to += row[COUNT] * row[BYTES];
    }
    put(to, spikerun_crc32(0u, bytes, (size_t)(to - bytes)));
}

/* The n-th number of a row. */
static int32_t value_of(const int32_t* row, const uint8_t* from, int32_t n) {
    int32_t value;
    from += n * row[BYTES];
    if (row[BYTES] == 4) {
        const uint32_t bits = get(from);
        return bits <= 0x7fffffffu ? (int32_t)bits : -(int32_t)(0xffffffffu - bits) - 1;
    }
    value = row[BYTES] == 2 ? from[0] | ((int32_t)from[1] << 8) : from[0];
    return row[LOW] < 0 && value >= 1 << (8 * row[BYTES] - 1) ? value - (1 << (8 * row[BYTES])) : value;
}

spikerun_status spikerun_check_snapshot(const spikerun_snapshot* self, const uint8_t* bytes, size_t size) {
    const uint8_t* from = bytes + HEADER;
    if (size != (size_t)self->size) {
        return SPIKERUN_ERROR_SIZE;
    }
    if (get(bytes) != (uint32_t)MAGIC || get(bytes + 4) != (uint32_t)VERSION ||
        get(bytes + size - CRC_BYTES) != spikerun_crc32(0u, bytes, size - CRC_BYTES)) {
        return SPIKERUN_ERROR_DAMAGED;
    }
    if (get(bytes + 8) != self->network[0] || get(bytes + 12) != self->network[1]) {
        return SPIKERUN_ERROR_NETWORK;
    }
    for (int32_t k = 0; k < self->count; k++) {
        const int32_t* const row = self->kept + k * FIELDS;
        for (int32_t n = 0; n < row[COUNT]; n++) {
            const int32_t value = value_of(row, from, n);
            if (value < row[LOW] || value > row[HIGH]) {
                return SPIKERUN_ERROR_DAMAGED;
            }
        }
        from += row[COUNT] * row[BYTES];
    }
    return SPIKERUN_OK;
}

void spikerun_load_state(const spikerun_snapshot* self, const uint8_t* bytes, int32_t* memory,
                         uint32_t* steps) {
    const uint8_t* from = bytes + HEADER;
    steps[0] = get(bytes + STEPS);
    steps[1] = get(bytes + STEPS + 4);
    for (int32_t k = 0; k < self->count; k++) {
        const int32_t* const row = self->kept + k * FIELDS;
        int32_t* const numbers = memory + row[PLACE] / 4;
        uint8_t* const words = (uint8_t*)numbers;
        if (row[BYTES] == 4) {
            for (int32_t n = 0; n < row[COUNT]; n++) {
                numbers[n] = value_of(row, from, n);
            }
        } else {
            for (int32_t n = 0; n < row[COUNT] * row[BYTES]; n++) {
                words[n] = from[n];
            }
        }
        from += row[COUNT] * row[BYTES];
    }
}

/* By long division: some cores cannot divide. */
static uint32_t remainder_of(const uint32_t* steps, uint32_t period) {
    uint32_t rest = 0;
    for (int32_t bit = 63; bit >= 0; bit--) {
        rest = (rest << 1) | ((steps[bit >> 5] >> (bit & 31)) & 1u);
        rest -= rest >= period ? period : 0u;
    }
    return rest;
}

void spikerun_wind(int32_t* clock, int32_t last, const int32_t* periods, int32_t count,
                   const uint32_t* steps) {
    clock[0] = steps[1] != 0u || steps[0] > (uint32_t)last ? last : (int32_t)steps[0];
    for (int32_t k = 0; k < count; k++) {
        const uint32_t period = (uint32_t)periods[k];
        const uint32_t phase = (uint32_t)clock[1 + k] + remainder_of(steps, period);
        clock[1 + k] = (int32_t)(phase >= period ? phase - period : phase);
    }
}
