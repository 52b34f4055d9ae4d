#include "selftest.h"

#include "golden.h"

typedef struct {
    const selftest_port* port;
    uint32_t* sums;
    int32_t sample;
    int32_t mismatches;
} progress;

static void print_number(const selftest_port* port, int32_t value) {
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

static void mismatch(progress* self, const char* population, const char* what) {
    self->mismatches++;
    self->port->print("mismatch");
    print_number(self->port, self->sample);
    self->port->print(" ");
    self->port->print(population);
    self->port->print(what);
}

/* Checksums go on from one step of time to the next. */
static void observe(void* context, int32_t index, const spikerun_shape* shape, const int32_t* membrane,
                    const uint8_t* words, int32_t count) {
    uint32_t* sums = ((progress*)context)->sums + 2 * index;
    if (membrane != NULL) {
        sums[0] = spikerun_crc32_membrane(sums[0], shape, membrane);
    }
    if (words != NULL) {
        sums[1] = spikerun_crc32(sums[1], words, (size_t)count);
    }
}

static void compare_sums(progress* self) {
    const uint32_t* expected = golden_checksums + self->sample * MODEL_POPULATIONS * 2;
    for (int32_t k = 0; k < MODEL_POPULATIONS; k++) {
        if (self->sums[2 * k] != expected[2 * k]) {
            mismatch(self, golden_names[k], " membrane\n");
        }
        if (self->sums[2 * k + 1] != expected[2 * k + 1]) {
            mismatch(self, golden_names[k], " words\n");
        }
    }
}

static void compare_outputs(progress* self, spikerun_status status, const int32_t* out) {
    const int32_t* expected = golden_outputs + self->sample * MODEL_OUTPUTS;
    if (status != SPIKERUN_OK) {
        mismatch(self, "-", " status\n");
        return;
    }
    for (int32_t i = 0; i < MODEL_OUTPUTS; i++) {
        if (out[i] != expected[i]) {
            mismatch(self, "-", " output\n");
            return;
        }
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
    const uint8_t* frame = golden_frames + self->sample * MODEL_FRAME_BYTES;
    const spikerun_observer observer = {observe, self};
    const uint32_t begin = self->port->ticks != NULL ? self->port->ticks() : 0u;
    spikerun_status status = model_run(state, frame, out);
    const uint32_t end = self->port->ticks != NULL ? self->port->ticks() : 0u;
    print_sample(self, status, end - begin, out);
    compare_outputs(self, status, out);
    for (int32_t k = 0; k < 2 * MODEL_POPULATIONS; k++) {
        self->sums[k] = 0u;
    }
    status = model_trace(state, frame, out, &observer);
    compare_outputs(self, status, out);
    compare_sums(self);
}

static void check_tables(progress* self) {
    for (int32_t i = 0; i < MODEL_TABLES; i++) {
        if (spikerun_crc32(0, model_tables[i].data, model_tables[i].bytes) != golden_tables[i]) {
            self->mismatches++;
            self->port->print("table");
            print_number(self->port, i);
            self->port->print("\n");
        }
    }
}

int32_t model_selftest(model_state* state, int32_t* out, uint32_t* sums, const selftest_port* port) {
    progress self = {port, sums, 0, 0};
    port->print("begin");
    print_number(port, golden_samples);
    print_number(port, MODEL_POPULATIONS);
    print_number(port, MODEL_OUTPUTS);
    port->print("\n");
    check_tables(&self);
    for (; self.sample < golden_samples; self.sample++) {
        run_sample(&self, state, out);
    }
    port->print("stack");
    print_number(port, port->stack != NULL ? (int32_t)port->stack() : 0);
    port->print("\nend");
    print_number(port, self.mismatches);
    port->print("\n");
    return self.mismatches;
}
