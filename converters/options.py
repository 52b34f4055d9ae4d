# SPDX-License-Identifier: Apache-2.0
"""What `spikerun convert` takes on its command line."""

from pathlib import Path
from typing import Annotated

import typer

from spikerun.errors import UsageError

__all__ = [
    "Augment",
    "BatchSize",
    "BinsOption",
    "Bits",
    "Calibration",
    "Code",
    "CodingOption",
    "Confidence",
    "Count",
    "Data",
    "DeadZones",
    "Device",
    "Duration",
    "Epochs",
    "From",
    "Groups",
    "InputBits",
    "InputCode",
    "InputForm",
    "Limit",
    "Limits",
    "MaxDrop",
    "MetricOption",
    "Model",
    "NeuronKind",
    "NeuronReset",
    "Numbers",
    "Objective",
    "Output",
    "Outputs",
    "Patience",
    "Rate",
    "ReadoutRule",
    "Recalibrate",
    "Reset",
    "Scale",
    "Seed",
    "Sweep",
    "TimeStep",
    "TrainedOn",
    "TrainingSeed",
    "Weights",
    "Writer",
    "numbers",
]

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="FILE.py:FUNCTION: a Python file of yours, which is executed, and the function in it that returns the "
        "torch.nn.Module; FILE.onnx, a network in ONNX; or FILE.nir, a spiking one.",
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
        metavar="DATA",
        help="A data set, or an .npz file, whose train split calibrates; bits are chosen on the rest of it.",
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="The network to write, such as model.snn.")
]
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DATA", help="The data whose test split measures. Default: those of --calibration."),
]
Bits = Annotated[
    int | None, typer.Option("--bits", "--steps", min=1, max=8, help="T: bits of the activations. Default: 5.")
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        metavar="POINTS",
        help="Search the cheapest network, of mixed bits, that loses at most so many points on held-out samples.",
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(help="What is cheap by --max-drop: synops (the default), latency, spikes or memory."),
]
DeadZones = Annotated[
    bool | None,
    typer.Option(
        "--dead-zones/--no-dead-zones",
        help="Whether the search of --max-drop may make small words 0 as well. Default: not.",
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="How sure it must be that --max-drop is kept. Default: 0.95."),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="How results are scored: top1, top5, mse, mae, cosine, or FILE.py:FUNCTION of yours, which is executed. "
        "Default: top1, of real targets mse; without labels the ANN's own results are the targets.",
    ),
]
Code = Annotated[
    str | None,
    typer.Option(help="How words travel: bits, ttfs (one timed spike) or graded (one event). Default: bits."),
]
InputCode = Annotated[str | None, typer.Option(help="How the samples enter: bits, ttfs or graded. Default: bits.")]
CodingOption = Annotated[
    str,
    typer.Option(
        "--coding",
        help="words, or sdnn: only what Loihi 2 runs as a sigma-delta network, 8-bit activations in code graded.",
    ),
]
Count = Annotated[int, typer.Option("--samples", min=2, help="Samples of the train split that calibrate.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Measure on at most so many samples of the test split.")]
Numbers = Annotated[
    str | None,
    typer.Option(metavar="X[,X...]", help="What the model's input was normalised by: one, or one a channel."),
]
Scale = Annotated[float | None, typer.Option(help="Real value of one integer of the input. Default: the data set's.")]
InputBits = Annotated[
    int | None,
    typer.Option(
        "--input-bits",
        min=1,
        max=16,
        help="Bits of the samples. Default: 8, and of integers as many as they need; signed where some are negative.",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="NAME",
        help="What MODEL is of: torch, onnx, snntorch, norse, spikingjelly, sinabs or nir. Default: what it holds.",
    ),
]
Duration = Annotated[
    int | None, typer.Option(min=1, help="Time steps of a network that has a time loop of its own, if it does not say.")
]
InputForm = Annotated[
    str | None,
    typer.Option(
        "--input",
        help="How samples enter such a network: current (the sample in every step), rate or latency (spikes), events "
        "(recordings, binned) or frames (the first axis of a sample is time).",
    ),
]
ReadoutRule = Annotated[
    str | None,
    typer.Option(
        "--readout",
        help="What its outputs say: count, mean or first-spike (of spikes), last, max or mean (of membranes). "
        "Default: what it does.",
    ),
]
Groups = Annotated[int | None, typer.Option("--classes", min=1, help="Population code: outputs are so many groups.")]
TimeStep = Annotated[
    str | None,
    typer.Option("--dt", metavar="TIME", help="The time step of --input events, and of a .nir file, such as 1ms."),
]
BinsOption = Annotated[
    str | None,
    typer.Option("--bins", help="What of --input events counts: count (how many) or binary. Default: count."),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Of the spikes of --input rate. Default: 0.")]
Writer = Annotated[
    str | None,
    typer.Option("--nir-writer", help="Who wrote a .nir file: snntorch, norse, spikingjelly, sinabs, euler."),
]
Reset = Annotated[
    str | None,
    typer.Option("--nir-reset", help="The reset of its neurons: value, subtract, subtract_after_leak, none."),
]
NeuronKind = Annotated[
    str | None,
    typer.Option(
        "--neuron",
        metavar="KIND",
        help="if: activations of an ANN become the rates of integrate-and-fire neurons, over --duration time steps.",
    ),
]
NeuronReset = Annotated[
    str | None,
    typer.Option("--reset", help="The reset of --neuron: zero, as chips have it, or subtract. Default: subtract."),
]
Recalibrate = Annotated[
    bool,
    typer.Option(
        "--recalibrate", help="Fit words anew, where --weights were tuned (spikerun tune) together with their own."
    ),
]
Limits = Annotated[
    str | None,
    typer.Option("--limits", metavar="CHIP", help="Keep to the fixed point of a chip: loihi1 or loihi2."),
]
Outputs = Annotated[
    str | None,
    typer.Option(
        "--outputs",
        metavar="NAME[,NAME...]",
        help="The values of a .onnx file to end at, in place of its results: what follows them is left out.",
    ),
]
Sweep = Annotated[bool, typer.Option("--sweep", help="Also measure 2 to 8 bits on held-out training samples.")]
TrainedOn = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="DATA",
        help="A data set, or an .npz file, whose train split trains, but for samples held out to judge by, and whose "
        "test split measures.",
    ),
]
Epochs = Annotated[int | None, typer.Option(min=0, help="How often training sees the samples, in all.")]
Rate = Annotated[float, typer.Option(help="The highest learning rate of AdamW, which rises and falls once.")]
BatchSize = Annotated[int, typer.Option("--batch", min=2, help="Samples of a training step.")]
Augment = Annotated[
    str,
    typer.Option(
        help="How training samples are varied: none, shift (by a pixel), mirror, shift+mirror, or auto: images from "
        "16x16 are shifted, and mirrored where that costs the trained network nothing."
    ),
]
Patience = Annotated[
    int | None, typer.Option(min=1, help="End after so many epochs without a better one, which is taken. Default: off.")
]
TrainingSeed = Annotated[int, typer.Option("--seed", min=0, help="Of all that is random in training.")]
Device = Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1, or auto, a GPU where there is one.")]


def numbers(option: str, text: str | None, default: float) -> list[float]:
    """Return the numbers that an option names."""
    if text is None:
        return [default]
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"{option} takes numbers separated by commas, such as 0.5 or 0.48,0.45,0.40; got '{text}'"
        ) from None
