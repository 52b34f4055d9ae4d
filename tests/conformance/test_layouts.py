# SPDX-License-Identifier: Apache-2.0
"""Weights that are zero: every layout gives the bits of the reference, and large layers take the fastest."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from conformance.executors import Blocked, Streamed, compare
from conformance.truth import Truth
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import densities, random_inputs, seeds

from spikerun import Network, Population, Projection, Session
from spikerun.connections import Dense
from spikerun.errors import UsageError
from spikerun.kernels.cpu.executor import Cpu
from spikerun.kernels.executor import Cost
from spikerun.neurons import FewSpikes, Input, Readout

LAYOUTS = ("dense", "blocks", "csr")


def pruned(rng: np.random.Generator, sizes: list[int], kept: float, block: int, bits: int = 4) -> Network:
    """Return layers of these sizes, of whose weights a share is kept, in blocks of so many outputs."""
    populations: dict[str, Population] = {"p0": Population((sizes[0],), Input(bits, signed=bool(rng.integers(2))))}
    projections = []
    for k, (n_in, n_out) in enumerate(pairwise(sizes), 1):
        keep = np.repeat(rng.random((n_in, -(-n_out // block))) < kept, block, axis=1)[:, :n_out]
        weight = np.where(keep, rng.integers(-128, 128, (n_in, n_out)), 0).astype(np.int8)
        neuron = FewSpikes(min(bits, 8), np.int32(rng.integers(1, 3000))) if k + 1 < len(sizes) else Readout()
        populations[f"p{k}"] = Population((n_out,), neuron)
        projections.append(Projection(f"p{k - 1}", f"p{k}", Dense(weight)))
    return Network(populations, projections, [f"p{len(sizes) - 1}"], bits)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from([1, 16]), st.sampled_from([2, 4, 16]), densities)
def test_every_layout_gives_the_bits_of_the_reference(
    seed: int, kept: float, block: int, bits: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    net = pruned(rng, rng.integers(1, 60, 4).tolist(), kept, block, bits)
    whole = Truth(net, random_inputs(net, seed, 2, density))
    for layout in LAYOUTS:
        for kernels in ("event", "dense"):
            assert compare(Blocked(kernels, 2, layout=layout), whole).first == ""
        assert compare(Streamed("event", layout=layout), whole).first == ""


@pytest.fixture(scope="module")
def large() -> Network:
    """A layer in which one block of 16 outputs in 50 is kept."""
    return pruned(np.random.default_rng(0), [600, 1024, 10], 0.02, 16)


def test_zeros_of_a_large_layer_are_neither_kept_nor_visited(large: Network) -> None:
    session = Session(large, threads=1)
    layouts = session.plan.layouts
    ((layout, size),) = layouts["p1"]
    assert layout == "blocks" and size < 600 * 1024 / 25
    assert [layout for layout, _ in layouts["p2"]] == ["dense"]
    assert "bytes of weights in the layout 'blocks'" in str(session.plan.maps[0])
    x = random_inputs(large, 0, 3, 0.3)
    expected = Session(large, threads=1, layout="dense").run(x)
    np.testing.assert_array_equal(session.run(x).logits, expected.logits)
    assert session.run(x).activity == expected.activity


def test_a_layer_without_zeros_or_a_small_one_is_not_measured_in_other_layouts(
    large: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def calibrate(candidates: Any) -> list[tuple[int, Cost]]:
        measured.extend(len(one.layouts) for one in candidates)
        return [(0, Cost((1,), (1.0,), 1.0))] * len(candidates)

    monkeypatch.setenv("SPIKERUN_COST_CACHE", "off")
    monkeypatch.setattr("spikerun.kernels.cpu.cost.calibrate", calibrate)
    Session(pruned(np.random.default_rng(0), [600, 1024, 10], 1.0, 16), threads=1)
    Session(pruned(np.random.default_rng(0), [200, 1024, 10], 0.1, 16), threads=1)
    assert measured == [1] * 4
    Session(large, threads=1)
    assert measured[4:] == [3, 1]  # blocks and csr beside dense


def test_kernels_that_are_asked_for_keep_all_weights_unless_a_layout_is_asked_for_too(large: Network) -> None:
    for options, expected in (({}, "dense"), ({"layout": "csr"}, "csr")):
        layouts = Session(large, kernels="event", **options).plan.layouts
        assert {layout for of_layer in layouts.values() for layout, _ in of_layer} == {expected}


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown layout 'block'.*blocks"):
        Cpu(layout="block")
