// SPDX-License-Identifier: Apache-2.0
#include "stream.hpp"

#include <algorithm>

#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

void load(const RowsInput& input, size_t pass, Workspace& ws) noexcept {
    const size_t n = input.target.size;
    if (pass >= input.passes) {
        silence(input.target, ws);
        return;
    }
    std::copy_n(input.values + pass * n, n, input.target.in(ws));
    if (input.target.tracked()) input.target.marks(ws).add_all();
}

// The places of what is not zero, in n words from `first` on; the list has room for all.
struct ListPlaces {
    SPIKERUN_INLINE static size_t run(const int16_t* words, size_t first, size_t n, uint32_t* list) {
        size_t count = 0;
        size_t j = 0;
        for (; j + 64 <= n; j += 64)
            for (uint64_t bits = nonzero_bits(words + j); bits != 0; bits &= bits - 1)
                list[count++] = static_cast<uint32_t>(first + j + lowest_bit(bits));
        for (; j < n; ++j) {
            list[count] = static_cast<uint32_t>(first + j);
            count += words[j] != 0;
        }
        return count;
    }
};
struct ListMarkedPlaces {
    SPIKERUN_INLINE static size_t run(const int16_t* words, const Marks& marks, size_t n, uint32_t* list) {
        size_t count = 0;
        marks.each_run([&](size_t first, size_t tiles) SPIKERUN_LAMBDA_INLINE {
            const size_t begin = first * Marks::tile, end = std::min(n, begin + tiles * Marks::tile);
            count += ListPlaces::run(words + begin, begin, end - begin, list + count);
        });
        return count;
    }
};

// place / channels = place * (2^shift / channels + 1) >> shift for places below 2^28, which is the most there
// are.
unsigned shift_of(size_t channels) {
    return 28 + (channels == 1 ? 0 : static_cast<unsigned>(highest_bit(channels - 1) + 1));
}

}  // namespace

void silence(Words target, Workspace& ws) noexcept {
    if (target.tracked())
        target.marks(ws).erase(target.in(ws));
    else
        std::fill_n(target.in(ws), target.size, int16_t{0});
}

Watch::Watch(Words source, size_t channels)
    : source_(source),
      channels_(channels),
      pixels_(source.size / channels),
      shift_(shift_of(channels)),
      reciprocal_((uint64_t{1} << shift_) / channels + 1),
      begin_(channels + 1) {}

void Watch::list(Workspace& ws) {
    const Marks* const marks = source_.tracked() ? &source_.marks(ws) : nullptr;
    size_t most = source_.size;
    if (marks != nullptr) {
        most = 0;
        marks->each_run([&](size_t, size_t tiles) { most += tiles * Marks::tile; });
    }
    if (found_.size() < most + 1) found_.resize(most + 1);  // and never shrinks
    count_ = marks != nullptr ? run<ListMarkedPlaces>(source_.in(ws), *marks, source_.size, found_.data())
                              : run<ListPlaces>(source_.in(ws), size_t{0}, source_.size, found_.data());
}

void Watch::look(int64_t t, Workspace& ws) {
    const int16_t* const words = source_.in(ws);
    if (source_.tracked() ? source_.marks(ws).none()
                          : std::all_of(words, words + source_.size, [](int16_t x) { return x == 0; }))
        return;
    list(ws);
    const size_t first = spikes.size();
    spikes.resize(first + count_);
    Spike* const out = spikes.data() + first;
    // Channel by channel; within each, pixels rise as places do.
    const auto pixel = [&](uint32_t place) { return static_cast<uint32_t>(place * reciprocal_ >> shift_); };
    if (channels_ == 1) {
        for (size_t k = 0; k < count_; ++k)
            out[k] = {t, static_cast<int32_t>(found_[k]), words[found_[k]], 0};
        return;
    }
    const auto channel = [&](uint32_t place) { return place - pixel(place) * channels_; };
    std::fill(begin_.begin(), begin_.end(), 0U);
    for (size_t k = 0; k < count_; ++k) ++begin_[channel(found_[k]) + 1];
    for (size_t c = 1; c < channels_; ++c) begin_[c] += begin_[c - 1];
    for (size_t k = 0; k < count_; ++k) {
        const uint32_t place = found_[k];
        const size_t c = channel(place);
        out[begin_[c]++] = {t, static_cast<int32_t>(c * pixels_ + pixel(place)), words[place], 0};
    }
}

void Capture::look(int64_t t, Workspace& ws) {
    if (t < begin || t % period != first) return;
    const int32_t* const from = source.in(ws);
    steps.push_back(t);
    content.insert(content.end(), from, from + source.size);
}

int64_t Capture::next(int64_t t) const noexcept {
    const int64_t from = std::max(t, begin);
    return from + (first - from % period + period) % period;
}

void Outlets::cut(int64_t t) noexcept {
    for (Watch& watch : watched)
        while (!watch.spikes.empty() && watch.spikes.back().step >= seen) watch.spikes.pop_back();
    for (Capture& capture : captured) {
        while (!capture.steps.empty() && capture.steps.back() >= seen) capture.steps.pop_back();
        capture.content.resize(capture.steps.size() * capture.source.size);
    }
    if (seen < t) missed = t - 1;
}

bool run_passes(Program& program, Workspace& ws, int64_t n, size_t threads,
                const std::vector<RowsInput>& rows, Outlets& outlets,
                const std::function<bool()>& interrupted) {
    Paced paced(program, ws, threads);
    outlets.seen = ws.t;
    for (int64_t pass = 0; pass < n; ++pass) {
        for (const RowsInput& input : rows) load(input, unsign(pass), ws);
        keep_in_reach(program, ws);
        const int64_t t = ws.t;
        paced.step();
        outlets.look(t, ws);
        if (pass + 1 < n && interrupted()) return false;
    }
    return true;
}

}  // namespace spikerun
