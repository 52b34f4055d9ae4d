# SPDX-License-Identifier: Apache-2.0
"""The sentences that say why a network lies on the chip as it does, each in its situation and in no other."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spikerun.connections import Connection, Conv, Dense, Diagonal, Sparse
from spikerun.edge.loihi.explain import explained
from spikerun.edge.loihi.mapping import to_graph
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, Neuron, Readout

IMAGE = (2, 3, 4)
NEURON = LIF.loihi(5)
KERNEL = Conv(np.full((2, 2, 1, 1), 3, np.int8))
GROUPS = Conv(np.full((2, 1, 1, 1), 3, np.int8), groups=2)
LISTS = Sparse(np.arange(25), np.arange(24, dtype=np.int32), np.full(24, 3, np.int8), 24)
GRADED = Input(8, "current")
SPIKES = Input(1, "spikes")


def said(*neurons: Neuron, connection: Connection | None = None, shape: Any = (4,), **projection: Any) -> list[str]:
    """Return what is said of a chain of populations of one shape, of which the last projection is given."""
    names = ["in", *(f"l{k}" for k in range(1, len(neurons)))]
    slices = {"target_channels"} & projection.keys()
    shapes = [shape] * (len(names) - 1) + [(shape[0] + 1, *shape[1:]) if slices else shape]
    populations = {n: Population(s, neuron) for n, s, neuron in zip(names, shapes, neurons, strict=True)}
    size = int(np.prod(shape))
    all_to_all = Dense(np.full((size, size), 3, np.int8))
    made = [Projection(a, b, all_to_all, exponent=1) for a, b in pairwise(names)]
    last = {"connection": connection or all_to_all, "exponent": 1, **projection}
    made[-1] = Projection(names[-2], names[-1], **last)
    net = Network(populations, made, [names[-1]], 6)
    return list(explained(net, to_graph(net)))


IN_ONE_RUN = "samples follow one another in one run: each population is reset when the next sample reaches it"
EACH_ITS_OWN = "each sample is a run of its own, for what is under way would reach the next one"


def test_a_plain_network_is_explained_in_three_sentences() -> None:
    assert said(SPIKES, NEURON, NEURON) == [
        "input 'in' enters as spikes",
        "l1, l2: neurons of the chip, which reset to zero (LIFReset in Lava)",
        IN_ONE_RUN,
    ]


@pytest.mark.parametrize(
    ("given", "how"),
    [(GRADED, "graded spikes of 8 bits"), (Input(3, "frames", signed=True), "graded spikes of 3 bits"),
     (Input(1, "current"), "spikes"), (SPIKES, "spikes")],
)  # fmt: skip
def test_an_input_enters_as_graded_spikes_or_plain_ones(given: Input, how: str) -> None:
    assert said(given, NEURON)[0] == f"input 'in' enters as {how}"


@pytest.mark.parametrize(
    ("neuron", "what"),
    [
        (LIF.loihi(5, reset="subtract"), "a model of our own, for no chip resets by subtraction"),
        (LIF.loihi(5, reset="subtract_after_leak"), "a model of our own, for no chip resets by subtraction"),
        (IF(5, reset="subtract"), "a model of our own, for no chip resets by subtraction"),
        (IF(5, reset="zero"), "neurons of the chip, which reset to zero (LIFReset in Lava)"),
        (Readout(), "the sums are membranes of neurons that never fire"),
    ],
)
def test_a_population_is_a_model_of_the_chip_or_of_our_own(neuron: Neuron, what: str) -> None:
    found = said(SPIKES, NEURON, neuron)
    assert any(text.startswith("l1") and "neurons of the chip" in text for text in found)
    assert any("l2" in text.split(":")[0] and text.endswith(f": {what}") for text in found)
    assert len(found) == (3 if "of the chip" in what else 4)


def test_words_and_the_sums_of_words_are_of_our_own() -> None:
    found = said(Input(4, "graded"), FewSpikes(4, 10, code="bits"), Readout())
    why = "a model of our own, for no chip weighs the spikes of words"
    assert found[1:] == [f"l1: {why}", f"l2: {why}", IN_ONE_RUN]


@pytest.mark.parametrize(
    ("connection", "given", "why"),
    [(KERNEL, {"delay": 3}, "a delay"), (Diagonal(np.int32(3)), {"delay": 3}, "a delay"),
     (GROUPS, {"target_channels": (1, 3)}, "its groups or channels")],
)  # fmt: skip
def test_lists_instead_of_a_shared_kernel_are_explained(
    connection: Connection, given: dict[str, Any], why: str
) -> None:
    found = said(SPIKES, NEURON, connection=connection, shape=IMAGE, **given)
    assert f"projection in -> l1: lists of synapses instead of a shared kernel, for {why}" in found


@pytest.mark.parametrize(
    ("connection", "shape", "given"),
    [(KERNEL, IMAGE, {}), (KERNEL, IMAGE, {"target_channels": (1, 3)}), (None, IMAGE, {"delay": 3}),
     (LISTS, IMAGE, {}), (Diagonal(np.int32(3)), (4,), {"delay": 3})],
)  # fmt: skip
def test_what_is_a_kernel_or_has_none_is_no_list_instead(
    connection: Connection | None, shape: Any, given: dict[str, Any]
) -> None:
    assert not any(
        "shared kernel" in text for text in said(SPIKES, NEURON, connection=connection, shape=shape, **given)
    )


@pytest.mark.parametrize(("delay", "steps"), [(3, "1 step"), (5, "3 steps")])
def test_a_delayed_projection_and_runs_of_their_own_are_explained(delay: int, steps: str) -> None:
    found = said(SPIKES, NEURON, NEURON, delay=delay)
    assert f"projection l1 -> l2: delayed by {steps}, so that what belongs together meets" in found
    assert found[-1] == EACH_ITS_OWN
    assert sum("delayed by" in text for text in found) == 1
