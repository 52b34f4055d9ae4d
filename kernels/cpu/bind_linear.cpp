#include <nanobind/stl/array.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"
#include "linear.hpp"

using namespace nanobind::literals;

namespace spikerun {

namespace {

int64_t extent(size_t value) {
    return static_cast<int64_t>(value);
}

LinearPointer dense(nb::object weight) {
    const auto array = take<const int8_t, 2>(weight, "weight");
    return make_dense(copied<int8_t, 2>(weight, "weight"), extent(array.shape(0)), extent(array.shape(1)));
}

LinearPointer sparse(nb::object indptr, nb::object indices, nb::object data, int64_t n_out) {
    return make_sparse(copied<int64_t, 1>(indptr, "indptr"), copied<int32_t, 1>(indices, "indices"),
                       copied<int8_t, 1>(data, "data"), n_out);
}

LinearPointer conv(nb::object weight, Dimensions3 in_hwc, Dimensions3 out_hwc, Dimensions2 stride,
                   Dimensions2 padding, Dimensions2 dilation, int64_t groups, int64_t channel_offset) {
    const auto array = take<const int8_t, 4>(weight, "weight");
    const Geometry geometry = geometry_of(in_hwc, out_hwc, {extent(array.shape(0)), extent(array.shape(1))},
                                          stride, padding, dilation);
    return make_conv(copied<int8_t, 4>(weight, "weight"), extent(array.shape(3)), geometry, groups,
                     channel_offset);
}

LinearPointer diagonal(nb::object gain, int64_t n_out, nb::object target_index) {
    return make_diagonal(copied<int32_t, 1>(gain, "gain"), copied<int32_t, 1>(target_index, "target_index"),
                         n_out);
}

LinearPointer sum_pool(Dimensions3 in_hwc, Dimensions3 out_hwc, Dimensions2 kernel, Dimensions2 stride,
                       Dimensions2 padding, nb::object gain, int64_t channel_offset) {
    return make_sum_pool(copied<int32_t, 1>(gain, "gain"),
                         geometry_of(in_hwc, out_hwc, kernel, stride, padding, {1, 1}), channel_offset);
}

void apply(const Linear& map, nb::object x, nb::object acc, bool event) {
    const auto input = take<const int16_t, 1>(x, "x");
    const auto output = take<int32_t, 1>(acc, "acc");
    require(input.size() == map.n_in(), "x", "expected " + std::to_string(map.n_in()) + " elements");
    require(output.size() == map.n_out(), "acc", "expected " + std::to_string(map.n_out()) + " elements");
    thread_local Scratch scratch;
    scratch.grow(map.scratch_size());
    const int16_t* const source = input.data();
    int32_t* const target = output.data();
    const nb::gil_scoped_release release;
    if (event)
        map.apply_event(source, target, scratch);
    else
        map.apply_dense(source, target, scratch);
}

}  // namespace

void bind_linear(nb::module_& module) {
    nb::class_<Linear>(module, "Linear", "The linear map of one projection: acc += C(x), in two kernels.")
        .def_static("dense", &dense, "weight"_a)
        .def_static("sparse", &sparse, "indptr"_a, "indices"_a, "data"_a, "n_out"_a)
        .def_static("conv", &conv, "weight"_a, "in_hwc"_a, "out_hwc"_a, "stride"_a = Dimensions2{1, 1},
                    "padding"_a = Dimensions2{0, 0}, "dilation"_a = Dimensions2{1, 1}, "groups"_a = 1,
                    "channel_offset"_a = 0)
        .def_static("diagonal", &diagonal, "gain"_a, "n_out"_a, "target_index"_a)
        .def_static("sum_pool", &sum_pool, "in_hwc"_a, "out_hwc"_a, "kernel"_a, "stride"_a, "padding"_a,
                    "gain"_a, "channel_offset"_a = 0)
        .def(
            "apply_event", [](const Linear& map, nb::object x, nb::object acc) { apply(map, x, acc, true); },
            "x"_a, "acc"_a)
        .def(
            "apply_dense", [](const Linear& map, nb::object x, nb::object acc) { apply(map, x, acc, false); },
            "x"_a, "acc"_a)
        .def_prop_ro("n_in", &Linear::n_in)
        .def_prop_ro("n_out", &Linear::n_out)
        .def_prop_ro("bytes", &Linear::bytes);
}

}  // namespace spikerun
