// SPDX-License-Identifier: Apache-2.0
// Feeding events to a workspace, from Python.
#include <optional>

#include "bind_run.hpp"
#include "feed.hpp"

namespace spikerun {

namespace {

struct PythonFeed {
    std::shared_ptr<Program> program;
    nb::object workspace;  // a PythonWorkspace, kept alive
    PythonWorkspace* place;
    Feed feed;
    Outlets outlets;
    size_t threads;
};

Late late_of(const std::string& late) {
    if (late == "error") return Late::error;
    if (late == "clamp") return Late::clamp;
    require(late == "drop", "late", "expected 'error', 'clamp' or 'drop', got '" + late + "'");
    return Late::drop;
}

PythonFeed* made(const std::shared_ptr<Program>& program, nb::object workspace, int64_t word_id,
                 Dimensions3 hwc, std::optional<int64_t> graded, int64_t step_ns, const std::string& late,
                 const NamedPlaces& watch, const NamedTimes& capture, int64_t threads) {
    auto& place = nb::cast<PythonWorkspace&>(workspace);
    require_own(program, place);
    const Words word = program->words(word_id, "register");
    const auto [height, width, channels] = hwc;
    for (const int64_t side : hwc) require_range("hwc", side, 1, max_size);
    require(unsign(height) * unsign(width) <= word.size &&  // no overflow below
                unsign(height) * unsign(width) * unsign(channels) == word.size,
            "hwc", "is not the size of the register");
    require_range("graded", graded.value_or(1), 1, std::numeric_limits<int16_t>::max());
    require_range("step_ns", step_ns, 1, int64_t{1} << 50);
    require_range("threads", threads, 1, most_threads);
    const Sensor sensor{word,          unsign(channels),   unsign(height),
                        unsign(width), graded.has_value(), static_cast<int16_t>(graded.value_or(1))};
    return new PythonFeed{program,
                          workspace,
                          &place,
                          Feed(sensor, step_ns, late_of(late)),
                          outlets_of(*program, watch, capture),
                          unsign(threads)};
}

const char* name_of(Problem::Kind kind) {
    constexpr const char* names[] = {"none", "outside", "time", "order", "done", "ahead"};
    return names[kind];
}

// What became of events: None where they are held back, (kind, event, step, before) of a problem.
nb::object told(const Problem& problem) {
    if (problem.kind == Problem::none) return nb::none();
    return nb::make_tuple(name_of(problem.kind), problem.event, problem.step, problem.before);
}

StepResult run_to(PythonFeed& self, int64_t until) {
    return stepped(self.outlets, *self.place->state, [&](const std::function<bool()>& interrupted) {
        return self.feed.run(*self.program, *self.place->state, until, self.threads, self.outlets,
                             interrupted);
    });
}

StepResult run_until(PythonFeed& self, int64_t until) {
    require_range("until", until, 0, forever - 1);
    const Exclusive exclusive(*self.place);
    return run_to(self, until);
}

// What follows events that were taken: None where no step is over yet.
nb::object run_behind(PythonFeed& self, const Problem& problem) {
    if (problem.kind != Problem::none || self.feed.newest() <= self.place->state->t) return told(problem);
    return nb::cast(run_to(self, self.feed.newest()));
}

// A buffer of records of 16 bytes, as long as this lives.
class Records {
  public:
    explicit Records(nb::handle object) {
        if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_C_CONTIGUOUS) != 0) throw nb::python_error();
        const bool aligned = reinterpret_cast<uintptr_t>(view_.buf) % alignof(CameraEvent) == 0;
        if (view_.itemsize != sizeof(CameraEvent) || view_.ndim != 1 || !aligned) {
            PyBuffer_Release(&view_);
            throw nb::type_error("events: expected an aligned array of records of 16 bytes");
        }
    }
    ~Records() { PyBuffer_Release(&view_); }
    Records(const Records&) = delete;
    Records& operator=(const Records&) = delete;
    const CameraEvent* begin() const { return static_cast<const CameraEvent*>(view_.buf); }
    size_t size() const { return static_cast<size_t>(view_.len) / sizeof(CameraEvent); }

  private:
    Py_buffer view_{};
};

nb::object push(PythonFeed& self, nb::handle events) {
    const Exclusive exclusive(*self.place);
    const Records records(events);
    return run_behind(self, self.feed.add(records.begin(), records.size(), self.place->state->t));
}

// Events by step and index, as many of each.
struct Steps {
    Array<const int64_t, 1> steps, index;
    Steps(const nb::object& given, const nb::object& where)
        : steps(take<const int64_t, 1>(given, "steps")), index(take<const int64_t, 1>(where, "index")) {
        require_same(steps.size(), index.size(), "index");
    }
    Problem add_to(PythonFeed& self) const {
        return self.feed.add(steps.data(), index.data(), steps.size(), self.place->state->t);
    }
};

nb::object push_steps(PythonFeed& self, nb::object steps, nb::object index) {
    const Exclusive exclusive(*self.place);
    return run_behind(self, Steps(steps, index).add_to(self));
}

nb::object hold(PythonFeed& self, nb::object steps, nb::object index) {
    const Exclusive exclusive(*self.place);
    const Steps given(steps, index);
    self.feed.drop_held();
    self.outlets.missed.reset();
    const Feed::Counts before = self.feed.counts;
    const Problem problem = given.add_to(self);
    self.feed.counts = before;
    return told(problem);
}

NumPy<int64_t> held(PythonFeed& self) {
    const Exclusive exclusive(*self.place);
    std::vector<int64_t> both = self.feed.held();
    const size_t n = both.size() / 2;
    return array_of(std::move(both), {2, n});
}

NumPy<int64_t> durations(PythonFeed& self) {
    std::vector<int64_t> all;
    for (const Tally& one : self.feed.durations.counts) all.push_back(one.get());
    return array_of(std::move(all), {Durations::powers, Durations::parts});
}

std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t> counts(PythonFeed& self) {
    const Feed::Counts& c = self.feed.counts;
    return {c.events.get(), c.late.get(), c.dropped.get(), c.clipped.get(), c.skipped.get()};
}

}  // namespace

void bind_feed(nb::module_& module) {
    nb::class_<PythonFeed>(module, "Feed", "Events on their way into one workspace.")
        .def(nb::new_(&made), "program"_a, "workspace"_a, "register"_a, "hwc"_a, "graded"_a.none(),
             "step_ns"_a, "late"_a, "watch"_a, "capture"_a, "threads"_a)
        .def("push", &push, "events"_a,
             "Hold back records of 16 bytes, and run all steps before the newest event's. Return None where "
             "no step is over, (kind, event, step, before) where an event is refused, and none is taken "
             "then, or "
             "what was sent.")
        .def("push_steps", &push_steps, "steps"_a, "index"_a, "The same by step and index.")
        .def("run", &run_until, "until"_a, "Run until this step is the next one.")
        .def("hold", &hold, "steps"_a, "index"_a, "Hold these back, and nothing else.")
        .def("held", &held, "Return the steps and indices of what is held back.")
        .def_prop_ro("newest",
                     [](const PythonFeed& self) {
                         const Exclusive exclusive(*self.place);
                         return self.feed.newest();
                     })
        .def_prop_ro("counts", &counts, "Events, those that were late, dropped, clipped; steps skipped.")
        .def_prop_ro("durations", &durations, nb::for_getter(nb::rv_policy::move),
                     "How many steps took so many nanoseconds: parts of powers of two.");
}

}  // namespace spikerun
