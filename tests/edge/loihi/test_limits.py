# SPDX-License-Identifier: Apache-2.0
"""The limits that are data, and the sentences about graphs that break them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from networks import seeds

from spikerun.edge.loihi.graph import Graph, Neurons, Source, Synapses
from spikerun.edge.loihi.limits import CONFIDENCE, RESOURCES, chip, chips
from spikerun.edge.loihi.partition import partition
from spikerun.edge.loihi.validate import complaints, remarks
from spikerun.errors import UsageError

LIF = {"du": 4095, "dv": 0, "vth": 100, "bias_mant": 0, "bias_exp": 0, "reset_interval": 0, "reset_offset": 0}


def graph(model: str = "lif", parameters: Mapping[str, Any] | None = None, bits: int = 0, **synapses: Any) -> Graph:
    given: dict[str, Any] = {"weight": np.full((2, 3), 2, np.int32), "form": "dense", "message_bits": bits, **synapses}
    return Graph(
        8,
        (Source("in", (3,), bits),),
        (Neurons("out", (2,), model, {**LIF, **(parameters or {})}, 2),),
        (Synapses("in", "out", **given),),
        True,
    )


def said(made: Graph, name: str = "loihi2") -> str:
    return "\n".join(complaints(made, partition(made, chip(name))))


@pytest.mark.parametrize("name", chips())
def test_each_limit_has_a_source_and_a_known_confidence(name: str) -> None:
    found = chip(name)
    assert all(limit.source and limit.confidence in CONFIDENCE for limit in found.limits.values())
    assert found.memory.source and found.memory.confidence in CONFIDENCE
    assert set(RESOURCES) < set(found.limits)


def test_generations_have_the_same_limits() -> None:
    assert set(chip("loihi1").limits) == set(chip("loihi2").limits)


def test_energy_stands_only_where_it_is_published() -> None:
    assert chip("loihi1").energy["synaptic_operation"].picojoules == 23.6
    assert "Davies" in chip("loihi1").energy["active_neuron_update"].source
    assert not chip("loihi2").energy


def test_unknown_generation_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'loihi2'"):
        chip("loihi-2")


def test_what_fits_brings_no_sentence() -> None:
    assert said(graph()) == ""


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (graph(parameters={"vth": 2**17}), "population 'out': vth is 131072, and the limits are 0..131071"),
        (graph(parameters={"bias_mant": np.array([0, -5000], np.int32)}), "bias_mant is -5000..0"),
        (graph(parameters={"bias_exp": 8}), "bias_exp is 8"),
        (graph(parameters={"du": -1}), "du is -1"),
        (graph(parameters={"dv": 4096}), "dv is 4096"),
        (graph(exponent=8), "synapses in -> out: exponent is 8"),
        (graph(delay=63), "synapses in -> out: delay is 63, and the limits are 0..62"),
        (graph(weight=np.full((2, 3), 3, np.int32)), "synapses in -> out: its weights 3..3 are not what 8 bits hold"),
        (graph(bits=33), "source 'in': payloads of 33 bits"),
    ],
)
def test_what_breaks_a_limit_is_named(made: Graph, sentence: str) -> None:
    assert sentence in said(made)


@pytest.mark.parametrize(
    "made",
    [
        graph(parameters={"vth": 2**17 - 1, "bias_mant": -4096, "bias_exp": 7, "du": 0, "dv": 4095}),
        graph(exponent=-7, delay=62, bits=32),
        graph(weight=np.full((2, 3), 255, np.int32), sign_mode=2),
    ],
)
def test_what_reaches_a_limit_fits(made: Graph) -> None:
    assert said(made) == ""


def test_models_that_no_chip_has_are_a_remark() -> None:
    made = graph(model="lif_subtract")
    assert said(made) == ""
    assert "no chip has the model 'lif_subtract'" in remarks(made, partition(made, chip("loihi2")))[0]


def test_an_assumed_limit_that_is_exceeded_is_a_remark_and_a_known_one_is_not() -> None:
    made = replace(graph(weight=np.full((2, 5000), 2, np.int32)), sources=(Source("in", (5000,)),))
    assert said(made) == ""
    found = "\n".join(remarks(made, partition(made, chip("loihi2"))))
    assert "one neuron alone takes 5,000 input axons, and a core of loihi2 is assumed to have 4,096" in found
    assert "a core of loihi1 has 4,096" in said(made, "loihi1")


def test_loihi1_has_no_graded_spikes() -> None:
    assert "on loihi1 graded spikes are not" in said(graph(bits=1), "loihi1")


def test_remarks_name_currents_that_may_wrap_and_what_is_assumed() -> None:
    quiet, loud = (
        graph(weight=np.full((2, 3), w, np.int32), bits=8, exponent=e) for w, e in ((170, 0), (172, 0))
    )  # 3 * 255 * 170 * 64 < 2^23 < 3 * 255 * 172 * 64
    found = ["\n".join(remarks(made, partition(made, chip("loihi2")))) for made in (quiet, loud)]
    assert "can bring 8,421,120 in one step" in found[1]
    assert "can bring" not in found[0]
    assert "synapse bits" in found[0]


@pytest.mark.parametrize(("weight", "exponent", "wraps"), [(84, 1, False), (86, 1, True), (172, -1, False)])
def test_the_exponent_of_synapses_counts_for_currents_that_may_wrap(weight: int, exponent: int, wraps: bool) -> None:
    made = graph(weight=np.full((2, 3), weight, np.int32), bits=8, exponent=exponent)
    found = "\n".join(remarks(made, partition(made, chip("loihi2"))))
    assert ("can bring 8,421,120 in one step" in found) == wraps  # 3 * 255 * 86 * 2 * 64 > 2^23
    assert ("can bring" in found) == wraps


def test_a_current_that_may_reach_the_end_itself_is_remarked_for_the_lowest_wraps() -> None:
    weight = np.array([[-256, -128, -128], [0, 0, 0]], np.int32)
    made = graph(weight=weight, exponent=8)  # 2^9 * 2^8 * 64 = 2^23
    assert "can bring 8,388,608 in one step" in "\n".join(remarks(made, partition(made, chip("loihi2"))))


@given(seeds)
def test_the_most_that_sparse_synapses_can_bring_is_that_of_the_same_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    full = (rng.integers(-127, 128, (2, 3)) * 2 * (rng.random((2, 3)) < 0.6)).astype(np.int32)
    most = int(np.abs(full).sum(axis=1).max()) * 255 * 2**3 * 64
    indptr = np.concatenate([[0], np.cumsum((full != 0).sum(axis=1))]).astype(np.int64)
    lists = {"weight": full[full != 0], "indices": np.nonzero(full)[1].astype(np.int32), "indptr": indptr}
    for made in (graph(weight=full, bits=8, exponent=3), graph(form="sparse", bits=8, exponent=3, **lists)):
        found = [text for text in remarks(made, partition(made, chip("loihi2"))) if "can bring" in text]
        assert len(found) == (most >= 2**23)
        assert all(f"can bring {most:,} in one step" in text for text in found)
