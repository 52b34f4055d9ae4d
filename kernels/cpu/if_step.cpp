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
        Repeated threshold, bias, floor;
        bool to_zero;
        std::optional<Drift> drift;
    };
    SPIKERUN_INLINE LazyIf(const All& all, const int32_t* i, int32_t* v, int16_t* s)
        : all_(all), i_(i), v_(v), s_(s) {}

    void trim(size_t n, size_t end) const {
        std::fill(v_ + n, v_ + end, 0);
        std::fill(s_ + n, s_ + end, int16_t{0});
    }
    SPIKERUN_INLINE void fetch(size_t j) const {
        fetch_to_write(i_ + j);
        fetch_to_write(v_ + j);
    }
    template <size_t W>
    SPIKERUN_INLINE Outcome update(size_t j, size_t phase, uint32_t missed) const {
        typename Lanes<W>::Int restless{}, fired{}, x[Lanes<W>::parts];
        for (size_t k = 0; k < Lanes<W>::parts; ++k) load(x[k], v_ + j + k * W);
        if (all_.drift && missed != 0) pass<W>(x, j, phase, missed);
        for (size_t k = 0; k < Lanes<W>::parts; ++k)
            update_part<W>(j + k * W, phase + k * W, x[k], restless, fired);
        return {any(restless), any(fired),
                all_.drift ? quiet_steps<W>(x, *all_.drift, j, phase) : Lazy::horizon};
    }
    template <size_t W>
    SPIKERUN_INLINE void leak(size_t j, size_t phase, uint32_t missed) const {
        if (!all_.drift) return;
        typename Lanes<W>::Int x[Lanes<W>::parts];
        for (size_t k = 0; k < Lanes<W>::parts; ++k) load(x[k], v_ + j + k * W);
        pass<W>(x, j, phase, missed);
        for (size_t k = 0; k < Lanes<W>::parts; ++k) store(x[k], v_ + j + k * W);
    }

  private:
    template <size_t W>
    SPIKERUN_INLINE void pass(typename Lanes<W>::Int (&x)[Lanes<W>::parts], size_t j, size_t phase,
                              uint32_t steps) const {
        typename Lanes<W>::Int all[Lanes<W>::parts];
        for (auto& part : all) part = ~typename Lanes<W>::Int{};
        drift_on<W>(x, all, *all_.drift, j, phase, steps);
    }
    template <size_t W, class Int>
    SPIKERUN_INLINE void update_part(size_t j, size_t phase, Int& x, Int& restless, Int& fired) const {
        constexpr int32_t most = ShortIfStep::most_current;
        constexpr auto high = static_cast<int32_t>(membrane_limit);
        Int current, threshold, floor, bias;
        load(bias, all_.bias.at(j, phase));
        load(current, i_ + j);
        load(threshold, all_.threshold.at(j, phase));
        load(floor, all_.floor.at(j, phase));
        current = current < -most ? Int{} - most : current;
        x += (current > most ? Int{} + most : current) + bias;
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
    require(biases.largest() <= ShortIfStep::most_bias && biases.least() >= -ShortIfStep::most_bias, "s",
            "is tracked, but such a bias never lets neurons rest");
    const size_t n = i.size, period = period_of(n, {&thresholds, &biases, &floors});
    auto drift = drift_of(
        n, whole(n, {&thresholds, &biases, &floors}) ? n : period, [&](size_t j) { return biases[j]; },
        [&](size_t j) { return floors[j]; }, [&](size_t j) { return thresholds[j] - 1; },
        [](size_t) { return 1 << 16; });
    const bool drifts = drift.has_value();
    const auto all = std::make_shared<const LazyIf::All>(
        LazyIf::All{Repeated(thresholds, n, period), Repeated(biases, n, period), Repeated(floors, n, period),
                    to_zero, std::move(drift)});
    append_lazy<LazyIf>(
        program, when, i, s, period, restless, drifts,
        [=](Workspace& ws) { return LazyIf(*all, i.in(ws), v.in(ws), s.in(ws)); }, [](const LazyIf&) {});
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
        program.require_tiles(v_id, "v");
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
