/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

/* Membranes are loaded and stored once for up to four active neurons: on a core without caches that is what
 * costs. */

static void add_one(int32_t* restrict sum, int32_t length, const int8_t* row, int32_t value) {
    for (int32_t i = 0; i < length; i++) {
        sum[i] += value * row[i];
    }
}

static void add_two(int32_t* restrict sum, int32_t length, const int8_t* const* rows, const int32_t* values) {
    const int8_t *a = rows[0], *b = rows[1];
    const int32_t va = values[0], vb = values[1];
    for (int32_t i = 0; i < length; i++) {
        sum[i] += va * a[i] + vb * b[i];
    }
}

static void add_four(int32_t* restrict sum, int32_t length, const int8_t* const* rows,
                     const int32_t* values) {
    const int8_t *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
    const int32_t va = values[0], vb = values[1], vc = values[2], vd = values[3];
    for (int32_t i = 0; i < length; i++) {
        sum[i] += va * a[i] + vb * b[i] + vc * c[i] + vd * d[i];
    }
}

void spikerun_add_rows(int32_t* sum, int32_t length, const int8_t* const* rows, const int32_t* values,
                       int32_t count) {
    if (count == 4) {
        add_four(sum, length, rows, values);
        return;
    }
    if (count >= 2) {
        add_two(sum, length, rows, values);
    }
    if (count != 2) {
        add_one(sum, length, rows[count - 1], values[count - 1]);
    }
}
