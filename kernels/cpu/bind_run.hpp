// SPDX-License-Identifier: Apache-2.0
// What bindings that run a workspace share.
#pragma once

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>

#include <functional>
#include <tuple>

#include "bindings.hpp"
#include "stream.hpp"

namespace spikerun {

// A workspace as Python sees it; it keeps its program alive.
struct PythonWorkspace {
    std::shared_ptr<Program> program;
    std::unique_ptr<Workspace> state;
};

// Refuses a second thread in the same workspace.
class Exclusive {
  public:
    explicit Exclusive(const PythonWorkspace& workspace) : busy_(workspace.state->busy) {
        if (busy_.exchange(true)) throw std::runtime_error("this workspace is in use by another thread");
    }
    ~Exclusive() { busy_ = false; }
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

  private:
    std::atomic<bool>& busy_;
};

inline void require_own(const std::shared_ptr<Program>& program, const PythonWorkspace& workspace) {
    require(workspace.program == program, "workspace", "belongs to another program");
}

using NamedPlaces = std::vector<std::pair<int64_t, int64_t>>;  // registers and their channels
using NamedTimes = std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>>;

inline Outlets outlets_of(const Program& program, const NamedPlaces& watch, const NamedTimes& capture) {
    Outlets outlets;
    for (const auto& [id, channels] : watch) {
        const Words source = program.words(id, "watch");
        require(channels >= 1 && source.size % unsign(channels) == 0, "watch",
                "the channels must divide the register");
        outlets.watched.emplace_back(source, unsign(channels));
    }
    for (const auto& [id, period, begin, first] : capture) {
        const Numbers source = program.numbers(id, "capture");
        require_range("capture", period, 1, forever);
        require_range("capture", begin, 0, forever);
        require_range("capture", first, 0, period - 1);
        outlets.captured.push_back({source, period, begin, first, {}, {}});
    }
    return outlets;
}

template <class T>
using NumPy = nb::ndarray<nb::numpy, T>;
using Captured = std::tuple<NumPy<int64_t>, NumPy<int32_t>>;
// The spikes of each watched register as bytes, what was captured, and what interrupted the passes, or None.
using StepResult = std::tuple<std::vector<NumPy<uint8_t>>, std::vector<Captured>, nb::object>;

inline NumPy<uint8_t> bytes_of_spikes(std::vector<Spike> spikes) {
    auto kept = std::make_unique<std::vector<Spike>>(std::move(spikes));
    auto* const data = reinterpret_cast<uint8_t*>(kept->data());
    const size_t n = kept->size() * sizeof(Spike);
    nb::capsule owner(kept.get(), [](void* p) noexcept { delete static_cast<std::vector<Spike>*>(p); });
    kept.release();
    return {data, {n}, owner};
}

// What the outlets hold, which then begin anew.
inline StepResult results_of(Outlets& outlets, nb::object error) {
    StepResult result{{}, {}, std::move(error)};
    for (Watch& watch : outlets.watched)
        std::get<0>(result).push_back(bytes_of_spikes(std::exchange(watch.spikes, {})));
    for (Capture& capture : outlets.captured) {
        const size_t n = capture.steps.size();
        std::get<1>(result).emplace_back(
            array_of(std::exchange(capture.steps, {}), {n}),
            array_of(std::exchange(capture.content, {}), {n, capture.source.size}));
    }
    return result;
}

// Runs passes without the GIL; run(interrupted) returns whether all were done.
template <class Run>
StepResult stepped(Outlets& outlets, const Workspace& ws, Run run) {
    bool finished = false, full = false;
    {
        const nb::gil_scoped_release release;
        try {
            finished = run(Interruption());
        } catch (const std::bad_alloc&) {
            outlets.cut(ws.t);
            full = true;
        }
    }
    if (full)
        PyErr_SetString(PyExc_MemoryError,
                        "no memory is left for what the outputs send: run fewer steps at once");
    // A signal that came during the last pass is raised here and not on the way back, where results would be
    // lost.
    if (finished) finished = PyErr_CheckSignals() == 0;
    nb::object error = nb::none();
    if (!finished) error = nb::borrow(nb::python_error().value());
    return results_of(outlets, std::move(error));
}

}  // namespace spikerun
