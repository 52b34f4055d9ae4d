# SPDX-License-Identifier: Apache-2.0
"""Populations of words: nothing counts before their first step, and what comes late is weighed as it was sent."""

from typing import Any

import numpy as np
import pytest

from spikerun.codes import CODES, significance
from spikerun.connections import Dense
from spikerun.edge.loihi.graph import Neurons
from spikerun.edge.loihi.mapping import to_graph
from spikerun.edge.loihi.words import Summing, Words
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Neuron, Readout

WINDOW, FIRST = 4, 3
CURRENTS = np.array([[13], [50], [-7], [11], [2], [30], [5], [-1]], np.int64)  # of the steps from FIRST on


def words(model: Any, **given: Any) -> Any:
    """Return a population of one neuron that makes words of three bits."""
    known = {"bias": 2, "window": WINDOW, "first": FIRST, "in_code": -1, "in_bits": 1, "in_signed": 0, "in_lag": 0,
             "bits": 3, "threshold": 10, "signed": 0, "kept": 3, "code": CODES.index("bits")}  # fmt: skip
    return model(Neurons("a", (1,), model.__name__.lower(), {**known, **given}, FIRST))


def did(model: Any) -> tuple[list[int], list[int]]:
    """Return what is sent, and the membranes, from step FIRST on."""
    done = [(int(model(t, x)[0]), int(model.state["v"][0])) for t, x in enumerate(CURRENTS, FIRST)]
    return [sent for sent, _ in done], [v for _, v in done]


@pytest.mark.parametrize("model", [Summing, Words])
def test_nothing_happens_before_the_first_step(model: Any) -> None:
    late, known = words(model), words(model)
    for t in range(1, FIRST):
        assert not late(t, np.array([1000])).any()
        assert late.state == known.state
    assert did(late) == did(known)


def test_words_and_sums_begin_with_their_first_step() -> None:
    sent, _ = did(words(Words))
    _, sums = did(words(Summing))
    assert sent == [0, 0, 0, 0, 0, 1, 1, 0]  # (2 + 13 + 50 - 7 + 11) // 10 = 6, most significant first, at the end
    assert sums == [15, 65, 58, 69, 4, 34, 39, 38]


@pytest.mark.parametrize("lag", range(WINDOW))
def test_late_events_are_weighed_by_the_step_in_which_they_were_sent(lag: int) -> None:
    model = words(Summing, in_code=CODES.index("bits"), in_bits=3, in_lag=lag, bias=0)
    g = significance("bits", 3, False, WINDOW)
    for r in range(WINDOW):
        before = int(model.state["v"][0]) if r else 0
        model(FIRST + r, np.array([1]))
        assert model.state["v"][0] - before == g[(r - lag) % WINDOW]


@pytest.mark.parametrize(("delay", "lag"), [(0, 0), (5, 1), (7, 3), (8, 0)])
@pytest.mark.parametrize("receiver", [FewSpikes(4, 10, code="graded"), Readout()])
def test_receivers_of_words_know_how_late_these_come(receiver: Neuron, delay: int, lag: int) -> None:
    one = Dense(np.array([[9]], np.int8))
    populations = {
        "in": Population((1,), Input(4, "graded")),
        "a": Population((1,), FewSpikes(4, 10, code="graded")),
        "b": Population((1,), receiver),
    }
    projections = [Projection("in", "a", one), Projection("a", "b", one, delay)]
    *_, b = to_graph(Network(populations, projections, ["b"], WINDOW)).neurons
    assert b.parameters["in_lag"] == lag
