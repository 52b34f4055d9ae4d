# SPDX-License-Identifier: Apache-2.0
"""Levels and tables of curves: the word of every integer is the rounded function, exactly."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.converters.activations import Grid
from spikerun.converters.breakpoints import HIGH, LOW, steps
from spikerun.converters.curved import Curved
from spikerun.converters.curves import curve
from spikerun.converters.graph import Array, Curve
from spikerun.neurons import Levels

CURVES: dict[str, Curve] = {
    "leaky_relu": curve("leaky_relu", 0.1),
    "negative slope": curve("leaky_relu", -0.5),
    "elu": curve("elu"),
    "tanh": curve("tanh"),
    "sigmoid": curve("sigmoid"),
    "threshold": curve("threshold", 0.3, -0.4),
    "silu": curve("silu"),
    "gelu": curve("gelu"),
    "hardswish": curve("hardswish"),
    "abs": curve("abs"),
    "square": curve("square"),
    "softshrink": curve("softshrink", 0.5),
    "exp": curve("exp"),
    "bump": Curve("bump", lambda x: np.exp(-np.square(x - 3.1))),
    "falling": Curve("falling", lambda x: -x),
    "constant": Curve("constant", np.ones_like),
}


def around(neuron: Levels, channels: int) -> Array:
    """Return integers (N, C) at and around every level, and others of all sizes."""
    levels = np.broadcast_to(neuron.levels, (channels, neuron.levels.shape[-1])).astype(np.int64)
    near = np.concatenate([levels + d for d in (-2, -1, 0, 1, 2)], axis=1)
    rng = np.random.default_rng(0)
    far = np.rint(np.sign(rng.normal(size=(channels, 400))) * np.exp2(rng.uniform(0, 31, (channels, 400))))
    dense = np.broadcast_to(np.arange(-300, 301), (channels, 601))
    found = np.concatenate([near, far.astype(np.int64), dense], axis=1).T
    return np.clip(found, LOW, HIGH - 1)  # type: ignore[no-any-return]


def assert_exact(activation: Curved, scale: Array, grid: Grid, bits: int) -> None:
    neuron = activation.neuron(bits, "bits", np.zeros(1, np.int64), scale, grid)
    assert isinstance(neuron, Levels)
    v = around(neuron, len(scale))
    with np.errstate(over="ignore"):
        wanted = np.clip(np.rint(activation.real(v * scale) / grid.step) + grid.zero, 0, 2**bits - 1)
    np.testing.assert_array_equal(neuron.look_up(v.T).T, wanted)


@pytest.mark.parametrize("name", CURVES)
@given(
    scale=st.lists(st.floats(1e-6, 3.0), min_size=1, max_size=3),
    step=st.floats(1e-3, 1.0),
    zero=st.integers(-3, 200),
    bits=st.integers(1, 8),
)
@settings(max_examples=12, deadline=None)
def test_every_word_is_the_rounded_function(name: str, scale: list[float], step: float, zero: int, bits: int) -> None:
    channels = len(scale)
    steps_, zeros = np.full(channels, step), np.full(channels, min(zero, 2**bits - 1), np.int64)
    assert_exact(Curved.of(CURVES[name], 0, channels, channels), np.array(scale), Grid(steps_, zeros), bits)


@given(
    knots=st.lists(st.tuples(st.floats(-20, 20), st.floats(-3, 3)), min_size=2, max_size=7),
    rising=st.booleans(),
    scale=st.floats(1e-4, 0.5),
    bits=st.integers(1, 8),
)
@settings(max_examples=60, deadline=None)
def test_every_word_of_any_broken_line_is_exact(
    knots: list[tuple[float, float]], rising: bool, scale: float, bits: int
) -> None:
    x = np.cumsum([0.25 + abs(place) / 4 for place, _ in knots]) - 8
    y = np.array([height for _, height in knots])
    y = np.sort(y) if rising else y
    line = Curve("line", lambda v: np.interp(v, x, y))
    step = max(float(y.max() - y.min()), 0.1) / 2**bits
    grid = Grid(np.array([step]), np.array([min(round(-y.min() / step), 2**bits - 1)]))
    assert_exact(Curved.of(line, 0, 1, 1), np.array([scale]), grid, bits)


def test_a_curve_that_rises_needs_no_table() -> None:
    grid, scale = Grid(np.array([0.01, 0.02]), np.array([100, 50])), np.array([0.01, 0.003])
    for name, rises in (("tanh", True), ("leaky_relu", True), ("silu", False), ("falling", False)):
        neuron = Curved.of(CURVES[name], 0, 2, 2).neuron(8, "bits", np.zeros(1, np.int64), scale, grid)
        assert isinstance(neuron, Levels)
        assert (neuron.table is None) == rises, name
        assert not rises or neuron.levels.shape == (2, 255)


def test_channels_that_agree_share_their_levels() -> None:
    grid, scale = Grid(np.full(3, 0.01), np.full(3, 100)), np.full(3, 0.01)
    neuron = Curved.of(CURVES["tanh"], 0, 3, 3).neuron(8, "bits", np.zeros(1, np.int64), scale, grid)
    assert isinstance(neuron, Levels) and neuron.levels.shape == (255,)


def test_a_dip_between_two_points_of_the_grid_is_found() -> None:
    at = 1.0 + 1 / 100  # no point of the grid
    function: Callable[[Array], Array] = lambda x: np.square(x - at)  # noqa: E731
    found = steps(
        lambda v: function(v * 1e-5), lambda v: np.clip(np.rint(function(v * 1e-5) / 1e-8), 0, 3), np.array([1e-5])
    )
    assert found.words.min() == 0


def test_words_below_0_s_word_stand_for_negative_values() -> None:
    grid = Grid(np.array([0.5]), np.array([3]))
    np.testing.assert_array_equal(grid.real(np.array([[0.0], [3.0], [5.0]], np.float32)), [[-1.5], [0], [1]])


def test_a_slope_for_each_channel_is_each_channel_s() -> None:
    slopes = np.array([0.0, 0.5, -1.0])
    part = Curved.of(curve("leaky_relu", slopes), 1, 3, 3)
    np.testing.assert_array_equal(part.real(np.full((1, 2), -2.0)), [[-1.0, 2.0]])
