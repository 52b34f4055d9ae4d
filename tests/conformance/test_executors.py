# SPDX-License-Identifier: Apache-2.0
"""Which networks the rows that compile take: a kernel that is missing fails, it does not shrink the test."""

import numpy as np
import pytest
from conformance.awkward import NETWORKS
from conformance.executors import EXECUTORS, Firmware

from spikerun.connections import Dense
from spikerun.edge.mcu import kernels
from spikerun.errors import UnsupportedError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input

ROWS = [executor for executor in EXECUTORS if isinstance(executor, Firmware)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_awkward_network_is_taken(name: str, row: Firmware) -> None:
    assert row.takes(NETWORKS[name]())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_kernel_that_is_missing_is_not_a_network_that_is_left_out(
    row: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "ROWS", [kernel for kernel in kernels.ROWS if kernel.kind != "fire"])
    with pytest.raises(UnsupportedError, match="no C code for 'fire'"):
        row.takes(NETWORKS["one_neuron"]())


def test_what_does_not_fit_the_board_is_left_out() -> None:
    width = 2200
    populations = {"in": Population((width,), Input()), "wide": Population((width,), FewSpikes(4, np.int32(3)))}
    net = Network(populations, [Projection("in", "wide", Dense(np.ones((width, width), np.int8)))], ["wide"], 8)
    assert {row.board: row.takes(net) for row in ROWS} == {"host": True, "generic-cortex-m4": False}
