#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
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

using Last = std::optional<int64_t>;
using NamedArrays = std::vector<std::pair<int64_t, nb::object>>;

constexpr int64_t max_time = int64_t{1} << 62;

When when_of(int64_t period, int64_t begin, int64_t first, Last last, Last end) {
    return {period, begin, first, last.value_or(period - 1), end.value_or(max_time)};
}

Values values_of(nb::handle object, const char* argument) { return copied<int32_t, 1>(object, argument); }

Reset reset_of(const std::string& name) {
    if (name == "zero") return Reset::zero;
    if (name == "subtract") return Reset::subtract;
    if (name == "subtract_after_leak") return Reset::subtract_after_leak;
    throw std::invalid_argument("reset: expected 'zero', 'subtract' or 'subtract_after_leak', got '" + name + "'");
}

bool is_popcount(const std::string& mode) {
    if (mode == "popcount") return true;
    if (mode == "nonzero") return false;
    throw std::invalid_argument("mode: expected 'popcount' or 'nonzero', got '" + mode + "'");
}

int small(const char* argument, int64_t value) {
    require(value >= 0 && value <= 1024, argument, "out of range: " + std::to_string(value));
    return static_cast<int>(value);
}

WordRule rule_of(int64_t bits, bool is_signed, int64_t max_spikes) {
    // More spikes than bits is no restriction.
    return {small("bits", bits), is_signed, std::min(small("max_spikes", max_spikes), 16)};
}

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
    require(n >= 0 && n <= max_time - workspace.state->t, "n", "out of range");
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
        require(n == 0 || count <= std::numeric_limits<size_t>::max() / sizeof(T) / n, "outputs", "too large");
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
    require(arrays.samples.has_value(), "inputs", "neither inputs nor step_inputs: the number of samples is unknown");
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
    require(t >= 0 && t < max_time, "t", "out of range: " + std::to_string(t));
    const Exclusive exclusive(*workspace.state);
    workspace.state->t = t;
}

void reset_workspace(PythonWorkspace& workspace) {
    const Exclusive exclusive(*workspace.state);
    workspace.program->reset(*workspace.state);
}

void bind_workspace(nb::module_& module) {
    nb::class_<PythonWorkspace>(module, "Workspace", "The registers, counters and time of one sample.")
        .def("word",
             [](nb::handle_t<PythonWorkspace> self, int64_t index) {
                 auto& workspace = nb::cast<PythonWorkspace&>(self);
                 workspace.program->word_size(index, "index");
                 return view(workspace.state->words[static_cast<size_t>(index)], self);
             },
             "index"_a)
        .def("acc",
             [](nb::handle_t<PythonWorkspace> self, int64_t index) {
                 auto& workspace = nb::cast<PythonWorkspace&>(self);
                 workspace.program->acc_size(index, "index");
                 return view(workspace.state->accs[static_cast<size_t>(index)], self);
             },
             "index"_a)
        .def_prop_ro("counters",
                     [](nb::handle_t<PythonWorkspace> self) {
                         auto& counters = nb::cast<PythonWorkspace&>(self).state->counters;
                         return nb::ndarray<nb::numpy, int64_t>(counters.data(), {counters.size() / 2, 2}, self);
                     })
        .def_prop_rw("t", [](const PythonWorkspace& workspace) { return workspace.state->t; }, &set_time)
        .def("reset", &reset_workspace);
}

// Defines an operation: its own arguments, then the keywords that say when it executes.
template <class Class, class Function, class... Arguments>
void operation(Class& cls, const char* name, Function function, const Arguments&... arguments) {
    cls.def(name, function, arguments..., nb::kw_only(), "period"_a = 1, "begin"_a = 0, "first"_a = 0,
            "last"_a = nb::none(), "end"_a = nb::none());
}

