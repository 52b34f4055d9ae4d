# SPDX-License-Identifier: Apache-2.0
"""The options that name a network and the data it meets, and what they mean: shared by run, compare and bench."""

import logging
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from spikerun import real
from spikerun.console import talk
from spikerun.datasets import Dataset, load_inputs
from spikerun.datasets.lazy import Lazy, Small
from spikerun.errors import UsageError
from spikerun.inputs import NO_INPUT, sample_shape
from spikerun.network import Network
from spikerun.session import Session

__all__ = [
    "MOST_THREADS",
    "DataOption",
    "DeviceOption",
    "KernelsOption",
    "LimitOption",
    "PiecesOption",
    "SplitOption",
    "ThreadsOption",
    "loaded",
    "on",
    "tell_footprint",
]

log = logging.getLogger(__name__)

DataOption = Annotated[
    str, typer.Option("--data", metavar="NAME", help="A data set (see spikerun datasets), or an .npz file of yours.")
]
SplitOption = Annotated[str, typer.Option("--split", help="Which part of the data set: test or train.")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Take only the first samples.")]
MOST_THREADS = 1024  # that may be asked for
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help=f"1 to {MOST_THREADS}; processors at most are used. Default: $SPIKERUN_NUM_THREADS, or physical cores.",
    ),
]
KernelsOption = Annotated[str, typer.Option(help="auto (measured), event or dense; same bits.")]
DeviceOption = Annotated[str, typer.Option(metavar="NAME", help="cpu, or cuda, a GPU; same bits.")]
PiecesOption = Annotated[
    int | None, typer.Option("--at-once", min=1, help="Samples that a GPU runs at a time. Default: as many as fit.")
]


def on(device: str, threads: int | None = None, at_once: int | None = None, **options: object) -> dict[str, Any]:
    """Return the options of a session on a device; those that were given alone, so that a device refuses others'."""
    if at_once is not None and device == "cpu":
        raise UsageError(
            "--at-once is an option of a GPU, not of the device 'cpu': leave it out, or take --device cuda"
        )
    own = {"threads": threads, "batch": at_once}
    return {"device": device, **options, **{name: value for name, value in own.items() if value is not None}}


def tell_footprint(session: Session, quiet: bool, json: bool) -> None:
    """Say what a run takes of the memory of a device that has its own, before it takes it."""
    if session.footprint is not None:
        talk(f"memory of the device: {session.footprint}", quiet or json)


def loaded(
    net: Network, data: str, folder: Path | None, split: str, limit: int | None
) -> tuple[Dataset, dict[str, Small | Lazy]]:
    """Return a data set by name or path, and its samples for each input of the network, in the shape that it takes.

    Samples are encoded as the network's meta says, real numbers when they are run. The data set is that of the first
    input, its labels are those of all. Raises DataError where samples do not fit.
    """
    if split not in ("test", "train"):
        raise UsageError(f"--split must be test or train, got '{split}'")
    if not net.inputs:
        raise UsageError(NO_INPUT)
    found = load_inputs(data, net.inputs, folder, split, limit, net.meta)
    return found[net.inputs[0]], {name: _fitted(net, name, dataset) for name, dataset in found.items()}


def _fitted(net: Network, name: str, dataset: Dataset) -> Small | Lazy:
    scale = real.known(net.meta, name).get("scale")
    if isinstance(scale, int | float) and dataset.whole and not math.isclose(scale, dataset.scale, rel_tol=1e-6):
        message = "an integer of '%s' stands for %.6g, and one of the network's input for %.6g: expect other results"
        log.warning(message, dataset.name, dataset.scale, scale)
    return dataset.fitted(sample_shape(net, name))
