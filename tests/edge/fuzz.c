/* SPDX-License-Identifier: Apache-2.0 */
/* For libFuzzer: calls of a model's functions, made of bytes. A call that is refused must have written
 * nothing, and a snapshot must load again; all else the sanitizers see. */
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define UNTOUCHED 0x5a5a5a5a

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static void check(int ok) {
    if (!ok) {
        abort();
    }
}

/* Bytes of a heap block of their own: what lies behind them is seen by the sanitizer. */
static uint8_t* copy_of(const uint8_t* data, size_t size) {
    uint8_t* const copy = (uint8_t*)malloc(size == 0 ? 1 : size);
    check(copy != NULL);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static spikerun_status take(model_state* state, int operation, const uint8_t* data, size_t size,
                            int32_t* out) {
    uint8_t dense[MODEL_FRAME_BYTES > MODEL_STEP_BYTES ? MODEL_FRAME_BYTES : MODEL_STEP_BYTES] = {0};
    uint8_t* const copy = copy_of(data, size);
    spikerun_status status = SPIKERUN_OK;
    memcpy(dense, data, size < sizeof dense ? size : sizeof dense);
    if (operation % 2 == 0) { /* mostly what is allowed */
        for (size_t n = 0; n < sizeof dense; n++) {
            dense[n] &= 1u;
        }
    }
    switch (operation / 2 % 5) {
        case 0:
            status = model_step_events(state, (const model_event*)(const void*)copy,
                                       (uint32_t)(size / sizeof(model_event)), out);
            break;
        case 1:
            status = model_step(state, dense, out);
            break;
        case 2:
            status = model_run(state, dense, out);
            break;
        case 3:
            status = model_load(state, copy, size);
            break;
        default:
            status = model_reset(state);
            break;
    }
    free(copy);
    return status;
}

/* A snapshot with some bytes changed, or numbers put at an end of their range, and a checksum that is right
 * again. */
static spikerun_status reload(model_state* state, const uint8_t* data, size_t size) {
    uint8_t bytes[MODEL_SNAPSHOT_BYTES];
    const spikerun_status status = model_save(state, bytes);
    uint32_t sum;
    if (status != SPIKERUN_OK) {
        return status;
    }
    for (size_t n = 0; n + 2 < size; n += 3) {
        const size_t at = ((size_t)(data[n] & 127u) << 8 | data[n + 1]) % (MODEL_SNAPSHOT_BYTES - 7);
        bytes[at] = data[n + 2];
        if (data[n] >= 128u) {
            memset(bytes + at, data[n + 2] % 2 != 0 ? 0xff : 0, 3);
            bytes[at + 3] = data[n + 2] % 2 != 0 ? 0x7f : 0x80;
        }
    }
    sum = spikerun_crc32(0u, bytes, sizeof bytes - 4);
    for (size_t n = 0; n < 4; n++) {
        bytes[sizeof bytes - 4 + n] = (uint8_t)(sum >> (8 * n));
    }
    return model_load(state, bytes, sizeof bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    model_state* const state = (model_state*)malloc(sizeof *state);
    check(state != NULL);
    memset(state, size != 0 ? data[0] : 0, sizeof *state); /* nothing is initialised */
    while (size >= 3) {
        const int operation = data[0];
        const size_t length = ((size_t)data[1] | (size_t)data[2] << 8) % 256u;
        const size_t given = length < size - 3 ? length : size - 3;
        const model_state before = *state;
        int32_t out[MODEL_OUTPUTS];
        spikerun_status status;
        for (int32_t n = 0; n < MODEL_OUTPUTS; n++) {
            out[n] = UNTOUCHED;
        }
        status =
            operation >= 200 ? reload(state, data + 3, given) : take(state, operation, data + 3, given, out);
        if (status != SPIKERUN_OK) {
            check(memcmp(&before, state, sizeof before) == 0);
            for (int32_t n = 0; n < MODEL_OUTPUTS; n++) {
                check(out[n] == UNTOUCHED);
            }
        }
        data += 3 + given;
        size -= 3 + given;
    }
    free(state);
    return 0;
}
