# SPDX-License-Identifier: Apache-2.0
"""Each connection against the definition of its docstring, written as slow loops."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from networks import connect, pooled, seeds

from spikerun.connections import Conv, Dense, Diagonal, Sparse, SumPool, Window
from spikerun.connections.sliding import windows
from spikerun.connections.window import OUTSIDE
from spikerun.errors import NetworkError

Array = np.ndarray[Any, Any]


def slow(c: Any, x: Array) -> Array:
    """Return C(x), one synapse after the other."""
    match c:
        case Dense():
            return np.array(
                [sum(int(w) * int(s) for w, s in zip(column, x.ravel(), strict=True)) for column in c.weight.T]
            )
        case Sparse():
            i = np.zeros(c.size, np.int64)
            for n, s in enumerate(x.ravel()):
                for k in range(c.indptr[n], c.indptr[n + 1]):
                    i[c.indices[k]] += int(c.data[k]) * int(s)
            return i
        case Diagonal():
            gains = np.broadcast_to(c.gain, x.shape[:1])
            return np.stack([int(g) * x[k] for k, g in enumerate(gains)])
        case SumPool():
            return slow_pool(c, x)
    return slow_conv(c, x)


def slow_pool(c: SumPool, x: Array) -> Array:
    i = np.zeros(c.target_shape(x.shape), np.int64)
    gains = np.broadcast_to(c.gain, x.shape[:1])
    for (k, y, z), s in np.ndenumerate(padded(x, c.padding)):
        for a, b in np.ndindex(*c.kernel):
            place = output(y - a, z - b, c.stride, i.shape)
            if place:
                i[k, *place] += int(gains[k]) * int(s)
    return i


def slow_conv(c: Conv, x: Array) -> Array:
    i = np.zeros(c.target_shape(x.shape), np.int64)
    inner, outer = c.weight.shape[1], c.weight.shape[0] // c.groups
    for (k, y, z), s in np.ndenumerate(padded(x, c.padding)):
        group = k // inner
        for a, b in np.ndindex(*c.kernel):
            place = output(y - a * c.dilation[0], z - b * c.dilation[1], c.stride, i.shape)
            for o in range(group * outer, (group + 1) * outer) if place else ():
                i[o, *place] += int(c.weight[o, k - group * inner, a, b]) * int(s)  # type: ignore[misc]
    return i


def padded(x: Array, padding: tuple[int, int]) -> Array:
    return np.pad(x, ((0, 0), *((p, p) for p in padding)))


def output(y: int, x: int, stride: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the output whose window begins at (y, x), if there is one."""
    if y % stride[0] or x % stride[1]:
        return None
    place = y // stride[0], x // stride[1]
    return place if 0 <= place[0] < shape[1] and 0 <= place[1] < shape[2] else None


def drawn(seed: int) -> tuple[Any, tuple[int, ...], np.random.Generator]:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 7, 3)) if rng.integers(4) else (int(rng.integers(1, 9)),)
    connection, _ = connect(rng, shape)
    return connection, shape, rng


@settings(max_examples=300)
@given(seeds)
def test_apply_equals_the_sum_over_synapses(seed: int) -> None:
    connection, shape, rng = drawn(seed)
    x = rng.integers(-9, 10, shape)
    np.testing.assert_array_equal(connection.apply(x), slow(connection, x))


def all_ones(c: Any) -> Any:
    """Return the connection with every synapse 1."""
    match c:
        case Dense():
            return Dense(np.ones_like(c.weight))
        case Sparse():
            return Sparse(c.indptr, c.indices, np.ones_like(c.data), c.size)
        case Diagonal():
            return Diagonal(np.int32(1))
        case SumPool():
            return SumPool(c.kernel, c.stride, c.padding)
    return Conv(np.ones_like(c.weight), c.stride, c.padding, c.dilation, c.groups)


