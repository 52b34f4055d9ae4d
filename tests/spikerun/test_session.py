# SPDX-License-Identifier: Apache-2.0
"""Runs of a session: a sample that goes through in one call, and those that are looked at more closely."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import densities, random_inputs, random_network, seeds

from spikerun.connections import Dense
from spikerun.errors import DataError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Readout
from spikerun.result import Result
from spikerun.session import Session

TYPES = (np.uint8, np.int8, np.uint16, np.int16)


def small(bits: int = 5, signed: bool = False) -> Network:
    """Return an input image of two channels that is an output too, and three readouts."""
    populations = {"in": Population((2, 3, 2), Input(bits, signed=signed)), "out": Population((3,), Readout())}
    weight = np.arange(-18, 18).astype(np.int8).reshape(12, 3)
    return Network(populations, [Projection("in", "out", Dense(weight))], ["out", "in"], bits)


def same(one: Result, other: Result) -> None:
    assert (one.samples, one.counted) == (other.samples, other.counted)
    assert list(one.outputs) == list(other.outputs)
    np.testing.assert_array_equal(one.classes, other.classes)
    assert (one.classes.dtype, one.classes.shape) == (other.classes.dtype, other.classes.shape)
    for name, values in one.outputs.items():
        np.testing.assert_array_equal(values, other.outputs[name])
        assert (values.dtype, values.shape) == (other.outputs[name].dtype, other.outputs[name].shape)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(["words", "spikes", "mixed"]), densities)
def test_one_sample_equals_the_same_in_a_batch(seed: int, kind: str, density: float) -> None:
    net = random_network(seed, kind)
    session = Session(net, threads=1, kernels="event")
    samples = random_inputs(net, seed, 3, density)
    whole = session.run(samples)
    for k in range(3):
        parts: Any = {name: values[k : k + 1].astype(np.int32) for name, values in samples.items()}
        alone = session.run(parts)
        for name, values in whole.outputs.items():
            np.testing.assert_array_equal(alone.outputs[name], values[k : k + 1])
        if len(samples) == 1:
            (only,) = parts.values()
            kinds = [t for t in TYPES if np.iinfo(t).min <= only.min() and only.max() <= np.iinfo(t).max]
            for kind_ in kinds:
                same(session.run(only.astype(kind_)), alone)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 8, 16])
@pytest.mark.parametrize("dtype", TYPES)
def test_values_out_of_range_are_refused_whatever_their_type(dtype: Any, bits: int, signed: bool) -> None:
    session, limits = Session(small(bits, signed), threads=1), np.iinfo(dtype)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    for value in (low - 1, low, 0, high, high + 1):
        if limits.min <= value <= limits.max:
            sample = np.zeros((1, 2, 3, 2), dtype)
            sample[0, 1, 2, 0] = value
            if low <= value <= high:
                assert session.run(sample).outputs["in"][0, 1, 2, 0] == value
            else:
                with pytest.raises(DataError, match=f"takes values in {low}"):
                    session.run(sample)


def test_samples_of_other_shapes_types_and_layouts_are_looked_at() -> None:
    session = Session(small(), threads=1)
    image = np.arange(12, dtype=np.uint8).reshape(1, 2, 3, 2)
    expected = session.run({"in": image})
    for given_ in (
        image,
        image.tolist(),
        image.astype(np.int64),
        image.astype(">i2"),
        image.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2),
    ):
        same(session.run(given_), expected)
    assert session.run(image.astype(bool)).outputs["in"].sum() == 11
    assert session.run(np.repeat(image, 2, axis=0)).samples == 2
    assert session.run(image[:0]).samples == 0
    for wrong in (image[0], image.reshape(1, 12), image.reshape(1, 3, 2, 2), image.astype(np.float32)):
        with pytest.raises(DataError):
            session.run(wrong)


def test_a_run_leaves_the_results_of_those_before_it_alone() -> None:
    session = Session(small(), threads=1)
    first = session.run(np.full((1, 2, 3, 2), 3, np.uint8))
    kept = first.outputs["out"].copy()
    session.run(np.zeros((1, 2, 3, 2), np.uint8))
    np.testing.assert_array_equal(first.outputs["out"], kept)


def test_a_sample_starts_from_rest_after_any_other() -> None:
    populations = {
        "in": Population((40,), Input(4)),
        "hidden": Population((50,), FewSpikes(4, np.int32(30))),
        "out": Population((7,), Readout()),
    }
    rng = np.random.default_rng(0)
    first, second = (rng.integers(-9, 10, shape).astype(np.int8) for shape in ((40, 50), (50, 7)))
    net = Network(
        populations, [Projection("in", "hidden", Dense(first)), Projection("hidden", "out", Dense(second))], ["out"], 4
    )
    session = Session(net, threads=1)
    samples = rng.integers(0, 16, (20, 40)).astype(np.uint8)
    alone = [Session(net, threads=1).run(sample[None]) for sample in samples]
    for sample, expected in zip(samples, alone, strict=True):
        same(session.run(sample[None]), expected)


def test_progress_is_told_of_a_single_sample_too() -> None:
    told: list[int] = []
    Session(small(), threads=1).run(np.zeros((1, 2, 3, 2), np.uint8), on_progress=told.append)
    assert told == [1]
