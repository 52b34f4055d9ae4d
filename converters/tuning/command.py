# SPDX-License-Identifier: Apache-2.0
"""`spikerun tune`: a trained network learns to send few spikes, before it is converted."""

from dataclasses import replace
from glob import escape
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from spikerun import file
from spikerun.atomic import write_atomically
from spikerun.console import DataDirOption, ForceOption, JsonOption, QuietOption, emit, stages, suggest, talk
from spikerun.converters.graph import Array
from spikerun.converters.metrics import METRICS
from spikerun.converters.options import (
    Augment,
    Count,
    Device,
    InputBits,
    Limit,
    Model,
    Numbers,
    Patience,
    Scale,
    TrainedOn,
    TrainingSeed,
    Weights,
    numbers,
)
from spikerun.converters.tuning import BATCH, EPOCHS, RATE
from spikerun.errors import UsageError

if TYPE_CHECKING:
    from spikerun.converters.tuning.tune import Tuning

__all__ = ["tune"]

SUFFIXES = (".safetensors", ".snn")
OutputOption = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE",
        help="tuned.safetensors: weights for MODEL, and beside them the words that convert shall take; or tuned.snn, "
        "the spiking network itself.",
    ),
]  # fmt: skip
ObjectiveOption = Annotated[
    str,
    typer.Option(
        "--objective",
        help="What is to become less: synops (synaptic operations), events (words that are not 0, which kernels and "
        "graded spikes pay for), spikes, or latency (time steps: words of 3 bits).",
    ),
]
PriceOption = Annotated[
    str | None,
    typer.Option(
        "--price", metavar="X[,X...]",
        help="What one operation per MAC costs, beside the error. Several: a stage each, and so a frontier. "
        "Default: 0.2.",
    ),
]  # fmt: skip
DropOption = Annotated[
    float | None,
    typer.Option(
        "--max-drop", metavar="POINTS",
        help="Find the cheapest that loses at most so many points against the trained network, in stages, on samples "
        "that do not train: see --validation.",
    ),
]  # fmt: skip
ValidationOption = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        help="Samples that the trained network has not seen, by which --max-drop chooses: the test split of DATA. "
        "Without labels, what it loses are classes that the network gave them before. Default: every other test sample "
        "of --data, and the rest measures.",
    ),
]
StagesOption = Annotated[int, typer.Option("--stages", min=1, help="At most so many prices with --max-drop.")]
WordBits = Annotated[
    int | None, typer.Option("--bits", "--steps", min=1, max=8, help="T: bits of the activations. Default: 4.")
]
RecodedBits = Annotated[
    int | None,
    typer.Option(
        "--word-bits", min=0, max=8,
        help="Bits in which a population behind the input codes it anew; 0: none does. Default: 5.",
    ),
]  # fmt: skip
EpochsOption = Annotated[
    int | None,
    typer.Option(
        "--epochs", min=0,
        help="How often training sees the samples in the first stage. Later ones, of several prices or --max-drop, "
        f"take a third of that each. Default: {EPOCHS}.",
    ),
]  # fmt: skip
BatchOption = Annotated[
    int,
    typer.Option(
        "--batch", min=2,
        help="Samples of a training step, at most: 512, or half of that and so on, down to 32, while an epoch would "
        "have under 100 steps, and no more than activations have room for. What is taken is said.",
    ),
]  # fmt: skip
RateOption = Annotated[
    float, typer.Option("--rate", help="The highest rate of training: a share of the norm of a neuron's weights.")
]


