# SPDX-License-Identifier: Apache-2.0
"""`spikerun prune`: a trained network loses weights, channels or neurons, and is trained on without them."""

from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikerun.atomic import require_writable, write_atomically
from spikerun.console import DataDirOption, ForceOption, JsonOption, QuietOption, emit, plain, stages, suggest, talk
from spikerun.converters.metrics import metric_named
from spikerun.converters.options import (
    Augment,
    BatchSize,
    Device,
    Epochs,
    InputBits,
    Limit,
    MetricOption,
    Model,
    Numbers,
    Patience,
    Rate,
    Scale,
    TrainedOn,
    TrainingSeed,
    Weights,
)  # fmt: skip
from spikerun.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, device, nn

    from spikerun.converters.examples import Examples
    from spikerun.converters.samples import Progress
    from spikerun.converters.trainable import Asked

__all__ = ["prune"]

CALIBRATED = 512  # samples by which the encoding of real numbers is chosen
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="The weights to write, such as pruned.safetensors.")
]
PatternOption = Annotated[
    str, typer.Option("--pattern", help="What goes: unstructured (weights), block16, 2:4, channels or neurons.")
]
Method = Annotated[str, typer.Option(help="When it goes: one-shot, gradual, or lottery, round by round.")]
Sparsity = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="How much of it goes. Default: 0.9; of 2:4, channels and neurons 0.5."),
]
Rounds = Annotated[
    int | None,
    typer.Option(min=1, help="Of the lottery. Default: as many as leave out a fifth of what is left each."),
]
Rewind = Annotated[
    int | None,
    typer.Option(
        metavar="STEP", min=0, help="The step of the first training to which the lottery returns. Default: at 5 %."
    ),
]


def prune(
    model: Model,
    data: TrainedOn,
    output: Output,
    weights: Weights = None,
    pattern: PatternOption = "unstructured",
    method: Method = "gradual",
    sparsity: Sparsity = None,
    rounds: Rounds = None,
    rewind: Rewind = None,
    epochs: Epochs = None,
    rate: Rate = 1e-3,
    batch: BatchSize = 512,
    augment: Augment = "auto",
    patience: Patience = None,
    seed: TrainingSeed = 0,
    device: Device = "auto",
    metric: MetricOption = None,
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
    """Prune a trained network and train what is left; the weights that are written fit the same FILE.py:FUNCTION.

    It learns from the labels and from what the network said before. What training has reached is kept beside the output
    after each epoch: the same command goes on from there. Shapes stay as they are: channels and neurons that are gone
    are zero, and are left out when the network is converted.
    """
    if output.suffix != ".safetensors":
        raise UsageError(f"the weights are written as .safetensors, got '{output}'")
    from safetensors.torch import save

    from spikerun.converters.examples import device_named
    from spikerun.converters.pruning.plain import own_names
    from spikerun.converters.pruning.report import SCHEMA
    from spikerun.converters.pruning.run import Plan, run
    from spikerun.converters.trainable import Asked
    from spikerun.converters.training import Recipe, keep_memory

    plan = Plan(pattern, method, sparsity, rounds, rewind)
    recipe = Recipe(
        plan.epochs if epochs is None else epochs, rate, batch, seed=seed, augment=augment, patience=patience
    )
    score = None if metric is None else metric_named(metric)
    asked = Asked(model, weights, data, data_dir, limit, mean, std, scale, input_bits, seed)
    paths = (output, output.with_suffix(".pruning.json"))
    asked.require_writable(paths, force)
    where = device_named(device)
    begun = any(output.with_suffix(f".{kind}.pt").exists() for kind in ("rounds", "round-0"))
    for number in range(-1, plan.last + 1) if not begun else ():
        require_writable(_ticket(output, number), force)
    keep_memory()
    with stages(quiet or json) as tell:
        own, examples, test, notes = _given(asked, where, tell)

        def ticket(number: int, state: "Mapping[str, Tensor]") -> None:
            write_atomically(_ticket(output, number), save(own_names(own, state)), force or begun)

        pruned = run(
            own, examples, plan, recipe, test=test, metric=score, journal=output, force=force, ticket=ticket,
            notes=notes, tell=tell,
        )  # fmt: skip
    report = pruned.report
    write_atomically(paths[1], dumps(plain({"schema": SCHEMA, **report.json()}), indent=2) + "\n", force)
    write_atomically(output, save(own_names(own, pruned.model.state_dict())), force)
    for kind in ("training", "rounds"):
        output.with_suffix(f".{kind}.pt").unlink(missing_ok=True)
    emit(SCHEMA, {**report.json(), "output": str(output), "report": str(paths[1])}, json, report.text)
    talk(f"wrote {', '.join(map(str, paths))}", quiet or json)
    if not json:
        suggest(f"spikerun convert {model} --weights {output} --calibration {data} -o model.snn", quiet)


def _given(
    asked: "Asked", where: "device", tell: "Progress"
) -> "tuple[nn.Module, Examples, Examples | None, tuple[str, ...]]":
    """Return the module, what trains it, what measures it where the data have two splits, and notes."""
    from spikerun.converters.examples import Examples
    from spikerun.converters.samples import checked
    from spikerun.converters.torch.source import TorchSource

    source = asked.opened()
    if not isinstance(source, TorchSource):
        raise UsageError(
            f"'{asked.model}' is of {source.name}, and what is pruned is a torch module: give it as FILE.py:FUNCTION"
        )
    found = asked.trainable(source, CALIBRATED, tell)
    examples = Examples(found.train, found.labels, found.encodings, where)
    if found.test is None:
        note = f"{asked.data} has one split, so held-out samples of it are all that measures"
        return source.model, examples, None, (*found.notes, note)
    samples, labels = found.test
    test = Examples(checked(samples, found.encodings, "the test data"), labels, found.encodings, where)
    return source.model, examples, test, found.notes


def _ticket(output: Path, number: int) -> Path:
    """Return the file of the weights of a round of the lottery, -1: of those to which rounds return."""
    return output.with_suffix(".early.safetensors" if number < 0 else f".round-{number}.safetensors")
