# SPDX-License-Identifier: Apache-2.0
"""How results are scored: (logits, labels) -> a score for each sample, 1 the best; what is reported is the mean.

Errors of real results become shares that are explained, so that points of a percent mean the same for all: 0 is as
good as the mean of the targets (of `mae`, as their median).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError, SpikerunError, UsageError, unknown_name
from spikerun.result import count_classes
from spikerun.text import plural

__all__ = [
    "METRICS",
    "FileMetric",
    "Metric",
    "by_class",
    "classes_of",
    "is_error",
    "metric_named",
    "name_of",
    "reference",
    "top1",
]

Array = npt.NDArray[Any]
# logits are (batch, K), of images flattened; or a dict of them where a network has several outputs. Metrics of classes,
# `by_class`, take them in the shape of the output.
Metric = Callable[[Any, Array], npt.ArrayLike]


@dataclass(frozen=True)
class FileMetric:
    """A function of a user's file, whose text is `source`."""

    name: str
    source: str
    function: Metric

    def __call__(self, logits: Any, labels: Array) -> npt.ArrayLike:
        """Return a score for each sample."""
        return self.function(logits, labels)


def top1(logits: Any, labels: Array) -> Array:
    """Return 1 where the largest logit is that of the label, else 0; of label maps the share of right pixels."""
    found = _scored(logits, labels)
    right: Array = found.argmax(axis=1) == labels
    return _of_pixels(right)


def top5(logits: Any, labels: Array) -> Array:
    """Return 1 where fewer than five logits are larger than that of the label, else 0."""
    found = _scored(logits, labels)
    if found.shape[1] <= 5:
        raise DataError(f"of {plural(found.shape[1], 'output')} the label is always among five: take another metric")
    own = np.take_along_axis(found, labels[:, None].astype(np.int64), axis=1)
    among: Array = ((found > own).sum(axis=1) < 5) & np.isfinite(own[:, 0])
    return _of_pixels(among)


def mse(logits: Any, targets: Array) -> Array:
    """Return 1 less the squared error in terms of the targets' variance; the mean is R squared."""
    found, wanted = _real(logits, targets)
    spread = np.square(wanted - wanted.mean(axis=0)).sum(axis=1).mean()
    return _explained(np.square(found - wanted).sum(axis=1), spread)


def mae(logits: Any, targets: Array) -> Array:
    """Return 1 less the absolute error in terms of the targets' mean distance from their median."""
    found, wanted = _real(logits, targets)
    spread = np.abs(wanted - np.median(wanted, axis=0)).sum(axis=1).mean()
    return _explained(np.abs(found - wanted).sum(axis=1), spread)


def cosine(logits: Any, targets: Array) -> Array:
    """Return the cosine of the angle between results and targets."""
    found, wanted = _real(logits, targets)
    size = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    score: Array = (found * wanted).sum(axis=1) / np.where(size > 0, size, 1)
    return score


METRICS: Mapping[str, Metric] = MappingProxyType({"top1": top1, "top5": top5, "mse": mse, "mae": mae, "cosine": cosine})


def is_error(metric: Metric) -> bool:
    """Return whether a metric compares real numbers, not classes."""
    return metric in (mse, mae, cosine)


def metric_named(text: str) -> Metric:
    """Return the metric that a command names: one of METRICS, or FILE.py:FUNCTION, which is executed."""
    path, _, function = text.partition(":")
    if not (function and path.endswith(".py")):
        if text not in METRICS:
            raise unknown_name("metric", text, [*METRICS, "FILE.py:FUNCTION"])
        return METRICS[text]
    if not Path(path).is_file():
        raise UsageError(f"there is no file '{path}' for --metric {text}")
    space: dict[str, Any] = {"__name__": "metric", "__file__": path}
    try:
        source = Path(path).read_text()
        exec(compile(source, path, "exec"), space)  # the user's own code, as the model is
    except SpikerunError:
        raise
    except Exception as error:
        raise UsageError(f"'{path}' of --metric cannot be executed: {type(error).__name__}: {error}") from error
    found = space.get(function)
    if not callable(found):
        raise UsageError(f"'{path}' has no function '{function}' for --metric")
    return FileMetric(function, source, found)


def name_of(metric: Metric) -> str:
    """Return the name of a metric, as a command says it; of one's own, that of its function."""
    own = metric.name if isinstance(metric, FileMetric) else getattr(metric, "__name__", type(metric).__name__)
    return next((name for name, known in METRICS.items() if known is metric), own)


def reference(metric: Metric, logits: Array) -> Array:
    """Return labels by the ANN itself, for samples that have none: its classes, or its results.

    logits: (N, K, ...), as the output has them. Raises UsageError for metrics of a user, whose labels are not known.
    """
    if is_error(metric):
        return logits.reshape(len(logits), -1)
    if metric in METRICS.values():
        classes: Array = logits.argmax(axis=1)
        return classes
    raise UsageError("a metric of your own needs labels: give them, or take one of " + ", ".join(METRICS))


def by_class(metric: Metric) -> bool:
    """Return whether a metric compares classes, so that it must know the axis of these."""
    return metric in (top1, top5)


def classes_of(logits: Array, labels: Array) -> Array:
    """Return the largest logit's place: for each sample, or each pixel of label maps. logits: (N, *shape)."""
    maps = labels.ndim > 1 and labels.dtype.kind in "iu" and labels.shape[1:] == logits.shape[2:]
    found: Array = logits.reshape(len(logits), -1, *(labels.shape[1:] if maps else ())).argmax(axis=1)
    return found


def _scored(logits: Any, labels: Array) -> Array:
    """Return logits (N, K, *labels of a sample) of such (N, *shape), for labels that can be classes of them."""
    if isinstance(logits, Mapping):
        raise DataError(f"the network has the outputs {', '.join(logits)}: give a metric that takes a dict of logits")
    classes = count_classes(labels, logits.shape[1:], len(logits))
    found: Array = logits.reshape(len(logits), classes, *labels.shape[1:])
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(f"labels go from {labels.min()} to {labels.max()}, the model has {plural(classes, 'output')}")
    return found


def _of_pixels(right: Array) -> Array:
    """Return the share of right pixels of each sample, if it has any; else whether it is right."""
    share: Array = right.reshape(len(right), -1).mean(axis=1) if right.ndim > 1 else right
    return share


def _real(logits: Any, targets: Array) -> tuple[Array, Array]:
    """Return results and targets, (N, K) float64."""
    if isinstance(logits, Mapping):
        raise DataError(f"the network has the outputs {', '.join(logits)}: give a metric that takes a dict of logits")
    wanted = targets.reshape(len(targets), -1).astype(np.float64)
    if wanted.shape != logits.shape:
        raise DataError(f"targets have the shape {targets.shape}, the results of the model {logits.shape}")
    return logits.astype(np.float64), wanted


def _explained(error: Array, spread: float) -> Array:
    if not spread > 0:
        raise DataError("all targets are the same: there is nothing to explain, so errors cannot be compared to it")
    score: Array = 1 - error / spread
    return score
