// SPDX-License-Identifier: Apache-2.0
// Which parts of a register may hold anything: what is silent is then neither cleared, nor read, nor updated.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "common.hpp"

namespace spikerun {

// A bit for each tile of a register, and one for each 64 of these bits. Tiles without a mark hold zeros.
class Marks {
  public:
    static constexpr size_t tile = 16;  // elements: a register of int32, with AVX-512

    void resize(size_t elements) {
        tiles_ = (elements + tile - 1) / tile;
        bits_.assign((tiles_ + 63) / 64, 0);
        summary_.assign((bits_.size() + 63) / 64, 0);
    }

    SPIKERUN_INLINE void add(size_t element) { add_tiles(element / tile, element / tile); }
    // The tiles of so many elements, at least one.
    SPIKERUN_INLINE void add(size_t first, size_t n) { add_tiles(first / tile, (first + n - 1) / tile); }
    void add_all() {
        if (tiles_ == 0) return;
        std::fill(bits_.begin(), bits_.end(), ~uint64_t{0});
        if (tiles_ % 64 != 0) bits_.back() = (uint64_t{1} << tiles_ % 64) - 1;
        for (size_t w = 0; w < bits_.size(); ++w) summary_[w / 64] |= uint64_t{1} << w % 64;
    }
    // Replaces the marks of 64 tiles.
    SPIKERUN_INLINE void set(size_t word, uint64_t bits) {
        bits_[word] = bits;
        const uint64_t bit = uint64_t{1} << word % 64;
        summary_[word / 64] = bits == 0 ? summary_[word / 64] & ~bit : summary_[word / 64] | bit;
    }

    bool none() const {
        return std::all_of(summary_.begin(), summary_.end(), [](uint64_t bits) { return bits == 0; });
    }
    size_t tiles() const { return tiles_; }
    SPIKERUN_INLINE uint64_t word(size_t k) const { return bits_[k]; }

    // Calls visit(word, its bits) for each 64 tiles of which some are marked here, or there.
    template <class Visit>
    SPIKERUN_INLINE static void each_word(const Marks& here, const Marks& there, Visit visit) {
        for (size_t s = 0; s < here.summary_.size(); ++s)
            for (uint64_t some = here.summary_[s] | there.summary_[s]; some != 0; some &= some - 1) {
                const size_t word = 64 * s + lowest_bit(some);
                visit(word, here.bits_[word] | there.bits_[word]);
            }
    }
    // Calls visit(first tile, how many) for marked tiles that lie beside each other, of 64 at most.
    template <class Visit>
    SPIKERUN_INLINE void each_run(Visit visit) const {
        each_word(*this, *this,
                  [&](size_t word, uint64_t bits) SPIKERUN_LAMBDA_INLINE { runs(bits, 64 * word, visit); });
    }
    template <class Visit>
    SPIKERUN_INLINE static void runs(uint64_t bits, size_t first, Visit visit) {
        while (bits != 0) {
            const size_t begin = lowest_bit(bits);
            const uint64_t gaps = ~(bits >> begin);
            const size_t n = gaps == 0 ? 64 : lowest_bit(gaps);
            visit(first + begin, n);
            bits = begin + n >= 64 ? 0 : bits & ~uint64_t{0} << (begin + n);
        }
    }
    // Zeros in the marked tiles of a register, and no marks.
    template <class T>
    SPIKERUN_INLINE void erase(T* content) {
        each_run([&](size_t first, size_t n) SPIKERUN_LAMBDA_INLINE {
            for (size_t k = first; k < first + n; ++k) std::memset(content + k * tile, 0, tile * sizeof(T));
        });
        clear();
    }
    SPIKERUN_INLINE void clear() {
        each_word(*this, *this, [&](size_t word, uint64_t) SPIKERUN_LAMBDA_INLINE { bits_[word] = 0; });
        std::fill(summary_.begin(), summary_.end(), 0);
    }

  private:
    SPIKERUN_INLINE void add_tiles(size_t first, size_t last) {
        for (size_t word = first / 64; word <= last / 64; ++word) {
            const size_t low = word == first / 64 ? first % 64 : 0;
            const size_t high = word == last / 64 ? last % 64 : 63;
            bits_[word] |= ~uint64_t{0} >> (63 - high) & ~uint64_t{0} << low;
            summary_[word / 64] |= uint64_t{1} << word % 64;
        }
    }

    size_t tiles_ = 0;
    std::vector<uint64_t> bits_, summary_;
};

}  // namespace spikerun
