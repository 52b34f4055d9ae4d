/* SPDX-License-Identifier: Apache-2.0 */
#include "model_golden.h"
#include "model_selftest.h"

typedef struct {
    const spikerun_port* port;
    uint32_t* sums;
    int32_t sample; /* -1: the stream */
    int32_t mismatches;
} progress;

static void print_number(const spikerun_port* port, int32_t value) {
    char text[13];
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    size_t first = sizeof text - 1;
    text[first] = '\0';
    do {
        text[--first] = (char)('0' + (char)(rest % 10u));
        rest /= 10u;
    } while (rest != 0u);
    if (value < 0) {
        text[--first] = '-';
    }
    text[--first] = ' ';
    port->print(text + first);
}

static void mismatch(progress* self, const char* what) {
    self->mismatches++;
    self->port->print("mismatch");
    if (self->sample < 0) {
        self->port->print(" stream");
    } else {
        print_number(self->port, self->sample);
    }
    self->port->print(" ");
    self->port->print(what);
    self->port->print("\n");
}

/* Checksums go on from one pass to the next. */
static void see(void* context, int32_t trace, const int32_t* values, const uint8_t* words, int32_t count) {
    uint32_t* sum = ((progress*)context)->sums + trace;
    *sum = values != NULL ? spikerun_crc32_values(*sum, values, count)
                          : spikerun_crc32(*sum, words, (size_t)count);
}

/* Marks what led to a trace as a stretch of its own, numbered from 1 on. */
static void see_marked(void* context, int32_t trace, const int32_t* values, const uint8_t* words,
                       int32_t count) {
    SPIKERUN_MARK_END();
    for (int32_t k = 0; k <= trace; k++) {
        SPIKERUN_MARK_NEXT();
    }
    see(context, trace, values, words, count);
    SPIKERUN_MARK_BEGIN();
}

static void clear_sums(progress* self) {
    for (int32_t k = 0; k < MODEL_TRACES; k++) {
        self->sums[k] = 0u;
    }
}

static void compare_sums(progress* self, const uint32_t* expected) {
    for (int32_t k = 0; k < MODEL_TRACES; k++) {
        if (self->sums[k] != expected[k]) {
            mismatch(self, model_golden_names[k]);
        }
    }
}

static void compare_outputs(progress* self, spikerun_status status, const int32_t* out) {
    const int32_t* expected = model_golden_outputs + self->sample * MODEL_OUTPUTS;
    if (status != SPIKERUN_OK) {
        mismatch(self, "- status");
        return;
    }
    for (int32_t i = 0; i < MODEL_OUTPUTS; i++) {
        if (out[i] != expected[i]) {
            mismatch(self, "- output");
            break;
        }
    }
    if (model_classify(out) != model_golden_classes[self->sample]) {
        mismatch(self, "- class");
    }
}

static void print_sample(const progress* self, spikerun_status status, uint32_t ticks, const int32_t* out) {
    self->port->print("sample");
    print_number(self->port, self->sample);
    print_number(self->port, (int32_t)status);
    print_number(self->port, (int32_t)ticks);
    for (int32_t i = 0; i < MODEL_OUTPUTS; i++) {
        print_number(self->port, status == SPIKERUN_OK ? out[i] : 0);
    }
    self->port->print("\n");
}

/* Each sample runs twice: measured, and observed. */
static void run_sample(progress* self, model_state* state, int32_t* out) {
    const uint8_t* frame = model_golden_frames + self->sample * MODEL_FRAME_BYTES;
    const spikerun_observer observer = {see_marked, self};
    const uint32_t begin = self->port->ticks != NULL ? self->port->ticks() : 0u;
    spikerun_status status;
    uint32_t end;
    SPIKERUN_MARK_BEGIN();
    status = model_run(state, frame, out);
    SPIKERUN_MARK_END();
    end = self->port->ticks != NULL ? self->port->ticks() : 0u;
    print_sample(self, status, end - begin, out);
    compare_outputs(self, status, out);
    clear_sums(self);
    SPIKERUN_MARK_BEGIN();
    status = model_trace(state, frame, out, &observer);
    compare_outputs(self, status, out);
    compare_sums(self, model_golden_checksums + self->sample * MODEL_TRACES);
}

#ifdef MODEL_STEP_BYTES
static void run_stream(progress* self, model_state* state, int32_t* out) {
    const spikerun_observer observer = {see, self};
    spikerun_status status = SPIKERUN_OK;
    uint32_t results = 0u;
    self->sample = -1;
    clear_sums(self);
    model_reset(state);
    for (int32_t t = 0; t < model_golden_steps && status == SPIKERUN_OK; t++) {
        status = model_trace_step(state, model_golden_events + t * MODEL_STEP_BYTES, out, &observer);
        results = spikerun_crc32_values(results, out, MODEL_OUTPUTS);
    }
    if (status != SPIKERUN_OK) {
        mismatch(self, "- status");
    }
    if (results != model_golden_stream[MODEL_TRACES]) {
        mismatch(self, "- output");
    }
    compare_sums(self, model_golden_stream);
}
#endif

static void check_tables(progress* self) {
    for (int32_t i = 0; i < MODEL_TABLES; i++) {
        if (spikerun_crc32(0, model_tables[i].data, model_tables[i].bytes) != model_golden_tables[i]) {
            self->mismatches++;
            self->port->print("table");
            print_number(self->port, i);
            self->port->print("\n");
        }
    }
}

int32_t model_selftest(model_state* state, int32_t* out, uint32_t* sums, const spikerun_port* port) {
    progress self = {port, sums, 0, 0};
    if (state == NULL || out == NULL || sums == NULL || port == NULL || port->print == NULL) {
        return -1;
    }
    port->print("begin");
    print_number(port, model_golden_samples);
    print_number(port, MODEL_TRACES);
    print_number(port, MODEL_OUTPUTS);
    port->print("\n");
    check_tables(&self);
    for (; self.sample < model_golden_samples; self.sample++) {
        run_sample(&self, state, out);
    }
#ifdef MODEL_STEP_BYTES
    run_stream(&self, state, out);
#endif
    port->print("stack");
    print_number(port, port->stack != NULL ? (int32_t)port->stack() : 0);
    port->print("\nend");
    print_number(port, self.mismatches);
    port->print("\n");
    return self.mismatches;
}
