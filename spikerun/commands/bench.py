# SPDX-License-Identifier: Apache-2.0
"""`spikerun bench`: a network, beside the network it was converted from in other runtimes, in one process."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from spikerun.atomic import require_writable, write_atomically
from spikerun.commands.bench_figures import REFERENCE, SNN, activity_of, judge, standing
from spikerun.commands.bench_stream import OverloadOption, PaceOption, StreamOption, bench_stream, check_alone
from spikerun.commands.bench_text import as_markdown, as_text
from spikerun.commands.info import native_kernels
from spikerun.commands.run import check_labels
from spikerun.commands.samples import MOST_THREADS, DataOption, DeviceOption, SplitOption, loaded, on, tell_footprint
from spikerun.commands.turns import THROUGHPUT_ROUNDS, Runner, latencies, ratio, summary, throughputs
from spikerun.console import DataDirOption, ForceOption, JsonOption, NetworkArgument, QuietOption, emit, progress
from spikerun.datasets import Dataset
from spikerun.errors import DataError, UnsupportedError, UsageError
from spikerun.file import load
from spikerun.network import Network
from spikerun.reference import blocked, stepped
from spikerun.session import Session
from spikerun.text import plural

if TYPE_CHECKING:
    from spikerun.converters import Source
    from spikerun.converters.rivals import Rival

__all__ = ["bench"]

log = logging.getLogger(__name__)

CALIBRATED = 256  # samples, for int8
FEWEST = 32  # that calibrate well enough


def _threads(given: str) -> int:
    """Return what --threads says, once."""
    value = str(given).strip()
    if "," in value:
        raise typer.BadParameter(f"'{value}' is several numbers: give the option for each, --threads 1 --threads 2")
    if not (value.isascii() and value.isdecimal() and len(value) < 5 and 1 <= int(value) <= MOST_THREADS):
        raise typer.BadParameter(f"'{value}' is no integer in 1..{MOST_THREADS}")
    return int(value)


def bench(
    context: typer.Context,
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
    contestants: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Runtimes of the ANN, with commas between: torch (float32, eager), onnx (ONNX Runtime, float32), "
            "onnx-int8 (ONNX Runtime, quantised). Default: all that are installed.",
        ),
    ] = None,
    reference: Annotated[bool, typer.Option("--reference", help="Time the plain reference executor, too.")] = False,
    repeat: Annotated[int, typer.Option(min=1, help="Single samples timed, in turn for each.")] = 200,
    batch: Annotated[int, typer.Option(min=1, help="Samples of a batch, for throughput.")] = 256,
    split: SplitOption = "test",
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Samples to take, on which accuracy is measured. Default: as are timed."),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            "--threads",
            metavar="INTEGER",
            parser=_threads,
            help="1 to 1024, at most as many as processors are used; may be given several times. Default: "
            "$SPIKERUN_NUM_THREADS, or physical cores.",
        ),
    ] = None,
    device: DeviceOption = "cpu",
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Measure peak memory, in a new process for each.")
    ] = True,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the result as a table in Markdown.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.md", help="Write the table in Markdown.")
    ] = None,
    stream: StreamOption = False,
    overload: OverloadOption = None,
    pace: PaceOption = None,
    data_dir: DataDirOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure latency for single samples, throughput of batches, memory, activity and accuracy; or a stream.

    All contestants take turns of ten samples in one process, on the same samples and with the same number of threads,
    after a warm-up. Loading, preparing the session, and scaling the samples to real numbers for the ANN are not timed.
    The ANN in int8 is quantised here, by ONNX Runtime's own tools, with samples of the training split of the data, or
    the last ones of data of one split, which are not measured.
    """
    check_alone(context, stream)
    _check(against, weights, contestants, markdown and json)
    _check_device(device, against)
    if output is not None:
        if output.suffix != ".md":
            raise UsageError(f"--output writes Markdown: give a name that ends in .md, not '{output}'")
        require_writable(output, force, keep=(network, data, weights))
    if network.suffix.lower() == ".onnx":
        raise UsageError(
            f"'{network}' is no network of spikerun yet: convert it first, spikerun convert {network}, and give "
            f"--against {network} here, too"
        )
    net = load(network)
    if stream:
        return bench_stream(network, net, data, data_dir, split, limit, threads or (), overload, pace, json, quiet)
    if len(net.inputs) > 1:
        raise UnsupportedError(
            f"bench measures networks of one input, this one has {', '.join(net.inputs)}: time Session.run with a dict "
            "of arrays by these names in Python"
        )
    source = None if against is None else _opened(against, weights)  # its faults are told before data are read
    dataset, given = loaded(net, data, data_dir, split, limit or max(batch, min(repeat, 1000)))
    check_labels(net, dataset)
    samples = np.asarray(given[net.inputs[0]])  # encoding them is not timed
    batch = min(batch, len(samples))
    with tempfile.TemporaryDirectory(prefix="spikerun-bench-") as folder:
        rivals: list[Rival] = []
        if source is not None:
            calibration = _calibration(net, data, data_dir, dataset)
            model = (source, str(against), weights)
            rivals = _rivals(net, model, samples, calibration, _names(contestants), Path(folder))
        rows: list[dict[str, Any]] = []
        sessions = [Session(net, **on(device, count)) for count in _counts(threads)]
        tell_footprint(sessions[0], quiet, json)
        for count, session in zip(threads or (), sessions, strict=False):
            if session.threads < count:
                log.warning(
                    "of %d threads %d are used, by all contestants: at most as many as processors, and 48",
                    count,
                    session.threads,
                )
        for session in {session.threads: session for session in sessions}.values():
            runners: dict[str, Runner] = {SNN: _session_runner(session, samples)}
            runners |= {rival.name: rival.runner(session.threads) for rival in rivals}
            rows += _timed(runners, session.threads, len(samples), repeat, batch, quiet, json)
        if reference:
            rows.append(_reference(net, samples, rows[0]))
        result = sessions[0].run(samples)
        found: dict[str, Any] = {
            "network": str(network),
            "data": dataset.name,
            "split": dataset.split,
            "device": device,
            "isa": native_kernels()["isa"],
            "threads": list(dict.fromkeys(session.threads for session in sessions)),
            "schedule": sessions[0].schedule,
            "samples": len(samples),
            "batch": batch,
            "results": rows,
            "contestants": standing(network, sessions[0], samples, rivals, memory and device == "cpu", reference),
            "activity": activity_of(sessions[0], samples, result),
        }
        judge(found["contestants"], result, rivals, dataset)
    if output is not None:
        write_atomically(output, as_markdown(found), force)
    emit("spikerun.bench/2", found, json, lambda: as_markdown(found) if markdown else as_text(found))


