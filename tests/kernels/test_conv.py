# SPDX-License-Identifier: Apache-2.0
"""Convolutions against their definition in plain NumPy: both kernels give the bits of the definition."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maps import check, convolution, densities, events, magnitudes, quick, seeds, windows

from spikerun.kernels.cpu.native import Linear, choose_isa, isa, isas


@quick
@given(
    seeds,
    windows(),
    st.sampled_from([(1, 1, 1), (6, 1, 1), (18, 1, 1), (1, 6, 9), (1, 3, 34), (2, 1, 3), (3, 2, 1), (4, 5, 2)]),
    st.integers(0, 3),
    st.integers(0, 3),
    densities,
    magnitudes,
)
def test_conv_correlates_each_group(
    seed: int,
    window: dict[str, Any],
    split: tuple[int, int, int],
    before: int,
    behind: int,
    density: float,
    magnitude: int,
) -> None:
    rng = np.random.default_rng(seed)
    linear, correlated = convolution(rng, window, split, before, behind)
    x = events(rng, linear.n_in, density, magnitude)
    check(linear, x, correlated(x), rng)


ODD = {"image": (9, 7), "out": (3, 7), "kernel": (3, 2), "stride": (3, 1), "padding": (2, 1), "dilation": (2, 2)}


@pytest.mark.parametrize("split", [(1, 1, 8), (1, 3, 27), (2, 3, 5), (3, 1, 16), (1, 2, 130)])
def test_every_single_event_of_a_conv_reaches_the_outputs_whose_windows_hold_it(split: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    linear, correlated = convolution(rng, ODD, split, before=2, behind=1)
    for value, i in enumerate(range(linear.n_in), 1):
        x = np.zeros(linear.n_in, np.int16)
        x[i] = -value
        check(linear, x, correlated(x), rng)


@pytest.mark.parametrize("magnitude", [1, 32767])
@pytest.mark.parametrize("split", [(1, 5, 8), (2, 2, 3), (1, 3, 130)])
def test_a_conv_gives_the_same_bits_for_few_events_and_for_many(split: tuple[int, int, int], magnitude: int) -> None:
    rng = np.random.default_rng(0)
    linear, correlated = convolution(rng, ODD, split, before=1, behind=2)
    for active in range(linear.n_in + 1):  # one kind of kernel takes over from another on the way
        x = np.zeros(linear.n_in, np.int16)
        x[rng.permutation(linear.n_in)[:active]] = magnitude
        check(linear, x, correlated(x), rng)


def _conv(**changes: Any) -> Linear:
    arguments: dict[str, Any] = {
        "weight": np.zeros((3, 3, 2, 4), np.int8),
        "in_hwc": (8, 8, 2),
        "out_hwc": (6, 6, 4),
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
        "groups": 1,
    }
    return Linear.conv(**(arguments | changes))


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("out_hwc", {"out_hwc": (7, 6, 4)}),
        ("in_hwc", {"in_hwc": (8, 8, 0)}),
        ("in_hwc", {"in_hwc": (2**28, 2**28, 2**28)}),
        ("stride", {"stride": (0, 1)}),
        ("padding", {"padding": (-1, 0)}),
        ("padding", {"padding": (2**62, 0)}),
        ("dilation", {"dilation": (2**40, 1)}),
        ("kernel", {"dilation": (100, 1)}),
        ("groups", {"groups": 3}),
        ("groups", {"groups": 0}),
        ("weight", {"in_hwc": (8, 8, 3)}),
        ("channel_offset", {"channel_offset": 1}),
        ("channel_offset", {"channel_offset": -1}),
        ("channel_offset", {"channel_offset": 2**62}),
    ],
)
def test_conv_refuses_sizes_that_contradict(argument: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        _conv(**changes)


# Words that fit the kernel of pairs, and such as do not: it must leave those to others. Dense kernels add up
# more products in 16 bits the smaller the words are, take up to 127 or 255 as bytes, and others as they are.
words = st.sampled_from(
    [*((0, 2**bits - 1) for bits in range(1, 9)), (0, 2), (0, 32), (0, 128), (0, 256), (-1, 31), (-128, 127)]
)
# Groups, and channels in and out of each.
splits = st.tuples(
    st.just(1), st.integers(1, 20), st.sampled_from([1, 15, 16, 17, 32, 48, 64, 65, 127, 130, 200])
) | st.tuples(st.integers(2, 4), st.integers(1, 20), st.sampled_from([4, 7, 8, 9, 16, 33]))
extremes = st.sampled_from([None, -128, 127])


@quick
@given(
    seeds,
    windows(kernels=6),
    splits,
    st.integers(0, 3),
    densities,
    words,
    extremes,
    st.booleans(),
)
def test_words_of_each_size_are_correlated(
    seed: int,
    window: dict[str, Any],
    split: tuple[int, int, int],
    before: int,
    density: float,
    between: tuple[int, int],
    weight: int | None,
    largest: bool,
) -> None:
    rng = np.random.default_rng(seed)
    linear, correlated = convolution(rng, window, split, before, 1, weight)
    low, high = between
    x = np.full(linear.n_in, high) if largest else rng.integers(low, high + 1, linear.n_in)
    x = np.where(rng.random(linear.n_in) < density, x, 0).astype(np.int16)
    check(linear, x, correlated(x), rng)


@pytest.mark.parametrize("reach", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("word", [1, 31, 127])
@pytest.mark.parametrize("weight", [-128, 127])
def test_sums_of_many_large_words_are_exact(reach: int, word: int, weight: int) -> None:
    rng = np.random.default_rng(0)
    window = {"image": (5, 9), "out": (3, 10 - reach), "kernel": (3, reach), "stride": (1, 1), "padding": (0, 0)}
    linear, correlated = convolution(rng, window | {"dilation": (1, 1)}, (1, 70, 83), 0, 0, weight)
    for active in (0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 256, 258, 1000, linear.n_in):
        x = np.zeros(linear.n_in, np.int16)
        x[rng.permutation(linear.n_in)[:active]] = word
        check(linear, x, correlated(x), rng)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
def test_strides_of_each_phase_reach_their_outputs(kernel: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    out = tuple((n + 2 - kernel) // stride + 1 for n in (9, 14))
    window = {"image": (9, 14), "out": out, "kernel": (kernel, kernel), "stride": (stride, stride)}
    linear, correlated = convolution(rng, window | {"padding": (1, 1), "dilation": (1, 1)}, (1, 9, 40), 2, 1)
    for density in (0.02, 0.5, 1.0):
        x = np.where(rng.random(linear.n_in) < density, rng.integers(0, 128, linear.n_in), 0).astype(np.int16)
        check(linear, x, correlated(x), rng)


def test_outputs_that_no_input_reaches_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    window = {"image": (3, 3), "out": (11, 11), "kernel": (1, 1), "stride": (1, 1), "padding": (4, 4)}
    linear, correlated = convolution(rng, window | {"dilation": (1, 1)}, (1, 20, 16), 0, 0)
    x = rng.integers(0, 8, linear.n_in).astype(np.int16)
    check(linear, x, correlated(x), rng)


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("word", [-32768, 32767])
@pytest.mark.parametrize("channels", [(1, 8), (3, 16), (5, 21)])
def test_sums_beyond_32_bits_wrap_around(channels: tuple[int, int], word: int, weight: int) -> None:
    rng = np.random.default_rng(0)
    window = {"image": (9, 11), "out": (9, 11), "kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    linear, correlated = convolution(rng, window | {"dilation": (1, 1)}, (1, *channels), 1, 1, weight)
    x = np.full(linear.n_in, word, np.int16)
    check(linear, x, correlated(x), rng)


def test_words_of_one_group_that_fit_no_pairs_leave_the_others_as_they_are() -> None:
    rng = np.random.default_rng(0)
    window = {"image": (6, 6), "out": (6, 6), "kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    linear, correlated = convolution(rng, window | {"dilation": (1, 1)}, (3, 6, 16), 1, 1)
    for group in range(3):
        x = rng.integers(0, 32, (6, 6, 3, 6)).astype(np.int16)
        x[2, 3, group, 4] = -5
        check(linear, x.ravel(), correlated(x.ravel()), rng)


@pytest.mark.parametrize("split", [(1, 20, 130), (2, 8, 40)])
def test_the_weights_of_a_conv_are_kept_once(split: tuple[int, int, int]) -> None:
    window = {"image": (6, 6), "out": (6, 6), "kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    linear, _ = convolution(np.random.default_rng(0), window | {"dilation": (1, 1)}, split, 0, 0)
    groups, group_in, group_out = split
    assert linear.bytes <= groups * (9 * group_in * (-(-group_out // 16) * 16) + 64)


def test_another_choice_of_instruction_set_leaves_a_conv_as_it_was_made() -> None:
    rng, before = np.random.default_rng(0), isa()
    window = {"image": (6, 9), "out": (6, 9), "kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    linear, correlated = convolution(rng, window | {"dilation": (1, 1)}, (1, 20, 70), 0, 0)
    x = np.where(rng.random(linear.n_in) < 0.3, rng.integers(0, 32, linear.n_in), 0).astype(np.int16)
    try:
        for other in isas():
            choose_isa(other)
            check(linear, x, correlated(x), rng)
    finally:
        choose_isa(before)


@pytest.mark.parametrize(("padding", "split"), [(200, (1, 1, 2)), (60, (2, 1, 8))])
def test_much_padding_takes_no_memory(padding: int, split: tuple[int, int, int]) -> None:
    rng, side = np.random.default_rng(0), 2 + 2 * padding
    window = {"image": (2, 2), "out": (side, side), "kernel": (1, 1), "stride": (1, 1), "padding": (padding, padding)}
    linear, correlated = convolution(rng, window | {"dilation": (1, 1)}, split, 0, 0)
    for first in (1, -2):
        x = np.arange(first, first + linear.n_in, dtype=np.int16)
        check(linear, x, correlated(x), rng)
