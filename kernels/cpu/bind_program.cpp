// Building a program: one call for each operation.
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "bindings.hpp"
#include "program.hpp"

using namespace nanobind::literals;

namespace spikerun {

namespace {

Values values_of(nb::handle object, const char* argument) {
    return copied<int32_t, 1>(object, argument);
}

Reset reset_of(const std::string& name) {
    if (name == "zero") return Reset::zero;
    if (name == "subtract") return Reset::subtract;
    if (name == "subtract_after_leak") return Reset::subtract_after_leak;
    throw std::invalid_argument("reset: expected 'zero', 'subtract' or 'subtract_after_leak', got '" + name +
                                "'");
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

using ProgramClass = nb::class_<Program>;

// Defines an operation: its own arguments, then the keywords that say when it executes.
template <class... Operands, class... Arguments>
void operation(ProgramClass& cls, const char* name, void (*append)(Program&, When, Operands...),
               const Arguments&... arguments) {
    cls.def(
        name,
        [append](Program& program, Operands... operands, int64_t period, int64_t begin, int64_t first,
                 std::optional<int64_t> last, std::optional<int64_t> end) {
            const When when{period, begin, first, last.value_or(period - 1), end.value_or(forever)};
            append(program, when, std::move(operands)...);
        },
        arguments..., nb::kw_only(), "period"_a = 1, "begin"_a = 0, "first"_a = 0, "last"_a = nb::none(),
        "end"_a = nb::none());
}

void bind_integration(ProgramClass& cls) {
    operation(
        cls, "fill",
        +[](Program& p, When when, int64_t acc, nb::object bias) {
            p.fill(acc, values_of(bias, "bias"), when);
        },
        "acc"_a, "bias"_a);
    operation(
        cls, "linear",
        +[](Program& p, When when, LinearPointer linear, int64_t x, int64_t acc, int64_t cut) {
            p.linear(std::move(linear), x, acc, cut, when);
        },
        "linear"_a, "x"_a, "acc"_a, "cut"_a);
    operation(
        cls, "weigh",
        +[](Program& p, When when, int64_t x, int64_t y, nb::object significance) {
            p.weigh(x, y, values_of(significance, "significance"), when);
        },
        "x"_a, "y"_a, "significance"_a);
    operation(
        cls, "delay",
        +[](Program& p, When when, int64_t x, int64_t ring, int64_t y, int64_t steps) {
            p.delay(x, ring, y, steps, when);
        },
        "x"_a, "ring"_a, "y"_a, "steps"_a);
}

void bind_few_spikes(ProgramClass& cls) {
    operation(
        cls, "fire",
        +[](Program& p, When when, int64_t acc, int64_t word, nb::object threshold, int64_t bits,
            bool is_signed, int64_t max_spikes) {
            p.fire(acc, word, values_of(threshold, "threshold"), rule_of(bits, is_signed, max_spikes), when);
        },
        "acc"_a, "word"_a, "threshold"_a, "bits"_a, "signed"_a, "max_spikes"_a);
    operation(
        cls, "latch",
        +[](Program& p, When when, int64_t v, int64_t u, int64_t left, int64_t limit) {
            p.latch(v, u, left, limit, when);
        },
        "v"_a, "u"_a, "left"_a, "limit"_a);
    operation(
        cls, "send",
        +[](Program& p, When when, int64_t u, int64_t left, nb::object threshold, int64_t s,
            nb::object significance) {
            p.send(u, left, values_of(threshold, "threshold"), s, values_of(significance, "significance"),
                   when);
        },
        "u"_a, "left"_a, "threshold"_a, "s"_a, "significance"_a);
    operation(
        cls, "send_graded",
        +[](Program& p, When when, int64_t u, nb::object threshold, int64_t bits, bool is_signed,
            int64_t max_spikes, int64_t s) {
            p.fire(u, s, values_of(threshold, "threshold"), rule_of(bits, is_signed, max_spikes), when);
        },
        "u"_a, "threshold"_a, "bits"_a, "signed"_a, "max_spikes"_a, "s"_a);
}

void bind_neurons(ProgramClass& cls) {
    operation(
        cls, "if_step",
        +[](Program& p, When when, int64_t i, int64_t v, int64_t s, nb::object threshold, nb::object bias,
            nb::object v_min, std::string reset) {
            p.if_step(i, v, s, values_of(threshold, "threshold"), values_of(bias, "bias"),
                      values_of(v_min, "v_min"), reset_of(reset), when);
        },
        "i"_a, "v"_a, "s"_a, "threshold"_a, "bias"_a, "v_min"_a, "reset"_a);
    operation(
        cls, "lif_step",
        +[](Program& p, When when, int64_t i, int64_t u, int64_t v, int64_t wait, int64_t pending, int64_t s,
            nb::object threshold, nb::object bias, nb::object du, nb::object dv, std::string reset,
            int64_t refractory, int64_t reset_interval, int64_t reset_offset) {
            p.lif_step({i, u, v, wait, pending, s},
                       {values_of(threshold, "threshold"), values_of(bias, "bias"), values_of(du, "du"),
                        values_of(dv, "dv"), reset_of(reset), refractory, reset_interval, reset_offset},
                       when);
        },
        "i"_a, "u"_a, "v"_a, "wait"_a, "pending"_a, "s"_a, "threshold"_a, "bias"_a, "du"_a, "dv"_a, "reset"_a,
        "refractory"_a = 0, "reset_interval"_a = 0, "reset_offset"_a = 0);
    operation(
        cls, "count",
        +[](Program& p, When when, int64_t word, nb::object fan_out, std::string mode, int64_t bits,
            int64_t slot) {
            p.count(word, values_of(fan_out, "fan_out"), is_popcount(mode), bits, slot, when);
        },
        "word"_a, "fan_out"_a, "mode"_a, "bits"_a, "slot"_a);
}

void bind_max_pool(ProgramClass& cls) {
    operation(
        cls, "max_pool",
        +[](Program& p, When when, int64_t x, int64_t y, Dimensions3 in_hwc, Dimensions3 out_hwc,
            Dimensions2 kernel, Dimensions2 stride, Dimensions2 padding, Dimensions2 dilation) {
            p.max_pool(x, y, geometry_of(in_hwc, out_hwc, kernel, stride, padding, dilation), when);
        },
        "x"_a, "y"_a, "in_hwc"_a, "out_hwc"_a, "kernel"_a, "stride"_a, "padding"_a = Dimensions2{0, 0},
        "dilation"_a = Dimensions2{1, 1});
    operation(
        cls, "max_pool_step",
        +[](Program& p, When when, int64_t x, int64_t alive, int64_t y, Dimensions3 in_hwc,
            Dimensions3 out_hwc, Dimensions2 kernel, Dimensions2 stride, Dimensions2 padding,
            Dimensions2 dilation, int64_t restart_at, int64_t sign_at) {
            p.max_pool_step(x, alive, y, geometry_of(in_hwc, out_hwc, kernel, stride, padding, dilation),
                            restart_at, sign_at, when);
        },
        "x"_a, "alive"_a, "y"_a, "in_hwc"_a, "out_hwc"_a, "kernel"_a, "stride"_a,
        "padding"_a = Dimensions2{0, 0}, "dilation"_a = Dimensions2{1, 1}, "restart_at"_a = 0,
        "sign_at"_a = -1);
}

}  // namespace

void bind_program(nb::module_& module) {
    ProgramClass cls(module, "Program", "Operations on registers, executed step by step.");
    cls.def(nb::init<const std::vector<int64_t>&, const std::vector<int64_t>&>(), "words"_a, "accs"_a);
    bind_integration(cls);
    bind_few_spikes(cls);
    bind_neurons(cls);
    bind_max_pool(cls);
    cls.def(
        "initial",
        [](Program& p, int64_t acc, nb::object values) { p.initial(acc, values_of(values, "values")); },
        "acc"_a, "values"_a);
    bind_run(module, cls);
}

}  // namespace spikerun
