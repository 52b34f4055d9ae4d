# SPDX-License-Identifier: Apache-2.0
"""What a command that trains is given: a torch module, samples that train it, and others that measure it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spikerun.converters import open_source
from spikerun.converters.encoding import Encoding
from spikerun.converters.examples import Examples, device_named
from spikerun.converters.given import Splits, places_of
from spikerun.converters.samples import Progress, checked
from spikerun.converters.torch.source import TorchSource
from spikerun.datasets import Dataset
from spikerun.datasets.lazy import Lazy
from spikerun.errors import DataError, UsageError

__all__ = ["Trainable", "trainable"]

CALIBRATED = 512  # samples by which the encoding of real numbers is chosen


@dataclass(frozen=True, eq=False)
class Trainable:
    """test: None where the data have one split, all of which trains."""

    source: TorchSource
    encodings: dict[str, Encoding]
    examples: Examples
    test: Examples | None
    notes: tuple[str, ...]


def trainable(
    model: str, weights: Path | None, data: str, folder: Path | None, limit: int | None, entering: Encoding,
    scale: float | None, bits: int | None, said: bool, device: str, seed: int, tell: Progress,
) -> Trainable:  # fmt: skip
    """Return what a command names. limit: of the test samples; entering: mean and std of the samples; scale, bits: by
    None those of the data; said: whether scale, mean or std were given; seed: of weights that the function draws.
    """
    where = device_named(device)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        source = open_source(model, weights)
    if not isinstance(source, TorchSource):
        raise UsageError(
            f"'{model}' is of {source.name}, and what trains is a torch module without a time loop: give it as "
            "FILE.py:FUNCTION"
        )
    notes = [] if weights else ["no --weights: the model is taken as its function returns it"]
    splits = Splits.of(source, data, None, folder, limit, scale, tell).as_taken(source, tell)
    for one in (*splits.train.values(), *splits.test.values()):
        if isinstance(one.samples, Lazy):
            raise DataError(f"'{data}' holds event recordings, which networks without a time loop do not take")
    calibrate, _ = places_of(splits.count, CALIBRATED, False)
    encodings, more = splits.encodings(entering, calibrate, bits, said, scale)
    train = {name: one.samples for name, one in splits.train.items()}
    examples = Examples(checked(train, encodings, "the training data"), labels_of(splits.only), encodings, where)
    measured = None
    if splits.only.split == "all":
        more.append(f"{data} has one split, so held-out samples of it are all that measures")
    else:
        measured = Examples(
            checked(splits.testing, encodings, "the test data"), labels_of(splits.measured), encodings, where
        )
    return Trainable(source, encodings, examples, measured, (*notes, *more))


def labels_of(data: Dataset) -> Any:
    """Return classes, or targets, or None."""
    return data.labels if data.labelled else data.targets if len(data.targets) else None
