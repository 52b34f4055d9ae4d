// SPDX-License-Identifier: Apache-2.0
// Runs a program on many samples, spread over threads.
#pragma once

#include <functional>
#include <variant>
#include <vector>

#include "program.hpp"

namespace spikerun {

// Values for a register of words, of a type that is converted while it is loaded.
using Source = std::variant<const uint8_t*, const int8_t*, const int16_t*>;

struct BatchInput {
    Words target;
    Source values;  // [sample][n]
};

// What changes at each of the first `steps` passes; zeros afterwards.
struct StepInput {
    Words target;
    size_t steps;
    const int16_t* values;  // [sample][step][n]
};

template <class T>
struct BatchOutput {
    Register<T> source;
    T* values;  // [sample][n]
};

struct Batch {
    size_t samples, steps, threads;
    std::vector<BatchInput> inputs;
    std::vector<StepInput> step_inputs;
    std::vector<BatchOutput<int16_t>> words;
    std::vector<BatchOutput<int32_t>> numbers;
    std::vector<int64_t> counters;  // [slot][2], the sum over the samples
};

// Every sample starts from zeros (and initial values) at t = 0. The result does not depend on the number of
// threads. `interrupted` is asked now and then, on the calling thread only; once it says yes the run stops
// and returns false.
bool run_batch(Program& program, Batch& batch, const std::function<bool()>& interrupted);

}  // namespace spikerun
