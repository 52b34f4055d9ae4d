// SPDX-License-Identifier: Apache-2.0
#include "feed.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace spikerun {

namespace {

constexpr uint32_t nowhere = std::numeric_limits<uint32_t>::max();  // the place of what lies outside

template <class Action>
class Finally {
  public:
    explicit Finally(Action action) : action_(std::move(action)) {}
    ~Finally() { action_(); }
    Finally(const Finally&) = delete;
    Finally& operator=(const Finally&) = delete;

  private:
    Action action_;
};

}  // namespace

void Durations::add(int64_t nanoseconds) noexcept {
    const auto x = static_cast<uint64_t>(std::max<int64_t>(nanoseconds, 1));
    const size_t power = highest_bit(x);
    const size_t part = power >= 5 ? x >> (power - 5) & (parts - 1) : x << (5 - power) & (parts - 1);
    counts[std::min(power, powers - 1) * parts + part].add(1);
}

void Feed::undo(const Before& before) {
    places_.resize(before.places);
    groups_.resize(before.groups);
    counts = before.counts;
}

template <class Step, class Place>
Problem Feed::take(size_t n, int64_t now, Step step_of, Place place_of) {
    const Before before{places_.size(), groups_.size(), counts};
    counts.events.add(static_cast<int64_t>(n));
    bool whole = false;
    const Finally undone([&] {
        if (!whole) undo(before);
    });
    int64_t newest = std::max(this->newest(), now - 1);
    for (size_t k = 0; k < n; ++k) {
        int64_t step = step_of(k);
        const uint32_t place = place_of(k);
        if (step < 0) return Problem{Problem::time, k};
        if (place == nowhere) return Problem{Problem::outside, k};
        if (step < newest || step < now) {
            if (late_ == Late::error)
                return Problem{step < now ? Problem::done : Problem::order, k, step, newest};
            counts.late.add(1);
            if (late_ == Late::drop) {
                counts.dropped.add(1);
                continue;
            }
            step = std::max(newest, now);
        }
        if (groups_.empty() || step != groups_.back().step) groups_.push_back({step, places_.size()});
        places_.push_back(place);
        newest = step;
    }
    if (newest - now > most_ahead) return Problem{Problem::ahead, n, newest, now};
    whole = true;
    return {};
}

Problem Feed::add(const CameraEvent* events, size_t n, int64_t now) {
    const auto channels = sensor_.channels, height = sensor_.height, width = sensor_.width;
    int64_t begin = 0, end = 0, current = 0;  // nanoseconds of a step, most events of which come together
    const auto step = [&](size_t k) -> int64_t {
        const int64_t t = events[k].t;
        if (t < 0 || t > latest) return -1;
        const int64_t ns = 1000 * t;
        if (ns < begin || ns >= end) {
            current = ns / step_ns_;
            begin = current * step_ns_;
            end = begin + step_ns_;
        }
        return current;
    };
    const auto place = [&](size_t k) {
        const CameraEvent& event = events[k];
        const bool inside = event.x < width && event.y < height && event.p < channels;
        return inside ? static_cast<uint32_t>((event.y * width + event.x) * channels + event.p) : nowhere;
    };
    return take(n, now, step, place);
}

Problem Feed::add(const int64_t* steps, const int64_t* index, size_t n, int64_t now) {
    const size_t pixels = sensor_.height * sensor_.width;
    const auto step = [&](size_t k) { return steps[k] > latest_step ? -1 : steps[k]; };
    const auto place = [&](size_t k) {
        if (index[k] < 0 || unsign(index[k]) >= sensor_.word.size) return nowhere;
        const size_t channel = unsign(index[k]) / pixels, pixel = unsign(index[k]) % pixels;
        return static_cast<uint32_t>(pixel * sensor_.channels + channel);
    };
    return take(n, now, step, place);
}

