# SPDX-License-Identifier: Apache-2.0
"""Networks as graphs: what populations do in a sample is what the reference says, wherever synapses take a step."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from chip_networks import chip_network, chip_samples
from hypothesis import example, given, settings
from networks import random_inputs, random_network, seeds

from spikerun.edge.loihi.emulate import run
from spikerun.edge.loihi.layout import lava_order
from spikerun.edge.loihi.mapping import to_graph
from spikerun.errors import UnsupportedError
from spikerun.inputs import events as events_of
from spikerun.network import Network
from spikerun.reference import stepped

SAMPLES = 3


def assert_equal(net: Network, samples: Mapping[str, Any]) -> None:
    graph = to_graph(net)
    events = {name: lava_order(events_of(net, name, x, batch=True), len(net.populations[name].shape))
              for name, x in samples.items()}  # fmt: skip
    trace = run(graph, events, states=True)
    for k in range(SAMPLES):
        turns = stepped(net, {name: x[k] for name, x in samples.items()})
        for name, turn in turns.items():
            axes = len(net.populations[name].shape)
            np.testing.assert_array_equal(trace.events[name][k], lava_order(turn.events, axes), err_msg=f"{name}, {k}")


@given(seeds)
@settings(max_examples=60)
def test_feedforward_networks_do_in_one_run_what_they_do_sample_by_sample(seed: int) -> None:
    net = chip_network(seed, feedforward=True)
    try:
        graph = to_graph(net)
    except UnsupportedError as error:
        assert "membranes that may reach" in str(error)
        return
    assert graph.phased
    assert_equal(net, chip_samples(net, seed, SAMPLES))


@given(seeds)
@settings(max_examples=60)
def test_networks_with_delays_and_cycles_are_run_a_sample_at_a_time(seed: int) -> None:
    net = chip_network(seed)
    try:
        to_graph(net)
    except UnsupportedError as error:
        assert any(why in str(error) for why in ("membranes that may reach", "of biases alone", "synapses and"))
        return
    assert_equal(net, chip_samples(net, seed, SAMPLES))


@given(seeds)
@example(474)  # sums of a convolution that leave 24 bits
@settings(max_examples=60)
def test_networks_of_words_run_in_models_of_our_own(seed: int) -> None:
    net = random_network(seed, "words", tables=False)
    try:
        to_graph(net)
    except UnsupportedError as error:
        assert any(
            why in str(error)
            for why in ("max_pool", "weighed differently", "delays by 62", "gains reach", "sums in Lava end")
        )
        return
    assert_equal(net, random_inputs(net, seed, SAMPLES, 0.5))
