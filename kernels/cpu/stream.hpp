// SPDX-License-Identifier: Apache-2.0
// Runs a program on a stream: many passes of one workspace, with what goes in before and what comes out after
// each.
#pragma once

#include <functional>
#include <vector>

#include "program.hpp"

namespace spikerun {

// Before pass k the register holds row k, after the last row zeros.
struct RowsInput {
    Words target;
    size_t passes;
    const int16_t* values;  // [passes][n]
};

// Before pass k the register holds 1 at indices[offsets[k]] .. indices[offsets[k + 1] - 1], and 0 elsewhere.
struct EventsInput {
    Words target;
    size_t passes;
    const int64_t* offsets;  // [passes + 1]
    const int64_t* indices;
};

// The elements that are not zero after each pass, by the time of the pass; element order[j] is called j.
struct Watch {
    Words source;
    const int32_t* order;
    std::vector<int64_t> steps, index;
    std::vector<int16_t> value;
};

// The content after each pass t >= begin with t % period == first.
struct Capture {
    Numbers source;
    int64_t period, begin, first;
    std::vector<int64_t> steps;
    std::vector<int32_t> content;
};

struct Passage {
    std::vector<RowsInput> rows;
    std::vector<EventsInput> events;
    std::vector<Watch> watched;
    std::vector<Capture> captured;
};

// Executes n passes. `interrupted` is asked between them; once it says yes the run stops, and returns false.
bool run_passes(Program& program, Workspace& ws, int64_t n, size_t threads, Passage& passage,
                const std::function<bool()>& interrupted);

}  // namespace spikerun
