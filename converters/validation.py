# SPDX-License-Identifier: Apache-2.0
"""Held-out samples by which networks are judged: as many as it takes to decide, the ANN's results computed once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spikerun.converters.accuracy import Accuracy, drop_bounds
from spikerun.converters.evaluate import Evaluation, Metric, snn_logits, top1
from spikerun.converters.graph import Array
from spikerun.converters.samples import Samples
from spikerun.errors import UsageError

if TYPE_CHECKING:
    from spikerun.converters.pipeline import Converter
    from spikerun.network import Network

__all__ = ["Judgement", "Validation", "confidence_of_look"]

FIRST = 2048  # samples; the next parts are as many as all before
EARLY = 0.1  # of the doubt that a confidence leaves: for all looks before the last together (after Haybittle and Peto)
SEED = 0


def confidence_of_look(confidence: float, looks: int, *, last: bool) -> float:
    """Return how sure one look must be of what it accepts, such that as many `looks` together have `confidence`.

    Their doubts add up to that of the confidence, so that together they hold however looks depend on each other.
    """
    if looks == 1:
        return confidence
    return 1 - (1 - confidence) * (1 - EARLY if last else EARLY / (looks - 1))


@dataclass(frozen=True)
class Judgement:
    """What was measured of a network: `lower` and `upper` bounds of its drop in points, costs for one sample."""

    accuracy: Accuracy
    lower: float
    upper: float
    spikes: float
    synops: float


class Validation:
    """Labelled samples in an order of chance; labels: None where the ANN's own results take their place."""

    def __init__(
        self, converter: "Converter", samples: Samples, labels: npt.ArrayLike | None, metric: Metric = top1
    ) -> None:
        self._converter, self.metric = converter, metric
        self.samples, self.labels = converter.checked(samples, labels)
        count = len(next(iter(self.samples.values())))
        if not count:
            raise UsageError("there are no samples to choose by: give more than those that calibrate")
        self._order = np.random.default_rng(SEED).permutation(count)
        self._parts: list[Evaluation] = []
        self._part(0)  # labels that the metric cannot take are refused before the work

    @property
    def count(self) -> int:
        """Return the number of samples."""
        return len(self._order)

    @property
    def looks(self) -> int:
        """Return how often at most a network is looked at, each time on twice as many samples."""
        return max(-(-self.count // FIRST) - 1, 0).bit_length() + 1

    @property
    def first_scores(self) -> Array:
        """Return the ANN's scores of the samples that are looked at first."""
        first = self._part(0)
        return first.scores(first.ann)

    def judged(self, network: "Network", max_drop: float, confidence: float, done: Callable[[int], None]) -> Judgement:
        """Return what a network is like, on as many samples as tell whether it keeps a budget, or on all.

        confidence: of the upper bound, however often samples are looked at (`looks`).
        """
        parts: list[dict[str, Array]] = []
        spikes = synops = 0
        while True:
            part = self._part(len(parts))
            logits, activity = snn_logits(network, part.samples, done)
            parts.append(logits)
            spikes += sum(p.spikes for p in activity.populations.values())
            synops += sum(p.synops for p in activity.populations.values())
            whole = self._whole(len(parts))
            together = {name: np.concatenate([part[name] for part in parts]) for name in logits}
            accuracy, ann, snn = whole.accuracy(together), whole.scores(whole.ann), whole.scores(together)
            seen = len(ann)
            sure = confidence_of_look(confidence, self.looks, last=seen == self.count)
            lower, upper = drop_bounds(ann, snn, sure)
            if seen == self.count or upper <= max_drop or lower > max_drop:
                return Judgement(accuracy, lower, upper, spikes / seen, synops / seen)

    def _part(self, number: int) -> Evaluation:
        while len(self._parts) <= number:
            first = FIRST * 2 ** (len(self._parts) - 1) if self._parts else 0
            places = np.sort(self._order[first : max(2 * first, FIRST)])
            samples = {name: values[places] for name, values in self.samples.items()}
            labels = None if self.labels is None else self.labels[places]
            self._parts.append(self._converter.evaluation(samples, labels, self.metric))
        return self._parts[number]

    def _whole(self, count: int) -> Evaluation:
        parts = self._parts[:count]
        return Evaluation(
            {},
            np.concatenate([part.labels for part in parts]),
            {name: np.concatenate([part.ann[name] for part in parts]) for name in parts[0].ann},
            parts[0].shape,
            self.metric,
        )
