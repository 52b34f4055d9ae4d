// Checked passage of arrays from Python: named errors instead of silent conversions.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <array>
#include <string>
#include <vector>

#include "program.hpp"

namespace spikerun {

namespace nb = nanobind;

// A read-only or writable C-contiguous NumPy array of exactly this type and number of dimensions.
template <class T, size_t N>
using Array = nb::ndarray<nb::numpy, T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

template <class T>
std::string type_name() {
    const char* const kind = std::is_const_v<T> ? "" : "writable ";
    return std::string(kind) + "int" + std::to_string(8 * sizeof(T));
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

using Dimensions3 = std::array<int64_t, 3>;
using Dimensions2 = std::array<int64_t, 2>;

inline Geometry geometry_of(Dimensions3 in, Dimensions3 out, Dimensions2 kernel, Dimensions2 stride,
                            Dimensions2 padding, Dimensions2 dilation) {
    return {{in[0], in[1], in[2]},  {out[0], out[1], out[2]}, {kernel[0], kernel[1]},
            {stride[0], stride[1]}, {padding[0], padding[1]}, {dilation[0], dilation[1]}};
}

void bind_linear(nb::module_& module);
void bind_program(nb::module_& module);
void bind_run(nb::module_& module, nb::class_<Program>& program);

}  // namespace spikerun
