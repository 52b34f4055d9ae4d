// SPDX-License-Identifier: Apache-2.0
// The threads of this process that help with a run. They look for work a short while, then they sleep.
#pragma once

#include <functional>

#include "common.hpp"

namespace spikerun {

class Team;

// A run's hold on those threads. One run at a time has them; another goes on without. After a fork the child
// process has a team of its own.
class Crew {
  public:
    // threads: how many are wanted, this one included.
    explicit Crew(size_t threads);
    ~Crew();
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    // Whether another thread has done a part.
    bool helped() const noexcept { return helped_; }
    // How many there are, this one included: not more than processors, nor than most_parts. Those that sleep
    // may come late.
    size_t threads() const noexcept { return threads_; }

    static constexpr int most_parts = 48;

    // Calls work(part, worker) once for every part < parts <= most_parts, and returns when all are done.
    // Worker 0 is this thread, others are numbered up to threads() - 1. Each begins with parts of its own, as
    // many as others have; who is late finds none left. What `work` writes can be read afterwards. If it has
    // to wait for others who do not get on, because something else has their processors, this thread is alone
    // from then on.
    template <class Work>
    void share(size_t parts, const Work& work) noexcept {
        share(parts, &call_on<Work>, &work, nullptr);
    }
    // The same; this thread calls `poll` now and then while it waits for others.
    template <class Work>
    void share(size_t parts, const Work& work, const std::function<void()>& poll) noexcept {
        share(parts, &call_on<Work>, &work, &poll);
    }

    using Call = void (*)(const void* work, size_t part, size_t worker);

  private:
    template <class Work>
    static void call_on(const void* work, size_t part, size_t worker) noexcept {
        (*static_cast<const Work*>(work))(part, worker);
    }
    void share(size_t parts, Call call, const void* work, const std::function<void()>* poll) noexcept;

    Team* team_;
    size_t threads_;
    bool helped_ = false;
};

}  // namespace spikerun