def _check(against: str | None, weights: Path | None, contestants: str | None, twice: bool) -> None:
    """Refuse options that contradict each other."""
    for option, given in (("--weights are those", weights), ("--contestants are runtimes", contestants)):
        if given is not None and against is None:
            raise UsageError(f"{option} of the ANN: give --against MODEL, too")
    if twice:
        raise UsageError("--json and --markdown exclude each other on stdout: write the table with -o FILE.md")


def _check_device(device: str, against: str | None) -> None:
    """Refuse what is measured on this computer's processor alone."""
    if device != "cpu" and against is not None:
        raise UsageError(
            f"the ANN of --against is measured on the CPU, not on the device '{device}': leave it out; benchmarks/gpu "
            "has networks beside others on a GPU"
        )


def _counts(threads: list[int] | None) -> Sequence[int | None]:
    return [None] if threads is None else threads


def _names(contestants: str | None) -> tuple[str, ...] | None:
    """Return the names that are asked for; None: all."""
    if contestants is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in contestants.split(",") if name.strip()))
    if not names:
        raise UsageError("--contestants names none: leave it out, or give torch, onnx or onnx-int8")
    return names


def _opened(against: str, weights: Path | None) -> "Source":
    from spikerun.converters import Source, open_source

    opened = open_source(against, weights)
    if not isinstance(opened, Source):
        raise UsageError(f"--against {against} has a time loop of its own: bench times networks without one")
    if weights is None and ":" in against:
        log.warning("no --weights: the model is taken as its function returns it")
    return opened


