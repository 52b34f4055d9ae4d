// SPDX-License-Identifier: Apache-2.0
// A run of one sample with nothing left to look up: one call, which makes no objects but its results.
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "bindings.hpp"
#include "isa.hpp"
#include "paced.hpp"

namespace spikerun {

namespace {

// The memory of a Python object, as long as this lives; empty if it has none of that kind.
class Buffer {
  public:
    Buffer(nb::handle object, int flags) : held_(PyObject_GetBuffer(object.ptr(), &view_, flags) == 0) {
        if (!held_) PyErr_Clear();
    }
    ~Buffer() {
        if (held_) PyBuffer_Release(&view_);
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    explicit operator bool() const noexcept { return held_; }
    const Py_buffer& view() const noexcept { return view_; }

  private:
    Py_buffer view_{};
    bool held_;
};

// Whether values fit in low..high, and then their words, channels last.
template <class T>
struct LoadWords {
    SPIKERUN_INLINE static bool run(const T* from, int16_t* SPIKERUN_RESTRICT to, size_t channels, size_t n,
                                    int32_t low, int32_t high) {
        using Limits = std::numeric_limits<T>;
        if (low > Limits::min() || high < Limits::max()) {
            T least = Limits::max();
            T most = Limits::min();
            for (size_t j = 0; j < n; ++j) {
                least = std::min(least, from[j]);
                most = std::max(most, from[j]);
            }
            if (least < low || most > high) return false;
        }
        const size_t places = n / channels;
        if (channels == 1)
            for (size_t j = 0; j < n; ++j) to[j] = static_cast<int16_t>(from[j]);
        else
            for (size_t c = 0; c < channels; ++c, from += places)
                for (size_t p = 0; p < places; ++p) to[p * channels + c] = static_cast<int16_t>(from[p]);
        return true;
    }
};

// Channels first, from words, from words that are unsigned, or from numbers.
template <class As, class T>
void save(const T* from, int32_t* to, size_t channels, size_t n) noexcept {
    const size_t places = n / channels;
    for (size_t c = 0; c < channels; ++c)
        for (size_t p = 0; p < places; ++p)
            *to++ = static_cast<int32_t>(static_cast<As>(from[p * channels + c]));
}

// Where the largest is, the first of equals: of the integers, or of their products with a scale each.
size_t largest(const int32_t* values, const std::vector<float>& scales, size_t n) noexcept {
    if (scales.empty()) return static_cast<size_t>(std::max_element(values, values + n) - values);
    size_t best = 0;
    float most = static_cast<float>(values[0]) * scales[0];
    for (size_t j = 1; j < n; ++j) {
        const float value = static_cast<float>(values[j]) * scales[j];
        if (value > most) {
            most = value;
            best = j;
        }
    }
    return best;
}

struct Input {
    Words target;
    std::vector<int64_t> shape;  // of a sample, as Python has it
    size_t channels;
    int32_t low, high;
};

struct Output {
    nb::object name, shape;  // of the array, a tuple
    int64_t id;
    size_t channels;
    bool unsigned_words;
};

// (name, array shape, register, channels, whether words are unsigned)
using GivenOutput = std::tuple<nb::object, nb::object, int64_t, int64_t, bool>;

class Prepared {
  public:
    Prepared(std::shared_ptr<Program> program, Input input, std::vector<Output> outputs,
             std::vector<float> scales, std::vector<nb::object> counters, int64_t steps, size_t threads,
             nb::object empty, nb::object dtype)
        : program_(std::move(program)),
          input_(std::move(input)),
          outputs_(std::move(outputs)),
          scales_(std::move(scales)),
          counters_(std::move(counters)),
          steps_(steps),
          threads_(threads),
          empty_(std::move(empty)),
          dtype_(std::move(dtype)) {}

    // ({output: int32 array (1, *shape)}, {counter: (spikes, synaptic operations)}); None where the sample
    // needs a closer look: it is no C-contiguous array (1, *shape) of integers of 8 or 16 bits that are in
    // range.
    nb::object run(nb::handle sample) {
        const Buffer given(sample, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS);
        if (!given || !fits(given.view())) return nb::none();
        Lent lent(*program_);
        program_->restart(*lent.workspace);
        if (!load(given.view(), *lent.workspace)) return nb::none();
        nb::dict results;
        for (const Output& output : outputs_) results[output.name] = empty_(output.shape, dtype_);
        bool finished = false;
        {
            const nb::gil_scoped_release release;
            finished = go_through(*lent.workspace);
        }
        if (!finished) throw nb::python_error();
        size_t place = 0;
        for (const Output& output : outputs_) {
            const Buffer memory(results[output.name], PyBUF_WRITABLE);
            if (!memory) throw nb::type_error("outputs: no memory to write to");
            auto* const to = static_cast<int32_t*>(memory.view().buf);
            const size_t n = save_to(to, output, *lent.workspace);
            if (&output == outputs_.data()) place = largest(to, scales_, n);
        }
        return nb::make_tuple(std::move(results), counted(*lent.workspace), place);
    }

  private:
    // A workspace of the program's, which goes back to it.
    struct Lent {
        explicit Lent(Program& from) : program(from), workspace(from.borrow()) {}
        ~Lent() { program.give_back(std::move(workspace)); }
        Lent(const Lent&) = delete;
        Lent& operator=(const Lent&) = delete;
        Program& program;
        std::unique_ptr<Workspace> workspace;
    };

