// SPDX-License-Identifier: Apache-2.0
// Words times the significance g of the step. weigh: y = g x. accumulate: total += g x. encode: the events of
// integers. And numbers times a power of two, add_shifted: total += x << bits.
#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

constexpr int64_t word_limit = 1 << 15;  // of the magnitude of a significance

struct Product {
    SPIKERUN_INLINE static void run(const int16_t* SPIKERUN_RESTRICT x, int16_t* SPIKERUN_RESTRICT y,
                                    size_t n, int32_t g) {
        for (size_t j = 0; j < n; ++j) y[j] = static_cast<int16_t>(x[j] * g);
    }
};

// T: of words, or of numbers.
template <class T>
struct Sum {
    SPIKERUN_INLINE static void run(const T* SPIKERUN_RESTRICT x, int32_t* SPIKERUN_RESTRICT total, size_t n,
                                    int32_t g) {
        for (size_t j = 0; j < n; ++j) total[j] = wrapping_multiply_add(total[j], x[j], g);
    }
};

// s = (q & |g|) != 0
struct Bits {
    SPIKERUN_INLINE static void run(const int16_t* SPIKERUN_RESTRICT q, int16_t* SPIKERUN_RESTRICT s,
                                    size_t n, int32_t g) {
        const auto mask = static_cast<int16_t>(g < 0 ? -g : g);
        for (size_t j = 0; j < n; ++j) s[j] = (q[j] & mask) != 0;
    }
};

// s = q == g, for g > 0
struct Timed {
    SPIKERUN_INLINE static void run(const int16_t* SPIKERUN_RESTRICT q, int16_t* SPIKERUN_RESTRICT s,
                                    size_t n, int32_t g) {
        for (size_t j = 0; j < n; ++j) s[j] = q[j] == g && g > 0;
    }
};

template <class Kernel>
void append_words(Program& program, When when, Words x, Words y, std::vector<int32_t> significance) {
    program.append(when, [=, g = std::move(significance)](Workspace& ws, int64_t t) {
        run<Kernel>(x.in(ws), y.in(ws), x.size, g[unsign(t % when.period)]);
    });
}

void weigh(Program& program, When when, int64_t x_id, int64_t y_id, std::vector<int64_t> significance) {
    const Words x = program.words(x_id, "x");
    const Words y = program.words(y_id, "y");
    require_same(x.size, y.size, "y");
    require_apart("y", {x, y});
    append_words<Product>(program, when, x, y, significance_of(significance, when, word_limit));
}

void accumulate(Program& program, When when, int64_t x_id, int64_t total_id,
                std::vector<int64_t> significance, bool unsigned_words) {
    const Words x = program.words(x_id, "x");
    const Numbers total = program.numbers(total_id, "total");
    require_same(x.size, total.size, "total");
    program.append(
        when, [=, g = significance_of(significance, when, (int64_t{1} << 31) - 1)](Workspace& ws, int64_t t) {
            const int32_t factor = g[unsign(t % when.period)];
            if (unsigned_words)
                run<Sum<uint16_t>>(reinterpret_cast<const uint16_t*>(x.in(ws)), total.in(ws), x.size, factor);
            else
                run<Sum<int16_t>>(x.in(ws), total.in(ws), x.size, factor);
        });
}

void add_shifted(Program& program, When when, int64_t x_id, int64_t total_id, int64_t bits) {
    const Numbers x = program.numbers(x_id, "x");
    const Numbers total = program.numbers(total_id, "total");
    require_same(x.size, total.size, "total");
    require_apart("total", {x, total});
    require_range("bits", bits, 0, 30);
    program.append(when, [=, factor = int32_t{1} << bits](Workspace& ws, int64_t) {
        run<Sum<int32_t>>(x.in(ws), total.in(ws), x.size, factor);
    });
}

void encode(Program& program, When when, int64_t q_id, int64_t s_id, std::string code,
            std::vector<int64_t> significance) {
    const Words q = program.words(q_id, "q");
    const Words s = program.words(s_id, "s");
    require_same(q.size, s.size, "s");
    require_apart("s", {q, s});
    const std::vector<int32_t> g = significance_of(significance, when, word_limit);
    if (code == "bits")
        append_words<Bits>(program, when, q, s, g);
    else if (code == "ttfs")
        append_words<Timed>(program, when, q, s, g);
    else if (code == "graded" || code == "current")
        append_words<Product>(program, when, q, s, g);
    else
        require(false, "code", "expected 'bits', 'ttfs', 'graded' or 'current', got '" + code + "'");
}

}  // namespace

void bind_weigh(ProgramClass& cls) {
    operation(cls, "weigh", &weigh, "x"_a, "y"_a, "significance"_a);
    operation(cls, "accumulate", &accumulate, "x"_a, "total"_a, "significance"_a, "unsigned_words"_a = false);
    operation(cls, "add_shifted", &add_shifted, "x"_a, "total"_a, "bits"_a);
    operation(cls, "encode", &encode, "q"_a, "s"_a, "code"_a, "significance"_a);
}

}  // namespace spikerun
