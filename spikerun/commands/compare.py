# SPDX-License-Identifier: Apache-2.0
"""`spikerun compare`: two networks on the same samples."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spikerun.commands.run import check_labels, error_of
from spikerun.commands.samples import DataOption, LimitOption, SplitOption, ThreadsOption, loaded
from spikerun.comparison import Comparison, NetworkCost
from spikerun.console import DataDirOption, JsonOption, QuietOption, emit, progress, table
from spikerun.errors import UsageError
from spikerun.file import load
from spikerun.session import Session

__all__ = ["compare"]

First = Annotated[Path, typer.Argument(metavar="A", help="A .snn file.")]
Second = Annotated[Path, typer.Argument(metavar="B", help="Another .snn file, which is compared with A.")]


def compare(
    first: First,
    second: Second,
    data: DataOption,
    split: SplitOption = "test",
    limit: LimitOption = None,
    threads: ThreadsOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run two networks on the same samples: accuracy with the paired difference, answers, spikes, memory, latency."""
    for path in (first, second):
        if path.suffix != ".snn":
            raise UsageError(
                f"compare takes two .snn files, and '{path}' is none; of a trained network, convert it first: the "
                "report compares it with what it became"
            )
    found, datasets = [], []
    for path in (first, second):
        net = load(path)
        dataset, samples = loaded(net, data, data_dir, split, limit)
        check_labels(net, dataset)
        with progress(f"running {path.name}", len(dataset), quiet=quiet, json=json) as advance:
            found.append(Session(net, threads=threads).run(samples, on_progress=advance))
        datasets.append(dataset)
    dataset = datasets[0]
    comparison = Comparison.of(found[0], found[1], dataset.labels if dataset.labelled else None)
    errors = [error_of(result, one)["rmse"] for result, one in zip(found, datasets, strict=True)]
    accuracy = comparison.accuracy
    payload: dict[str, Any] = {
        "a": {"network": str(first), **_plain(comparison.a), "rmse": errors[0]},
        "b": {"network": str(second), **_plain(comparison.b), "rmse": errors[1]},
        "data": dataset.name,
        "split": dataset.split,
        "samples": comparison.samples,
        "accuracy": None if accuracy is None else [accuracy.a, accuracy.b],
        "accuracy_difference": None if accuracy is None else accuracy.difference,
        "accuracy_difference_95": None if accuracy is None else accuracy.bounds,
        "same_class": comparison.same_class,
        "identical": comparison.identical,
        "difference": comparison.difference,
        "shared": comparison.shared,
    }
    emit("spikerun.compare/1", payload, json, lambda: _text(comparison, errors, (first, second)))


def _plain(cost: NetworkCost) -> dict[str, Any]:
    return {**vars(cost), "layers": {name: vars(layer) for name, layer in cost.layers.items()}}


def _text(found: Comparison, errors: list[float | None], paths: tuple[Path, Path]) -> str:
    a, b = found.a, found.b
    rows: list[tuple[object, ...]] = [
        ("spikes a sample", f"{a.spikes:,.1f}", f"{b.spikes:,.1f}", _ratio(a.spikes, b.spikes)),
        ("spikes per neuron", f"{a.spikes_per_neuron:.3f}", f"{b.spikes_per_neuron:.3f}",
         _ratio(a.spikes_per_neuron, b.spikes_per_neuron)),
        ("synaptic operations", f"{a.synops:,.0f}", f"{b.synops:,.0f}", _ratio(a.synops, b.synops)),
        ("MACs of the ANN", *(f"{one.macs:,}" if one.macs else "-" for one in (a, b)), _ratio(a.macs, b.macs)),
        ("dense operations", f"{a.dense:,}", f"{b.dense:,}", _ratio(a.dense, b.dense)),
        *(
            (f"{key}, bytes", f"{one:,}", f"{other:,}", _ratio(one, other))
            for (key, one), other in zip(vars(a.memory).items(), vars(b.memory).values(), strict=True)
        ),
        ("window, steps", a.window, b.window, _ratio(a.window, b.window)),
        ("latency, steps", a.latency, b.latency, _ratio(a.latency, b.latency)),
    ]  # fmt: skip
    if errors[0] is not None and errors[1] is not None:
        rows.insert(0, ("error", f"{errors[0]:.6g}", f"{errors[1]:.6g}", _ratio(errors[0], errors[1])))
    if found.accuracy is not None:
        said = f"{found.accuracy.difference:+.2f}"
        rows.insert(0, ("accuracy %", f"{found.accuracy.a:.2f}", f"{found.accuracy.b:.2f}", said))
    layers = [
        (
            name, f"{one.bits} / {other.bits}", f"{one.spikes:,.1f}", f"{other.spikes:,.1f}", f"{one.synops:,.0f}",
            f"{other.synops:,.0f}",
        )
        for name, one, other in ((name, a.layers[name], b.layers[name]) for name in found.shared)
    ]  # fmt: skip
    header = ("population", "bits A / B", "spikes A", "spikes B", "synops A", "synops B")
    parts = [
        f"A is {paths[0]}, B is {paths[1]}",
        _answers(found),
        table(("", "A", "B", "B to A"), rows, right=(1, 2, 3)),
        table(header, layers, right=(2, 3, 4, 5)) if layers else "no population has the same name in both",
    ]
    if alone := [f"{name} ({which})" for which, one, other in (("A", a, b), ("B", b, a)) for name in one.layers
                 if name not in other.layers]:  # fmt: skip
        parts.append(f"in one of them only: {', '.join(alone)}")
    return "\n\n".join(parts)


def _answers(found: Comparison) -> str:
    """Return in words how the answers of both compare."""
    lines = []
    if found.accuracy is not None:
        low, high = found.accuracy.bounds
        lines.append(
            f"on {found.samples} samples B is {found.accuracy.difference:+.2f} points (95 %: {low:+.2f} to {high:+.2f})"
        )
    same = "" if found.same_class is None else f"same class {found.same_class:.2f} %, "
    said = (
        "the integers of all outputs are identical" if found.identical else f"outputs differ by {found.difference:.4g}"
    )
    lines.append(f"{same}{said}{'' if found.identical else ' (root of the mean square, in real numbers)'}")
    return "\n".join(lines)


def _ratio(a: float | None, b: float | None) -> str:
    return f"{b / a:.3f}x" if a and b is not None else "-"
