# SPDX-License-Identifier: Apache-2.0
"""The neuron that looks its word up: its law, what it refuses, and how a file keeps it."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.connections import Dense, Diagonal
from spikerun.errors import FileFormatError, NetworkError
from spikerun.file import load, save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Levels, Neuron, Readout
from spikerun.reference import blocked, stepped

THREE = [-5, 0, 9]
INT32 = np.iinfo(np.int32)


def network(neuron: Neuron, shape: tuple[int, ...] = (3,), window: int = 8) -> Network:
    """A population whose membranes are its inputs, signed words of 8 bits, and its bias."""
    populations = {
        "in": Population(shape, Input(8, "graded", signed=True)),
        "h": Population(shape, neuron),
        "out": Population((1,), Readout()),
    }
    size = int(np.prod(shape))
    one, ones = Diagonal(np.int32(1)), Dense(np.ones((size, 1), np.int8))
    return Network(populations, [Projection("in", "h", one), Projection("h", "out", ones)], ["h", "out"], window)


def words(neuron: Levels, v: Any, shape: tuple[int, ...] = ()) -> list[int]:
    """Return the words that membranes `v` become; the population has a channel for each, unless told otherwise."""
    v = np.asarray(v)
    window = neuron.window(shape or v.shape, v.astype(np.int64).reshape(shape or v.shape))
    return window[1].ravel().tolist()  # type: ignore[no-any-return]


def test_a_word_is_how_many_levels_the_membrane_has_reached() -> None:
    assert words(Levels(2, THREE), [-6, -5, -1, 0, 8, 9, 100]) == [0, 1, 1, 2, 2, 3, 3]


def test_signed_words_begin_at_the_lowest() -> None:
    assert words(Levels(2, THREE, signed=True), [-6, -5, 0, 9]) == [-2, -1, 0, 1]


def test_the_bias_is_added_before_the_levels() -> None:
    assert words(Levels(2, THREE, bias=[1, 0, -1]), [-6, -6, 10]) == [1, 0, 3]


def test_a_table_makes_any_function() -> None:
    dip = Levels(4, THREE, [0, -3, -1, 7], signed=True)  # as SiLU
    assert words(dip, [-99, -5, 0, 9]) == [0, -3, -1, 7]


def test_each_channel_may_have_levels_and_a_table_of_its_own() -> None:
    levels, table = [[0, 10], [5, 5]], [[0, 1, 2], [3, 2, 1]]
    assert words(Levels(2, levels, table), [[0, 10], [4, 5]], (2, 1, 2)) == [1, 2, 3, 1]
    assert words(Levels(2, [0, 10], table), [[0, 10], [0, 10]], (2, 1, 2)) == [1, 2, 2, 1]
    assert words(Levels(2, levels, [0, 1, 3]), [[0, 10], [4, 5]], (2, 1, 2)) == [1, 3, 0, 3]


def test_equal_levels_are_passed_together_and_the_extremes_of_int32_are_levels() -> None:
    neuron = Levels(2, [INT32.min, INT32.max, INT32.max])
    assert words(neuron, [INT32.min, 0, INT32.max - 1, INT32.max]) == [1, 1, 1, 3]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 2000), st.booleans(), st.integers(0, 2**32 - 1))
def test_with_levels_at_the_multiples_of_a_threshold_it_is_few_spikes(
    bits: int, threshold: int, signed: bool, seed: int
) -> None:
    signed = signed and bits > 1
    multiples = (np.arange(1, 2**bits) - (2 ** (bits - 1) if signed else 0)) * threshold
    v = np.random.default_rng(seed).integers(-300 * threshold, 300 * threshold, 50)
    few = FewSpikes(bits, np.int32(threshold), signed=signed)
    expected = few.window((50,), v)[1]
    assert words(Levels(bits, multiples, signed=signed), v) == expected.tolist()


@pytest.mark.parametrize(("code", "signed"), [("bits", False), ("bits", True), ("ttfs", False), ("graded", True)])
def test_the_two_schedules_of_the_law_agree_in_every_code(code: str, signed: bool) -> None:
    neuron = Levels(3, [-100, -1, 40], [[1, 0, 3, 2], [3, 1, 1, 0], [0, 0, 0, 3]], signed=signed, code=code)
    net = network(neuron)
    given = {"in": np.array([-100, 39, 127])}
    one, other = blocked(net, given), stepped(net, given)
    assert one["h"].word.tolist() == other["h"].word.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(one["h"].events, other["h"].events)
    assert one["out"].membrane == other["out"].membrane == 4


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Levels(2, [1, 3, 2]), "levels must not decrease, but those go from 3 to 2 at 2: sort them"),
        (lambda: Levels(2, [THREE, [1, 2, -3]]), "levels must not decrease, but those of channel 1 go from 2 to -3"),
        (lambda: Levels(2, 7), r"levels must have shape \(M,\) .* or \(C, M\) .*1\.\.1023, got \(\)"),
        (lambda: Levels(2, [[THREE]]), r"levels must have shape .*, got \(1, 1, 3\)"),
        (lambda: Levels(8, np.arange(1024), np.zeros(1025, int)), r"levels must have shape .*1\.\.1023, got \(1024,\)"),
        (lambda: Levels(2, np.zeros((3, 0), int)), "levels must not be empty"),
        (lambda: Levels(2, [0.5, 1, 2]), "levels must hold integers"),
        (lambda: Levels(2, [0, 1, 2**31]), "levels must fit int32"),
        (lambda: Levels(3, THREE), "3 bits without a table need 7 levels, .* got 3: give so many, or a table of 4"),
        (lambda: Levels(2, THREE, [0, 1, 2]), r"table must have shape \(4,\) or \(C, 4\), one word more .* got \(3,\)"),
        (lambda: Levels(2, [THREE] * 2, [[0] * 4] * 3), "levels are of 2 channels, table of 3: give both as many"),
        (lambda: Levels(2, THREE, [0, 1, 2, 4]), r"table must hold words of 2 bits, 0\.\.3, got 0\.\.4"),
        (lambda: Levels(2, THREE, [-3, 0, 0, 0], signed=True), r"table must hold words of 2 bits, -2\.\.1, got -3"),
        (lambda: Levels(9, THREE), r"bits must be an integer in 1\.\.8, got 9"),
        (lambda: Levels(2, THREE, signed=True, code="ttfs"), "cannot be signed: use 'bits' or 'graded'"),
        (lambda: Levels(1, [0], signed=True), "a signed word needs at least 2 bits"),
        (lambda: Levels(2, THREE, code="rate"), "code must be one of bits, ttfs, graded, got 'rate'"),
    ],
)  # fmt: skip
def test_wrong_levels_are_refused_with_what_to_do(make: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        make()


@pytest.mark.parametrize(
    ("neuron", "said"),
    [
        (Levels(2, [THREE] * 2), r"'h' .*levels has shape \(2, 3\); it must be \(3,\) .*, or \(3, 3\), a row for each"),
        (Levels(2, THREE, [[0] * 4] * 4), r"'h' .*table has shape \(4, 4\); it must be \(4,\) .*, or \(3, 4\)"),
    ],
)
def test_tables_of_other_channels_than_the_population_are_refused(neuron: Levels, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        network(neuron)


def test_a_word_that_the_window_has_no_room_for_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"'h' .*a word of 2 bits in code 'ttfs' takes 3 steps, the window has 2"):
        network(Levels(2, THREE, code="ttfs"), window=2)


@pytest.mark.parametrize(
    "neuron",
    [Levels(2, THREE), Levels(3, [THREE] * 3, [[1, 3, 0, 2]] * 3, [4, 5, 6], True, "graded"), Levels(8, [7], [200, 0])],
)
def test_a_file_and_a_pickle_keep_it(neuron: Levels, tmp_path: Path) -> None:
    net = network(neuron)
    for copy in (load(save(net, tmp_path / "a.snn")).populations["h"].neuron, pickle.loads(pickle.dumps(neuron))):
        assert isinstance(copy, Levels)
        assert (copy.bits, copy.signed, copy.code) == (neuron.bits, neuron.signed, neuron.code)
        assert (copy.table is None) == (neuron.table is None)
        for name in ("levels", "words", "bias"):
            np.testing.assert_array_equal(getattr(copy, name), getattr(neuron, name))


def broken(path: Path, name: str, values: Any, **how: Any) -> Path:
    """Write a file in which a data set of the population is another."""
    import h5py

    save(network(Levels(2, THREE, [0, 1, 2, 3])), path)
    with h5py.File(path, "r+") as file:
        group = file["populations/h"]
        if name in group:
            del group[name]
        if values is not None or how:
            group.create_dataset(name, data=values, **how)
    return path


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("levels", [3, 2, 1], "levels must not decrease"),
        ("levels", np.float32([1, 2, 3]), "levels must hold integers"),
        ("levels", [1, 2], r"table must have shape \(3,\)"),
        ("levels", np.arange(2000), r"levels must have shape .*1\.\.1023, got \(2000,\)"),
        ("levels", [THREE] * 7, r"levels has shape \(7, 3\)"),
        ("levels", None, "'levels' is missing"),
        ("table", [0, 1, 2, 300], r"table must hold words of 2 bits"),
        ("table", [[0, 1, 2, 3]] * 2, r"table has shape \(2, 4\)"),
    ],
)
def test_a_file_with_wrong_levels_is_refused(name: str, values: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=said):
        load(broken(tmp_path / "a.snn", name, values))


def test_levels_that_claim_more_than_the_file_holds_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    huge: dict[str, Any] = {"shape": (2**20, 1023), "dtype": "i4", "chunks": (2**10, 1023), "compression": "gzip"}
    with pytest.raises(FileFormatError, match=r"levels: claims shape \(1048576, 1023\)"):
        load(broken(tmp_path / "a.snn", "levels", None, **huge))
