# SPDX-License-Identifier: Apache-2.0
"""The options that name a network and the data it meets, and what they mean: shared by run and bench."""

import logging
import math
from pathlib import Path
from typing import Annotated, Any

import numpy.typing as npt
import typer

from spikerun import real
from spikerun.datasets import Dataset, load
from spikerun.errors import DataError, UsageError
from spikerun.inputs import sample_shape
from spikerun.network import Network

__all__ = ["DataOption", "SplitOption", "ThreadsOption", "fitted", "loaded"]

log = logging.getLogger(__name__)

DataOption = Annotated[
    str, typer.Option("--data", metavar="NAME", help="A data set (see spikerun datasets), or an .npz file of yours.")
]
SplitOption = Annotated[str, typer.Option("--split", help="Which part of the data set: test or train.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Default: $SPIKERUN_NUM_THREADS, or the physical cores.")
]


def loaded(data: str, folder: Path | None, split: str, limit: int | None) -> Dataset:
    """Return a data set by name or path."""
    if split not in ("test", "train"):
        raise UsageError(f"--split must be test or train, got '{split}'")
    dataset = load(data, folder, split=split, limit=limit)
    if not len(dataset.samples):
        raise DataError(f"data set '{data}' has no samples in its split '{split}'")
    return dataset


def fitted(net: Network, dataset: Dataset) -> npt.NDArray[Any]:
    """Return the samples in the shape of the network's input. Raises DataError where they do not fit."""
    if len(net.inputs) != 1:
        raise DataError(f"the network has {len(net.inputs)} inputs; data sets feed networks of one input")
    (name,) = net.inputs
    scale = real.known(net.meta, name).get("scale")
    if isinstance(scale, int | float) and not math.isclose(scale, dataset.scale, rel_tol=1e-6):
        message = "an integer of '%s' stands for %.6g, and one of the network's input for %.6g: expect other results"
        log.warning(message, dataset.name, dataset.scale, scale)
    samples: npt.NDArray[Any] = dataset.fitted(sample_shape(net, name))
    return samples
