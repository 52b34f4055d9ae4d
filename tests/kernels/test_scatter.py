# SPDX-License-Identifier: Apache-2.0
"""Events on their way, and events of a seed: the compiled operations against their definitions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Bench

from spikerun.kernels.cpu.native import Late
from spikerun.neurons import Now, Poisson

seeds = st.integers(0, 2**32 - 1)


def late(rng: np.random.Generator, sources: int, targets: int, least: int, largest: int) -> tuple[Late, Any]:
    """Return a map of random synapses, and these as (source, target, weight, delay)."""
    counts = rng.integers(0, 6, sources)
    total = int(counts.sum())
    source = np.repeat(np.arange(sources), counts)
    target = rng.integers(0, targets, total).astype(np.int32)
    weight = rng.integers(-128, 128, total).astype(np.int8)
    delay = rng.integers(least, largest + 1, total).astype(np.uint8)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Late.make(indptr, target, weight, delay, targets), (source, target, weight, delay)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([1, 31, 33, 127]), st.sampled_from([1, 7, 64]), st.sampled_from([(0, 0), (0, 6), (3, 9)]))
def test_scatter_and_arrive_keep_what_is_under_way(
    seed: int, sources: int, targets: int, span: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    least, largest = span
    made, (source, target, weight, own) = late(rng, sources, targets, least, largest)
    drawn = int(own.min()) if own.size else 0
    delay, bits = int(rng.integers(-drawn, 16 - largest)), int(rng.choice([0, 3, 31]))
    bench = Bench(x=("int16", sources), ring=("int32", 16 * targets), acc=("int32", targets))
    bench.add("scatter", x="x", ring="ring", map=made, delay=delay, bits=bits, slots=16)
    bench.add("arrive", ring="ring", acc="acc", slots=16)
    expected = np.zeros((40, targets), np.int64)
    for t in range(20):
        x = rng.integers(-3, 256, sources) * (rng.random(sources) < 0.3)
        np.add.at(expected, (t + delay + own.astype(int), target), weight.astype(np.int64) * x[source] << bits)
        bench.step(x=x, acc=5)
        np.testing.assert_array_equal(bench["acc"], (expected[t] + 5).astype(np.uint32).astype(np.int32))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"slots": 12}, "slots: expected a power of two"),
        ({"slots": 8}, "ring: expected"),
        ({"delay": -3}, r"delay: expected -2\.\.10"),
        ({"delay": 11}, r"delay: expected -2\.\.10"),
        ({"bits": 32}, "bits"),
    ],
)
def test_what_reaches_beyond_the_ring_is_refused(how: dict[str, int], said: str) -> None:
    ends = np.array([0, 2], np.int64), np.array([0, 1], np.int32)
    made = Late.make(*ends, np.ones(2, np.int8), np.array([2, 5], np.uint8), 3)
    bench = Bench(x=("int16", 1), ring=("int32", 48), acc=("int32", 3))
    with pytest.raises(ValueError, match=said):
        bench.add("scatter", x="x", ring="ring", map=made, **({"delay": 0, "bits": 0, "slots": 16} | how))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"indptr": np.array([0, 1], np.int64)}, "indptr: must end"),
        ({"target": np.array([0, 3], np.int32)}, r"target: expected 0\.\.2"),
        ({"delay": np.array([1], np.uint8)}, "delay"),
        ({"weight": np.array([1, 2], np.int16)}, "weight"),
    ],
)
def test_synapses_that_do_not_fit_are_refused(change: dict[str, Any], said: str) -> None:
    good = {"indptr": np.array([0, 2], np.int64), "target": np.array([0, 1], np.int32)}
    good |= {"weight": np.array([1, 2], np.int8), "delay": np.array([1, 2], np.uint8)}
    with pytest.raises((ValueError, TypeError), match=said):
        Late.make(**(good | change), n_out=3)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([(1,), (31,), (33,), (2, 3, 7), (3, 5, 11)]), st.booleans(), st.integers(0, 2**40))
def test_poisson_draws_what_the_law_says(seed: int, shape: tuple[int, ...], each: bool, t: int) -> None:
    rng = np.random.default_rng(seed)
    neuron = Poisson.of(rng.choice([0.0, 0.3, 9.0], shape[:1] if each else ()), int(rng.integers(2**63)))
    channels = shape[0] if len(shape) == 3 else 1
    bench = Bench(s=("int16", int(np.prod(shape))))
    bench.add("poisson", s="s", thresholds=np.atleast_2d(neuron.thresholds), seed=neuron.seed, channels=channels)
    bench.put(s=0)
    bench.workspace.t = t
    for k in range(5):
        bench.step()
        found = bench["s"].reshape(*shape[1:], channels).transpose(2, 0, 1) if len(shape) == 3 else bench["s"]
        expected = neuron.step(shape, {}, np.zeros(shape, np.int64), Now(t + k, 0))
        np.testing.assert_array_equal(found, expected)
