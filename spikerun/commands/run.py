# SPDX-License-Identifier: Apache-2.0
"""`spikerun run`: a network on data."""

import io
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spikerun.activity import Activity
from spikerun.atomic import require_writable, write_atomically
from spikerun.commands.samples import (
    DataOption,
    DeviceOption,
    KernelsOption,
    LimitOption,
    PiecesOption,
    SplitOption,
    ThreadsOption,
    loaded,
    on,
    tell_footprint,
)
from spikerun.console import (
    DataDirOption,
    ForceOption,
    JsonOption,
    NetworkArgument,
    QuietOption,
    emit,
    progress,
    suggest,
    table,
)
from spikerun.datasets import Dataset
from spikerun.errors import DataError, UsageError
from spikerun.file import load
from spikerun.network import Network
from spikerun.plan import EarlyExit, Row, blockable, check_lead
from spikerun.result import count_classes
from spikerun.session import Result, Session
from spikerun.text import beside_macs, plural

__all__ = ["activity_table", "check_labels", "error_of", "run"]

SHOWN = 5  # samples, and values of each, of data without labels

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.npz", help="Keep logits, classes and the integers of each output."),
]


def run(
    network: NetworkArgument,
    data: DataOption,
    output: OutputOption = None,
    split: SplitOption = "test",
    limit: LimitOption = None,
    schedule: Annotated[str, typer.Option(help="auto, blocked (whole windows) or stepped; same bits.")] = "auto",
    device: DeviceOption = "cpu",
    kernels: KernelsOption = "auto",
    threads: ThreadsOption = None,
    at_once: PiecesOption = None,
    early_exit: Annotated[
        str | None,
        typer.Option(
            metavar="exact|LEAD",
            help="Stop a sample once its class can change no more, or once its largest logit leads by LEAD.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what each layer did: kernel, layout, bytes, activity, expected time.")
    ] = False,
    data_dir: DataDirOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a network on data: its accuracy, its error, or without labels its answers; spikes, synaptic operations."""
    if output is not None:
        _require_npz(output, force, (network, data))
    net = load(network)
    dataset, samples = loaded(net, data, data_dir, split, limit)
    check_labels(net, dataset)
    exit_ = _early_exit(early_exit, schedule, net)
    session = Session(net, schedule=schedule, early_exit=exit_, **on(device, threads, at_once, kernels=kernels))
    tell_footprint(session, quiet, json)
    begin = time.perf_counter()
    with progress("running", len(dataset), quiet=quiet, json=json) as advance:
        result = session.run(samples, on_progress=advance)
    seconds = time.perf_counter() - begin
    if output is not None:
        write_atomically(output, _archive(result, dataset), force)
    activity = result.activity
    found: dict[str, Any] = {
        "network": str(network),
        "data": dataset.name,
        "split": dataset.split,
        "samples": len(dataset),
        "accuracy": 100 * float(result.right(dataset.labels).mean()) if dataset.labelled else None,
        **error_of(result, dataset),
        "spikes_per_neuron": activity.spikes_per_neuron,
        "synops_per_sample": activity.synops_per_sample,
        "synops_per_mac": activity.synops_per_mac,
        "macs": activity.macs,
        "dense": activity.dense,
        "steps": session.steps,
        "steps_per_sample": None if result.steps is None else float(result.steps.mean()),
        "schedule": session.schedule,
        "device": device,
        "threads": session.threads,
        "seconds": seconds,
        "populations": {name: vars(p) for name, p in activity.populations.items()},
        "output": output,
        **({"plan": [_planned(row) for row in session.plan.maps]} if plan else {}),
    }
    emit("spikerun.run/1", found, json, lambda: _text(found, result) + (f"\n\n{session.plan}" if plan else ""))
    if not json:
        suggest(f"spikerun deploy {network} --target generic-cortex-m4 -o firmware/ --run", quiet)


def _early_exit(given: str | None, schedule: str, net: Network) -> EarlyExit:
    if given is None:
        return None
    lead: EarlyExit = "exact"
    if given != "exact":
        try:
            lead = float(given)
            check_lead(lead)
        except ValueError:
            raise UsageError(
                f"--early-exit takes 'exact', or by how much a logit is to lead, above 0, got '{given}'"
            ) from None
    if schedule in ("auto", "blocked") and blockable(net):
        raise UsageError(
            "--early-exit stops between steps, and the blocked schedule, which takes whole windows at once, has none: "
            "give --schedule stepped, too, or leave --early-exit out, which is faster"
        )
    return lead


def _require_npz(output: Path, force: bool, read: tuple[Path, str]) -> None:
    if output.suffix != ".npz":
        raise UsageError(f"--output writes arrays of NumPy: give a name that ends in .npz, not '{output}'")
    require_writable(output, force, keep=read)


def check_labels(net: Network, dataset: Dataset) -> None:
    """Refuse labels or targets that the network has no outputs for."""
    output = net.populations[net.outputs[0]]
    outputs = output.size
    if dataset.labelled:
        classes = count_classes(dataset.labels, output.shape, len(dataset), f"labels of '{dataset.name}'")
        if dataset.labels.max() >= classes:
            raise DataError(
                f"labels of '{dataset.name}' reach {dataset.labels.max()}, the network has "
                f"{plural(classes, 'output')}; leave labels out where they are no classes of this network, or store "
                "targets as real numbers"
            )
    if len(dataset.targets) and dataset.targets.shape[1] != outputs:
        raise DataError(
            f"'{dataset.name}' has {plural(dataset.targets.shape[1], 'target')} a sample, the network has "
            f"{plural(outputs, 'output')}"
        )


def error_of(result: Result, dataset: Dataset) -> dict[str, float | None]:
    """Return the root of the mean squared error, and R2 (None where the targets do not vary)."""
    if not len(dataset.targets):
        return {"rmse": None, "r2": None}
    targets = dataset.targets.astype(np.float64)
    squares = np.square(result.logits - targets).sum()
    spread = np.square(targets - targets.mean(axis=0)).sum()
    return {"rmse": float(np.sqrt(squares / targets.size)), "r2": float(1 - squares / spread) if spread else None}


def _planned(row: Row) -> dict[str, Any]:
    """Return a row of the plan that has a map."""
    assert row.choice is not None
    return {
        "into": row.population,
        "operation": row.operation,
        "passes": row.passes,
        "kernel": row.choice.kernel,
        "layout": row.choice.layout or None,
        "bytes": row.choice.bytes,
        "active": row.active,
        "expected_us": None if row.active is None else row.us(row.active),
    }


def _archive(result: Result, dataset: Dataset) -> bytes:
    """Return an .npz of logits (N, K), classes (N,), labels or targets if known, and `outputs.NAME` (N, *shape)."""
    arrays: dict[str, Any] = {f"outputs.{name}": values for name, values in result.outputs.items()}
    arrays |= {name: getattr(dataset, name) for name in ("labels", "targets") if len(getattr(dataset, name))}
    file = io.BytesIO()
    np.savez_compressed(file, logits=result.logits, classes=result.classes, **arrays)
    return file.getvalue()


def _text(found: dict[str, Any], result: Result) -> str:
    synops = found["synops_per_sample"]
    rows = [
        ("samples", f"{found['samples']} of {found['data']}, {found['split']}"),
        ("spikes per neuron", f"{found['spikes_per_neuron']:.3f}"),
        ("synaptic operations", f"{synops:,.0f} a sample{beside_macs(synops, found['macs'])}"),
        ("time", f"{found['seconds']:.2f} s, {found['schedule']}, {_where(found)}"),
    ]
    if found["steps_per_sample"] is not None:
        rows.insert(1, ("steps", f"{found['steps_per_sample']:.1f} of {found['steps']} a sample, early exit"))
    if found["accuracy"] is not None:
        rows.insert(0, ("accuracy", f"{found['accuracy']:.2f} %"))
    if found["rmse"] is not None:
        r2 = "" if found["r2"] is None else f", R2 {found['r2']:.4f}"
        rows.insert(0, ("error", f"{found['rmse']:.6g} (root of the mean square){r2}"))
    if found["output"] is not None:
        rows.append(("wrote", str(found["output"])))
    answers = [_answers(result)] if found["accuracy"] is None else []
    return "\n\n".join((table((), rows), *answers, activity_table(result.activity)))


def _where(found: dict[str, Any]) -> str:
    return plural(found["threads"], "thread") if found["device"] == "cpu" else f"device '{found['device']}'"


def _answers(result: Result) -> str:
    """Return what the network says of the first samples, where there are no labels."""
    several = result.logits.shape[1] > 1
    more = ["..."] if result.logits.shape[1] > SHOWN else []
    rows = [
        (k, *([result.classes[k]] if several else []), *(f"{value:.6g}" for value in values[:SHOWN]), *more)
        for k, values in enumerate(result.logits[:SHOWN])
    ]
    values = min(result.logits.shape[1], SHOWN)
    head = ["sample", *(["class"] if several else []), *(f"value {k}" if several else "value" for k in range(values))]
    return table([*head, *(" " for _ in more)], rows, right=range(len(head)))


def activity_table(activity: Activity) -> str:
    """Return spikes and synaptic operations of each population, for one sample on average."""
    rows = [
        (name, p.kind, p.neurons, f"{p.spikes / activity.samples:,.1f}", f"{p.synops / activity.samples:,.0f}")
        for name, p in activity.populations.items()
    ]
    return table(("population", "kind", "neurons", "spikes", "synaptic operations"), rows, right=(2, 3, 4))
