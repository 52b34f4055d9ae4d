# SPDX-License-Identifier: Apache-2.0
"""Units, exponents and fractional bits: every number of a layer has room, and the bits that it needs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from steps import converted, converter, recurrent, seen, two_layers

from spikerun.converters.graph import Graph, Linear
from spikerun.converters.maps import DenseMap, Term, accumulate, evened
from spikerun.converters.spiking.step import Readout
from spikerun.neurons.leaky import WIDE_LIMIT


def test_terms_of_very_different_sizes_keep_the_bits_of_each() -> None:
    rng = np.random.default_rng(7)
    sizes = {"pixels": 1 / 255, "spikes": 1.0, "payloads": 30.0, "silent": 0.0}
    terms = [Term(k, (9,), (9,), DenseMap(size * rng.normal(0, 1, (6, 9))), 0, 6) for k, size in sizes.items()]
    *_, even = evened(terms)
    largest = np.stack([term.map.largest() for term in even[:3]])
    assert largest.max() / largest.min() < 8
    exponents = {term.source: term.exponent for term in even}
    assert exponents == {"pixels": 0, "spikes": 8, "payloads": 13, "silent": 0}
    x = {name: rng.normal(0, 1, (5, 9)) for name in sizes}
    np.testing.assert_allclose(accumulate(even, x, (6,)), accumulate(terms, x, (6,)))


@pytest.mark.parametrize("size", [1e-5, 1e-3, 1.0])
def test_exponents_leave_room_for_payloads_of_many_inputs(size: float) -> None:
    report = converted(recurrent(np.random.default_rng(7), 5, 2312, size), (2312,)).report
    assert report.cells[0].fraction_bits >= 2
    assert report.cells[0].same_as_float_state >= 95


@pytest.mark.parametrize("tiny", [0.0, 1e-9])
def test_a_dead_channel_costs_the_others_no_bits(tiny: float) -> None:
    step = two_layers(np.random.default_rng(3), (40, 60, 5))
    layer: Any = step.graph.nodes["fc1"].op
    weight, bias = layer.weight.copy(), layer.bias.copy()
    weight[7], bias[7] = tiny * weight[7], 0.0
    nodes = {**step.graph.nodes, "fc1": replace(step.graph.nodes["fc1"], op=Linear(weight, bias))}
    alive, dead = (converted(each, (40,)).report.cells for each in (step, replace(step, graph=Graph(nodes))))
    assert dead[0].fraction_bits >= alive[0].fraction_bits - 4
    assert min(cell.same_as_float_state for cell in dead) >= 99


@pytest.mark.parametrize("inclusive", [False, True])
def test_neurons_that_only_a_bias_drives_fire_as_they_did(inclusive: bool) -> None:
    step = two_layers(np.random.default_rng(3), (6, 4, 3), reset="subtract", keep_v=1.0, inclusive=inclusive)
    nodes = dict(step.graph.nodes)
    for name, inner, bias in (("fc1", 6, 0.0101), ("fc2", 4, 1e-5)):
        out = nodes[name].shape[0]
        nodes[name] = replace(nodes[name], op=Linear(np.zeros((out, inner)), np.full(out, bias)))
    made = converter(replace(step, graph=Graph(nodes)), (6,), duration=320)
    assert [cell.spikes for cell in made.convert({}).report.cells] == [4 * 3, 0]
    assert made.steps == 320


def test_fractional_bits_leave_room_for_the_worst_currents() -> None:
    net = converted(two_layers(np.random.default_rng(9), (400, 50, 5)), (400,)).network
    for name in ("lif1", "lif2"):
        neuron: Any = net.populations[name].neuron
        assert 0 <= neuron.fraction_bits <= 12
        assert net.bounds[name] << neuron.fraction_bits <= WIDE_LIMIT


def test_fractional_bits_leave_room_for_membranes_that_grow() -> None:
    step = seen(two_layers(np.random.default_rng(4), reset="none", keep_v=1.0, threshold=1.0), Readout("last"))
    conversion = converter(step, (30,), duration=200).convert({})
    assert all(cell.peak <= 51 for cell in conversion.report.cells)
    assert conversion.report.cells[1].peak > 20
    assert conversion.report.cells[1].fraction_bits < 12
