# SPDX-License-Identifier: Apache-2.0
"""`spikerun bench`: latency and throughput of a network, beside the network it was converted from, in one process."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from spikerun.commands.samples import DataOption, LimitOption, SplitOption, ThreadsOption, loaded
from spikerun.console import DataDirOption, JsonOption, NetworkArgument, QuietOption, emit, progress
from spikerun.errors import DataError, UnsupportedError, UsageError
from spikerun.file import load
from spikerun.network import Network
from spikerun.reference import blocked, stepped
from spikerun.session import Session
from spikerun.text import plural, table

if TYPE_CHECKING:
    from spikerun.converters import Source

__all__ = ["bench"]

log = logging.getLogger(__name__)

WARM_UP = 10
BLOCK = 10  # samples of a turn: one at a time would time how each cools the other's caches
THROUGHPUT_ROUNDS = 3
SNN = "spikerun"
REFERENCE = "reference"

Runner = Callable[[int, int], object]  # runs the samples first..end


def bench(
    network: NetworkArgument,
    data: DataOption,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The ANN: FILE.py:FUNCTION, a Python file of yours (executed), or FILE.onnx."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights of the ANN: .safetensors or a state dict.")
    ] = None,
    reference: Annotated[bool, typer.Option("--reference", help="Time the plain reference executor, too.")] = False,
    repeat: Annotated[int, typer.Option(min=1, help="Single samples timed, in turn for each.")] = 200,
    batch: Annotated[int, typer.Option(min=1, help="Samples of a batch, for throughput.")] = 256,
    split: SplitOption = "test",
    limit: LimitOption = None,
    threads: ThreadsOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure latency for single samples (p20, p50, p80) and throughput for batches.

    All contestants take turns of ten samples in one process, on the same samples and with the same number of threads,
    after a warm-up. Loading, preparing the session, and scaling the samples to real numbers for the ANN are not timed.
    """
    if weights is not None and against is None:
        raise UsageError("--weights are those of the ANN: give --against MODEL, too")
    net = load(network)
    if len(net.inputs) > 1:
        raise UnsupportedError(
            f"bench measures networks of one input, this one has {', '.join(net.inputs)}: time Session.run with a dict "
            "of arrays by these names in Python"
        )
    source = None
    if against is not None:
        from spikerun.converters import Source, open_source

        opened = open_source(against, weights)  # what is wrong with it is said before data are read
        if not isinstance(opened, Source):
            raise UsageError(f"--against {against} has a time loop of its own: bench times networks without one")
        source = opened
    count = max(batch, min(repeat, 1000))
    count = count if limit is None else min(count, limit)
    samples = np.asarray(loaded(net, data, data_dir, split, count)[1][net.inputs[0]])  # encoding them is not timed
    session = Session(net, threads=threads)
    runners: dict[str, Runner] = {SNN: lambda first, end: session.run(samples[first:end])}
    if source is not None:
        runners |= _ann(net, source, str(against), samples, session.threads)
    with progress("single samples", repeat, quiet=quiet, json=json) as advance:
        times = _latencies(runners, len(samples), repeat, advance)
    if reference:
        times[REFERENCE] = _latencies({REFERENCE: _reference_runner(net, samples)}, len(samples), 3, _ignore)[REFERENCE]
    with progress("batches", THROUGHPUT_ROUNDS, quiet=quiet, json=json) as advance:
        rates = _throughputs(runners, min(batch, len(samples)), advance)
    rows = [_row(name, times[name], rates.get(name), times[SNN]) for name in times]
    found = {
        "network": str(network),
        "threads": session.threads,
        "schedule": session.schedule,
        "samples": len(samples),
        "batch": min(batch, len(samples)),
        "results": rows,
    }
    emit("spikerun.bench/1", found, json, lambda: _text(found))


def _ann(net: Network, source: "Source", against: str, samples: npt.NDArray[Any], threads: int) -> dict[str, Runner]:
    """Return what runs the ANN, by the name of its source."""
    from spikerun.converters import Encoding
    from spikerun.converters.forms import form_of, noise

    name = net.inputs[0]

    def real(values: npt.NDArray[Any]) -> npt.NDArray[Any]:  # what the model sees
        return values.astype(np.float64) if values.dtype.kind == "f" else Encoding.of(net.meta, name).real(values)

    row = samples.ndim == 4 and samples.shape[2] == 1  # signals (N, C, L), as the network has them
    form = form_of(source, {name: real(noise(samples))}, {name: 2} if row else {}, signals_first=False)
    if form.refused is not None:
        raise DataError(f"{against} does not take samples of shape {samples.shape[1:]}: {form.refused}")
    if form.differ:
        note = "%s takes samples %s also as signals %s, with other results: it is timed on those of the network, %s"
        log.warning(note, against, samples.shape[1:], samples.shape[1::2], samples.shape[1:])
    given, values = form.size, real(samples)
    expected = sum(net.populations[output].size for output in net.outputs)
    if given != expected:
        raise DataError(f"{against} gives {given} values a sample, the network {expected}: they are not the same model")
    values = values.squeeze(2) if form.signals else values
    return {source.name: source.runner({name: values}, threads)}


def _reference_runner(net: Network, samples: npt.NDArray[Any]) -> Runner:
    run = blocked if net.feedforward else stepped
    return lambda first, end: run(net, {net.inputs[0]: samples[first]})


def _latencies(
    runners: dict[str, Runner], count: int, repeat: int, advance: Callable[[int], None]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the seconds that each runner takes for single samples; they take turns, some samples at a time."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for first in range(-WARM_UP, repeat, BLOCK):
        block = range(first, min(first + BLOCK, repeat))
        for name, run in runners.items():
            for k in block:
                begin = time.perf_counter()
                run(k % count, k % count + 1)
                times[name].append(time.perf_counter() - begin)
        advance(len(block))
    return {name: np.array(values[-repeat:]) for name, values in times.items()}


def _throughputs(runners: dict[str, Runner], batch: int, advance: Callable[[int], None]) -> dict[str, float]:
    """Return samples a second in batches: the median of some rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(THROUGHPUT_ROUNDS):
        for name, run in runners.items():
            begin = time.perf_counter()
            run(0, batch)
            seconds[name].append(time.perf_counter() - begin)
        advance(1)
    return {name: batch / float(np.median(values)) for name, values in seconds.items()}


def _row(
    name: str, times: npt.NDArray[np.float64], rate: float | None, baseline: npt.NDArray[np.float64]
) -> dict[str, Any]:
    p20, p50, p80 = (1000 * float(p) for p in np.percentile(times, (20, 50, 80)))
    return {
        "name": name,
        "p20_ms": p20,
        "p50_ms": p50,
        "p80_ms": p80,
        "times_spikerun": p50 / (1000 * float(np.median(baseline))),
        "samples_per_second": rate,
    }


def _ignore(n: int) -> None:
    """Take the place of a progress bar."""


def _text(found: dict[str, Any]) -> str:
    rows = [
        (
            row["name"], f"{row['p20_ms']:.3f}", f"{row['p50_ms']:.3f}", f"{row['p80_ms']:.3f}",
            f"{row['times_spikerun']:.2f}",
            f"{row['samples_per_second']:,.0f}" if row["samples_per_second"] else "",
        )
        for row in found["results"]
    ]  # fmt: skip
    head = ("", "p20 ms", "p50 ms", "p80 ms", "p50 / spikerun", f"samples/s, batch {found['batch']}")
    return (
        table(head, rows, right=(1, 2, 3, 4, 5))
        + f"\n\n{plural(found['threads'], 'thread')}, {found['schedule']} schedule"
    )
