// SPDX-License-Identifier: Apache-2.0
// decide: steps = t + 1; the run ends after this pass if where the largest of v is can change no more.
#include <algorithm>
#include <limits>

#include "bindings.hpp"

namespace spikerun {

namespace {

enum class Rule { gain, reach, lead };

// Bounds of one pass: a row for each of n elements, in columns for each that may be the largest, or one for
// any.
struct Bounds {
    const int32_t* rows;
    size_t columns;
    Rule rule;

    // What k needs to be behind the largest, or below it.
    int32_t operator()(size_t k, size_t best) const noexcept {
        return rows[k * columns + (columns == 1 ? 0 : best)];
    }
};

constexpr int32_t never = std::numeric_limits<int32_t>::max();

// Whether nobody can overtake the largest, the first of equals, any more; those before it need only draw
// level.
template <class Value>
bool is_decided(Value v, size_t n, const Bounds& bounds, bool exact) noexcept {
    using T = decltype(v(size_t{0}));
    size_t best = 0;
    for (size_t k = 1; k < n; ++k)
        if (v(k) > v(best)) best = k;
    for (size_t k = 0; k < n; ++k) {
        if (k == best) continue;
        const int32_t bound = bounds(k, best);
        const T ahead = v(best) - (bounds.rule == Rule::reach ? T{0} : v(k));
        const T more = exact && bounds.rule != Rule::lead && k < best ? T{1} : T{0};
        if (bound == never || ahead < static_cast<T>(bound) + more) return false;
    }
    return true;
}

void decide(Program& program, When when, int64_t v_id, int64_t steps_id, nb::object bounds, std::string rule,
            std::vector<double> scale) {
    const Numbers v = program.numbers(v_id, "v");
    const Numbers steps = program.numbers(steps_id, "steps");
    require_same(size_t{1}, steps.size, "steps");
    require_apart("steps", {v, steps});
    const auto array = take<const int32_t, 2>(bounds, "bounds");
    const size_t columns = array.shape(1);
    when.check();
    require(when.end - when.begin <= max_size && array.shape(0) == unsign(when.end - when.begin) * v.size,
            "bounds", "expected a row for each element of v, for each pass from begin to end");
    require(columns == 1 || columns == v.size, "bounds", "expected one column, or one for each element of v");
    require(rule == "gain" || rule == "reach" || rule == "lead", "rule",
            "expected 'gain', 'reach' or 'lead', got '" + rule + "'");
    const Rule by = rule == "gain" ? Rule::gain : rule == "reach" ? Rule::reach : Rule::lead;
    std::vector<int32_t> rows = copied<int32_t, 2>(bounds, "bounds");
    require(std::all_of(rows.begin(), rows.end(), [](int32_t gain) { return gain >= 0; }), "bounds",
            "expected numbers from 0 on");
    require(scale.empty() || scale.size() == v.size, "scale", "expected one for each element of v, or none");
    program.append(when, [=, rows = std::move(rows), scale = std::move(scale)](Workspace& ws, int64_t t) {
        *steps.in(ws) = static_cast<int32_t>(t + 1);
        const Bounds now{rows.data() + unsign(t - when.begin) * v.size * columns, columns, by};
        const int32_t* const value = v.in(ws);
        ws.decided = scale.empty()
                         ? is_decided([&](size_t k) { return int64_t{value[k]}; }, v.size, now, true)
                         : is_decided([&](size_t k) { return static_cast<double>(value[k]) * scale[k]; },
                                      v.size, now, false);
    });
}

}  // namespace

void bind_decide(ProgramClass& cls) {
    operation(cls, "decide", &decide, "v"_a, "steps"_a, "bounds"_a, "rule"_a,
              "scale"_a = std::vector<double>{});
}

}  // namespace spikerun
