# SPDX-License-Identifier: Apache-2.0
"""What the emulator takes as samples."""

from typing import Any

import numpy as np
import pytest

from spikerun.edge.loihi.emulate import emulate, run
from spikerun.edge.loihi.graph import Graph, Neurons, Source, Synapses
from spikerun.errors import DataError

GRAPH = Graph(4, (Source("in", (3, 2, 1), 4),), (), (), True)
SHAPE = (2, 4, 3, 2, 1)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "samples are given for none"),
        ({"inn": np.zeros(SHAPE, int)}, "samples are given for inn; the sources are in"),
        ({"in": np.zeros(SHAPE)}, "takes integers"),
        ({"in": np.zeros((2, *SHAPE[2:]), int)}, "takes integers"),
        ({"in": np.zeros((0, *SHAPE[1:]), int)}, "takes integers"),
        ({"in": np.full(SHAPE, 16)}, "sends up to"),
        ({"in": np.full(SHAPE, -17)}, "sends up to"),
    ],
)
def test_what_is_no_sample_of_the_graph_is_refused(inputs: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        run(GRAPH, inputs)


def test_currents_overflow_32_bits_as_in_lava() -> None:
    numbers = {"du": 4095, "dv": 0, "vth": 100, "bias_mant": 0, "bias_exp": 0, "v_first": 0}
    lif = Neurons("lif", (1,), "lif", {**numbers, "reset_interval": 0, "reset_offset": 0}, 2)
    synapses = Synapses("in", "lif", "dense", np.array([[254]], np.int32), exponent=18, sign_mode=2)
    graph = Graph(3, (Source("in", (1,)),), (lif,), (synapses,), True)
    trace = emulate(graph, {"in": np.array([[1], [0], [0]])}, states=True)
    assert trace.states["lif"]["u"][:, 0].tolist() == [0, (254 << 24) - 2**32 + 2**24, 0]