template <class Class>
void bind_integration(Class& cls) {
    operation(
        cls, "fill",
        [](Program& p, int64_t acc, nb::object bias, int64_t period, int64_t begin, int64_t first, Last last, Last end) {
            p.fill(acc, values_of(bias, "bias"), when_of(period, begin, first, last, end));
        },
        "acc"_a, "bias"_a);
    operation(
        cls, "linear",
        [](Program& p, LinearPointer linear, int64_t x, int64_t acc, int64_t cut, int64_t period, int64_t begin,
           int64_t first, Last last, Last end) {
            p.linear(std::move(linear), x, acc, cut, when_of(period, begin, first, last, end));
        },
        "linear"_a, "x"_a, "acc"_a, "cut"_a);
    operation(
        cls, "weigh",
        [](Program& p, int64_t x, int64_t y, nb::object significance, int64_t period, int64_t begin, int64_t first,
           Last last, Last end) {
            p.weigh(x, y, values_of(significance, "significance"), when_of(period, begin, first, last, end));
        },
        "x"_a, "y"_a, "significance"_a);
    operation(
        cls, "delay",
        [](Program& p, int64_t x, int64_t ring, int64_t y, int64_t steps, int64_t period, int64_t begin, int64_t first,
           Last last, Last end) { p.delay(x, ring, y, steps, when_of(period, begin, first, last, end)); },
        "x"_a, "ring"_a, "y"_a, "steps"_a);
}

template <class Class>
void bind_few_spikes(Class& cls) {
    operation(
        cls, "fire",
        [](Program& p, int64_t acc, int64_t word, nb::object threshold, int64_t bits, bool is_signed,
           int64_t max_spikes, int64_t period, int64_t begin, int64_t first, Last last, Last end) {
            p.fire(acc, word, values_of(threshold, "threshold"), rule_of(bits, is_signed, max_spikes),
                   when_of(period, begin, first, last, end));
        },
        "acc"_a, "word"_a, "threshold"_a, "bits"_a, "signed"_a, "max_spikes"_a);
    operation(
        cls, "latch",
        [](Program& p, int64_t v, int64_t u, int64_t left, int64_t limit, int64_t period, int64_t begin, int64_t first,
           Last last, Last end) { p.latch(v, u, left, limit, when_of(period, begin, first, last, end)); },
        "v"_a, "u"_a, "left"_a, "limit"_a);
    operation(
        cls, "send",
        [](Program& p, int64_t u, int64_t left, nb::object threshold, int64_t s, nb::object significance,
           int64_t period, int64_t begin, int64_t first, Last last, Last end) {
            p.send(u, left, values_of(threshold, "threshold"), s, values_of(significance, "significance"),
                   when_of(period, begin, first, last, end));
        },
        "u"_a, "left"_a, "threshold"_a, "s"_a, "significance"_a);
    operation(
        cls, "send_graded",
        [](Program& p, int64_t u, nb::object threshold, int64_t bits, bool is_signed, int64_t max_spikes, int64_t s,
           int64_t period, int64_t begin, int64_t first, Last last, Last end) {
            p.fire(u, s, values_of(threshold, "threshold"), rule_of(bits, is_signed, max_spikes),
                   when_of(period, begin, first, last, end));
        },
        "u"_a, "threshold"_a, "bits"_a, "signed"_a, "max_spikes"_a, "s"_a);
}

