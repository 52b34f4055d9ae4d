# SPDX-License-Identifier: Apache-2.0
"""`spikerun bench --stream`: recordings one after the other as a camera would send them, and how often it is right."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spikerun.commands.info import native_kernels
from spikerun.commands.played import Played, played_in_time, played_whole
from spikerun.commands.run import check_labels
from spikerun.console import emit, progress
from spikerun.datasets import Bins, Dataset, encoder_of, load
from spikerun.datasets.events import Recordings
from spikerun.errors import DataError, UsageError, unknown_name
from spikerun.network import Network
from spikerun.overload import OVERLOAD
from spikerun.session import Session
from spikerun.streaming_accuracy import StreamingAccuracy, streaming_accuracy
from spikerun.text import plural, table

__all__ = ["TRUTHS", "OverloadOption", "PaceOption", "StreamOption", "accuracy", "bench_stream", "check_alone"]

TRUTHS = 4  # of a bin: ground truths that were as far apart as bins would see no latency below that of one

ITS_OWN = ("overload", "pace")  # names of parameters
SHARED = ("network", "data", "split", "limit", "threads", "stream", "data_dir", "json", "quiet")

StreamOption = Annotated[
    bool,
    typer.Option(
        "--stream", help="Measure a stream instead: event recordings, in time, and accuracy by then (docs/bench.md)."
    ),
]
OverloadOption = Annotated[
    str | None,
    typer.Option(
        metavar="POLICY",
        help=f"What a stream does that is late: {', '.join(OVERLOAD)}. Default: latest, as STARE samples.",
    ),
]
PaceOption = Annotated[
    float | None,
    typer.Option(min=0.001, max=1e6, help="Times as fast as recorded, for --stream. Default: 1, as it was recorded."),
]


def check_alone(context: typer.Context, stream: bool) -> None:
    """Refuse options that were given and say nothing of what is measured."""
    for one in context.command.params:
        source = context.get_parameter_source(one.name or "")
        if source is not None and source.name == "COMMANDLINE":
            if stream and one.name not in (*SHARED, *ITS_OWN):
                raise UsageError(f"{one.opts[0]} says nothing of a stream: leave it out, or --stream")
            if not stream and one.name in ITS_OWN:
                raise UsageError(f"{one.opts[0]} is for streams: give --stream, too")


def bench_stream(
    path: Path,
    net: Network,
    data: str,
    folder: Path | None,
    split: str,
    limit: int | None,
    threads: Sequence[int],
    overload: str | None,
    pace: float | None,
    json: bool,
    quiet: bool,
) -> None:
    """Print what a stream takes, how late it is, and how often it is right."""
    if len(threads) > 1:
        raise UsageError("--stream takes one number of threads: give --threads once")
    overload, pace = overload or "latest", pace or 1.0
    if overload not in OVERLOAD:
        raise unknown_name("policy for overload", overload, OVERLOAD)
    bins = _bins(net)
    dataset = load(data, folder, split, limit)
    recordings = _recordings(net, dataset)
    check_labels(net, dataset)
    labels = dataset.require_labels()
    session = Session(net, threads=threads[0] if threads else None)
    with progress("bin by bin", len(dataset), quiet=quiet, json=json) as advance:
        whole = played_whole(session, recordings, bins, advance)
    with progress(f"in time, {overload}", len(dataset), quiet=quiet, json=json) as advance:
        timed = played_in_time(session, recordings, bins, pace, overload, advance)
    every, last = (accuracy(labels, whole, timed, bins, pace, n) for n in (TRUTHS * bins.steps, 1))
    busy = whole.busy_us.sum()
    found: dict[str, Any] = {
        "network": str(path),
        "data": dataset.name,
        "split": dataset.split,
        "isa": native_kernels()["isa"],
        "threads": session.threads,
        "recordings": len(dataset),
        "steps": bins.steps,
        "step_us": bins.dt_us,
        "events": timed.events,
        "events_per_second": 1e6 * whole.events / busy,
        "times_real_time": len(whole.busy_us) * bins.dt_us / busy,
        "bin_us": _spread(whole.busy_us),
        "pace": pace,
        "overload": overload,
        "lag_us": _spread(timed.ready_us - timed.seen_us),
        "dropped_events": timed.dropped,
        "dropped_bins": timed.dropped_bins,
        "accuracy": every,
        "accuracy_at_the_end": last,
    }
    emit("spikerun.bench-stream/1", found, json, lambda: _text(found))


def _bins(net: Network) -> Bins:
    """Return how the network takes events, which its meta says."""
    if len(net.inputs) != 1:
        raise UsageError(f"--stream takes networks of one input, this one has {', '.join(net.inputs) or 'none'}")
    found = encoder_of(net.meta, net.inputs[0])
    if not isinstance(found, Bins):
        raise UsageError(
            "--stream takes networks of binned events: convert with --input events --dt 1ms --duration STEPS"
        )
    return found


def _recordings(net: Network, dataset: Dataset) -> Recordings:
    if not isinstance(dataset.samples, Recordings):
        raise UsageError(f"data set '{dataset.name}' holds no event recordings, which --stream takes")
    shape = net.populations[net.inputs[0]].shape
    if dataset.samples.frame != shape:
        raise DataError(f"recordings of '{dataset.name}' lie in {dataset.samples.frame}, the network takes {shape}")
    return dataset.samples


def accuracy(
    labels: Any, whole: Played, timed: Played, bins: Bins, pace: float, truths: int
) -> dict[str, dict[str, Any] | int]:
    """Return the accuracy online and offline, of so many ground truths a recording, equally far apart up to its end."""
    duration = bins.steps * bins.dt_us / pace
    times = (np.arange(len(labels))[:, None] + np.arange(1, truths + 1) / truths) * duration
    truth = np.repeat(labels, truths)
    groups = np.repeat(np.arange(len(labels)), truths)

    def judged(played: Played, scale: float) -> StreamingAccuracy:
        seen, ready = played.seen_us / scale, played.ready_us / scale
        return streaming_accuracy(times.ravel(), truth, seen, ready, played.classes, groups)

    online, offline = judged(timed, 1), judged(whole, pace)
    return {
        "truths": online.truths,
        "online": {"percent": 100 * online.online, "standard_error": _percent(online.online_error)},
        "offline": {"percent": 100 * offline.offline, "standard_error": _percent(offline.offline_error)},
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _spread(us: Any) -> dict[str, float]:
    return {"p50": float(np.percentile(us, 50)), "p99": float(np.percentile(us, 99)), "max": float(us.max())}


def _text(found: Mapping[str, Any]) -> str:
    def spread(key: str) -> str:
        return ", ".join(f"{name} {value:,.1f} us" for name, value in found[key].items())

    def share(key: str, which: str) -> str:
        one = found[key][which]
        error = one["standard_error"]
        return f"{one['percent']:.2f} %" + ("" if error is None else f" +- {error:.2f}")

    rows = [
        ("recordings", f"{found['recordings']} of {found['data']}, {found['split']}, one after the other"),
        ("bins", f"{found['steps']} of {found['step_us']:g} us a recording, {plural(found['threads'], 'thread')}"),
        ("a bin", spread("bin_us")),
        ("at most", f"{found['events_per_second']:,.0f} events/s, {found['times_real_time']:.1f} times real time"),
        ("pace", f"{found['pace']:g} times as recorded, overload: {found['overload']}"),
        ("lag", spread("lag_us")),
        ("dropped", f"{found['dropped_events']:,} of {found['events']:,} events, in {found['dropped_bins']:,} bins"),
        ("online", f"{share('accuracy', 'online')} of {found['accuracy']['truths']:,} ground truths over time"),
        ("offline", f"{share('accuracy', 'offline')}, as though computing took no time"),
        ("at the end", f"online {share('accuracy_at_the_end', 'online')}, offline "
                       f"{share('accuracy_at_the_end', 'offline')} of the recordings, at their ends"),
    ]  # fmt: skip
    return table((), rows)
