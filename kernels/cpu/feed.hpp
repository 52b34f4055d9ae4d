// SPDX-License-Identifier: Apache-2.0
// Events of a camera, or of any other input, on their way into a program: which step each belongs to, those
// held back until it is run, and the steps that nothing happens in, which are skipped.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <vector>

#include "stream.hpp"

namespace spikerun {

// spikerun/events.py has the same layout.
struct CameraEvent {
    int64_t t;  // microseconds
    uint16_t x, y;
    uint8_t p;
    uint8_t unused[3];
};
static_assert(sizeof(CameraEvent) == 16);

// Where events go: a register of channels-last images, or of vectors, which have one channel and row.
struct Sensor {
    Words word;
    size_t channels, height, width;
    bool graded;   // events of one place and step add up,
    int16_t most;  // to so many at most
};

// What becomes of events of a step before the newest one that was seen, or done.
enum class Late { error, clamp, drop };

// Why events were refused, all of them.
struct Problem {
    enum Kind { none, outside, time, order, done, ahead } kind = none;
    size_t event = 0;
    int64_t step = 0, before = 0;
};

// A count that one thread adds to, and others may read meanwhile.
class Tally {
  public:
    Tally() = default;
    Tally(const Tally& other) noexcept : n_(other.get()) {}
    Tally& operator=(const Tally& other) noexcept {
        n_.store(other.get(), std::memory_order_relaxed);
        return *this;
    }
    void add(int64_t n) noexcept { n_.store(get() + n, std::memory_order_relaxed); }
    int64_t get() const noexcept { return n_.load(std::memory_order_relaxed); }

  private:
    std::atomic<int64_t> n_{0};
};

// How long steps took: nanoseconds of 32 parts of each power of two.
class Durations {
  public:
    static constexpr size_t parts = 32, powers = 40;
    void add(int64_t nanoseconds) noexcept;
    std::array<Tally, parts * powers> counts{};
};

class Feed {
  public:
    static constexpr int64_t latest = int64_t{1} << 53;  // microseconds
    static constexpr int64_t most_ahead = 10'000'000;    // steps: a wrong unit of time shows itself here
    static constexpr int64_t latest_step = int64_t{1} << 60;

    Feed(Sensor sensor, int64_t step_ns, Late late) : sensor_(sensor), step_ns_(step_ns), late_(late) {}

    // Holds events back; where some are refused, none is taken.
    Problem add(const CameraEvent* events, size_t n, int64_t now);
    // The same by step and index, in (C, H, W) order.
    Problem add(const int64_t* steps, const int64_t* index, size_t n, int64_t now);

    // Runs until step `until` is the next one, with what is held back; false where it was interrupted before.
    bool run(Program& program, Workspace& ws, int64_t until, size_t threads, Outlets& outlets,
             const std::function<bool()>& interrupted);

    // The step of the newest event that is held back; -1: none is.
    int64_t newest() const noexcept { return groups_.empty() ? -1 : groups_.back().step; }
    // The steps and indices of what is held back.
    std::vector<int64_t> held() const;
    void drop_held() noexcept;

    struct Counts {
        Tally events, late, dropped, clipped, skipped;
    } counts;
    Durations durations;

  private:
    struct Group {  // the events of a step
        int64_t step;
        size_t begin;
    };
    struct Before {
        size_t places, groups;
        Counts counts;
    };
    // Calls place(k) for the place of event k, and step(k) for its step, which are checked.
    template <class Step, class Place>
    Problem take(size_t n, int64_t now, Step step, Place place);
    void undo(const Before& before);
    void load(Workspace& ws, const Group& group, size_t end) noexcept;
    void forget(size_t groups) noexcept;
    int64_t skip(Program& program, Workspace& ws, int64_t until, Outlets& outlets);

    Sensor sensor_;
    int64_t step_ns_;
    Late late_;
    std::vector<uint32_t> places_;  // in kernel order
    std::vector<Group> groups_;
};

}  // namespace spikerun
