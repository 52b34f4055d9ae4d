// SPDX-License-Identifier: Apache-2.0
// decide: steps = t + 1; the run ends after this pass if where the largest of v is can change no more.
#include <algorithm>
#include <limits>

#include "bindings.hpp"

namespace spikerun {

namespace {

enum class Rule { gain, reach, lead };

// Whether nobody can overtake the largest, the first of equals, any more; bounds: a row for each of the n, in
// columns for each that may be the largest, or one for any.
bool is_decided(const int32_t* v, size_t n, const int32_t* bounds, size_t columns, Rule rule) noexcept {
    constexpr int32_t unknown = std::numeric_limits<int32_t>::max();
    const auto best = static_cast<size_t>(std::max_element(v, v + n) - v);
    for (size_t k = 0; k < n; ++k) {
        if (k == best) continue;
        const int32_t bound = bounds[k * columns + (columns == 1 ? 0 : best)];
        const int64_t ahead = int64_t{v[best]} - (rule == Rule::reach ? 0 : v[k]);
        // those before it need only draw level
        const int64_t needed = int64_t{bound} + (rule != Rule::lead && k < best);
        if (bound == unknown || ahead < needed) return false;
    }
    return true;
}

void decide(Program& program, When when, int64_t v_id, int64_t steps_id, nb::object bounds,
            std::string rule) {
    const Numbers v = program.numbers(v_id, "v");
    const Numbers steps = program.numbers(steps_id, "steps");
    require_same(size_t{1}, steps.size, "steps");
    require_apart("steps", {v, steps});
    const auto array = take<const int32_t, 2>(bounds, "bounds");
    const size_t columns = array.shape(1);
    require(when.end < forever && array.shape(0) == unsign(when.end - when.begin) * v.size, "bounds",
            "expected a row for each element of v, for each pass from begin to end");
    require(columns == 1 || columns == v.size, "bounds", "expected one column, or one for each element of v");
    require(rule == "gain" || rule == "reach" || rule == "lead", "rule",
            "expected 'gain', 'reach' or 'lead', got '" + rule + "'");
    const Rule by = rule == "gain" ? Rule::gain : rule == "reach" ? Rule::reach : Rule::lead;
    std::vector<int32_t> rows = copied<int32_t, 2>(bounds, "bounds");
    require(std::all_of(rows.begin(), rows.end(), [](int32_t gain) { return gain >= 0; }), "bounds",
            "expected numbers from 0 on");
    program.append(when, [=, rows = std::move(rows)](Workspace& ws, int64_t t) {
        *steps.in(ws) = static_cast<int32_t>(t + 1);
        ws.decided = is_decided(v.in(ws), v.size, rows.data() + unsign(t - when.begin) * v.size * columns,
                                columns, by);
    });
}

}  // namespace

void bind_decide(ProgramClass& cls) {
    operation(cls, "decide", &decide, "v"_a, "steps"_a, "bounds"_a, "rule"_a);
}

}  // namespace spikerun
