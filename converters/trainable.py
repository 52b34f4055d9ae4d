# SPDX-License-Identifier: Apache-2.0
"""What a command that trains is given: a network without a time loop, and samples that train and measure it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spikerun.atomic import require_writable
from spikerun.converters import open_source
from spikerun.converters.encoding import Encoding
from spikerun.converters.given import Splits, places_of
from spikerun.converters.graph import Array
from spikerun.converters.options import numbers
from spikerun.converters.samples import Progress, checked
from spikerun.converters.source import Source
from spikerun.datasets import Dataset
from spikerun.datasets.lazy import Lazy
from spikerun.errors import DataError, UsageError

__all__ = ["Asked", "Trainable", "labels_of"]


@dataclass(frozen=True, eq=False)
class Trainable:
    """Samples by input, as `encodings` says what they stand for, and their labels: classes, targets or None.

    calibration: some of those that train; train: all of them, integers. test: None where the data have one split, all
    of which trains.
    """

    encodings: dict[str, Encoding]
    calibration: dict[str, Any]
    train: dict[str, Array]
    labels: Any
    test: tuple[dict[str, Any], Any] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """The options of a command that trains, as they are given; seed: of weights that the function draws."""

    model: str
    weights: Path | None
    data: str
    folder: Path | None
    limit: int | None
    mean: str | None
    std: str | None
    scale: float | None
    bits: int | None
    seed: int

    def __post_init__(self) -> None:
        self.entering()  # what are no numbers is refused before the work

    def entering(self) -> Encoding:
        """Return what integers of the samples stand for, as far as options say it."""
        mean, std = numbers("--mean", self.mean, 0.0), numbers("--std", self.std, 1.0)
        return Encoding(1.0 if self.scale is None else self.scale, mean, std)

    def require_writable(self, paths: Iterable[Path], force: bool) -> None:
        """Refuse results that are there, unless by `force`, and those that would take the place of what is read."""
        for path in paths:
            require_writable(path, force, keep=[Path(self.model.partition(":")[0]), self.weights, Path(self.data)])

    def opened(self) -> Source:
        """Return the network."""
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            source = open_source(self.model, self.weights)
        if not isinstance(source, Source):
            raise UsageError(
                f"'{self.model}' is of {source.name}, which has a time loop of its own: what trains is a network "
                "without"
            )
        return source

    def trainable(self, source: Source, samples: int, tell: Progress) -> Trainable:
        """Return the data, of which so many samples calibrate, as the network takes them."""
        said = any(one is not None for one in (self.scale, self.mean, self.std))
        notes = []
        if self.weights is None and ":" in self.model:
            notes.append("no --weights: the model is taken as its function returns it")
        splits = self.splits(source, self.data, self.limit, tell)
        places, _ = places_of(splits.count, samples, False)
        encodings, more = splits.encodings(self.entering(), places, self.bits, said, self.scale)
        train = {name: one.samples for name, one in splits.train.items()}
        whole = splits.only.split == "all"
        return Trainable(
            encodings, splits.training(places), checked(train, encodings, "the training data"), labels_of(splits.only),
            None if whole else (splits.testing, labels_of(splits.measured)), (*notes, *more),
        )  # fmt: skip

    def splits(self, source: Source, data: str, limit: int | None, tell: Progress) -> Splits:
        """Return data for the network; limit: of the test samples."""
        found = Splits.of(source, data, None, self.folder, limit, self.scale, tell).as_taken(source, tell)
        for one in (*found.train.values(), *found.test.values()):
            if isinstance(one.samples, Lazy):
                raise DataError(f"'{data}' holds event recordings, which networks without a time loop do not take")
        return found


def labels_of(data: Dataset) -> Any:
    """Return classes, or targets, or None."""
    return data.labels if data.labelled else data.targets if len(data.targets) else None
