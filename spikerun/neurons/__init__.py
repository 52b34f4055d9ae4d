# SPDX-License-Identifier: Apache-2.0
"""The kinds of neuron that a population can have: a file each, with parameters, traits and law."""

from collections.abc import Mapping
from types import MappingProxyType

from spikerun.neurons.base import V_LIMIT, Neuron, Now, State, spread
from spikerun.neurons.few_spikes import FewSpikes
from spikerun.neurons.input import Input
from spikerun.neurons.integrate_and_fire import IF
from spikerun.neurons.leaky import LIF
from spikerun.neurons.levels import Levels
from spikerun.neurons.max_pool import MaxPool
from spikerun.neurons.poisson import Poisson
from spikerun.neurons.readout import Readout

__all__ = [
    "IF",
    "KINDS",
    "LIF",
    "V_LIMIT",
    "FewSpikes",
    "Input",
    "Levels",
    "MaxPool",
    "Neuron",
    "Now",
    "Poisson",
    "Readout",
    "State",
    "spread",
]

KINDS: Mapping[str, type[Neuron]] = MappingProxyType(
    {cls.kind: cls for cls in (Input, FewSpikes, Levels, IF, LIF, Poisson, MaxPool, Readout)}
)