@settings(max_examples=150)
@given(seeds)
def test_a_pooled_convolution_is_the_largest_sum_in_each_window(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = tuple(int(n) for n in rng.integers(1, 7, 3))
    conv, _ = connect(rng, source, "c")
    both, x = pooled(rng, conv, source), rng.integers(-9, 10, source)
    sums, got = slow(conv, x), both.apply(x)
    assert got.shape == both.target_shape(source)
    for (c, *place), largest in np.ndenumerate(got):
        first = [n * s - p for n, s, p in zip(place, both.pool_stride, both.pool_padding, strict=True)]
        taps = [range(f, f + d * k, d) for f, d, k in zip(first, both.pool_dilation, both.pool_kernel, strict=True)]
        rows, columns = ([n for n in tap if 0 <= n < size] for tap, size in zip(taps, sums.shape[1:], strict=True))
        assert largest == max(sums[c, row, column] for row in rows for column in columns)
    assert np.abs(got).reshape(len(got), -1).max(axis=1).max() <= 9 * both.largest_sum(source, len(got)).max()
    assert both.weights == conv.weights
    np.testing.assert_array_equal(both.fan_out(source), conv.fan_out(source))


@settings(max_examples=150)
@given(seeds)
def test_fan_out_is_what_one_spike_reaches(seed: int) -> None:
    connection, shape, _ = drawn(seed)
    ones, reached = all_ones(connection), np.zeros(shape, np.int64)
    for place in np.ndindex(*shape):
        unit = np.zeros(shape, np.int64)
        unit[place] = 1
        reached[place] = ones.apply(unit).sum()
    np.testing.assert_array_equal(connection.fan_out(shape), reached)


@settings(max_examples=150)
@given(seeds)
def test_no_current_exceeds_the_largest_sum(seed: int) -> None:
    connection, shape, rng = drawn(seed)
    signs = rng.choice([-1, 1], shape)
    currents = np.abs(connection.apply(signs))
    channels = currents.shape[0]  # of Dense and Sparse, each neuron is taken for one
    bound = np.broadcast_to(connection.largest_sum(shape, channels), (channels,))
    assert (currents.reshape(channels, -1).max(axis=1) <= bound).all()


@settings(max_examples=100)
@given(seeds)
def test_target_shape_is_the_shape_of_the_currents(seed: int) -> None:
    connection, shape, _ = drawn(seed)
    currents = connection.apply(np.zeros(shape, np.int64))
    assert connection.target_shape(shape) in (None, currents.shape)
    assert connection.target_size(shape) == currents.size


def test_window_has_no_synapses_and_shows_its_candidates() -> None:
    assert not Window(2, 2).linear and not Window(2, 2).fan_out((3, 4, 4)).any()
    taps = Window(2, 2, 1).apply(np.arange(4).reshape(1, 2, 2))
    assert sorted(taps[:, 0, 0, 0]) == [OUTSIDE, OUTSIDE, OUTSIDE, 0]


@settings(max_examples=200)
@given(seeds)
def test_windows_larger_than_the_image_cost_what_they_see(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = int(rng.integers(1, 12))
    pool = Window(kernel, int(rng.integers(1, 4)), int(rng.integers(0, kernel // 2 + 1)), int(rng.integers(1, 3)))
    x = rng.integers(0, 99, (2, int(rng.integers(1, 9)), int(rng.integers(1, 9))))
    try:
        out = pool.target_shape(x.shape)
    except NetworkError:
        return
    every = windows(x, (out[1], out[2]), pool.kernel, pool.stride, pool.padding, pool.dilation, OUTSIDE)
    np.testing.assert_array_equal(pool.apply(x).max(axis=0), every.max(axis=0))
    assert pool.taps(x.shape) <= 4 * (x.shape[1] + 1) * (x.shape[2] + 1)


def test_a_window_on_one_pixel_has_one_tap() -> None:
    assert Window(2001, 1, 1000).taps((1, 1, 1)) == 1
    assert SumPool(2001, 1, 1000).apply(np.full((1, 1, 1), 7)).tolist() == [[[7]]]


def test_windows_fills_the_outside() -> None:
    taps = windows(np.ones((1, 2, 2), np.int64), (2, 2), (2, 2), (2, 2), (1, 1), (1, 1), -5)
    assert taps.shape == (4, 1, 2, 2)
    assert (taps == -5).sum() == 12
    assert math.prod(taps.shape) == 16


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Dense(np.zeros((2, 2), np.int16)), "weight must have dtype int8, got int16: give weight.astype"),
        (lambda: Dense(np.zeros((2, 2))), r"int8, got float64: scale and round it first, np.rint\(weight / unit\)"),
        (lambda: Dense(np.zeros(4, np.int8)), r"weight must have 2 axes, got shape \(4,\)"),
        (lambda: Conv(np.zeros((0, 1, 1, 1), np.int8)), "weight must not be empty"),
        (lambda: Conv(np.zeros((3, 1, 1, 1), np.int8), groups=2), "groups=2 must divide the 3 output channels"),
        (lambda: Conv(np.zeros((2, 1, 1, 1), np.int8), stride=0), "stride must be an integer in 1"),
        (lambda: SumPool(2, 2, 2), r"padding \(2, 2\) must be at most half the kernel"),
        (lambda: Window((1, 2, 3), 1), "kernel must be one or two integers"),  # type: ignore[arg-type]
        (lambda: Diagonal(np.full(3, 2**40)), "gain must fit int32"),  # type: ignore[arg-type]
        (lambda: sparse(indptr=[0, 2, 1]), "indptr must rise"),
        (lambda: sparse(indptr=[0, 2**63 - 1, -(2**63) + 1, 1]), "indptr must rise"),
        (lambda: sparse(indices=[-1]), r"indices must be in 0..2, got -1"),
        (lambda: sparse(data=[1, 2]), "must be equally long"),
        (lambda: sparse(size=0), "size must be an integer in 1"),
    ],
)
def test_wrong_connection_is_refused(make: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        make()


def sparse(indptr: Any = (0, 1), indices: Any = (0,), data: Any = (1,), size: int = 3) -> Sparse:
    return Sparse(np.array(indptr, np.int64), np.array(indices, np.int32), np.array(data, np.int8), size)


@pytest.mark.parametrize(
    ("connection", "source", "said"),
    [
        (Dense(np.zeros((4, 2), np.int8)), (5,), "weight has 4 rows, its source 5 neurons"),
        (Conv(np.zeros((1, 2, 3, 3), np.int8)), (3, 8, 8), "takes 2 channels in 1 groups, its source has 3"),
        (Conv(np.zeros((1, 1, 3, 3), np.int8)), (9,), r"needs a source of shape \(C, H, W\)"),
        (Conv(np.zeros((1, 1, 3, 3), np.int8)), (1, 2, 2), "does not fit an image of"),
        (Diagonal(np.ones(2, np.int32)), (3,), "gain has 2 channels, its source 3"),
        (Window(2, 1, 1, 4), (1, 3, 3), "skips an image"),
    ],
)
def test_connection_that_does_not_fit_its_source_is_refused(connection: Any, source: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        connection.target_shape(source)


def test_weights_are_frozen() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Dense(np.zeros((2, 2), np.int8)).weight[0, 0] = 1
