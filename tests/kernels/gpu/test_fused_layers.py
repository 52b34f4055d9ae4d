# SPDX-License-Identifier: Apache-2.0
"""Layers that are one kernel: which are, and that they are what the CPU computes."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spikerun import IF, Network, Population, Projection, Session
from spikerun.connections import Conv, Dense, Diagonal, Window
from spikerun.kernels.gpu.distribute import Layer, distribute
from spikerun.kernels.gpu.fuse import fused
from spikerun.neurons import FewSpikes, Input, MaxPool, Readout
from spikerun.plan import lower


def weights(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).integers(-30, 60, shape).astype(np.int8)


def layers(net: Network, schedule: Any) -> list[Layer]:
    program = lower(net, schedule)
    whole = {operation.q for operation in program.operations if operation.name == "encode"}  # type: ignore[attr-defined]
    given = [register for _, register in program.inputs if register not in whole and program.steps > 1]
    return [part.layer for part in fused(program, distribute(program, given), ()).parts if part.layer is not None]


def image(code: str, window: int, *neurons: Any) -> Network:
    """Return an image of one channel, a convolution, a pool of 2x2, and a readout."""
    conv, readout = neurons
    populations = {
        "in": Population((1, 4, 4), Input(8 if code != "spikes" else 1, code)),
        "conv": Population((3, 4, 4), conv),
        "pool": Population((3, 2, 2), MaxPool()),
        "out": Population((5,), readout),
    }
    maps = (Conv(weights(3, 1, 3, 3), padding=1), Window(2, 2), Dense(weights(12, 5)))
    projections = [Projection(a, b, c) for (a, b), c in zip(pairwise(populations), maps, strict=True)]
    return Network(populations, projections, ["out"], window)


def same(net: Network, x: Any, schedule: str) -> None:
    cpu = Session(net, schedule=schedule, kernels="dense", threads=1).run(x)
    gpu = Session(net, schedule=schedule, device="cuda", kernels="dense").run(x)
    for name in net.outputs:
        np.testing.assert_array_equal(cpu.outputs[name], gpu.outputs[name])
    assert cpu.activity == gpu.activity


def test_words_their_pool_and_their_counts_are_one_kernel() -> None:
    net = image("bits", 8, FewSpikes(4, np.array([900, 400, 700])), Readout())
    first, last = layers(net, "blocked")
    assert first.pool is not None and len(first.counts) == 2 and first.fill is not None
    assert last.neuron is None  # sums of the readout
    same(net, np.random.default_rng(1).integers(0, 256, (2, 1, 4, 4)).astype(np.uint8), "blocked")


@pytest.mark.parametrize(("code", "window"), [("current", 3), ("spikes", 2), ("spikes", 9)])
def test_neurons_of_all_steps_are_one_kernel(code: str, window: int) -> None:
    net = image(code, window, IF(np.array([2000, 90, 300]) if code == "current" else 40, 3, v_min=-200), Readout())
    first, last = layers(net, "frame")
    assert first.pool is not None and first.neuron is not None and last.neuron is None
    shape = (2, 1, 4, 4) if code == "current" else (2, window, 1, 4, 4)
    x = np.random.default_rng(window).integers(0, 256 if code == "current" else 2, shape).astype(np.uint8)
    same(net, x, "stepped")


def test_what_other_maps_add_is_there_before_the_neurons_are() -> None:
    populations = {
        "in": Population((6,), Input(6)),
        "h": Population((6,), FewSpikes(4, 90)),
        "sum": Population((6,), FewSpikes(4, np.arange(100, 700, 100))),
    }
    projections = [
        Projection("in", "h", Dense(weights(6, 6))),
        Projection("h", "sum", Dense(weights(6, 6))),
        Projection("h", "sum", Diagonal(np.int32(7))),
    ]
    net = Network(populations, projections, ["sum"], 6)
    assert [layer.fill is None for layer in layers(net, "blocked") if layer.neuron is not None] == [False, True]
    same(net, np.random.default_rng(2).integers(0, 64, (3, 6)).astype(np.uint8), "blocked")
