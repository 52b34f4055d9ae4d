// SPDX-License-Identifier: Apache-2.0
// What tests ask of threads and of their pace, which no result shows.
#include <atomic>
#include <chrono>
#include <thread>

#include "bindings.hpp"
#include "crew.hpp"
#include "pace.hpp"

namespace spikerun {

namespace {

// Whether `threads` of them are at work at the same time, before the time is over.
bool threads_meet(int64_t threads, double seconds) {
    require_range("threads", threads, 1, Crew::most_parts);
    const nb::gil_scoped_release release;
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    std::atomic<int64_t> here{0};
    std::atomic<bool> met{false};
    Crew crew(unsign(threads));
    crew.share(unsign(threads), [&](size_t, size_t) {
        if (++here == threads) met = true;
        while (!met && std::chrono::steady_clock::now() < end) std::this_thread::yield();
        --here;
    });
    return met;
}

const char* name_of(Way way) {
    return way == Way::timed ? "timed" : way == Way::alone ? "alone" : "shared";
}

}  // namespace

void bind_threads(nb::module_& module) {
    module.def("threads_meet", &threads_meet, "threads"_a, "seconds"_a,
               "Return whether so many threads were at work at the same time, before the time was over.");
    nb::class_<Pace>(module, "Pace", "Whether runs take less time with other threads or alone.")
        .def(nb::init<>())
        .def(
            "next", [](Pace& pace) { return name_of(pace.next()); }, "How the next run goes.")
        .def(
            "took",
            [](Pace& pace, const std::string& way, double nanoseconds, bool helped) {
                pace.took(way == "shared" ? Way::shared : Way::alone, nanoseconds, helped);
            },
            "way"_a, "nanoseconds"_a, "helped"_a = true);
}

}  // namespace spikerun
