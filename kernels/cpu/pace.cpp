// SPDX-License-Identifier: Apache-2.0
#include "pace.hpp"

#include <algorithm>
#include <limits>

namespace spikerun {

namespace {

constexpr double gain = 0.95;  // of the time: what the other way must save to become the better one
// What a shared run may take of the time alone: more says that others have the processors. A trial ends after
// one of these; a stretch does once it takes so many times as long as alone.
constexpr double slow = 3, too_long = 1.25;
// Runs that take longer count at once; and who has not come by then does not come.
constexpr double few_milliseconds = 5e6;
// Runs of the better way between two trials, at most. A trial alone costs little; one with threads may cost
// much, where others have the processors. These may come at any time, so that nothing shared is tried seldom.
constexpr uint32_t longest_shared = 1 << 7, longest_alone = 1 << 12;
// How many times as long as a trial that failed the next one is away, at least.
constexpr double seldom = 20;

}  // namespace

Way Pace::next() noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stretch_.shared) return Way::shared;
    return stretch_.runs > 0 ? Way::alone : Way::timed;
}

void Pace::took(Way way, double nanoseconds, bool helped) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if ((way == Way::shared) != stretch_.shared) return;  // it began before the stretch did
    stretch_.spent += nanoseconds;
    if (stretch_.shared && !helped) {
        stretch_.unhelped += nanoseconds;
    } else {
        if (stretch_.runs++ > 0 || nanoseconds > few_milliseconds) {
            stretch_.sum += nanoseconds;
            ++stretch_.counted;
        }
        if (stretch_.left > 0) --stretch_.left;
        if (stretch_.shared && stretch_.counted > 0 && nanoseconds > slow * mean_[0]) ++stretch_.slow;
    }
    if (is_over()) end_stretch();
}

bool Pace::is_over() const noexcept {
    if (stretch_.unhelped > few_milliseconds) return true;
    if (stretch_.slow > 0 && (stretch_.trial || stretch_.spent > too_long * stretch_.counted * mean_[0]))
        return true;
    const bool measures = stretch_.trial || gap_ == 0;
    if (measures && stretch_.counted > 0 && stretch_.spent > few_milliseconds) return true;
    return stretch_.left == 0 && stretch_.spent >= owed_;
}

void Pace::end_stretch() noexcept {
    constexpr double never = std::numeric_limits<double>::infinity();
    const size_t runs = stretch_.counted;
    mean_[stretch_.shared] = runs > 0 ? stretch_.sum / static_cast<double>(runs) : never;
    if (!stretch_.trial) {
        lost_ = stretch_.shared ? std::max(stretch_.spent - stretch_.counted * mean_[0], 0.0) : 0;
        stretch_ = {!better_shared_, true, trial_runs};
        owed_ = 0;
        return;
    }
    if (mean_[!better_shared_] < gain * mean_[better_shared_]) {
        better_shared_ = !better_shared_;
        gap_ = shortest;
        owed_ = seldom * lost_;
    } else {
        gap_ = std::min(std::max(2 * gap_, shortest), better_shared_ ? longest_shared : longest_alone);
        owed_ = seldom * stretch_.spent;
    }
    stretch_ = {better_shared_, false, gap_};
}

void Pace::took(const std::vector<Timed>& times) noexcept {
    for (size_t k = 0; k < times_.size(); ++k)
        if (times[k].executions > 0)
            times_[k].store(times[k].nanoseconds / times[k].executions, std::memory_order_relaxed);
}

}  // namespace spikerun
