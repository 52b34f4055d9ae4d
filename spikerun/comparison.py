# SPDX-License-Identifier: Apache-2.0
"""Two networks on the same samples: what they answer, and what that costs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError, UsageError
from spikerun.inputs import Given
from spikerun.memory import Memory, memory_of, memory_of_all
from spikerun.network import Network
from spikerun.paired import interval, standard_error
from spikerun.result import Result
from spikerun.session import Session
from spikerun.text import plural

__all__ = ["Comparison", "LayerCost", "NetworkCost", "Paired", "compare"]


@dataclass(frozen=True)
class Paired:
    """Accuracy of both, percent; of what B has more, in points, the standard error and the 95 % interval: only samples
    on which one is right and the other wrong matter.
    """

    a: float
    b: float
    standard_error: float

    @property
    def difference(self) -> float:
        """Return the points that B has more."""
        return self.b - self.a

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the 95 % interval of the difference."""
        return interval(self.difference, self.standard_error)


@dataclass(frozen=True)
class LayerCost:
    """A population: spikes and synaptic operations are means for one sample."""

    kind: str
    neurons: int
    bits: int
    spikes: float
    synops: float
    memory: Memory


@dataclass(frozen=True)
class NetworkCost:
    """A network: means for one sample; macs, dense: see `Network`; latency: time steps from the first of a frame to the
    last of its answer.
    """

    spikes: float
    spikes_per_neuron: float
    synops: float
    macs: int | None
    dense: int
    memory: Memory
    window: int
    latency: int
    layers: dict[str, LayerCost]

    @staticmethod
    def of(result: Result) -> "NetworkCost":
        """Return what a run cost."""
        net, activity = result.net, result.activity
        count = max(activity.samples, 1)
        words = {name: net.sender_of(name) for name in net.populations}
        layers = {
            name: LayerCost(p.kind, p.neurons, word.bits if (word := words[name]) else 0, p.spikes / count,
                            p.synops / count, memory_of(net, name))
            for name, p in activity.populations.items()
        }  # fmt: skip
        windows = max(net.latency[name] for name in net.outputs) + 1
        return NetworkCost(
            sum(layer.spikes for layer in layers.values()), activity.spikes_per_neuron, activity.synops_per_sample,
            net.macs, net.dense, memory_of_all(net), net.window, windows * net.window, layers,
        )  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Network B beside network A on the same samples.

    same_class: percent of the samples with the same class of the first output (None where it has one value); identical:
    whether all integers of all outputs are the same, of outputs of the same names; difference: root of the mean square
    between their first outputs in real numbers. accuracy: None without labels.
    """

    samples: int
    accuracy: Paired | None
    same_class: float | None
    identical: bool
    difference: float
    a: NetworkCost
    b: NetworkCost

    @property
    def shared(self) -> list[str]:
        """Return the names of the populations that both have, in A's order."""
        return [name for name in self.a.layers if name in self.b.layers]

    @staticmethod
    def of(a: Result, b: Result, labels: npt.NDArray[Any] | None = None) -> "Comparison":
        """Return how two runs on the same samples compare; raises DataError where they do not belong together."""
        if a.samples != b.samples or not a.samples:
            raise DataError(f"A ran {plural(a.samples, 'sample')} and B {b.samples}: both take the same, one at least")
        if a.logits.shape != b.logits.shape:
            raise DataError(
                f"A answers with {plural(a.logits.shape[1], 'value')} and B with {b.logits.shape[1]}: compare networks "
                "that answer the same question"
            )
        gap = np.sqrt(np.square(a.logits.astype(np.float64) - b.logits.astype(np.float64)).mean())
        same = 100 * float((a.classes == b.classes).mean()) if a.logits.shape[1] > 1 else None
        paired = None if labels is None else _paired(a, b, labels)
        return Comparison(a.samples, paired, same, _identical(a, b), float(gap), NetworkCost.of(a), NetworkCost.of(b))


def compare(
    a: Network,
    b: Network,
    samples: Given,
    labels: npt.ArrayLike | None = None,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Run two networks on the same samples, as `Session.run` takes them, and return how they compare.

    labels: classes (B,), or of pixels (B, H, W), by which accuracy is compared. on_progress is called with the number
    of samples done since the last call, of twice as many. Raises DataError where samples or labels do not fit, or the
    networks each other.
    """
    for net in (a, b):
        if not isinstance(net, Network):
            raise UsageError(f"compare takes two networks, such as spikerun.load('model.snn') returns; got {net!r:.80}")
    first, second = (Session(net).run(samples, on_progress=on_progress) for net in (a, b))
    return Comparison.of(first, second, None if labels is None else np.asarray(labels))


def _paired(a: Result, b: Result, labels: npt.NDArray[Any]) -> Paired:
    right = [result.right(labels) for result in (a, b)]
    return Paired(100 * float(right[0].mean()), 100 * float(right[1].mean()), standard_error(*right))


def _identical(a: Result, b: Result) -> bool:
    same = a.outputs.keys() == b.outputs.keys()
    return same and all(np.array_equal(values, b.outputs[name]) for name, values in a.outputs.items())
