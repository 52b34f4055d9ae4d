# SPDX-License-Identifier: Apache-2.0
"""Every linear kernel against its definition in plain NumPy: both kernels give the bits of the definition."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.kernels.cpu.native import Linear

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)
densities = st.sampled_from([0.0, 0.05, 0.3, 0.9, 1.0])
# The largest event value: the kernels have a path of their own for those up to 63.
magnitudes = st.sampled_from([1, 31, 63, 64, 255, 32767])


def events(rng: np.random.Generator, n: int, density: float, magnitude: int) -> Any:
    x = rng.integers(-magnitude - 1 if magnitude == 32767 else -magnitude, magnitude + 1, n)
    return np.where(rng.random(n) < density, x, 0).astype(np.int16)


def check(linear: Linear, x: Any, expected: Any, rng: np.random.Generator) -> None:
    """Both kernels add `expected` to what the accumulators hold already, modulo 2^32."""
    before = rng.integers(-(2**31), 2**31, linear.n_out).astype(np.int32)
    by_event, by_dense = before.copy(), before.copy()
    linear.apply_event(x, by_event)
    linear.apply_dense(x, by_dense)
    wanted = (before.astype(np.int64) + expected.reshape(-1)).astype(np.uint32).astype(np.int32)
    np.testing.assert_array_equal(by_event, wanted)
    np.testing.assert_array_equal(by_dense, wanted)


@quick
@given(seeds, st.integers(1, 70), st.integers(1, 70), densities, magnitudes)
def test_dense_multiplies_rows(seed: int, n_in: int, n_out: int, density: float, magnitude: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-128, 128, (n_in, n_out)).astype(np.int8)
    x = events(rng, n_in, density, magnitude)
    check(Linear.dense(weight), x, x.astype(np.int64) @ weight, rng)


@pytest.mark.parametrize("magnitude", [63, 64, 32767])
def test_dense_is_exact_where_all_weights_and_values_are_extreme(magnitude: int) -> None:
    rng = np.random.default_rng(0)
    for sign_w, sign_x in ((-128, 1), (-128, -1), (127, 1), (127, -1)):
        weight = np.full((37, 40), sign_w, np.int8)
        x = np.full(37, sign_x * magnitude, np.int16)
        check(Linear.dense(weight), x, x.astype(np.int64) @ weight, rng)


def blocky(rng: np.random.Generator, n_in: int, n_out: int, kept: float) -> Any:
    """Return weights of which only this share of the blocks of 16 outputs is not zero."""
    keep = np.repeat(rng.random((n_in, -(-n_out // 16))) < kept, 16, axis=1)[:, :n_out]
    return np.where(keep, rng.integers(-128, 128, (n_in, n_out)), 0).astype(np.int8)


@quick
@given(seeds, st.integers(1, 70), st.integers(16, 90), st.sampled_from([0.0, 0.1, 0.5, 1.0]), densities, magnitudes)
def test_blocks_multiply_as_the_dense_weights_do(
    seed: int, n_in: int, n_out: int, kept: float, density: float, magnitude: int
) -> None:
    rng = np.random.default_rng(seed)
    weight, x = blocky(rng, n_in, n_out, kept), events(rng, n_in, density, magnitude)
    check(Linear.blocks(weight), x, x.astype(np.int64) @ weight, rng)


def test_blocks_of_extreme_weights_and_values_are_exact() -> None:
    for weight, value in ((-128, -32768), (-128, 32767), (127, -32768)):
        x, rng = np.full(5, value, np.int16), np.random.default_rng(0)
        check(Linear.blocks(np.full((5, 35), weight, np.int8)), x, np.full(35, 5 * weight * value), rng)


@pytest.mark.parametrize("n_out", [65535, 65536, 65551])
def test_outputs_beyond_16_bits_are_reached(n_out: int) -> None:
    rng = np.random.default_rng(0)
    weight = np.zeros((2, n_out), np.int8)
    weight[0, :3], weight[1, -20:] = 7, np.arange(-9, 11)
    x = np.array([3, -32768], np.int16)
    rows, columns = np.nonzero(weight)
    begin = np.array([0, 3, len(rows)])
    listed = Linear.sparse(begin, columns.astype(np.int32), weight[rows, columns], n_out)
    for linear in (Linear.blocks(weight), listed):
        check(linear, x, x.astype(np.int64) @ weight, rng)


def test_zeros_take_no_memory() -> None:
    weight = np.zeros((64, 160), np.int8)
    weight[::4, 5] = weight[::4, 159] = 1  # two blocks in each fourth row
    begins = 65 * 4
    assert Linear.dense(weight).bytes == 64 * 160
    assert Linear.blocks(weight).bytes == begins + 32 * (16 + 2)
    listed = Linear.sparse(np.arange(65), np.zeros(64, np.int32), np.ones(64, np.int8), 160)
    assert listed.bytes == 65 * 8 + 64 * (1 + 2)


@pytest.mark.parametrize("shape", [(3, 15), (0, 16)])
def test_blocks_refuse_fewer_outputs_than_one_holds(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"^weight: expected "):
        Linear.blocks(np.zeros(shape, np.int8))


@quick
@given(seeds, st.integers(1, 30), st.integers(1, 30), densities, magnitudes)
def test_sparse_adds_its_entries_and_duplicates(
    seed: int, n_in: int, n_out: int, density: float, magnitude: int
) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, n_out + 3, n_in)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    indices = rng.integers(0, n_out, indptr[-1]).astype(np.int32)
    data = rng.integers(-128, 128, indptr[-1]).astype(np.int8)
    x = events(rng, n_in, density, magnitude)
    expected = np.zeros(n_out, np.int64)
    np.add.at(expected, indices, np.repeat(x, counts).astype(np.int64) * data)
    check(Linear.sparse(indptr, indices, data, n_out), x, expected, rng)


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the geometry of a sliding window: image (H, W), kernel, stride, padding, dilation and output (H, W)."""
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    image = tuple(draw(st.integers(max(1, s - 2 * p), s + 6)) for s, p in zip(span, padding, strict=True))
    out = tuple((image[a] + 2 * padding[a] - span[a]) // stride[a] + 1 for a in range(2))
    return {"image": image, "out": out, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


def padded(x: Any, window: dict[str, Any], value: int = 0) -> Any:
    (ph, pw), extra = window["padding"], 8
    return np.pad(x.astype(np.int64), ((ph, ph + extra), (pw, pw + extra), (0, 0)), constant_values=value)


def patch(image: Any, window: dict[str, Any], ky: int, kx: int) -> Any:
    """Return what kernel position (ky, kx) sees from every output position: (Ho, Wo, C)."""
    (ho, wo), (sh, sw), (dh, dw) = window["out"], window["stride"], window["dilation"]
    return image[ky * dh : ky * dh + ho * sh : sh, kx * dw : kx * dw + wo * sw : sw][:ho, :wo]


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


def convolution(
    rng: np.random.Generator, window: dict[str, Any], split: tuple[int, int, int], before: int, behind: int
) -> tuple[Linear, Callable[[Any], Any]]:
    """Return a convolution of random weights, and its definition; split: groups, and channels in and out of each."""
    (h, w), (ho, wo), (kh, kw) = window["image"], window["out"], window["kernel"]
    groups, group_in, group_out = split
    cin, cout = groups * group_in, groups * group_out
    weight = rng.integers(-128, 128, (kh, kw, group_in, cout)).astype(np.int8)
    shape = (ho, wo, before + cout + behind)

    def correlated(x: Any) -> Any:
        image = padded(x.reshape(h, w, cin), window)
        sums = np.zeros(shape, np.int64)
        for ky in range(kh):
            for kx in range(kw):
                seen = patch(image, window, ky, kx)
                for g in range(groups):
                    source, target = slice(g * group_in, (g + 1) * group_in), slice(g * group_out, (g + 1) * group_out)
                    sums[..., before : before + cout][..., target] += seen[..., source] @ weight[ky, kx, :, target]
        return sums

    geometry = (window["stride"], window["padding"], window["dilation"])
    return Linear.conv(weight, (h, w, cin), shape, *geometry, groups, channel_offset=before), correlated


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


@quick
@given(seeds, st.integers(1, 200), densities)
def test_events_are_found_wherever_they_are(seed: int, n: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    x = events(rng, n, density, 32767)
    check(Linear.dense(np.eye(n, dtype=np.int8)), x, x.astype(np.int64), rng)


@quick
@given(seeds, st.integers(1, 40), st.integers(1, 40), densities, magnitudes)
def test_diagonal_adds_to_its_targets(seed: int, n_in: int, n_out: int, density: float, magnitude: int) -> None:
    rng = np.random.default_rng(seed)
    gain = rng.integers(-(2**31), 2**31, n_in).astype(np.int32)
    target = rng.integers(0, n_out, n_in).astype(np.int32)
    x = events(rng, n_in, density, magnitude)
    expected = np.zeros(n_out, np.int64)
    np.add.at(expected, target, gain.astype(np.int64) * x)
    check(Linear.diagonal(gain, n_out, target), x, expected, rng)


@quick
@given(seeds, windows(), st.integers(1, 20), st.integers(0, 3), st.booleans(), densities, magnitudes)
def test_sum_pool_adds_its_window_and_counts_padding_as_zero(
    seed: int, window: dict[str, Any], channels: int, before: int, ceil: bool, density: float, magnitude: int
) -> None:
    rng = np.random.default_rng(seed)
    window["dilation"] = (1, 1)
    (h, w), kernel, stride, padding = window["image"], window["kernel"], window["stride"], window["padding"]
    room = [window["image"][a] + 2 * padding[a] - kernel[a] for a in range(2)]
    window["out"] = tuple(-(-room[a] // stride[a]) + 1 if ceil else room[a] // stride[a] + 1 for a in range(2))
    gain = rng.integers(-1000, 1000, channels).astype(np.int32)
    x = events(rng, h * w * channels, density, magnitude)
    image = padded(x.reshape(h, w, channels), window)
    expected = np.zeros((*window["out"], before + channels + 1), np.int64)
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            expected[..., before : before + channels] += patch(image, window, ky, kx) * gain
    linear = Linear.sum_pool((h, w, channels), expected.shape, kernel, stride, padding, gain, before)
    check(linear, x, expected, rng)


def test_sum_pool_takes_windows_as_wide_as_the_image() -> None:
    rng, width = np.random.default_rng(0), 2101
    x = events(rng, width, 0.5, 15)
    image = np.pad(x.astype(np.int64), width)
    expected = np.array([image[width + o - 1050 : width + o + 1051].sum() for o in range(width)])
    gain = np.ones(1, np.int32)
    check(Linear.sum_pool((1, width, 1), (1, width, 1), (1, 2101), (1, 1), (0, 1050), gain), x, expected, rng)


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


@pytest.mark.parametrize(
    ("argument", "indptr", "indices"),
    [
        ("indptr", [0, 2, 1], [0]),
        ("indptr", [1, 1, 1], [0]),
        ("indptr", [0, 1, 2], [0]),
        ("indptr", [0, 2**62, 1], [0]),
        ("indices", [0, 1, 1], [4]),
        ("indices", [0, 1, 1], [-1]),
        ("data", [0, 1, 1], [0, 0]),
    ],
)
def test_sparse_refuses_rows_that_contradict(argument: str, indptr: list[int], indices: list[int]) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        Linear.sparse(np.array(indptr, np.int64), np.array(indices, np.int32), np.ones(1, np.int8), 4)


def test_diagonal_refuses_targets_outside() -> None:
    with pytest.raises(ValueError, match=r"^target_index: "):
        Linear.diagonal(np.ones(2, np.int32), 2, np.array([0, 2], np.int32))


@pytest.mark.parametrize("weight", [np.zeros((2, 3)), np.zeros((2, 3), np.int16), np.zeros(3, np.int8), "text"])
def test_arrays_are_never_converted(weight: Any) -> None:
    with pytest.raises(TypeError, match=r"^weight: expected"):
        Linear.dense(weight)


def test_arrays_must_be_contiguous() -> None:
    with pytest.raises(TypeError, match=r"^weight: expected a C-contiguous"):
        Linear.dense(np.zeros((4, 4), np.int8)[:, ::2])


def test_operands_must_have_the_size_of_the_map_and_a_writable_target() -> None:
    linear = Linear.dense(np.zeros((2, 3), np.int8))
    frozen = np.zeros(3, np.int32)
    frozen.flags.writeable = False
    for apply in (linear.apply_event, linear.apply_dense):
        with pytest.raises(ValueError, match=r"^x: expected 2"):
            apply(np.zeros(3, np.int16), np.zeros(3, np.int32))
        with pytest.raises(ValueError, match=r"^acc: expected 3"):
            apply(np.zeros(2, np.int16), np.zeros(2, np.int32))
        with pytest.raises(TypeError, match=r"^acc: expected a C-contiguous writable"):
            apply(np.zeros(2, np.int16), frozen)


@quick
@given(seeds, st.integers(1, 70), st.integers(1, 40), densities, st.sampled_from([1, 32767, 32768, 65535]))
def test_unsigned_words_of_16_bits_are_added_as_what_they_stand_for(
    seed: int, n_in: int, n_out: int, density: float, largest: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-128, 128, (n_in, n_out)).astype(np.int8)
    words = np.where(rng.random(n_in) < density, rng.integers(0, largest + 1, n_in), 0).astype(np.uint16)
    wrapped = Linear.unsigned_words(Linear.dense(weight))
    check(wrapped, words.view(np.int16), words.astype(np.int64) @ weight, rng)
