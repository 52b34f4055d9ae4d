# SPDX-License-Identifier: Apache-2.0
"""What a data set is: samples of small integers with their labels, and the row that the table has for it."""

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.encode import Bins, Encoded, Encoder
from spikerun.datasets.events import Recordings
from spikerun.datasets.lazy import Lazy, Small
from spikerun.errors import DataError, UsageError

__all__ = ["Dataset", "DatasetSpec", "Provider"]

log = logging.getLogger(__name__)

DTYPES = (np.uint8, np.int8, np.uint16, np.int16, np.float32)


@dataclass(frozen=True)
class Dataset:
    """Samples x in integer units; the real value is `scale * x`.

    samples: uint8, int8, uint16 or int16, images (N, C, H, W) or features (N, F); or a film of each step
             (N, T, C, H, W) or (N, T, F); or float32, real numbers, of scale 1; or what makes such when it is asked
             for: event recordings as soon as they are binned, encoded samples
    labels:  int64 (N,), or of each pixel (N, H, W), indexes into `classes`; empty when the samples are not labelled
    classes: the name of each class
    scale:   real value of one integer unit (1/16 for digits, 1/255 for photos)
    source:  the file or folder that the samples were read from
    targets: float32 (N, K), what the network is to answer where this is no class; (0, 0) where it is, or unknown
    channel_added: the samples are (N, 1, A, B) of a file that holds (N, A, B): grey images, or signals (N, C, L)
    """

    name: str
    split: str
    samples: Small | Lazy
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    scale: float
    source: str
    targets: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    channel_added: bool = False

    def __post_init__(self) -> None:
        """Refuse arrays that are not as the class says."""
        if not isinstance(self.samples, Lazy):
            self._check_array(
                "samples", self.samples, (np.uint8, np.int8, np.uint16, np.int16, np.float32), (2, 3, 4, 5)
            )
        self._check_array("labels", self.labels, (np.int64,), (1, 3))
        self._check_array("targets", self.targets, (np.float32,), (2,))
        if self.samples.size == 0:
            raise self._error("samples", f"has the shape {self.samples.shape}, without any value")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise self._error("scale", f"is {self.scale}, expected a finite number above 0")
        if self.labelled:
            self._check_labels()
        if len(self.targets) not in (0, len(self)) or not np.isfinite(self.targets).all():
            raise self._error("targets", f"is {self.targets.shape}, expected finite numbers for {len(self)} samples")

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.samples.shape[0])

    @property
    def labelled(self) -> bool:
        """Tell whether the samples have labels."""
        return self.labels.size > 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one sample, (C, H, W), (F,) or (T, C, H, W)."""
        return self.samples.shape[1:]

    def require_labels(self) -> NDArray[np.int64]:
        """Return the labels, or say that there are none."""
        if not self.labelled:
            raise self._error("labels", "is missing, and is needed to compare with; add an array 'labels'")
        return self.labels

    def real(self) -> NDArray[np.float32]:
        """Return the samples as the floating-point numbers that a network is trained on."""
        return np.asarray(self.samples).astype(np.float32) * np.float32(self.scale)

    @property
    def recorded(self) -> bool:
        """Tell whether these are event recordings, not yet binned."""
        return isinstance(self.samples, Recordings)

    @property
    def whole(self) -> bool:
        """Tell whether the samples are integers."""
        return np.dtype(self.samples.dtype).kind != "f"

    def encoded(self, encoder: Encoder) -> "Dataset":
        """Return the samples as an encoder makes them, (N, T, *frame), when they are asked for.

        Raises UsageError where it is no encoder, or takes other samples.
        """
        samples, name = self.samples, f"data set '{self.name}'"
        if not isinstance(encoder, Encoder):
            raise UsageError(
                f"{name} is encoded by a Rate, Latency or Bins, such as Rate(steps=25); got {encoder!r:.80}"
            )
        if isinstance(samples, Encoded):
            raise UsageError(f"{name} is encoded already: {samples.encoder.said}")
        if isinstance(encoder, Bins):
            if not isinstance(samples, Recordings):
                raise UsageError(f"{name} has samples {self.shape} and no events: --input events bins event recordings")
            encoder.remark(samples)
            return self._encoded(Encoded(samples, encoder, samples.places))
        if isinstance(samples, Recordings):
            raise UsageError(f"{name} holds event recordings: --input events --dt 1ms bins them, not '{encoder.kind}'")
        assert not isinstance(samples, Lazy)
        if not self.whole:
            raise UsageError(
                f"{name} holds real numbers, of which '{encoder.kind}' makes no spikes: store integers 0..255"
            )
        if len(self.shape) not in (1, 3):
            raise UsageError(
                f"{name} has samples {self.shape}, which have time already: --input frames gives them step by step, "
                f"'{encoder.kind}' is for samples without time"
            )
        if not math.isclose(encoder.unit, self.scale, rel_tol=1e-6):
            message = "an integer of '%s' stands for %.6g, and by the network's encoder for %.6g: expect other results"
            log.warning(message, self.name, self.scale, encoder.unit)
        return self._encoded(Encoded(samples, encoder, np.arange(len(self))))

    def _encoded(self, samples: Encoded) -> "Dataset":
        return dataclasses.replace(self, samples=samples, scale=1.0)

    def film(self) -> "Dataset":
        """Return images of one channel as films of features: (N, 1, T, F) as (N, T, F)."""
        return dataclasses.replace(self, samples=self.samples.reshape(len(self), *self.shape[1:]), channel_added=False)

    @property
    def is_grey(self) -> bool:
        """Tell whether the samples are images of one channel."""
        return len(self.shape) == 3 and self.shape[0] == 1

    def as_signals(self) -> "Dataset":
        """Return images of one channel (N, 1, A, B) as signals of these axes."""
        return self.film() if self.is_grey else self

    def as_rows(self) -> "Dataset":
        """Return signals (N, C, L) as images of height 1, (N, C, 1, L)."""
        channels, length = self.shape
        return dataclasses.replace(self, samples=self.samples.reshape(len(self), channels, 1, length))

    def fitted(self, shape: tuple[int, ...]) -> Small | Lazy:
        """Return the samples in the shape that an input takes. Raises DataError where they do not fit.

        An image of one channel may be the features of each step (T, F), and the other way round, or a signal (C, L) of
        a network that takes (C, 1, L), at each step too; a film (T, C, H, W) may be flattened at each step.
        """
        signal = shape[::2] if len(shape) == 3 and shape[1] == 1 else shape
        signals = (shape[0], 1, shape[1], shape[3]) if len(shape) == 4 and shape[2] == 1 else shape
        steps = (self.shape[0], math.prod(self.shape[1:])) if len(self.shape) == 4 else None
        others = (1, *shape), (1, *signal), signals
        fits = self.shape, (math.prod(self.shape),), steps, (1, *self.shape)
        if shape not in fits and self.shape not in others:
            raise DataError(
                f"data set '{self.name}' has samples of shape {self.shape}, the input of the network takes {shape}"
            )
        return self.samples.reshape(len(self), *shape)

    def first(self, limit: int | None) -> "Dataset":
        """Return the first `limit` samples, or all when there are fewer or `limit` is None."""
        if limit is None or limit >= len(self):
            return self
        samples = (
            self.samples.take(np.arange(limit), axis=0) if isinstance(self.samples, Lazy) else self.samples[:limit]
        )
        return dataclasses.replace(self, samples=samples, labels=self.labels[:limit], targets=self.targets[:limit])

    def _check_array(self, what: str, array: object, dtypes: tuple[type, ...], ranks: tuple[int, ...]) -> None:
        if not isinstance(array, np.ndarray) or array.dtype not in dtypes or array.ndim not in ranks:
            got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            kinds, axes = (" or ".join(map(str, allowed)) for allowed in (map(np.dtype, dtypes), ranks))
            raise self._error(what, f"is {got}, expected {kinds} with {axes} dimensions")

    def _check_labels(self) -> None:
        if self.labels.shape[:1] != self.samples.shape[:1]:
            raise self._error("labels", f"has {len(self.labels)} entries for {len(self)} samples")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classes):
            raise self._error("labels", f"lies in {low}..{high}, outside of the {len(self.classes)} classes")

    def _error(self, what: str, text: str) -> DataError:
        return DataError(f"data set '{self.name}' ({self.source}): '{what}' {text}")


@dataclass(frozen=True)
class DatasetSpec:
    """A row of the table of data sets.

    module: dotted path of a `Provider`, imported when it is needed
    splits: number of samples of each split
    shape:  (C, H, W) or (F,) of one sample
    hint:   what to do when the data set is not on this machine
    streams: its recordings are streams without classes, opened one by one (`spikerun.sources.file`), not loaded
    """

    name: str
    summary: str
    module: str
    splits: Mapping[str, int]
    shape: tuple[int, ...]
    hint: str
    streams: bool = False


class Provider(Protocol):
    """What the module of a data set offers."""

    def locate(self, folder: Path | None) -> Path | None:
        """Return where the files are (in `folder`, or in the usual places if None), or None."""

    def read(self, folder: Path | None, split: str) -> Dataset:
        """Return one split; a DataError names the places looked at."""

    def fetch(self, folder: Path | None, advance: Callable[[int], None]) -> Path:
        """Download the files with checksums and return their folder; `advance` is told of each chunk."""

    def fetch_size(self) -> int:
        """Return how many bytes `fetch` downloads at most."""
