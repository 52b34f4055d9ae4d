# SPDX-License-Identifier: Apache-2.0
"""The proof that no accumulator overflows: at its limit a network is accepted, one beyond it is refused."""

import numpy as np
import pytest

from spikerun.connections import Diagonal
from spikerun.errors import NetworkError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, V_LIMIT, Input, Neuron, Readout

INT32 = 2**31 - 1


def reaching(neuron: Neuron, gain: int) -> Network:
    """Return one neuron whose current is `gain` at most."""
    populations = {"in": Population((1,), Input(1, "spikes")), "p": Population((1,), neuron)}
    return Network(populations, [Projection("in", "p", Diagonal(np.array(gain)))], ["p"], 1)


def test_int32_holds_membrane_and_current_of_an_if_neuron() -> None:
    """Kernels and firmware add v + i + b in int32, and v may be as large as V_LIMIT."""
    neuron = IF(np.int32(1), bias=np.int32(5))
    assert reaching(neuron, INT32 - V_LIMIT - 5).bounds["p"] == INT32 - V_LIMIT
    with pytest.raises(NetworkError, match=f"population 'p' .* beyond {INT32 - V_LIMIT}"):
        reaching(neuron, INT32 - V_LIMIT - 4)


def test_int32_holds_the_accumulator_of_a_readout() -> None:
    neuron = Readout(bias=np.int32(-7))
    assert reaching(neuron, INT32 - 7).bounds["p"] == INT32
    with pytest.raises(NetworkError, match=f"population 'p' .* beyond {INT32}"):
        reaching(neuron, INT32 - 6)
