// SPDX-License-Identifier: Apache-2.0
// fill: acc = value. clear: x = 0. copy: y = x.
#include <algorithm>

#include "bindings.hpp"

namespace spikerun {

namespace {

void fill(Program& program, When when, int64_t acc_id, nb::object value) {
    const Numbers acc = program.numbers(acc_id, "acc");
    Values values = values_of(value, "value", acc.size);
    if (acc.tracked()) {
        require(values.least() == 0 && values.largest() == 0, "acc", "is tracked, and rests at zero only");
        program.append(when, [=](Workspace& ws, int64_t) { acc.marks(ws).erase(acc.in(ws)); });
        program.idle([=](Workspace& ws) { return acc.marks(ws).none() ? forever : 0; });
        return;
    }
    const size_t tile = tiled(acc.size, {&values});
    program.append_tiles(when, acc.size, tile, [=](Workspace& ws, int64_t, size_t j, size_t n) {
        std::copy_n(values.at(j), n, acc.in(ws) + j);
    });
    program.idle([=](Workspace& ws) -> int64_t {
        for (size_t j = 0; j < acc.size; j += tile) {
            const size_t n = std::min(tile, acc.size - j);
            if (!std::equal(values.at(j), values.at(j) + n, acc.in(ws) + j)) return 0;
        }
        return forever;
    });
}

template <class T>
void clear_register(Program& program, When when, Register<T> x) {
    program.append(when, [=](Workspace& ws, int64_t) { std::fill_n(x.in(ws), x.size, T{0}); });
}

void clear(Program& program, When when, int64_t x) {
    if (program.is_words(x, "x"))
        clear_register(program, when, program.words(x, "x"));
    else
        clear_register(program, when, program.numbers(x, "x"));
}

template <class T>
void copy_register(Program& program, When when, Register<T> x, Register<T> y) {
    require_same(x.size, y.size, "y");
    require_apart("y", {x, y});
    program.append(when, [=](Workspace& ws, int64_t) { std::copy_n(x.in(ws), x.size, y.in(ws)); });
}

void copy(Program& program, When when, int64_t x, int64_t y) {
    if (program.is_words(x, "x"))
        copy_register(program, when, program.words(x, "x"), program.words(y, "y"));
    else
        copy_register(program, when, program.numbers(x, "x"), program.numbers(y, "y"));
}

}  // namespace

void bind_copy(ProgramClass& cls) {
    operation(cls, "fill", &fill, "acc"_a, "value"_a);
    operation(cls, "clear", &clear, "x"_a);
    operation(cls, "copy", &copy, "x"_a, "y"_a);
}

}  // namespace spikerun
