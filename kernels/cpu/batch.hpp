// Runs a program on many samples, spread over threads.
#pragma once

#include <functional>
#include <vector>

#include "program.hpp"

namespace spikerun {

// Values for a word register: [sample][n], or [sample][step][n] for those that change at each step.
struct BatchInput {
    size_t word;
    const int16_t* values;
};

struct WordOutput {
    size_t word;
    int16_t* values;  // [sample][n]
};

struct AccOutput {
    size_t acc;
    int32_t* values;  // [sample][n]
};

struct Batch {
    size_t samples, steps, threads;
    std::vector<BatchInput> inputs, step_inputs;
    std::vector<WordOutput> words;
    std::vector<AccOutput> accs;
    int64_t* counters;  // [sample][slot][2]
};

// Every sample starts from zeros (and initial values) at t = 0. The result does not depend on the number of
// threads. `interrupted` is asked now and then, on the calling thread only; once it says yes the run stops
// and returns false.
bool run_batch(Program& program, const Batch& batch, const std::function<bool()>& interrupted);

}  // namespace spikerun
