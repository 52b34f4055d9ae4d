// SPDX-License-Identifier: Apache-2.0
// Runs a program on a stream: many passes of one workspace, with what goes in before and what comes out after
// each.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "paced.hpp"
#include "program.hpp"

namespace spikerun {

// Before pass k the register holds row k, after the last row zeros.
struct RowsInput {
    Words target;
    size_t passes;
    const int16_t* values;  // [passes][n]
};

// An element that is not zero after a pass. kernels/executor.py has the same layout.
struct Spike {
    int64_t step;
    int32_t index;  // in (C, H, W) order
    int16_t value;
    int16_t unused;
};
static_assert(sizeof(Spike) == 16);

// Collects the spikes of a register of channels-last images, or of vectors, which have one channel; pass by
// pass, and in (C, H, W) order.
class Watch {
  public:
    Watch(Words source, size_t channels);
    void look(int64_t t, Workspace& ws);
    std::vector<Spike> spikes;

  private:
    void list(Workspace& ws);

    Words source_;
    size_t channels_, pixels_;
    unsigned shift_;
    uint64_t reciprocal_;  // of the channels, times 2^shift
    std::vector<uint32_t> found_, begin_;
    size_t count_ = 0;  // of those found
};

// The content after each pass t >= begin with t % period == first.
struct Capture {
    Numbers source;
    int64_t period, begin, first;
    std::vector<int64_t> steps;
    std::vector<int32_t> content;

    void look(int64_t t, Workspace& ws);
    // The first pass from t on whose content is wanted.
    int64_t next(int64_t t) const noexcept;
};

// What is looked at after each pass.
struct Outlets {
    std::vector<Watch> watched;
    std::vector<Capture> captured;
    int64_t seen = 0;               // all before this pass was looked at
    std::optional<int64_t> missed;  // a pass that was run, and not looked at

    void look(int64_t t, Workspace& ws) {
        for (Watch& watch : watched) watch.look(t, ws);
        for (Capture& capture : captured) capture.look(t, ws);
        seen = t + 1;
    }
    // Where there was no memory to look at a pass: drops what was seen of it, or of later ones. t: the next
    // one.
    void cut(int64_t t) noexcept;
};

// Zeros in a whole register, of which only what is marked is touched.
void silence(Words target, Workspace& ws) noexcept;

// Executes n passes. `interrupted` is asked between them; once it says yes the run stops, and returns false.
bool run_passes(Program& program, Workspace& ws, int64_t n, size_t threads,
                const std::vector<RowsInput>& rows, Outlets& outlets,
                const std::function<bool()>& interrupted);

// Before a pass: lazy neurons count the passes that they have missed in 32 bits, so none may miss too many.
inline void keep_in_reach(const Program& program, Workspace& ws) {
    constexpr int64_t seldom = int64_t{1} << 30;
    if (ws.t % seldom == 0) program.settle(ws);
}

}  // namespace spikerun
