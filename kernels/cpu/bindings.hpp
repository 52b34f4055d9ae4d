// SPDX-License-Identifier: Apache-2.0
// What bindings share: checked passage of arrays (named errors instead of silent conversions), and how an
// operation becomes a method of Program.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "geometry.hpp"
#include "program.hpp"
#include "values.hpp"

namespace spikerun {

namespace nb = nanobind;
using namespace nanobind::literals;

// A read-only or writable C-contiguous NumPy array of exactly this type and number of dimensions.
template <class T, size_t N>
using Array = nb::ndarray<nb::numpy, T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

template <class T>
std::string type_name() {
    const char* const kind = std::is_const_v<T> ? "" : "writable ";
    return std::string(kind) + (std::is_unsigned_v<T> ? "u" : "") + "int" + std::to_string(8 * sizeof(T));
}

// The array behind `object`, without any conversion; else a TypeError that names the argument.
template <class T, size_t N>
Array<T, N> take(nb::handle object, const char* argument) {
    Array<T, N> array;
    if (!nb::try_cast<Array<T, N>>(object, array, false)) {
        const std::string problem = std::string(argument) + ": expected a C-contiguous " + type_name<T>() +
                                    " array with " + std::to_string(N) + " dimension(s)";
        throw nb::type_error(problem.c_str());
    }
    return array;
}

template <class T, size_t N>
std::vector<T> copied(nb::handle object, const char* argument) {
    const auto array = take<const T, N>(object, argument);
    return std::vector<T>(array.data(), array.data() + array.size());
}

// A parameter of n neurons.
inline Values values_of(nb::handle object, const char* argument, size_t n) {
    return {argument, copied<int32_t, 1>(object, argument), n};
}

// A NumPy array that owns `values`.
template <class T>
nb::ndarray<nb::numpy, T> array_of(std::vector<T> values, std::initializer_list<size_t> shape) {
    auto kept = std::make_unique<std::vector<T>>(std::move(values));
    T* const data = kept->data();
    nb::capsule owner(kept.get(), [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    kept.release();
    return {data, shape, owner};
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

constexpr int64_t most_threads = 1024;

using Dimensions3 = std::array<int64_t, 3>;
using Dimensions2 = std::array<int64_t, 2>;

inline Geometry geometry_of(Dimensions3 in, Dimensions3 out, Dimensions2 kernel, Dimensions2 stride,
                            Dimensions2 padding, Dimensions2 dilation) {
    return {{in[0], in[1], in[2]},  {out[0], out[1], out[2]}, {kernel[0], kernel[1]},
            {stride[0], stride[1]}, {padding[0], padding[1]}, {dilation[0], dilation[1]}};
}

using ProgramClass = nb::class_<Program>;
using LinearClass = nb::class_<Linear>;

// Defines a method of Program that appends an operation; all arguments are keywords: those of the operation,
// then those that say when it executes.
template <class... Operands, class... Names>
void operation(ProgramClass& cls, const char* name, void (*append)(Program&, When, Operands...),
               const Names&... names) {
    cls.def(
        name,
        [append](Program& program, Operands... operands, int64_t period, int64_t begin, int64_t end,
                 int64_t first, std::optional<int64_t> last) {
            const When when{period, begin, end, first, last.value_or(period - 1)};
            when.check();
            append(program, when, std::move(operands)...);
        },
        nb::kw_only(), names..., "period"_a = 1, "begin"_a = 0, "end"_a = forever, "first"_a = 0,
        "last"_a = nb::none());
}

// One significance for each step of the period, of at most the magnitude `largest`; a list of Python ints.
inline std::vector<int32_t> significance_of(const std::vector<int64_t>& given, const When& when,
                                            int64_t largest) {
    require_same(unsign(when.period), given.size(), "significance");
    for (const int64_t g : given) require_range("significance", g, -largest, largest);
    return {given.begin(), given.end()};
}

void bind_linear(nb::module_& module);
void bind_late(nb::module_& module);
void bind_run(nb::module_& module, ProgramClass& cls);
void bind_prepared(nb::module_& module, ProgramClass& cls);
void bind_threads(nb::module_& module);
void bind_feed(nb::module_& module);

}  // namespace spikerun
