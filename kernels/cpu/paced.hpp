// SPDX-License-Identifier: Apache-2.0
// One run of a program, whose operations threads share where that is faster.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "program.hpp"

namespace spikerun {

class Paced {
  public:
    // threads: how many may share the run, this one included.
    Paced(Program& program, Workspace& ws, size_t threads);
    // Tells the program's pace how long it took.
    ~Paced();
    Paced(const Paced&) = delete;
    Paced& operator=(const Paced&) = delete;

    // Executes the next pass.
    void step() noexcept;

  private:
    Program& program_;
    Workspace& ws_;
    std::optional<Crew> crew_;
    std::vector<Timed> times_;
    Way way_ = Way::alone;
    int64_t passes_ = -1;  // done; -1: nobody wants to know
    std::chrono::steady_clock::time_point begin_;
};

}  // namespace spikerun
