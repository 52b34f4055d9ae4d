# SPDX-License-Identifier: Apache-2.0
"""Every linear kernel against its definition in plain NumPy: both kernels give the bits of the definition."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import check, densities, events, magnitudes, padded, patch, quick, seeds, windows, words

from spikerun.kernels.cpu.native import Linear


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


largest_words = st.sampled_from([1, 31, 127, 128, 255, 256])


@quick
@given(seeds, st.integers(1, 300), st.integers(1, 300), densities, largest_words)
def test_dense_multiplies_rows_by_words(seed: int, n_in: int, n_out: int, density: float, largest: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-128, 128, (n_in, n_out)).astype(np.int8)
    x = words(rng, n_in, density, largest)
    check(Linear.dense(weight), x, x.astype(np.int64) @ weight, rng)


@settings(quick, max_examples=10)
@given(seeds, st.integers(1, 70), densities, st.one_of(largest_words, st.just(-32768)))
def test_dense_of_large_matrices_multiplies_rows(seed: int, more: int, density: float, largest: int) -> None:
    rng, n_in = np.random.default_rng(seed), 600
    weight = rng.integers(-128, 128, (n_in, 900 + more)).astype(np.int8)
    x = words(rng, n_in, density, largest) if largest > 0 else events(rng, n_in, density, 32767)
    check(Linear.dense(weight), x, x.astype(np.int64) @ weight, rng)


@pytest.mark.parametrize("n_out", [40, 900])
@pytest.mark.parametrize("word", [1, 2, 63, 64, 85, 86, 127, 128, 255, 256, 32767, -32768])
def test_dense_is_exact_where_words_and_weights_are_extreme(word: int, n_out: int) -> None:
    rng, n_in = np.random.default_rng(0), 601
    for extreme in (-128, 127):
        x = np.full(n_in, word, np.int16)
        weight = np.full((n_in, n_out), extreme, np.int8)
        check(Linear.dense(weight), x, np.full(n_out, n_in * word * extreme), rng)


@pytest.mark.parametrize("n_out", [40, 2200])
def test_dense_saves_sums_of_16_bits_before_they_overflow(n_out: int) -> None:
    rng, x = np.random.default_rng(0), np.ones(256, np.int16)
    for last in (1, 2):  # 256 * -128 = -2^15
        x[-1] = last
        check(Linear.dense(np.full((256, n_out), -128, np.int8)), x, np.full(n_out, -128 * (255 + last)), rng)


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


@pytest.mark.parametrize("n_out", [2048, 2063, 4111])
@pytest.mark.parametrize("largest", [31, 300])
def test_listed_rows_are_taken_apart_in_their_columns(n_out: int, largest: int) -> None:
    rng = np.random.default_rng(0)
    weight, x = blocky(rng, 40, n_out, 0.3), words(rng, 40, 0.6, largest)
    rows, columns = np.nonzero(weight)
    begin = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=40))])
    order = np.concatenate([rng.permutation(np.arange(a, b)) for a, b in pairwise(begin)])
    listed = Linear.sparse(begin, columns[order].astype(np.int32), weight[rows, columns][order], n_out)
    for linear in (Linear.blocks(weight), listed):
        assert linear.parts == n_out // 1024
        check(linear, x, x.astype(np.int64) @ weight, rng)


def test_zeros_take_no_memory() -> None:
    weight = np.zeros((64, 160), np.int8)
    weight[::4, 5] = weight[::4, 159] = 1  # two blocks in each fourth row
    begins = 65 * 4
    assert Linear.dense(weight).bytes == 64 * 160
    assert Linear.blocks(weight).bytes == begins + 32 * (16 + 2)
    listed = Linear.sparse(np.arange(65), np.zeros(64, np.int32), np.ones(64, np.int8), 160)
    assert listed.bytes == 65 * 4 + 64 * (1 + 2)


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
