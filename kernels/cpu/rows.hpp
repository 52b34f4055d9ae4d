// The inner loop of every event-driven kernel: acc[j] += sum over events of value * weight[row + j].
#pragma once

#include "linear.hpp"

namespace spikerun {

// Four values of at most this magnitude times int8 weights sum up within int16: 4 * 63 * 128 < 2^15.
constexpr int32_t narrow_limit = 63;

// acc[j] += sum over k < N of x[k] * rows[k][j]. With `Narrow` (all |x| <= narrow_limit, N <= 4) the sum is made
// in int16, twice as many lanes at a time; the bits are the same.
template <int N, bool Narrow>
SPIKERUN_INLINE void add_rows(const int8_t* const (&rows)[N], const int32_t (&x)[N], int32_t* SPIKERUN_RESTRICT acc,
                              size_t n) {
    static_assert(N <= 4 || !Narrow);
    for (size_t j = 0; j < n; ++j) {
        if constexpr (Narrow) {
            int16_t sum = 0;
            for (int k = 0; k < N; ++k) sum = static_cast<int16_t>(sum + static_cast<int16_t>(x[k]) * rows[k][j]);
            acc[j] = wrapping_add(acc[j], sum);
        } else {
            int32_t sum = 0;  // |x * weight| <= 2^22
            for (int k = 0; k < N; ++k) sum += x[k] * rows[k][j];
            acc[j] = wrapping_add(acc[j], sum);
        }
    }
}

template <int N, bool Narrow>
SPIKERUN_INLINE void add_n_events(const int8_t* weight, const Event* events, int32_t* acc, size_t n) {
    const int8_t* rows[N];
    int32_t x[N];
    for (int k = 0; k < N; ++k) {
        rows[k] = weight + events[k].row;
        x[k] = events[k].value;
    }
    add_rows<N, Narrow>(rows, x, acc, n);
}

template <bool Narrow>
SPIKERUN_INLINE void add_events_as(const int8_t* weight, const Event* events, size_t count, int32_t* acc, size_t n) {
    size_t k = 0;
    for (; k + 4 <= count; k += 4) add_n_events<4, Narrow>(weight, events + k, acc, n);
    if (k + 2 <= count) {
        add_n_events<2, Narrow>(weight, events + k, acc, n);
        k += 2;
    }
    if (k < count) add_n_events<1, Narrow>(weight, events + k, acc, n);
}

// Several events share one pass over the accumulators, which are then loaded and stored less often.
SPIKERUN_INLINE void add_events(bool narrow, const int8_t* weight, const Event* events, size_t count, int32_t* acc,
                                size_t n) {
    if (narrow)
        add_events_as<true>(weight, events, count, acc, n);
    else
        add_events_as<false>(weight, events, count, acc, n);
}

// acc[j] += sum over i < count of x[i] * weight[i * stride + j], with no look at whether x[i] is zero.
template <bool Narrow>
SPIKERUN_INLINE void add_all_rows_as(const int8_t* weight, size_t stride, const int16_t* x, size_t count, int32_t* acc,
                                     size_t n) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const int8_t* const w = weight + i * stride;
        add_rows<4, Narrow>({w, w + stride, w + 2 * stride, w + 3 * stride}, {x[i], x[i + 1], x[i + 2], x[i + 3]}, acc,
                            n);
    }
    for (; i < count; ++i) add_rows<1, Narrow>({weight + i * stride}, {x[i]}, acc, n);
}

SPIKERUN_INLINE void add_all_rows(bool narrow, const int8_t* weight, size_t stride, const int16_t* x, size_t count,
                                  int32_t* acc, size_t n) {
    if (narrow)
        add_all_rows_as<true>(weight, stride, x, count, acc, n);
    else
        add_all_rows_as<false>(weight, stride, x, count, acc, n);
}

// Whether all of x[0..n) may take the narrow path.
SPIKERUN_INLINE bool all_narrow(const int16_t* x, size_t n) {
    uint32_t wide = 0;
    for (size_t i = 0; i < n; ++i)
        wide |= static_cast<uint32_t>(x[i] + narrow_limit > 2 * narrow_limit || x[i] + narrow_limit < 0);
    return wide == 0;
}

// Writes the nonzero inputs x[0..n) to `events` and returns their number; input i has its weights at i * stride.
SPIKERUN_INLINE size_t collect_events(const int16_t* x, size_t n, uint32_t stride, Event* events) {
    size_t count = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        if ((x[i] | x[i + 1] | x[i + 2] | x[i + 3]) == 0) continue;
        for (size_t k = i; k < i + 4; ++k) {
            if (x[k] != 0) events[count++] = {static_cast<uint32_t>(k) * stride, x[k]};
        }
    }
    for (; i < n; ++i) {
        if (x[i] != 0) events[count++] = {static_cast<uint32_t>(i) * stride, x[i]};
    }
    return count;
}

}  // namespace spikerun