template <class Class>
void bind_neurons(Class& cls) {
    operation(
        cls, "if_step",
        [](Program& p, int64_t i, int64_t v, int64_t s, nb::object threshold, nb::object bias, nb::object v_min,
           const std::string& reset, int64_t period, int64_t begin, int64_t first, Last last, Last end) {
            p.if_step(i, v, s, values_of(threshold, "threshold"), values_of(bias, "bias"), values_of(v_min, "v_min"),
                      reset_of(reset), when_of(period, begin, first, last, end));
        },
        "i"_a, "v"_a, "s"_a, "threshold"_a, "bias"_a, "v_min"_a, "reset"_a);
    operation(
        cls, "lif_step",
        [](Program& p, int64_t i, int64_t u, int64_t v, int64_t wait, int64_t pending, int64_t s, nb::object threshold,
           nb::object bias, nb::object du, nb::object dv, const std::string& reset, int64_t refractory,
           int64_t reset_interval, int64_t reset_offset, int64_t period, int64_t begin, int64_t first, Last last, Last end) {
            p.lif_step({i, u, v, wait, pending, s},
                       {values_of(threshold, "threshold"), values_of(bias, "bias"), values_of(du, "du"),
                        values_of(dv, "dv"), reset_of(reset), refractory, reset_interval, reset_offset},
                       when_of(period, begin, first, last, end));
        },
        "i"_a, "u"_a, "v"_a, "wait"_a, "pending"_a, "s"_a, "threshold"_a, "bias"_a, "du"_a, "dv"_a, "reset"_a,
        "refractory"_a = 0, "reset_interval"_a = 0, "reset_offset"_a = 0);
    operation(
        cls, "count",
        [](Program& p, int64_t word, nb::object fan_out, const std::string& mode, int64_t bits, int64_t slot,
           int64_t period, int64_t begin, int64_t first, Last last, Last end) {
            p.count(word, values_of(fan_out, "fan_out"), is_popcount(mode), bits, slot,
                    when_of(period, begin, first, last, end));
        },
        "word"_a, "fan_out"_a, "mode"_a, "bits"_a, "slot"_a);
}

template <class Class>
void bind_max_pool(Class& cls) {
    operation(
        cls, "max_pool",
        [](Program& p, int64_t x, int64_t y, Dimensions3 in_hwc, Dimensions3 out_hwc, Dimensions2 kernel,
           Dimensions2 stride, Dimensions2 padding, Dimensions2 dilation, int64_t period, int64_t begin, int64_t first,
           Last last, Last end) {
            p.max_pool(x, y, geometry_of(in_hwc, out_hwc, kernel, stride, padding, dilation),
                       when_of(period, begin, first, last, end));
        },
        "x"_a, "y"_a, "in_hwc"_a, "out_hwc"_a, "kernel"_a, "stride"_a, "padding"_a = Dimensions2{0, 0},
        "dilation"_a = Dimensions2{1, 1});
    operation(
        cls, "max_pool_step",
        [](Program& p, int64_t x, int64_t alive, int64_t y, Dimensions3 in_hwc, Dimensions3 out_hwc,
           Dimensions2 kernel, Dimensions2 stride, Dimensions2 padding, Dimensions2 dilation, int64_t restart_at,
           int64_t sign_at, int64_t period, int64_t begin, int64_t first, Last last, Last end) {
            p.max_pool_step(x, alive, y, geometry_of(in_hwc, out_hwc, kernel, stride, padding, dilation), restart_at,
                            sign_at, when_of(period, begin, first, last, end));
        },
        "x"_a, "alive"_a, "y"_a, "in_hwc"_a, "out_hwc"_a, "kernel"_a, "stride"_a, "padding"_a = Dimensions2{0, 0},
        "dilation"_a = Dimensions2{1, 1}, "restart_at"_a = 0, "sign_at"_a = -1);
}

}  // namespace

void bind_program(nb::module_& module) {
    bind_workspace(module);
    nb::class_<Program> cls(module, "Program", "Operations on registers, executed step by step.");
    cls.def(nb::init<const std::vector<int64_t>&, const std::vector<int64_t>&>(), "words"_a, "accs"_a);
    bind_integration(cls);
    bind_few_spikes(cls);
    bind_neurons(cls);
    bind_max_pool(cls);
    cls.def("initial", [](Program& p, int64_t acc, nb::object values) { p.initial(acc, values_of(values, "values")); },
            "acc"_a, "values"_a);
    cls.def("workspace",
            [](const std::shared_ptr<Program>& program) { return PythonWorkspace{program, program->workspace()}; });
    cls.def("step", &step, "workspace"_a, "n"_a = 1);
    cls.def("run_batch", &run, "inputs"_a, "outputs_words"_a, "outputs_accs"_a, "threads"_a = 1, "steps"_a = 1,
            "step_inputs"_a = NamedArrays{});
    cls.def_prop_ro("done", [](const Program& program) { return program.done.load(); });
}

}  // namespace spikerun
