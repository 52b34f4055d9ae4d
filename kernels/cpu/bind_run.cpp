// SPDX-License-Identifier: Apache-2.0
// Running a program: workspaces, passes and batches.
#include "bind_run.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

#include "batch.hpp"

namespace spikerun {

namespace {

void require_size(const char* argument, size_t expected, size_t got) {
    require(expected == got, argument,
            "the register has " + std::to_string(expected) + " elements, the array " + std::to_string(got));
}

using NamedArrays = std::vector<std::pair<int64_t, nb::object>>;
void add_rows(const Program& program, const NamedArrays& given, std::vector<RowsInput>& to) {
    for (const auto& [id, object] : given) {
        const Words target = program.words(id, "rows");
        const auto array = take<const int16_t, 2>(object, "rows");
        require_size("rows", target.size, array.shape(1));
        to.push_back({target, array.shape(0), array.data()});
    }
}

StepResult step(const std::shared_ptr<Program>& program, PythonWorkspace& workspace, int64_t n,
                const NamedArrays& rows, const NamedPlaces& watch, const NamedTimes& capture,
                int64_t threads) {
    require_own(program, workspace);
    const Exclusive exclusive(workspace);
    require(n >= 0 && n <= forever - workspace.state->t, "n", "out of range");
    require_range("threads", threads, 1, most_threads);
    std::vector<RowsInput> inputs;  // the caller keeps the arrays
    add_rows(*program, rows, inputs);
    Outlets outlets = outlets_of(*program, watch, capture);
    return stepped(outlets, *workspace.state, [&](const std::function<bool()>& interrupted) {
        return run_passes(*program, *workspace.state, n, unsign(threads), inputs, outlets, interrupted);
    });
}

template <class T>
NumPy<T> uninitialised(size_t rows, size_t columns, T** data) {
    require(rows == 0 || columns <= std::numeric_limits<size_t>::max() / sizeof(T) / rows, "outputs",
            "too large");
    *data = new T[rows * columns];
    nb::capsule owner(*data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return {*data, {rows, columns}, owner};
}

// Keeps the arrays of the caller alive while the batch reads them.
struct BatchArrays {
    std::vector<nb::object> kept;
    std::optional<size_t> samples;

    void keep(const nb::object& array, size_t count, const char* argument) {
        require(!samples || *samples == count, argument, "different numbers of samples");
        samples = count;
        kept.push_back(array);
    }
};

template <class T>
bool add_input(Words target, const nb::object& object, BatchArrays& arrays, Batch& batch) {
    Array<const T, 2> array;
    if (!nb::try_cast(object, array, false)) return false;
    require_size("inputs", target.size, array.shape(1));
    arrays.keep(object, array.shape(0), "inputs");
    batch.inputs.push_back({target, array.data()});
    return true;
}

void add_inputs(const Program& program, const NamedArrays& given, BatchArrays& arrays, Batch& batch) {
    for (const auto& [id, object] : given) {
        const Words target = program.words(id, "inputs");
        if (!add_input<uint8_t>(target, object, arrays, batch) &&
            !add_input<int8_t>(target, object, arrays, batch) &&
            !add_input<int16_t>(target, object, arrays, batch))
            throw nb::type_error(
                "inputs: expected a C-contiguous uint8, int8 or int16 array with 2 dimensions");
    }
}

void add_step_inputs(const Program& program, const NamedArrays& given, BatchArrays& arrays, Batch& batch) {
    for (const auto& [id, object] : given) {
        const Words target = program.words(id, "step_inputs");
        const auto array = take<const int16_t, 3>(object, "step_inputs");
        require(array.shape(1) <= batch.steps, "step_inputs", "more rows than steps");
        require_size("step_inputs", target.size, array.shape(2));
        arrays.keep(object, array.shape(0), "step_inputs");
        batch.step_inputs.push_back({target, array.shape(1), array.data()});
    }
}

nb::list add_outputs(const Program& program, const std::vector<int64_t>& outputs, Batch& batch) {
    nb::list result;
    for (const int64_t id : outputs) {
        if (program.is_words(id, "outputs")) {
            batch.words.push_back({program.words(id, "outputs"), nullptr});
            auto& added = batch.words.back();
            result.append(uninitialised(batch.samples, added.source.size, &added.values));
        } else {
            batch.numbers.push_back({program.numbers(id, "outputs"), nullptr});
            auto& added = batch.numbers.back();
            result.append(uninitialised(batch.samples, added.source.size, &added.values));
        }
    }
    return result;
}

using AnyArrays = nb::typed<nb::list, nb::ndarray<nb::numpy>>;

std::tuple<AnyArrays, NumPy<int64_t>> run_batch_of(Program& program, const NamedArrays& inputs,
                                                   const std::vector<int64_t>& outputs, int64_t threads,
                                                   int64_t steps, const NamedArrays& step_inputs) {
    require_range("threads", threads, 1, most_threads);
    require_range("steps", steps, 0, forever);
    require(!program.tracks(), "program", "tracks registers, which batches do not");
    Batch batch{};
    batch.threads = unsign(threads);
    batch.steps = unsign(steps);
    BatchArrays arrays;
    add_inputs(program, inputs, arrays, batch);
    add_step_inputs(program, step_inputs, arrays, batch);
    require(arrays.samples.has_value(), "inputs",
            "neither inputs nor step_inputs: the number of samples is unknown");
    batch.samples = *arrays.samples;
    AnyArrays result = nb::borrow<AnyArrays>(add_outputs(program, outputs, batch));
    batch.counters.resize(2 * program.n_slots());
    bool finished = false;
    {
        const nb::gil_scoped_release release;
        finished = run_batch(program, batch, Interruption());
    }
    if (!finished) throw nb::python_error();
    return {std::move(result), array_of(std::move(batch.counters), {program.n_slots(), 2})};
}

std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>> passed(Program& program) {
    std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>> result;
    for (const Passed& one : program.passed())
        result.emplace_back(one.runs, one.event, one.looked, one.active);
    return result;
}

std::vector<int64_t> timed_step(const std::shared_ptr<Program>& program, PythonWorkspace& workspace) {
    require_own(program, workspace);
    const Exclusive exclusive(workspace);
    require(workspace.state->t < forever, "workspace", "no pass is left");
    std::vector<Timed> times(program->n_operations());
    program->timed_step(*workspace.state, times);
    std::vector<int64_t> nanoseconds;
    for (const Timed& time : times) nanoseconds.push_back(time.nanoseconds);
    return nanoseconds;
}

void step_in_parts(const std::shared_ptr<Program>& program, PythonWorkspace& workspace, int64_t parts) {
    require_own(program, workspace);
    const Exclusive exclusive(workspace);
    require(workspace.state->t < forever, "workspace", "no pass is left");
    require_range("parts", parts, 1, forever);
    program->step_in_parts(*workspace.state, unsign(parts));
}

nb::object read(const std::shared_ptr<Program>& program, PythonWorkspace& workspace, int64_t id) {
    require_own(program, workspace);
    const Exclusive exclusive(workspace);
    program->settle(*workspace.state);
    const auto copy = [&](auto r) {
        const auto* const content = r.in(*workspace.state);
        return nb::cast(array_of(std::vector(content, content + r.size), {r.size}));
    };
    return program->is_words(id, "register") ? copy(program->words(id, "register"))
                                             : copy(program->numbers(id, "register"));
}

template <class T>
void overwrite(PythonWorkspace& workspace, Register<T> r, nb::object array) {
    const auto content = take<const T, 1>(array, "array");
    require_size("array", r.size, content.size());
    std::copy_n(content.data(), r.size, r.in(*workspace.state));
}

void write(const std::shared_ptr<Program>& program, PythonWorkspace& workspace, int64_t id,
           nb::object array) {
    require_own(program, workspace);
    const Exclusive exclusive(workspace);
    program->settle(*workspace.state);
    if (program->is_words(id, "register"))
        overwrite(workspace, program->words(id, "register"), array);
    else
        overwrite(workspace, program->numbers(id, "register"), array);
    program->wake(*workspace.state);
}

// The values as T, one for each element.
template <class T>
std::vector<T> expanded(const Values& values, size_t n) {
    std::vector<T> result(n);
    for (size_t j = 0; j < n; ++j) result[j] = static_cast<T>(values[j]);
    return result;
}

void initial(Program& program, int64_t id, nb::object values) {
    if (program.is_words(id, "register")) {
        const Words r = program.words(id, "register");
        const Values given = values_of(values, "values", r.size);
        given.require_within(std::numeric_limits<int16_t>::min(), std::numeric_limits<int16_t>::max());
        program.initial(r, expanded<int16_t>(given, r.size));
    } else {
        const Numbers r = program.numbers(id, "register");
        program.initial(r, expanded<int32_t>(values_of(values, "values", r.size), r.size));
    }
}

void set_time(PythonWorkspace& workspace, int64_t t) {
    require_range("t", t, 0, forever - 1);
    const Exclusive exclusive(workspace);
    workspace.program->settle(*workspace.state);
    workspace.state->t = t;
    workspace.program->wake(*workspace.state);
}

NumPy<int64_t> counters(PythonWorkspace& workspace) {
    const Exclusive exclusive(workspace);
    const std::vector<int64_t> all(workspace.state->counters.begin(), workspace.state->counters.end());
    return array_of(all, {all.size() / 2, 2});
}

void set_counters(PythonWorkspace& workspace, nb::object values) {
    const std::vector<int64_t> given = copied<int64_t, 2>(values, "counters");
    const Exclusive exclusive(workspace);
    require_same(workspace.state->counters.size(), given.size(), "counters");
    std::copy(given.begin(), given.end(), workspace.state->counters.begin());
}

void reset(PythonWorkspace& workspace) {
    const Exclusive exclusive(workspace);
    workspace.program->reset(*workspace.state);
}

}  // namespace

void bind_run(nb::module_& module, ProgramClass& cls) {
    nb::class_<PythonWorkspace>(module, "Workspace", "The registers, counters and time of one sample.")
        .def_prop_rw(
            "t", [](const PythonWorkspace& workspace) { return workspace.state->t; }, &set_time,
            "The next pass.")
        .def_prop_rw("counters", &counters, &set_counters, nb::for_getter(nb::rv_policy::move),
                     "A copy of them: int64 (slots, 2).")
        .def("reset", &reset, "Back to t = 0, zeros and initial values.");
    cls.def(nb::init<const std::vector<std::tuple<std::string, int64_t, int64_t>>&>(), "registers"_a);
    cls.def("initial", &initial, "register"_a, "values"_a);
    cls.def("anew", &Program::anew, "registers"_a,
            "What these hold before a run never matters; runs need not clear them.");
    cls.def("track", &Program::track, "registers"_a,
            "Steps note where these are not zero, and touch them nowhere else.");
    cls.def("workspace",
            [](const std::shared_ptr<Program>& self) { return PythonWorkspace{self, self->workspace()}; });
    cls.def(
        "read", &read, "workspace"_a, "register"_a, "Return a copy of what a register holds.",
        nb::sig("def read(self, workspace: Workspace, register: int) -> numpy.typing.NDArray[typing.Any]"));
    cls.def("write", &write, "workspace"_a, "register"_a, "array"_a);
    cls.def("step", &step, "workspace"_a, "n"_a = 1, "rows"_a = NamedArrays{}, "watch"_a = NamedPlaces{},
            "capture"_a = NamedTimes{}, "threads"_a = 1);
    cls.def("timed_step", &timed_step, "workspace"_a,
            "Execute a pass; return the nanoseconds that each operation took.");
    cls.def("step_in_parts", &step_in_parts, "workspace"_a, "parts"_a,
            "Execute a pass as threads that share it do, part by part; the bits are the same.");
    cls.def("passed", &passed,
            "Return, for each map, its runs, how many of them were by event, in how many active inputs were "
            "counted, and how many these were; of finished runs.");
    cls.def("run_batch", &run_batch_of, "inputs"_a, "outputs"_a, "threads"_a = 1, "steps"_a = 1,
            "step_inputs"_a = NamedArrays{});
}

}  // namespace spikerun
