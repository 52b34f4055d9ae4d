# SPDX-License-Identifier: Apache-2.0
import numpy as np

from spikerun import Conv, Dense, Diagonal, FewSpikes, Input, MaxPool, Network, Population, Projection, Readout, Window
from spikerun.memory import Memory, memory_of, memory_of_all


def test_memory_is_weights_parameters_and_what_is_kept_from_step_to_step() -> None:
    net = Network(
        {
            "in": Population((1, 4, 4), Input(4)),
            "conv": Population((3, 4, 4), FewSpikes(4, np.full(3, 9))),
            "pool": Population((3, 2, 2), MaxPool()),
            "same": Population((3, 2, 2), FewSpikes(4, 9)),
            "out": Population((5,), Readout(np.float32(1), np.zeros(5, int))),
        },
        [
            Projection("in", "conv", Conv(np.ones((3, 1, 3, 3), np.int8), padding=1)),
            Projection("conv", "pool", Window(2, 2)),
            Projection("pool", "same", Diagonal(np.arange(1, 4))),
            Projection("same", "out", Dense(np.ones((12, 5), np.int8))),
        ],
        ["out"],
        window=4,
    )
    state = 48 * (4 + 4 + 1)  # v and u of int32, left of uint8
    assert memory_of(net, "in") == Memory(0, 0, 0, 16 * 4 // 8)
    assert memory_of(net, "conv") == Memory(27, 3 * 4 + 4, state, 48 * 4 // 8)  # a threshold a channel, one bias
    assert memory_of(net, "pool") == Memory(0, 0, 4 * 12, 12 * 4 // 8)  # four candidates of each window
    assert memory_of(net, "same") == Memory(0, 3 * 4 + 4 + 4, 12 * 9, 12 * 4 // 8)  # gains are parameters
    assert memory_of(net, "out") == Memory(60, 4 + 5 * 4, 5 * 4, 0)
    assert memory_of_all(net) == Memory(87, 16 + 20 + 24, state + 48 + 108 + 20, 8 + 24 + 6 + 6)