    bool fits(const Py_buffer& view) const noexcept {
        const size_t axes = input_.shape.size();
        if (static_cast<size_t>(view.ndim) != axes + 1 || view.shape[0] != 1) return false;
        return std::equal(input_.shape.begin(), input_.shape.end(), view.shape + 1);
    }

    bool load(const Py_buffer& view, Workspace& ws) const noexcept {
        const auto as = [&](auto one) {
            using T = decltype(one);
            return ::spikerun::run<LoadWords<T>>(static_cast<const T*>(view.buf), input_.target.in(ws),
                                                 input_.channels, input_.target.size, input_.low,
                                                 input_.high);
        };
        if (view.format == nullptr || view.format[0] == 0 || view.format[1] != 0) return false;
        switch (view.format[0]) {
            case 'B':
                return as(uint8_t{});
            case 'b':
                return as(int8_t{});
            case 'H':
                return as(uint16_t{});
            case 'h':
                return as(int16_t{});
            default:
                return false;
        }
    }

    bool go_through(Workspace& ws) const {
        Interruption interrupted;
        Paced paced(*program_, ws, threads_);
        for (int64_t step = 0; step < steps_ && !ws.decided; ++step) {
            if (step > 0 && interrupted()) return false;
            paced.step();
        }
        return true;
    }

    // Returns how many values there are.
    size_t save_to(int32_t* to, const Output& output, Workspace& ws) const {
        if (!program_->is_words(output.id, "outputs")) {
            const Numbers r = program_->numbers(output.id, "outputs");
            save<int32_t>(r.in(ws), to, output.channels, r.size);
            return r.size;
        }
        const Words r = program_->words(output.id, "outputs");
        if (output.unsigned_words)
            save<uint16_t>(r.in(ws), to, output.channels, r.size);
        else
            save<int16_t>(r.in(ws), to, output.channels, r.size);
        return r.size;
    }

    nb::dict counted(const Workspace& ws) const {
        nb::dict result;
        for (size_t slot = 0; slot < counters_.size(); ++slot)
            result[counters_[slot]] =
                nb::make_tuple(ws.counters[2 * slot].load(), ws.counters[2 * slot + 1].load());
        return result;
    }

    std::shared_ptr<Program> program_;
    Input input_;
    std::vector<Output> outputs_;
    std::vector<float> scales_;  // of the first output
    std::vector<nb::object> counters_;
    int64_t steps_;
    size_t threads_;
    nb::object empty_, dtype_;
};

void require_channels(const char* argument, int64_t channels, size_t size) {
    require_range(argument, channels, 1, max_size);
    require(size % unsign(channels) == 0, argument, "a number of channels that does not divide the register");
}

Prepared prepare(const std::shared_ptr<Program>& program, int64_t input, std::vector<int64_t> shape,
                 int64_t channels, int64_t low, int64_t high, const std::vector<GivenOutput>& outputs,
                 std::vector<float> scales, std::vector<nb::object> counters, int64_t steps, int64_t threads,
                 nb::object empty, nb::object dtype) {
    const Words target = program->words(input, "input");
    size_t size = 1;
    for (const int64_t axis : shape) {
        require_range("shape", axis, 1, max_size);
        size *= unsign(axis);
        require(size <= target.size, "shape", "larger than the register");
    }
    require_same(target.size, size, "shape");
    require_channels("channels", channels, target.size);
    require_range("low", low, std::numeric_limits<int16_t>::min(), 0);
    require_range("high", high, 0, std::numeric_limits<uint16_t>::max());
    require_range("steps", steps, 1, forever);
    require_range("threads", threads, 1, most_threads);
    require_same(program->n_slots(), counters.size(), "counters");
    std::vector<Output> checked;
    for (const auto& [name, of_array, id, of_output, unsigned_words] : outputs) {
        const bool words = program->is_words(id, "outputs");
        const size_t n = words ? program->words(id, "outputs").size : program->numbers(id, "outputs").size;
        require_channels("outputs", of_output, n);
        if (checked.empty() && !scales.empty()) require_same(n, scales.size(), "scales");
        checked.push_back({name, of_array, id, unsign(of_output), unsigned_words});
    }
    require(!checked.empty(), "outputs", "expected one or more");
    Input taken{target, std::move(shape), unsign(channels), static_cast<int32_t>(low),
                static_cast<int32_t>(high)};
    return {program, std::move(taken), std::move(checked), std::move(scales), std::move(counters),
            steps,   unsign(threads),  std::move(empty),   std::move(dtype)};
}

}  // namespace

void bind_prepared(nb::module_& module, ProgramClass& cls) {
    nb::class_<Prepared>(module, "Prepared", "A run of one sample, checked beforehand.")
        .def("run", &Prepared::run, "sample"_a,
             "Return the outputs and the counters by name, and the place of the largest value; None where a "
             "sample needs a closer look.",
             nb::sig("def run(self, sample: numpy.typing.NDArray[typing.Any]) -> "
                     "tuple[dict[str, numpy.typing.NDArray[typing.Any]], dict[str, tuple[int, int]], int] | "
                     "None"));
    cls.def("prepare", &prepare, nb::kw_only(), "input"_a, "shape"_a, "channels"_a, "low"_a, "high"_a,
            "outputs"_a, "scales"_a, "counters"_a, "steps"_a, "threads"_a, "empty"_a, "dtype"_a);
}

}  // namespace spikerun
