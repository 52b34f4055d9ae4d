// SPDX-License-Identifier: Apache-2.0
// Whether the runs of a program take less time with other threads or alone: measured while they go on, since
// that depends on the program, on its inputs, and on who else has the processors.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "common.hpp"

namespace spikerun {

enum class Way { timed, alone, shared };

// What an operation took in a run.
struct Timed {
    int64_t nanoseconds = 0, executions = 0;
};

class Pace {
  public:
    // How the next run goes. `timed`: alone, and the time of each operation is wanted.
    Way next() noexcept;
    // How long a run took that went this way, in nanoseconds a pass. helped: other threads had a part in it.
    void took(Way way, double nanoseconds, bool helped) noexcept;

    // For each operation, the nanoseconds of an execution alone, as measured last.
    void took(const std::vector<Timed>& times) noexcept;
    int64_t time(size_t operation) const noexcept {
        return operation < times_.size() ? times_[operation].load(std::memory_order_relaxed) : 0;
    }
    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }
    // Before the first run.
    void resize(size_t operations) { times_ = std::vector<std::atomic<int64_t>>(operations); }

  private:
    // Runs in a row that go one way: at first those that measure, then, turn by turn, those of the better way
    // and a few of the other one. The first of each does not count, unless it is long: caches are cold.
    // Shared ones that nobody helped with do not count either: others were asleep, or had no processor.
    struct Stretch {
        bool shared = false, trial = false;
        uint32_t left = first_runs, runs = 0, counted = 0, slow = 0;
        double sum = 0, unhelped = 0, spent = 0;
    };
    static constexpr uint32_t first_runs = 3, trial_runs = 5, shortest = 16;

    bool is_over() const noexcept;
    void end_stretch() noexcept;

    mutable std::mutex mutex_;
    Stretch stretch_;
    bool better_shared_ = false;
    uint32_t gap_ = 0;              // runs of the better way between two trials; 0: there was none yet
    std::array<double, 2> mean_{};  // alone, shared
    double owed_ = 0, lost_ = 0;    // how long the next stretch must last; for what the last ones have cost
    std::vector<std::atomic<int64_t>> times_;
};

}  // namespace spikerun
