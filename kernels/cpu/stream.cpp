// SPDX-License-Identifier: Apache-2.0
#include "stream.hpp"

#include <algorithm>

#include "paced.hpp"

namespace spikerun {

namespace {

void load(const RowsInput& input, size_t pass, Workspace& ws) noexcept {
    const size_t n = input.target.size;
    if (pass < input.passes)
        std::copy_n(input.values + pass * n, n, input.target.in(ws));
    else
        std::fill_n(input.target.in(ws), n, int16_t{0});
}

void load(const EventsInput& input, size_t pass, Workspace& ws) noexcept {
    int16_t* const target = input.target.in(ws);
    std::fill_n(target, input.target.size, int16_t{0});
    if (pass >= input.passes) return;
    for (int64_t e = input.offsets[pass]; e < input.offsets[pass + 1]; ++e) target[input.indices[e]] = 1;
}

void look(Watch& watch, int64_t t, Workspace& ws) {
    const int16_t* const content = watch.source.in(ws);
    const size_t n = watch.source.size;
    if (std::all_of(content, content + n, [](int16_t x) { return x == 0; })) return;
    for (size_t j = 0; j < n; ++j) {
        const int16_t value = content[watch.order[j]];
        if (value == 0) continue;
        watch.steps.push_back(t);
        watch.index.push_back(static_cast<int64_t>(j));
        watch.value.push_back(value);
    }
}

void take(Capture& capture, int64_t t, Workspace& ws) {
    if (t < capture.begin || t % capture.period != capture.first) return;
    const int32_t* const content = capture.source.in(ws);
    capture.steps.push_back(t);
    capture.content.insert(capture.content.end(), content, content + capture.source.size);
}

}  // namespace

bool run_passes(Program& program, Workspace& ws, int64_t n, size_t threads, Passage& passage,
                const std::function<bool()>& interrupted) {
    Paced paced(program, ws, threads);
    for (int64_t pass = 0; pass < n; ++pass) {
        for (const RowsInput& input : passage.rows) load(input, unsign(pass), ws);
        for (const EventsInput& input : passage.events) load(input, unsign(pass), ws);
        const int64_t t = ws.t;
        paced.step();
        for (Watch& watch : passage.watched) look(watch, t, ws);
        for (Capture& capture : passage.captured) take(capture, t, ws);
        if (pass + 1 < n && interrupted()) return false;
    }
    return true;
}

}  // namespace spikerun
