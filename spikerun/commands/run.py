"""`spikerun run`: a network on data."""

import time
from typing import Annotated, Any

import numpy as np
import typer

from spikerun.activity import Activity
from spikerun.commands.samples import DataOption, SplitOption, ThreadsOption, fitted, loaded
from spikerun.console import DataDirOption, JsonOption, NetworkArgument, QuietOption, emit, progress, suggest, table
from spikerun.errors import DataError
from spikerun.file import load
from spikerun.session import Session

__all__ = ["activity_table", "run"]


def run(
    network: NetworkArgument,
    data: DataOption,
    split: SplitOption = "test",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Take only the first samples.")] = None,
    schedule: Annotated[str, typer.Option(help="auto, blocked (whole windows) or stepped; same bits.")] = "auto",
    kernels: Annotated[str, typer.Option(help="auto (measured), event or dense; same bits.")] = "auto",
    threads: ThreadsOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a network on data, and print its accuracy, spikes and synaptic operations."""
    net = load(network)
    dataset = loaded(data, data_dir, split, limit)
    samples = fitted(net, dataset)
    session = Session(net, schedule=schedule, kernels=kernels, threads=threads)
    begin = time.perf_counter()
    with progress("running", len(samples), quiet=quiet, json=json) as advance:
        result = session.run(samples, on_progress=advance)
    seconds = time.perf_counter() - begin
    if dataset.labelled and dataset.labels.max() >= result.logits.shape[1]:
        raise DataError(
            f"labels of '{dataset.name}' reach {dataset.labels.max()}, the network has {result.logits.shape[1]} outputs"
        )
    accuracy = 100 * float(np.mean(result.classes == dataset.labels)) if dataset.labelled else None
    activity = result.activity
    found: dict[str, Any] = {
        "network": str(network),
        "data": dataset.name,
        "split": dataset.split,
        "samples": len(samples),
        "accuracy": accuracy,
        "spikes_per_neuron": activity.spikes_per_neuron,
        "synops_per_sample": activity.synops_per_sample,
        "synops_per_mac": activity.synops_per_mac,
        "schedule": session.schedule,
        "threads": session.threads,
        "seconds": seconds,
        "populations": {name: vars(p) for name, p in activity.populations.items()},
    }
    emit("spikerun.run/1", found, json, lambda: _text(found, activity))
    if not json:
        suggest(f"spikerun deploy {network} --target generic-cortex-m4 -o firmware/ --run", quiet)


def _text(found: dict[str, Any], activity: Activity) -> str:
    rows = [
        ("accuracy", "no labels" if found["accuracy"] is None else f"{found['accuracy']:.2f} %"),
        ("samples", f"{found['samples']} of {found['data']}, {found['split']}"),
        ("spikes per neuron", f"{found['spikes_per_neuron']:.3f}"),
        ("synaptic operations", f"{found['synops_per_sample']:,.0f} a sample, {found['synops_per_mac']:.3f} per MAC"),
        ("time", f"{found['seconds']:.2f} s, {found['schedule']}, {found['threads']} threads"),
    ]
    return table((), rows) + "\n\n" + activity_table(activity)


def activity_table(activity: Activity) -> str:
    """Return spikes and synaptic operations of each population, for one sample on average."""
    rows = [
        (name, p.kind, p.neurons, f"{p.spikes / activity.samples:,.1f}", f"{p.synops / activity.samples:,.0f}")
        for name, p in activity.populations.items()
    ]
    return table(("population", "kind", "neurons", "spikes", "synaptic operations"), rows, right=(2, 3, 4))
