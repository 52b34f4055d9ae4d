# SPDX-License-Identifier: Apache-2.0
"""What a run returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.activity import Activity
from spikerun.network import Network, Population

__all__ = ["Result", "classes_of"]


@dataclass(frozen=True, eq=False)
class Result:
    """The results of B samples.

    outputs: for each output population, int32 (B, *shape): the membrane of a readout, the words of one that sends such,
    or what others answer;
    counted: (spikes, synaptic operations) by population; words, membranes: of every population, where a trace was asked
    for.
    """

    net: Network = field(repr=False)
    samples: int
    outputs: Mapping[str, npt.NDArray[np.int32]]
    counted: Mapping[str, tuple[int, int]]
    words: Mapping[str, npt.NDArray[np.int16]] = field(default_factory=dict)
    membranes: Mapping[str, npt.NDArray[np.int32]] = field(default_factory=dict)

    @cached_property
    def logits(self) -> npt.NDArray[np.float32]:
        """Return the first output as real numbers, float32 (B, K)."""
        name = self.net.outputs[0]
        population = self.net.populations[name]
        return population.real(self.outputs[name]).reshape(self.samples, population.size)

    @cached_property
    def classes(self) -> npt.NDArray[np.int64]:
        """Return the index of the largest value of the first output, int64 (B,); the first of equals."""
        name = self.net.outputs[0]
        return classes_of(self.net.populations[name], self.outputs[name])

    @cached_property
    def activity(self) -> Activity:
        """Return the spikes and synaptic operations of all samples."""
        return Activity.of(self.net, self.samples, self.counted)


def classes_of(population: Population, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the class of each sample of an output's integers (B, *shape): where the largest is, the first of equals.

    Integers decide where all scales agree, exactly, as they do in firmware; else their float32 products.
    """
    scale = population.neuron.real_scale
    comparable = values if (scale == scale.flat[0]).all() else population.real(values)
    classes: npt.NDArray[np.int64] = comparable.reshape(len(values), population.size).argmax(axis=1)
    return classes