def tune(
    model: Model,
    data: TrainedOn,
    output: OutputOption,
    weights: Weights = None,
    objective: ObjectiveOption = "synops",
    max_drop: DropOption = None,
    price: PriceOption = None,
    validation: ValidationOption = None,
    stages_: StagesOption = 3,
    bits: WordBits = None,
    word_bits: RecodedBits = None,
    epochs: EpochsOption = None,
    rate: RateOption = RATE,
    batch: BatchOption = BATCH,
    augment: Augment = "auto",
    patience: Patience = None,
    seed: TrainingSeed = 0,
    device: Device = "auto",
    samples: Count = 512,
    limit: Limit = None,
    mean: Numbers = None,
    std: Numbers = None,
    scale: Scale = None,
    input_bits: InputBits = None,
    data_dir: DataDirOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a trained network on, in the words of its conversion, with a price on its spikes.

    It learns from the labels and from what it said before. The same words are then deployed: convert takes them from
    the weights file. What training has reached is kept beside the output after each epoch: the same command goes on
    from there.
    """
    if output.suffix not in SUFFIXES:
        raise UsageError(f"the result is written as .safetensors (weights) or .snn (the network), got '{output}'")
    from spikerun.converters.examples import device_named
    from spikerun.converters.pipeline import Converter
    from spikerun.converters.resuming import Recipe
    from spikerun.converters.torch.source import TorchSource
    from spikerun.converters.trainable import Asked, labels_of
    from spikerun.converters.training import keep_memory
    from spikerun.converters.tuning import report
    from spikerun.converters.tuning.stages import PRICE, Aim
    from spikerun.converters.tuning.tune import Missed, recode, tuned

    few = objective == "latency"
    aim = Aim(
        objective, bits or (3 if few else 4), (3 if few else 5) if word_bits is None else word_bits,
        tuple(numbers("--price", price, PRICE)), max_drop, stages_,
    )  # fmt: skip
    recipe = Recipe(EPOCHS if epochs is None else epochs, rate, batch, seed=seed, augment=augment, patience=patience)
    if validation is not None and max_drop is None:
        raise UsageError("--validation is what --max-drop chooses by: give the points that may be lost")
    paths = (output, *(output.with_suffix(f".tuning.{kind}") for kind in ("json", "txt", "html")))
    asked = Asked(model, weights, data, data_dir, limit, mean, std, scale, input_bits, seed)
    asked.require_writable(paths, force)
    device_named(device)  # what is not there is refused before the work
    missed: Missed | None = None
    keep_memory()
    with stages(quiet or json) as tell:
        source = asked.opened()
        if output.suffix == ".safetensors" and not isinstance(source, TorchSource):
            raise UsageError(f"weights of {source.name} are not written back: write the network, -o tuned.snn")
        given = asked.trainable(source, samples, tell)
        notes, recoded = list(given.notes), recode(given.encodings, aim)
        converter = Converter(source, given.calibration, given.encodings, tell, recode=recoded)
        judged, evaluated = None, None
        if given.test is not None:
            test, labels = converter.checked(*given.test)
            places = np.arange(len(next(iter(test.values()))))
            if max_drop is not None and validation is None:
                notes.append("every other test sample chooses (--max-drop), and the rest measures: see --validation")
                judged = _some(test, labels, places[::2])
                places = places[1::2]
            targets = labels is not None and labels.dtype.kind == "f"
            metric = METRICS["mse" if targets else "top1"]
            evaluated = converter.evaluation(*_some(test, labels, places), metric)
        if validation is not None:
            other = asked.splits(source, validation, None, tell)
            judged = converter.checked(other.testing, labels_of(other.measured))
        if judged is None and max_drop is not None:
            raise UsageError(
                f"{data} has one split: give --validation, samples that the trained network has not seen, for "
                "--max-drop to choose by"
            )
        journal = output.with_suffix(".tuning.pt")
        try:
            tuning = tuned(
                converter, given.train, given.labels, aim, recipe, device=device, validation=judged,
                evaluation=evaluated, journal=journal, force=force, tell=tell,
            )  # fmt: skip
        except Missed as error:
            tuning, missed = error.tuning, error
    tuning = replace(tuning, notes=(*notes, *tuning.notes))
    texts = (dumps({"schema": report.SCHEMA, **report.payload(tuning)}, indent=2) + "\n", report.text(tuning))
    for path, text in zip(paths[1:], (*texts, report.html(tuning, output.name)), strict=True):
        write_atomically(path, text, force)
    _write(tuning, output, force)
    for point in tuning.frontier:
        for kept in journal.parent.glob(f"{escape(journal.stem)}.{point.stage}*{journal.suffix}"):
            kept.unlink()
    files = {"output": str(output), "report": str(paths[1]), "page": str(paths[3])}
    emit(report.SCHEMA, {**report.payload(tuning), **files}, json, lambda: report.summary(tuning))
    for note in tuning.notes:
        talk(f"note: {note}", quiet or json, style="dim")
    talk(f"wrote {', '.join(map(str, paths))}", quiet or json)
    if missed is not None:
        raise missed
    if not json and output.suffix == ".safetensors":
        suggest(f"spikerun convert {model} --weights {output} --calibration {data} -o tuned.snn", quiet)


def _write(tuning: "Tuning", output: Path, force: bool) -> None:
    """Write the weights with their words, or the network."""
    if output.suffix == ".snn":
        file.save(tuning.conversion.network, output, force)
        return
    from safetensors.torch import save

    from spikerun.converters.tuning.fit import KEY

    assert tuning.state is not None, "the source takes weights back"
    own = {name: tensor.contiguous().clone() for name, tensor in tuning.state.items()}
    write_atomically(output, save(own, {KEY: tuning.tuned.text()}), force)


def _some(samples: dict[str, Array], labels: Array | None, places: Array) -> tuple[dict[str, Array], Array | None]:
    return {name: x[places] for name, x in samples.items()}, None if labels is None else labels[places]
