# SPDX-License-Identifier: Apache-2.0
"""How the ANN and the SNN do on the same labelled samples, by a metric that can be chosen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spikerun.activity import Activity
from spikerun.converters.accuracy import Accuracy
from spikerun.converters.encoding import Encoding, as_array
from spikerun.converters.graph import Array, Shape
from spikerun.converters.metrics import METRICS, Metric, by_class, classes_of, top1
from spikerun.converters.source import Source
from spikerun.errors import ConversionError, DataError, SpikerunError, UsageError
from spikerun.inputs import sample_shape
from spikerun.network import Network
from spikerun.paired import standard_error
from spikerun.result import count_classes

__all__ = ["Evaluation", "Metric", "ann_logits", "paired", "snn_logits", "top1"]

BATCH = 256
FEWEST_LABELS = 20  # below which nothing is said of chance


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Labelled integer samples by input, the results that the ANN gives for them, and how results are scored.

    shape: that of the first output, whose results are flat. notes: what is to be said beside the scores.
    """

    samples: dict[str, Array]
    labels: Array
    ann: dict[str, Array]
    shape: Shape
    metric: Metric = top1
    notes: tuple[str, ...] = ()

    def accuracy(self, snn: Mapping[str, Array]) -> Accuracy:
        """Return the scores of ANN and SNN, and how often their first outputs have the same largest logit."""
        first = next(iter(self.ann))
        same = classes_of(self._shaped(self.ann[first]), self.labels) == classes_of(
            self._shaped(snn[first]), self.labels
        )
        return paired(self.scores(self.ann), self.scores(snn), same.reshape(len(same), -1).mean(axis=1))

    @property
    def by_chance(self) -> bool:
        """Return whether the ANN finds the class no more often than by chance, at three standard errors."""
        if self.metric is not top1 or len(self.labels) < FEWEST_LABELS:
            return False
        classes = max(count_classes(self.labels, self.shape, len(self.labels)), 2)
        right, chance = self.scores(self.ann).mean(), 1 / classes
        return bool(right <= chance + 3 * np.sqrt(chance * (1 - chance) / len(self.labels)))

    def scores(self, logits: Mapping[str, Array]) -> Array:
        """Return the score of each sample, (batch,) float64."""
        (first, *more) = logits.values()
        given = logits if more else self._shaped(first) if by_class(self.metric) else first
        try:
            scored = self.metric(given, self.labels)
        except SpikerunError:
            raise
        except Exception as error:
            if self.metric in METRICS.values():
                raise
            raise UsageError(f"the metric of your own fails: {type(error).__name__}: {error}") from error
        scores = as_array(scored, "the scores of the metric")
        if scores.shape != (len(self.labels),) or scores.dtype.kind not in "biuf":
            got = f"{scores.dtype} of shape {scores.shape}"
            raise DataError(f"the metric must give {len(self.labels)} scores, one a sample; got {got}")
        if not np.isfinite(scores).all():
            raise DataError("the metric must give finite scores, of which 1 is the best; some are NaN or infinite")
        return scores.astype(np.float64)

    def _shaped(self, flat: Array) -> Array:
        return flat.reshape(len(flat), *self.shape)


def ann_logits(
    source: Source,
    samples: Mapping[str, Array],
    encodings: Mapping[str, Encoding],
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Array]:
    """Return the source's results (batch, K) float64 by output, for integer samples by input.

    on_progress is called with the number of samples done since the last call.
    """
    count = len(next(iter(samples.values())))
    batches: list[dict[str, Array]] = []
    for first in range(0, count, BATCH):
        part = {name: encodings[name].real(values[first : first + BATCH]) for name, values in samples.items()}
        batches.append({name: y.reshape(len(y), -1) for name, y in source.logits(part).items()})
        if on_progress is not None:
            on_progress(min(BATCH, count - first))
    logits = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    if not all(np.isfinite(values).all() for values in logits.values()):
        raise ConversionError(
            "the model itself gives NaN or infinity for these samples: check weights, scale, mean and std"
        )
    return logits


def snn_logits(
    network: Network, samples: Mapping[str, Array], on_progress: Callable[[int], None] | None = None
) -> tuple[dict[str, Array], Activity]:
    """Return the results (batch, K) of the spiking network by output, and its activity."""
    from spikerun.session import Session  # converting alone needs no compiled kernels

    given = {name: _image(values, len(sample_shape(network, name))) for name, values in samples.items()}
    result = Session(network).run(given, on_progress=on_progress)
    real = {name: network.populations[name].real(integers) for name, integers in result.outputs.items()}
    return {name: values.reshape(len(values), -1) for name, values in real.items()}, result.activity


def _image(values: Array, axes: int) -> Array:
    """Return signals (batch, C, L) as images of height 1, where samples of the network have so many axes."""
    return values[:, :, None] if values.ndim == axes == 3 else values


def paired(ann: Array, snn: Array, same: Array) -> Accuracy:
    """Return the means of two lists of scores, in percent, and the standard error of their difference."""
    means = [float(values.mean()) * 100 for values in (ann, snn, same)]
    return Accuracy(len(ann), means[0], means[1], means[2], standard_error(ann, snn))
