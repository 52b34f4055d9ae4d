# SPDX-License-Identifier: Apache-2.0
"""Kernels of convolutions and sums, as this computer compiles them: their rows are those of the connections."""

import ctypes
import importlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.connections import Conv, SumPool
from spikerun.connections.base import Connection
from spikerun.edge.mcu import maps
from spikerun.edge.mcu.table import Table
from spikerun.kernels.operations import Map
from spikerun.network import Network, Population, Projection
from spikerun.neurons import Input, Readout
from spikerun.plan import lower

RUNTIME = Path(str(importlib.import_module("spikerun.edge.mcu").__file__)).parent / "runtime"
GUARD = 12345


@pytest.fixture(scope="module")
def library(needs: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the kernels as a shared library."""
    needs("gcc")
    made = tmp_path_factory.mktemp("maps") / "maps.so"
    flags = ("-shared", "-fPIC", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    sources = [RUNTIME / f"spikerun_{kind}.c" for kind in ("pairs", "dot", "depthwise", "sum_pool")]
    subprocess.run(["gcc", *flags, *sources, "-o", made], check=True)
    return ctypes.CDLL(str(made))


def fields(kind: str) -> list[tuple[str, bool]]:
    """Return the fields of a struct of spikerun.h in their order, and which are pointers."""
    text = (RUNTIME / "spikerun.h").read_text()
    ends = re.search(rf"\}} spikerun_{kind};", text)
    assert ends is not None
    body = text[text.rindex("typedef struct {", 0, ends.start()) : ends.start()]
    body = re.sub(r"/\*.*?\*/", "", body.split("{", 1)[1], flags=re.DOTALL)
    found = []
    for line in body.split(";")[:-1]:
        named = line.split("*")[1] if "*" in line else line.split(None, 1)[1]
        found += [(name.strip(), "*" in line) for name in named.split(",")]
    return found


def rows(
    library: ctypes.CDLL, table: Table, sign: int, x: np.ndarray, target: tuple[int, ...], memory: int
) -> np.ndarray:
    """Return what a kernel adds to zeros, row by row (H, W, C); nothing behind them is touched."""
    kind = table.ctype.removeprefix("spikerun_")
    names = fields(kind)
    numbers = {**table.numbers, "sign": sign}
    types = [(name, ctypes.c_void_p if pointer else ctypes.c_int32) for name, pointer in names]
    struct = type("Struct", (ctypes.Structure,), {"_fields_": types})
    self = struct(
        **{name: table.arrays[name].ctypes.data if pointer else int(numbers[name]) for name, pointer in names}
    )
    channels, height, width = target
    found = np.full((height, width * channels + 2), GUARD, np.int32)
    found[:, :-2] = 0
    space = np.zeros(memory + 1, np.int32)
    space[-1] = GUARD
    words = np.ascontiguousarray(x.transpose(1, 2, 0)).view(np.uint8)
    for row in range(height):
        more = [ctypes.c_void_p(space.ctypes.data)] if memory else []
        call = getattr(library, f"spikerun_{kind}_run")
        call(
            ctypes.byref(self), row, ctypes.c_void_p(words.ctypes.data), ctypes.c_void_p(found[row].ctypes.data), *more
        )
    assert (found[:, -2:] == GUARD).all()
    assert space[-1] == GUARD
    return found[:, :-2].reshape(height, width, channels)


def as_map(connection: Connection, source: tuple[int, ...]) -> Map:
    """Return the map of a connection as a program has it."""
    target = connection.target_shape(source)
    assert target is not None
    populations = {"in": Population(source, Input(8)), "out": Population(target, Readout())}
    net = Network(populations, [Projection("in", "out", connection)], ["out"], 8)
    found: Map = next(o for o in lower(net, "blocked").operations if o.name == "apply").map  # type: ignore[attr-defined]
    return found


def check(library: ctypes.CDLL, connection: Connection, x: np.ndarray, table: Table, memory: int) -> None:
    m = as_map(connection, x.shape)
    found = rows(library, table, 0x80 if x.dtype == np.int8 else 0, x, m.target, memory)
    expected = connection.apply(x.astype(np.int64)).reshape(m.target)
    np.testing.assert_array_equal(found.transpose(2, 0, 1), expected)


def words(rng: np.random.Generator, shape: tuple[int, ...], signed: bool) -> np.ndarray:
    drawn = rng.integers(0, 256, shape).astype(np.uint8) * (rng.random(shape) < 0.7)
    return drawn.astype(np.int8) if signed else drawn.astype(np.uint8)


small = st.integers(1, 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 5), small, small, small, small, st.booleans())
def test_dense_kernels_give_the_sums_of_a_convolution(
    library: ctypes.CDLL,
    seed: int,
    inputs: int,
    channels: int,
    high: int,
    wide: int,
    stride: int,
    rate: int,
    signed: bool,
) -> None:
    rng = np.random.default_rng(seed)
    padding = (int(rng.integers(0, 3)), int(rng.integers(0, 3)))
    weight = rng.choice([-128, -1, 0, 5, 127], (channels, inputs, high, wide)).astype(np.int8)
    connection = Conv(weight, (stride, 3 - min(stride, 2)), padding, (rate, 1))
    x = words(rng, (inputs, 7, int(rng.integers(3, 12))), signed)
    table = maps.pairs_of_conv(as_map(connection, x.shape))
    assert table is not None
    memory = 4 * high * len(maps.pairs_of(inputs * wide)) + -(-inputs * wide // 4)
    check(library, connection, x, table, memory)
    if not signed:
        table = maps.dot(as_map(connection, x.shape))
        assert table is not None
        check(library, connection, x, table, -(-inputs * high * wide // 4))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 17), st.integers(1, 5), small, small, small, st.booleans())
def test_each_channel_is_convolved_with_itself(
    library: ctypes.CDLL, seed: int, channels: int, high: int, wide: int, stride: int, rate: int, signed: bool
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.choice([-128, -1, 0, 5, 127], (channels, 1, high, wide)).astype(np.int8)
    padding = (int(rng.integers(0, 3)), int(rng.integers(0, 3)))
    connection = Conv(weight, (3 - min(stride, 2), stride), padding, (1, rate), groups=channels)
    x = words(rng, (channels, 7, int(rng.integers(7, 12))), signed)
    check(library, connection, x, maps.depthwise(as_map(connection, x.shape)), 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 20), st.integers(1, 20), small, st.booleans())
def test_sums_over_windows_are_exact(
    library: ctypes.CDLL, seed: int, channels: int, high: int, wide: int, stride: int, signed: bool
) -> None:
    rng = np.random.default_rng(seed)
    connection = SumPool((high, wide), (stride, stride), (high // 2, wide // 3), rng.integers(-9, 9, channels))
    x = words(rng, (channels, 20, 22), signed)
    if seed % 3 == 0:
        x[:] = -128 if signed else 255
    check(library, connection, x, maps.sum_pool(as_map(connection, x.shape)), 0)


@pytest.mark.parametrize("signed", [False, True])
def test_sums_of_the_largest_words_fit_their_lanes(library: ctypes.CDLL, signed: bool) -> None:
    connection = SumPool((2, 129), (1, 1), (0, 0), np.int32(1))  # 258 words, whose sum may be more than 2^16
    x = np.full((4, 2, 129), 127 if signed else 255, np.int8 if signed else np.uint8)
    check(library, connection, x, maps.sum_pool(as_map(connection, x.shape)), 0)


def test_each_word_of_a_row_stands_in_one_pair() -> None:
    for length in range(1, 20):
        found = maps.pairs_of(length).ravel().tolist()
        assert sorted(set(found) - {length}) == list(range(length))
        assert len(found) == length + length % 2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_rows_of_zeros_at_the_ends_of_a_kernel_are_left_out(library: ctypes.CDLL, seed: int, empty: bool) -> None:
    rng = np.random.default_rng(seed)
    weight = np.zeros((3, 3, 5, 5), np.int8)
    ends = rng.integers(0, 3, 2)
    if not empty:
        weight[:, :, ends[0] : ends[0] + 3, ends[1] : ends[1] + 2] = 1
    connection = Conv(weight, (2, 1), (int(rng.integers(0, 3)), int(rng.integers(0, 3))), (1, 1))
    x = words(rng, (3, 9, 8), False)
    m = maps.without_empty_taps(as_map(connection, x.shape))
    table = maps.dot(m)
    assert table is not None
    found = rows(library, table, 0, x, m.target, 20)
    np.testing.assert_array_equal(found.transpose(2, 0, 1), connection.apply(x.astype(np.int64)).reshape(m.target))
    assert m["weight"].shape[2] <= 3 + max(0, ends[0] - connection.padding[0])