def _calibration(
    net: Network, data: str, folder: Path | None, measured: Dataset
) -> tuple[npt.NDArray[Any] | None, bool]:
    """Return samples that calibrate int8, and whether they are measured, too: of the training split where it is another
    one, else the last of the split; None where there are none, which only int8 minds.
    """
    other = measured.split == "test"
    try:
        every = loaded(net, data, folder, "train", CALIBRATED if other else None)[1][net.inputs[0]]
    except DataError as error:
        log.info("%s", error)
        return None, False
    count, first = every.shape[0], 0 if other else len(measured)
    left = count - first >= FEWEST
    first = max(first, count - CALIBRATED) if left else 0
    return np.asarray(every.take(np.arange(first, min(first + CALIBRATED, count)), axis=0)), not (other or left)


def _rivals(
    net: Network,
    model: tuple["Source", str, Path | None],
    samples: npt.NDArray[Any],
    calibration: tuple[npt.NDArray[Any] | None, bool],
    wanted: tuple[str, ...] | None,
    folder: Path,
) -> "list[Rival]":
    """Return the ANN in each runtime, on samples in the form that it takes."""
    from spikerun.converters import Encoding
    from spikerun.converters.forms import form_of, noise
    from spikerun.converters.rivals import Given, open_rivals

    source, against, weights = model
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
    expected = sum(net.populations[output].size for output in net.outputs)
    if form.size != expected:
        raise DataError(
            f"{against} gives {form.size} values a sample, the network {expected}: they are not the same model"
        )
    values, calibrates = (
        None if one is None else real(one).squeeze(2) if form.signals else real(one)
        for one in (samples, calibration[0])
    )
    assert values is not None
    return open_rivals(Given(source, against, weights, values, calibrates, name, calibration[1]), folder, wanted)


def _session_runner(session: Session, samples: npt.NDArray[Any]) -> Runner:
    return lambda first, end: session.run(samples[first:end])


def _timed(
    runners: dict[str, Runner], threads: int, count: int, repeat: int, batch: int, quiet: bool, json: bool
) -> list[dict[str, Any]]:
    """Return a row for each contestant."""
    with progress(f"single samples, {plural(threads, 'thread')}", repeat, quiet=quiet, json=json) as advance:
        turns = latencies(runners, count, repeat, threads, advance)
    with progress(f"batches, {plural(threads, 'thread')}", THROUGHPUT_ROUNDS, quiet=quiet, json=json) as advance:
        rates = throughputs(runners, batch, threads, advance)
    return [
        {
            "name": name, "threads": threads, **summary(turns[name]),
            "times_spikerun": ratio(turns[name], turns[SNN]), "samples_per_second": rates[name],
        }
        for name in runners
    ]  # fmt: skip


def _reference(net: Network, samples: npt.NDArray[Any], baseline: dict[str, Any]) -> dict[str, Any]:
    """Return the row of the reference executor, which is too slow to take turns."""
    run = blocked if net.feedforward else stepped

    def runner(first: int, end: int) -> object:
        return run(net, {net.inputs[0]: samples[first]})

    times = summary(latencies({REFERENCE: runner}, len(samples), 3, 1, lambda n: None, warm_up=1)[REFERENCE])
    beside = times["p50_ms"] / baseline["p50_ms"]
    return {"name": REFERENCE, "threads": 1, **times, "times_spikerun": beside, "samples_per_second": None}
