// SPDX-License-Identifier: Apache-2.0
// if_step: v = clip(v + i + bias, max(v_min, -(2^23 - 1)), 2^23 - 1); s = (v >= threshold); then the reset.
#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"
#include "lazy.hpp"

namespace spikerun {

namespace {

// In 32 bits, where biases are small: v is within the membrane's limits, so that a current beyond 2^28 takes
// it to one, as 2^28 does. floor: at least -membrane_limit.
struct ShortIfStep {
    static constexpr int32_t most_bias = 1 << 24, most_current = 1 << 28;
    SPIKERUN_INLINE static void run(const int32_t* SPIKERUN_RESTRICT i, int32_t* SPIKERUN_RESTRICT v,
                                    int16_t* SPIKERUN_RESTRICT s, const int32_t* SPIKERUN_RESTRICT threshold,
                                    const int32_t* SPIKERUN_RESTRICT bias,
                                    const int32_t* SPIKERUN_RESTRICT floor, size_t n, bool to_zero) {
        constexpr auto high = static_cast<int32_t>(membrane_limit);
        const int32_t kept = to_zero ? 0 : -1;  // of the bits of what is left behind a spike
        for (size_t j = 0; j < n; ++j) {
            const int32_t current = std::min(std::max(i[j], -most_current), most_current);
            const int32_t x = std::min(std::max(v[j] + current + bias[j], floor[j]), high);
            const int32_t spike = -static_cast<int32_t>(x >= threshold[j]);
            v[j] = (x - (threshold[j] & spike)) & (kept | ~spike);
            s[j] = static_cast<int16_t>(-spike);
        }
    }
};

struct IfStep {
    SPIKERUN_INLINE static void run(const int32_t* SPIKERUN_RESTRICT i, int32_t* SPIKERUN_RESTRICT v,
                                    int16_t* SPIKERUN_RESTRICT s, const int32_t* SPIKERUN_RESTRICT threshold,
                                    const int32_t* SPIKERUN_RESTRICT bias,
                                    const int32_t* SPIKERUN_RESTRICT floor, size_t n, bool to_zero) {
        for (size_t j = 0; j < n; ++j) {
            const int64_t sum = int64_t{v[j]} + i[j] + bias[j];
            const auto x = static_cast<int32_t>(std::min(std::max<int64_t>(sum, floor[j]), membrane_limit));
            const bool spike = x >= threshold[j];
            const int32_t after = to_zero ? 0 : x - (spike ? threshold[j] : 0);
            v[j] = spike ? after : x;
            s[j] = spike;
        }
    }
};

// Where currents arrive; see LazyStep. Without a current and a bias nothing changes.
class LazyIf {
  public:
    struct All {
        Repeated threshold, floor;
        bool to_zero;
    };
    SPIKERUN_INLINE LazyIf(const All& all, const int32_t* i, int32_t* v, int16_t* s)
        : all_(all), i_(i), v_(v), s_(s) {}

    SPIKERUN_INLINE void fetch(size_t j) const {
        fetch_to_write(i_ + j);
        fetch_to_write(v_ + j);
    }
    template <size_t W>
    SPIKERUN_INLINE Outcome update(size_t j, size_t phase, uint32_t) const {
        typename Lanes<W>::Int restless{}, fired{};
        for (size_t k = 0; k < Marks::tile; k += W) update_part<W>(j + k, phase + k, restless, fired);
        return {any(restless), any(fired)};
    }
    template <size_t W>
    SPIKERUN_INLINE void leak(size_t, size_t, uint32_t) const {}

  private:
    template <size_t W, class Int>
    SPIKERUN_INLINE void update_part(size_t j, size_t phase, Int& restless, Int& fired) const {
        constexpr int32_t most = ShortIfStep::most_current;
        constexpr auto high = static_cast<int32_t>(membrane_limit);
        Int x, current, threshold, floor;
        load(x, v_ + j);
        load(current, i_ + j);
        load(threshold, all_.threshold.at(j, phase));
        load(floor, all_.floor.at(j, phase));
        current = current < -most ? Int{} - most : current;
        x += current > most ? Int{} + most : current;
        x = x < floor ? floor : x;
        x = x > high ? Int{} + high : x;
        const Int spike = x >= threshold;
        x -= threshold & spike;
        if (all_.to_zero) x &= ~spike;
        restless |= x >= threshold;
        fired |= spike;
        store(x, v_ + j);
        store(__builtin_convertvector(spike & 1, typename Lanes<W>::Short), s_ + j);
    }

    const All& all_;
    const int32_t* i_;
    int32_t* v_;
    int16_t* s_;
};

void append_lazy_if(Program& program, When when, Numbers i, Numbers v, Words s, const Values& thresholds,
                    const Values& biases, const Values& floors, bool to_zero, bool restless) {
    require(biases.least() == 0 && biases.largest() == 0, "s",
            "is tracked, but these neurons are never at rest");
    const size_t n = i.size, period = period_of(n, {&thresholds, &floors});
    const auto all = std::make_shared<const LazyIf::All>(
        LazyIf::All{Repeated(thresholds, n, period), Repeated(floors, n, period), to_zero});
    append_lazy<LazyIf>(
        program, when, i, s, period, restless,
        [=](Workspace& ws) { return LazyIf(*all, i.in(ws), v.in(ws), s.in(ws)); },
        [](const LazyIf&, const Marks&) {});
}

void if_step(Program& program, When when, int64_t i_id, int64_t v_id, int64_t s_id, nb::object threshold,
             nb::object bias, nb::object v_min, std::string reset, bool restless) {
    const Numbers i = program.numbers(i_id, "i");
    const Numbers v = program.numbers(v_id, "v");
    const Words s = program.words(s_id, "s");
    require_same(i.size, v.size, "v");
    require_same(i.size, s.size, "s");
    require_apart("v", {i, v});
    require(reset == "zero" || reset == "subtract", "reset",
            "expected 'zero' or 'subtract', got '" + reset + "'");
    Values thresholds = values_of(threshold, "threshold", i.size);
    Values biases = values_of(bias, "bias", i.size);
    Values floors = values_of(v_min, "v_min", i.size);
    thresholds.require_within(1, std::numeric_limits<int32_t>::max());
    const bool is_short =
        biases.largest() <= ShortIfStep::most_bias && biases.least() >= -ShortIfStep::most_bias;
    floors.raise_to(-static_cast<int32_t>(membrane_limit));
    const bool to_zero = reset == "zero";
    if (s.tracked()) {
        append_lazy_if(program, when, i, v, s, thresholds, biases, floors, to_zero, restless);
        return;
    }
    const size_t tile = tiled(i.size, {&thresholds, &biases, &floors});
    program.append_tiles(when, i.size, tile, [=](Workspace& ws, int64_t, size_t j, size_t n) {
        const auto update = [&](auto kernel) {
            run<decltype(kernel)>(i.in(ws) + j, v.in(ws) + j, s.in(ws) + j, thresholds.at(j), biases.at(j),
                                  floors.at(j), n, to_zero);
        };
        if (is_short)
            update(ShortIfStep{});
        else
            update(IfStep{});
    });
}

}  // namespace

void bind_if_step(ProgramClass& cls) {
    operation(cls, "if_step", &if_step, "i"_a, "v"_a, "s"_a, "threshold"_a, "bias"_a, "v_min"_a, "reset"_a,
              "restless"_a = false);
}

}  // namespace spikerun