std::vector<int64_t> Feed::held() const {
    const size_t n = places_.size(), pixels = sensor_.height * sensor_.width;
    std::vector<int64_t> result(2 * n);
    for (size_t g = 0; g < groups_.size(); ++g) {
        const size_t end = g + 1 < groups_.size() ? groups_[g + 1].begin : n;
        for (size_t k = groups_[g].begin; k < end; ++k) {
            const size_t place = places_[k];
            result[k] = groups_[g].step;
            result[n + k] =
                static_cast<int64_t>(place % sensor_.channels * pixels + place / sensor_.channels);
        }
    }
    return result;
}

void Feed::drop_held() noexcept {
    places_.clear();
    groups_.clear();
}

void Feed::load(Workspace& ws, const Group& group, size_t end) noexcept {
    int16_t* const words = sensor_.word.in(ws);
    silence(sensor_.word, ws);
    for (size_t k = group.begin; k < end; ++k) {
        int16_t& word = words[places_[k]];
        if (!sensor_.graded)
            word = 1;
        else if (word < sensor_.most)
            ++word;
        else
            counts.clipped.add(1);
    }
    if (!sensor_.word.tracked()) return;
    Marks& marks = sensor_.word.marks(ws);
    for (size_t k = group.begin; k < end; ++k) marks.add(places_[k]);
}

// Removes the first groups.
void Feed::forget(size_t groups) noexcept {
    if (groups == 0) return;
    if (groups == groups_.size()) return drop_held();
    const size_t begin = groups_[groups].begin;
    places_.erase(places_.begin(), places_.begin() + static_cast<std::ptrdiff_t>(begin));
    groups_.erase(groups_.begin(), groups_.begin() + static_cast<std::ptrdiff_t>(groups));
    for (Group& group : groups_) group.begin -= begin;
}

// Goes on to step `until` where nothing but time passes; returns how many steps that were, 0 where something
// does.
int64_t Feed::skip(Program& program, Workspace& ws, int64_t until, Outlets& outlets) {
    const int64_t idle = program.idle(ws);
    if (idle == 0) return 0;
    constexpr int64_t reach = int64_t{1} << 29;  // lazy neurons count what they have missed in 32 bits
    constexpr int64_t often = int64_t{1} << 16;  // to capture takes time: somebody may want to stop it
    const int64_t most = outlets.captured.empty() ? reach : often;
    const int64_t begin = ws.t, end = std::min(until, begin + std::min(idle, most));
    if (end - begin == reach) program.settle(ws);
    for (Capture& capture : outlets.captured)
        for (int64_t t = capture.next(begin); t < end; t += capture.period) capture.look(t, ws);
    ws.t = outlets.seen = end;
    if (begin / reach != end / reach) program.settle(ws);
    counts.skipped.add(end - begin);
    return end - begin;
}

bool Feed::run(Program& program, Workspace& ws, int64_t until, size_t threads, Outlets& outlets,
               const std::function<bool()>& interrupted) {
    using std::chrono::steady_clock;
    Paced paced(program, ws, threads);
    size_t done = 0;
    const Finally forgotten([&] { forget(done); });  // whatever ends this
    const bool missed = std::exchange(outlets.missed, std::nullopt) == ws.t - 1;
    outlets.seen = ws.t - (missed ? 1 : 0);
    if (missed) outlets.look(outlets.seen, ws);
    while (ws.t < until) {
        const int64_t next = done < groups_.size() ? groups_[done].step : until;
        const auto begin = steady_clock::now();
        if (next <= ws.t) {  // not before it, unless the time was set from outside
            load(ws, groups_[done], done + 1 < groups_.size() ? groups_[done + 1].begin : places_.size());
            ++done;
        } else {
            silence(sensor_.word, ws);
            if (skip(program, ws, std::min(next, until), outlets) > 0) {
                if (ws.t < until && interrupted()) return false;
                continue;
            }
        }
        keep_in_reach(program, ws);
        const int64_t t = ws.t;
        paced.step();
        outlets.look(t, ws);
        durations.add(
            std::chrono::duration_cast<std::chrono::nanoseconds>(steady_clock::now() - begin).count());
        if (ws.t < until && interrupted()) return false;
    }
    return true;
}

}  // namespace spikerun
