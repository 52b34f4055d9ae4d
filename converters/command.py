"""`spikerun convert`: a trained torch network becomes a `.snn` file and a report."""

import os
from collections.abc import Callable
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from spikerun import datasets, file
from spikerun.atomic import write_atomically
from spikerun.console import (
    DataDirOption,
    ForceOption,
    JsonOption,
    QuietOption,
    emit,
    stages,
    suggest,
)
from spikerun.converters.quantise import Settings
from spikerun.converters.report import SCHEMA, Conversion, Report
from spikerun.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from spikerun.converters.pipeline import Converter, Evaluation

__all__ = ["convert"]

SEED = 0

Model = Annotated[
    str,
    typer.Argument(
        metavar="FILE.py:FUNCTION",
        help="A Python file of yours, which is executed, and the function in it that returns the torch.nn.Module.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The trained weights: .safetensors, .pt or .pth (a state dict, loaded weights_only)."
    ),
]
Calibration = Annotated[
    str,
    typer.Option(
        metavar="DATA", help="A data set, or an .npz file: its train split calibrates, its test split measures."
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="The network to write, such as model.snn.")
]
Steps = Annotated[int | None, typer.Option(min=1, max=8, help="Bits of the activations. Default: 5.")]
MaxDrop = Annotated[
    float | None,
    typer.Option(metavar="POINTS", help="Take the fewest steps that lose at most so many points of accuracy."),
]
Code = Annotated[str, typer.Option(help="How words travel: bits, ttfs (one timed spike) or graded (one event).")]
InputCode = Annotated[str, typer.Option(help="How the samples enter: bits, ttfs or graded.")]
Count = Annotated[int, typer.Option("--samples", min=2, help="Samples of the train split that calibrate.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Measure on at most so many samples of the test split.")]
Numbers = Annotated[
    str | None,
    typer.Option(metavar="X[,X...]", help="What the model's input was normalised by: one, or one a channel."),
]
Scale = Annotated[float | None, typer.Option(help="Real value of one integer of the input. Default: the data set's.")]
Sweep = Annotated[bool, typer.Option("--sweep", help="Also measure every number of steps from 2 to 8.")]


def convert(
    model: Model,
    calibration: Calibration,
    output: Output,
    weights: Weights = None,
    steps: Steps = None,
    max_drop: MaxDrop = None,
    code: Code = "bits",
    input_code: InputCode = "bits",
    samples: Count = 512,
    limit: Limit = None,
    mean: Numbers = None,
    std: Numbers = None,
    scale: Scale = None,
    sweep: Sweep = False,
    data_dir: DataDirOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a trained torch network to spikes, and write a report beside it.

    FILE.py is your own code: it is imported, that is, executed. Weights are read without executing anything. The model
    sees (integer * scale - mean) / std.
    """
    if steps is not None and max_drop is not None:
        raise UsageError("--steps and --max-drop exclude each other: the budget chooses the steps")
    if not output.name:
        raise UsageError("name the file to write with -o, such as model.snn")
    settings = Settings(steps or 5, code, input_code)
    paths = (output, output.with_suffix(".report.json"), output.with_suffix(".report.txt"))
    _check_targets(paths, force)
    normalisation = (scale, _numbers("--mean", mean), _numbers("--std", std))
    with stages(quiet or json) as tell:
        converter, evaluation = _prepare(model, weights, calibration, data_dir, samples, limit, normalisation, tell)
        conversion = _converted(converter, evaluation, settings, max_drop, sweep)
    file.save(conversion.network, output, force)
    write_atomically(paths[1], dumps(conversion.report.json(), indent=2) + "\n", force)
    write_atomically(paths[2], conversion.report.text(), force)
    emit(SCHEMA, _payload(conversion.report, paths), json, lambda: _summary(conversion.report, paths))
    if not json:
        suggest(f"spikerun run {output} --data {calibration}", quiet)


def _prepare(
    model: str, weights: Path | None, data: str, folder: Path | None, samples: int, limit: int | None,
    normalisation: tuple[float | None, list[float] | None, list[float] | None], tell: Callable[[str, int, int], None],
) -> tuple["Converter", "Evaluation | None"]:  # fmt: skip
    """Return the model, read, and the data to measure it on (None without labels)."""
    train = datasets.load(data, folder, split="train")
    test = datasets.load(data, folder, split="test", limit=limit)
    chosen = np.random.default_rng(SEED).permutation(len(train))[:samples]
    from spikerun.converters.pipeline import Converter
    from spikerun.converters.user_model import load_model

    network: nn.Module = load_model(model, weights)
    if weights is None:
        tell("no --weights: the model is taken as its function returns it", 0, 0)
    if train.split == "all":
        tell(f"{data} has one split: the samples that calibrate are among those that measure", 0, 0)
    scale, mean, std = normalisation
    scale = train.scale if scale is None else scale
    converter = Converter(network, train.samples[np.sort(chosen)], scale, mean, std, tell)
    evaluation = converter.evaluation(test.samples, test.require_labels()) if test.labelled else None
    return converter, evaluation


def _converted(
    converter: "Converter", evaluation: "Evaluation | None", settings: Settings, max_drop: float | None, sweep: bool
) -> Conversion:
    from spikerun.converters import budget

    if evaluation is None and (max_drop is not None or sweep):
        raise UsageError("--max-drop and --sweep need labels to measure by, and the data set has none")
    if evaluation is not None and max_drop is not None:
        conversion = budget.fewest_steps(converter, settings, evaluation, max_drop)
    else:
        conversion = converter.convert(settings, evaluation)
    if evaluation is not None and sweep:
        rows = budget.sweep(converter, settings, evaluation)
        conversion = replace(conversion, report=replace(conversion.report, sweep=rows))
    return conversion


def _numbers(option: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"{option} takes numbers separated by commas, such as 0.5 or 0.48,0.45,0.40; got '{text}'"
        ) from None


def _check_targets(paths: tuple[Path, ...], force: bool) -> None:
    """Refuse before the work, not after it."""
    if not paths[0].parent.is_dir():
        raise UsageError(f"cannot write '{paths[0]}': there is no folder '{paths[0].parent}'; create it first")
    if not os.access(paths[0].parent, os.W_OK):
        raise UsageError(f"cannot write '{paths[0]}': the folder is not writable; choose another one")
    for path in paths:
        if path.is_dir():
            raise UsageError(f"'{path}' is a folder; give the name of a file in it")
        if path.exists() and not force:
            raise UsageError(f"'{path}' exists already; use --force to overwrite it, or another name")


def _payload(report: Report, paths: tuple[Path, ...]) -> dict[str, object]:
    accuracy = report.accuracy
    return {
        "steps": report.steps,
        "window": report.window,
        "ann_accuracy": accuracy.ann if accuracy else None,
        "snn_accuracy": accuracy.snn if accuracy else None,
        "drop": accuracy.drop if accuracy else None,
        "drop_95": accuracy.bounds if accuracy else None,
        "agreement": accuracy.agreement if accuracy else None,
        "samples": accuracy.samples if accuracy else None,
        "spikes_per_neuron": report.spikes_per_neuron,
        "synops_per_sample": report.synops_per_sample,
        "synops_per_mac": report.synops_per_mac,
        "macs": report.macs,
        "network": str(paths[0]),
        "report": str(paths[1]),
    }


def _summary(report: Report, paths: tuple[Path, ...]) -> str:
    return f"{report.summary()}\nwrote {paths[0]}, {paths[1]}, {paths[2]}"
