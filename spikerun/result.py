# SPDX-License-Identifier: Apache-2.0
"""What a run returns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.activity import Activity
from spikerun.errors import DataError
from spikerun.network import Network, Population
from spikerun.text import plural

__all__ = ["Result", "classes_of", "count_classes"]


@dataclass(frozen=True, eq=False)
class Result:
    """The results of B samples.

    outputs: for each output population, int32 (B, *shape): the membrane of a readout, the words of one that sends such,
    or what others answer;
    counted: (spikes, synaptic operations) by population; words, membranes: of every population, where a trace was asked
    for. steps: how many steps each sample took, int32 (B,), where early exit may have stopped it; else None.
    """

    net: Network = field(repr=False)
    samples: int
    outputs: Mapping[str, npt.NDArray[np.int32]]
    counted: Mapping[str, tuple[int, int]]
    words: Mapping[str, npt.NDArray[np.int16]] = field(default_factory=dict)
    membranes: Mapping[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    steps: npt.NDArray[np.int32] | None = None
    _class: int | None = field(default=None, repr=False)  # of the only sample, where it is known

    @cached_property
    def logits(self) -> npt.NDArray[np.float32]:
        """Return the first output as real numbers, float32 (B, K)."""
        name = self.net.outputs[0]
        population = self.net.populations[name]
        return population.real(self.outputs[name]).reshape(self.samples, population.size)

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """Return the index of the largest value of the first output, int64 (B,); the first of equals."""
        return self._classes if self._class is None else np.array([self._class], np.int64)

    @cached_property
    def _classes(self) -> npt.NDArray[np.int64]:
        name = self.net.outputs[0]
        return classes_of(self.net.populations[name], self.outputs[name])

    def right(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return whether each sample has the class of its label (B,), or what share of its pixels has (B, H, W): (B,).

        Pixels have the classes of the first axis of the first output. Raises DataError for labels of other shapes.
        """
        name = self.net.outputs[0]
        population = self.net.populations[name]
        classes = count_classes(labels, population.shape, self.samples)
        values = _comparable(population, self.outputs[name]).reshape(self.samples, classes, *labels.shape[1:])
        share: npt.NDArray[np.float64] = (values.argmax(axis=1) == labels).reshape(self.samples, -1).mean(axis=1)
        return share

    @cached_property
    def activity(self) -> Activity:
        """Return the spikes and synaptic operations of all samples."""
        return Activity.of(self.net, self.samples, self.counted)


def count_classes(labels: npt.NDArray[Any], shape: tuple[int, ...], samples: int, what: str = "labels") -> int:
    """Return how many classes an output of a shape has for each label.

    An output (K,), or (K, 1, 1), takes a label a sample (B,); (K, H, W) a map of them for each sample, (B, H, W), whose
    pixels have the classes of the first axis. Raises DataError for other labels.
    """
    single = sum(n > 1 for n in shape) <= 1
    places = [(), shape[1:]] if single else [shape[1:]]
    if labels.dtype.kind not in "iu" or len(labels) != samples or labels.shape[1:] not in places:
        each = "one for each sample" if single else "one for each place of a sample's result"
        raise DataError(
            f"{what} are {labels.dtype} of the shape {labels.shape}, and the network gives {shape} for each of "
            f"{plural(samples, 'sample')}: give integers of the shape {(samples, *places[0])}, {each}"
        )
    return math.prod(shape) // math.prod(labels.shape[1:])


def classes_of(population: Population, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the class of each sample of an output's integers (B, *shape): where the largest is, the first of equals.

    Integers decide where all scales agree, exactly, as they do in firmware; else their float32 products.
    """
    classes: npt.NDArray[np.int64] = (
        _comparable(population, values).reshape(len(values), population.size).argmax(axis=1)
    )
    return classes


def _comparable(population: Population, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values if population.one_scale else population.real(values)
