# SPDX-License-Identifier: Apache-2.0
"""Sigma-delta networks: the words of every population are those of the reference, where the law of the models allows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from networks import seeds
from sigma_delta_networks import frames, sigma_delta_network

from spikerun.connections import Dense, Window
from spikerun.edge.loihi.emulate import run
from spikerun.edge.loihi.layout import lava_order
from spikerun.edge.loihi.mapping import to_graph
from spikerun.edge.loihi.sigma_delta import PART, sequence, sigma_delta_graph
from spikerun.errors import UnsupportedError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, FewSpikes, Input, MaxPool, Readout
from spikerun.reference import blocked

SEQUENCE = 6


def ordered(net: Network, name: str, values: Any) -> Any:
    return lava_order(values, len(net.populations[name].shape))


def expected(net: Network, samples: Any) -> dict[str, Any]:
    """Return the words (N, *shape) of populations that fire and the sums of readouts, without their bias."""
    found: dict[str, list[Any]] = {name: [] for name in net.populations}
    for sample in samples:
        for name, turn in blocked(net, {"in": sample}).items():
            neuron = net.populations[name].neuron
            found[name].append(turn.word if neuron.fires else turn.membrane - neuron.offset)  # type: ignore[operator]
    return {name: np.stack(values) for name, values in found.items()}


def uncut(net: Network, words: dict[str, Any]) -> bool:
    """Return whether no word of a neuron may have been cut: chips have no largest word."""
    return all(values.max() < 255 for name, values in words.items() if name not in ("in", "out"))


def assert_words(net: Network, got: dict[str, Any], words: dict[str, Any]) -> None:
    for name, values in words.items():
        np.testing.assert_array_equal(got[name], ordered(net, name, values), err_msg=name)


@pytest.mark.parametrize("exact", [False, True])
@given(seed=seeds)
@settings(max_examples=60)
def test_words_of_single_samples_are_those_of_the_reference(exact: bool, seed: int) -> None:
    net = sigma_delta_network(seed)
    samples = frames(net, seed, 2)
    words = expected(net, samples)
    assume(uncut(net, words))
    trace = run(sigma_delta_graph(net, exact), {"in": ordered(net, "in", samples)[:, None]})
    assert_words(net, {name: values[:, 0] for name, values in trace.events.items()}, words)


@given(seed=seeds)
@settings(max_examples=60)
def test_with_our_model_every_sample_of_a_sequence_is_exact_one_a_step(seed: int) -> None:
    net = sigma_delta_network(seed)
    samples = frames(net, seed, SEQUENCE)
    words = expected(net, samples)
    assume(uncut(net, words))
    assert_words(net, sequence(sigma_delta_graph(net, exact=True), {"in": ordered(net, "in", samples)}), words)


def test_stock_processes_drift_in_a_sequence() -> None:
    net = sigma_delta_network(3)
    samples = frames(net, 3, 40)
    words = expected(net, samples)
    got = sequence(sigma_delta_graph(net), {"in": ordered(net, "in", samples)})
    assert (got["l0"][0] == ordered(net, "l0", words["l0"])[0]).all()
    assert (got["l0"][-1] < ordered(net, "l0", words["l0"])[-1] - 5).any()
