// Running a program: workspaces, steps and batches.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "batch.hpp"
#include "bindings.hpp"

using namespace nanobind::literals;

namespace spikerun {

namespace {

using NamedArrays = std::vector<std::pair<int64_t, nb::object>>;

// Asks Python, at most every 50 ms, whether a signal (Ctrl-C) wants the run to stop. Called without the GIL.
class Interruption {
  public:
    bool operator()() {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ < std::chrono::milliseconds(50)) return false;
        last_ = now;
        const nb::gil_scoped_acquire acquire;
        return PyErr_CheckSignals() != 0;
    }

  private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// A workspace as Python sees it; it keeps its program alive.
struct PythonWorkspace {
    std::shared_ptr<Program> program;
    std::unique_ptr<Workspace> state;
};

// Refuses a second thread in the same workspace.
class Exclusive {
  public:
    explicit Exclusive(Workspace& workspace) : busy_(workspace.busy) {
        if (busy_.exchange(true)) throw std::runtime_error("this workspace is in use by another thread");
    }
    ~Exclusive() { busy_ = false; }
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

  private:
    std::atomic<bool>& busy_;
};

void step(const std::shared_ptr<Program>& program, PythonWorkspace& workspace, int64_t n) {
    require(workspace.program == program, "workspace", "belongs to another program");
    require(n >= 0 && n <= forever - workspace.state->t, "n", "out of range");
    const Exclusive exclusive(*workspace.state);
    Interruption interrupted;
    bool stopped = false;
    {
        const nb::gil_scoped_release release;
        for (int64_t i = 0; i < n && !stopped; ++i) {
            program->step(*workspace.state);
            stopped = n > 1 && interrupted();
        }
    }
    if (stopped) throw nb::python_error();
}

template <class T>
nb::ndarray<nb::numpy, T> owned(std::vector<size_t> shape, T** data) {
    size_t count = 1;
    for (const size_t n : shape) {
        require(n == 0 || count <= std::numeric_limits<size_t>::max() / sizeof(T) / n, "outputs",
                "too large");
        count *= n;
    }
    auto values = std::make_unique<T[]>(count);
    *data = values.get();
    nb::capsule owner(values.get(), [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return nb::ndarray<nb::numpy, T>(values.release(), shape.size(), shape.data(), owner);
}

// Keeps the arrays of the caller alive while the batch reads them.
struct BatchArrays {
    std::vector<Array<const int16_t, 2>> inputs;
    std::vector<Array<const int16_t, 3>> step_inputs;
    std::optional<size_t> samples;

    void same_samples(size_t count, const char* argument) {
        require(!samples || *samples == count, argument, "different numbers of samples");
        samples = count;
    }
};

void add_inputs(const Program& program, const NamedArrays& given, BatchArrays& arrays, Batch& batch) {
    for (const auto& [word, object] : given) {
        const auto array = take<const int16_t, 2>(object, "inputs");
        require(array.shape(1) == program.word_size(word, "inputs"), "inputs",
                "the array for word " + std::to_string(word) + " has not the size of the register");
        arrays.same_samples(array.shape(0), "inputs");
        batch.inputs.push_back({static_cast<size_t>(word), array.data()});
        arrays.inputs.push_back(array);
    }
}

void add_step_inputs(const Program& program, const NamedArrays& given, BatchArrays& arrays, Batch& batch) {
    for (const auto& [word, object] : given) {
        const auto array = take<const int16_t, 3>(object, "step_inputs");
        require(array.shape(1) == batch.steps, "step_inputs", "expected one row for each of the steps");
        require(array.shape(2) == program.word_size(word, "step_inputs"), "step_inputs",
                "the array for word " + std::to_string(word) + " has not the size of the register");
        arrays.same_samples(array.shape(0), "step_inputs");
        batch.step_inputs.push_back({static_cast<size_t>(word), array.data()});
        arrays.step_inputs.push_back(array);
    }
}

using BatchResult = std::tuple<std::vector<nb::ndarray<nb::numpy, int16_t>>,
                               std::vector<nb::ndarray<nb::numpy, int32_t>>, nb::ndarray<nb::numpy, int64_t>>;

BatchResult run(Program& program, const NamedArrays& inputs, const std::vector<int64_t>& outputs_words,
                const std::vector<int64_t>& outputs_accs, int64_t threads, int64_t steps,
                const NamedArrays& step_inputs) {
    require(threads >= 1 && threads <= 1024, "threads", "expected 1..1024, got " + std::to_string(threads));
    require(steps >= 0 && steps <= max_size, "steps", "out of range: " + std::to_string(steps));
    Batch batch{};
    batch.threads = static_cast<size_t>(threads);
    batch.steps = static_cast<size_t>(steps);
    BatchArrays arrays;
    add_inputs(program, inputs, arrays, batch);
    add_step_inputs(program, step_inputs, arrays, batch);
    require(arrays.samples.has_value(), "inputs",
            "neither inputs nor step_inputs: the number of samples is unknown");
    batch.samples = *arrays.samples;

    BatchResult result;
    for (const int64_t word : outputs_words) {
        int16_t* data = nullptr;
        const size_t n = program.word_size(word, "outputs_words");
        std::get<0>(result).push_back(owned<int16_t>({batch.samples, n}, &data));
        batch.words.push_back({static_cast<size_t>(word), data});
    }
    for (const int64_t acc : outputs_accs) {
        int32_t* data = nullptr;
        const size_t n = program.acc_size(acc, "outputs_accs");
        std::get<1>(result).push_back(owned<int32_t>({batch.samples, n}, &data));
        batch.accs.push_back({static_cast<size_t>(acc), data});
    }
    std::get<2>(result) = owned<int64_t>({batch.samples, program.n_slots(), 2}, &batch.counters);

    program.seal();
    bool finished = false;
    {
        const nb::gil_scoped_release release;
        finished = run_batch(program, batch, Interruption());
    }
    if (!finished) throw nb::python_error();
    return result;
}

template <class T>
nb::ndarray<nb::numpy, T> view(std::vector<T>& values, nb::handle owner) {
    return nb::ndarray<nb::numpy, T>(values.data(), {values.size()}, owner);
}

void set_time(PythonWorkspace& workspace, int64_t t) {
    require(t >= 0 && t < forever, "t", "out of range: " + std::to_string(t));
    const Exclusive exclusive(*workspace.state);
    workspace.state->t = t;
}

void reset_workspace(PythonWorkspace& workspace) {
    const Exclusive exclusive(*workspace.state);
    workspace.program->reset(*workspace.state);
}

void bind_workspace(nb::module_& module) {
    nb::class_<PythonWorkspace>(module, "Workspace", "The registers, counters and time of one sample.")
        .def(
            "word",
            [](nb::handle_t<PythonWorkspace> self, int64_t index) {
                auto& workspace = nb::cast<PythonWorkspace&>(self);
                workspace.program->word_size(index, "index");
                return view(workspace.state->words[static_cast<size_t>(index)], self);
            },
            "index"_a)
        .def(
            "acc",
            [](nb::handle_t<PythonWorkspace> self, int64_t index) {
                auto& workspace = nb::cast<PythonWorkspace&>(self);
                workspace.program->acc_size(index, "index");
                return view(workspace.state->accs[static_cast<size_t>(index)], self);
            },
            "index"_a)
        .def_prop_ro("counters",
                     [](nb::handle_t<PythonWorkspace> self) {
                         auto& counters = nb::cast<PythonWorkspace&>(self).state->counters;
                         return nb::ndarray<nb::numpy, int64_t>(counters.data(), {counters.size() / 2, 2},
                                                                self);
                     })
        .def_prop_rw(
            "t", [](const PythonWorkspace& workspace) { return workspace.state->t; }, &set_time)
        .def("reset", &reset_workspace);
}

}  // namespace

void bind_run(nb::module_& module, nb::class_<Program>& program) {
    bind_workspace(module);
    program.def("workspace", [](const std::shared_ptr<Program>& self) {
        return PythonWorkspace{self, self->workspace()};
    });
    program.def("step", &step, "workspace"_a, "n"_a = 1);
    program.def("run_batch", &run, "inputs"_a, "outputs_words"_a, "outputs_accs"_a, "threads"_a = 1,
                "steps"_a = 1, "step_inputs"_a = NamedArrays{});
    program.def_prop_ro("done", [](const Program& self) { return self.done.load(); });
}

}  // namespace spikerun
