// SPDX-License-Identifier: Apache-2.0
// collect: answer = max(answer, v), or answer += v >> shift.
#include <algorithm>

#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

struct Larger {
    SPIKERUN_INLINE static void run(const int32_t* SPIKERUN_RESTRICT v, int32_t* SPIKERUN_RESTRICT answer,
                                    size_t n) {
        for (size_t j = 0; j < n; ++j) answer[j] = std::max(answer[j], v[j]);
    }
};

struct AddShiftedDown {
    SPIKERUN_INLINE static void run(const int32_t* SPIKERUN_RESTRICT v, int32_t* SPIKERUN_RESTRICT answer,
                                    size_t n, int32_t shift) {
        for (size_t j = 0; j < n; ++j) answer[j] = wrapping_add(answer[j], v[j] >> shift);
    }
};

void collect(Program& program, When when, int64_t v_id, int64_t answer_id, std::string mode, int64_t shift) {
    const Numbers v = program.numbers(v_id, "v");
    const Numbers answer = program.numbers(answer_id, "answer");
    require_same(v.size, answer.size, "answer");
    require_apart("answer", {v, answer});
    require_range("shift", shift, 0, 31);
    require(mode == "max" || mode == "mean", "mode", "expected 'max' or 'mean', got '" + mode + "'");
    program.append(when, [=, largest = mode == "max"](Workspace& ws, int64_t) {
        if (largest)
            run<Larger>(v.in(ws), answer.in(ws), v.size);
        else
            run<AddShiftedDown>(v.in(ws), answer.in(ws), v.size, static_cast<int32_t>(shift));
    });
}

}  // namespace

void bind_collect(ProgramClass& cls) {
    operation(cls, "collect", &collect, "v"_a, "answer"_a, "mode"_a, "shift"_a);
}

}  // namespace spikerun
