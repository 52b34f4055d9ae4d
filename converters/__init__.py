# SPDX-License-Identifier: Apache-2.0
"""Trained networks become spiking networks: `convert` a model, and read the report.

What is converted is a `Source`. The table below holds the importers that open one by what they read; other packages add
theirs through the entry-point group `spikerun.importers`, each entry an `Importer` under its suffix.
"""

if __name__ != "spikerun.converters":
    raise ImportError("import spikerun.converters instead")

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from spikerun.converters.encoding import Encoding
from spikerun.converters.report import Accuracy, Conversion, Report
from spikerun.converters.source import Importer, Opener, Source, Trained
from spikerun.errors import UsageError, unknown_name
from spikerun.network import Network
from spikerun.plugins import resolve, rows

if TYPE_CHECKING:
    from torch import nn

    from spikerun.converters.evaluate import Metric
    from spikerun.converters.pruning.run import Pruned
    from spikerun.converters.samples import Samples
    from spikerun.converters.spiking.report import SpikingConversion
    from spikerun.converters.spiking.step import Readout
    from spikerun.converters.torch.module import NetworkModule
    from spikerun.converters.training import Recipe
    from spikerun.converters.tuning.fit import Tuned
    from spikerun.converters.tuning.tunable import Tunable
    from spikerun.converters.tuning.tune import Tuning

__all__ = [
    "IMPORTERS",
    "Accuracy",
    "Conversion",
    "Encoding",
    "Importer",
    "Report",
    "Source",
    "convert",
    "convert_spiking",
    "importers",
    "open_source",
    "prune",
    "takes",
    "to_torch",
    "tunable",
    "tune",
]

ENTRY_POINT_GROUP = "spikerun.importers"

IMPORTERS: Mapping[str, Importer] = MappingProxyType(
    {
        ".py": Importer(
            ".py",
            "FILE.py:FUNCTION",
            "a Python file, which is executed, and its function that returns a torch.nn.Module",
            "spikerun.converters.torch.source:open_source",
            "install spikerun with its extra [convert]",
            sources=("torch", "snntorch", "norse", "spikingjelly", "sinabs"),
        ),
        ".onnx": Importer(
            ".onnx",
            "FILE.onnx",
            "a network in the Open Neural Network Exchange format, opset 9 to 23",
            "spikerun.converters.onnx.source:open_source",
            "install spikerun with its extra [convert]",
            ("outputs",),
            ("onnx",),
        ),
        ".nir": Importer(
            ".nir",
            "FILE.nir",
            "a spiking network in the Neuromorphic Intermediate Representation",
            "spikerun.converters.nir.source:open_source",
            "install spikerun with its extra [convert]",
            ("dt", "writer", "reset", "floor"),
            ("nir",),
        ),
    }
)


def importers() -> dict[str, Importer]:
    """Return all importers by the suffix that they read, other packages' included."""
    return rows(ENTRY_POINT_GROUP, Importer, IMPORTERS, key="suffix")


def open_source(where: str, weights: Path | None = None, origin: str | None = None, **options: Any) -> Trained:
    """Return the source that `where` names, such as `model.py:build`; its importer is imported only now.

    origin: the name that the source must have, such as `norse`; None: any. options: what its importer takes besides,
    such as `dt` of a .nir file; None is not given.
    """
    importer = _importer(where)
    if importer is None:
        forms = ", ".join(f"{i.reads} ({i.summary})" for i in importers().values())
        raise UsageError(f"nothing reads the model '{where}'; it must be given as {forms}")
    _check_origin(where, origin, importer.sources)
    given = {name: value for name, value in options.items() if value is not None}
    if strange := sorted(given.keys() - set(importer.options)):
        names = {"dt": "--dt", "writer": "--nir-writer", "reset": "--nir-reset", "outputs": "--outputs"}
        raise UsageError(f"{', '.join(names.get(n, n) for n in strange)}: {importer.reads} takes no such option")
    opener: Opener = resolve(importer.opener, f"the importer of {importer.reads}", importer.hint)
    source = opener(where, weights, **given)
    _check_origin(where, origin, tuple(source.name.split(", ")))
    return source


def _importer(where: str) -> Importer | None:
    return importers().get(Path(where.partition(":")[0]).suffix)


def _check_origin(where: str, origin: str | None, names: tuple[str, ...]) -> None:
    """Refuse a source that has other names than is said."""
    known = [name for row in importers().values() for name in row.sources]
    if origin is None or origin in names or not names:
        return
    if origin not in known:
        raise unknown_name("framework", origin, known)
    raise UsageError(
        f"--from says {origin}, but '{where}' is of {' or '.join(names)}: leave --from out, or name what it is of"
    )


def takes(where: str, option: str) -> bool:
    """Tell whether the importer of what `where` names takes an option."""
    importer = _importer(where)
    return importer is not None and option in importer.options


def convert(
    model: Any,
    data: "Samples",
    *,
    bits: int | None = None,
    code: str | None = None,
    coding: str = "words",
    overrides: Mapping[str, int] | None = None,
    zones: Mapping[str, int] | None = None,
    encoding: Encoding | Mapping[str, Encoding] | None = None,
    evaluation: "tuple[Samples, npt.ArrayLike] | None" = None,
    validation: "tuple[Samples, npt.ArrayLike] | None" = None,
    max_drop: float | None = None,
    objective: str = "synops",
    confidence: float = 0.95,
    dead_zones: bool | None = None,
    journal: str | os.PathLike[str] | None = None,
    metric: "Metric | str | None" = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    limits: str | None = None,
    tuned: "Tuned | None" = None,
) -> Conversion:
    """Convert a trained network to a spiking network, without any training.

    model: a torch module, a `Source`, or what an importer opens, such as "model.py:build". data: some hundred real
    samples that calibrate, integers or real numbers (N, C, H, W), (N, C, L) or (N, F), or a loader of such batches, of
    which the first 512 are taken; by name where the model has several inputs. Real numbers are taken as what the model
    sees. encoding: what integers stand for, by default one that fits the samples (`converters/fitting.py`), value / 255
    for 0..255; real numbers must be such integers, unless it rounds.
    bits: of the activations, 1..8, by default 5; overrides: of single layers, by name. zones: by name of the layer, the
    word below which all are 0, `{"conv1": 2}`: they send nothing, and biases make up for them. code: how integers
    travel as spikes, `bits` (the default), `ttfs` or `graded`. coding: `sdnn` keeps to integers that chips run as a
    sigma-delta network, of 8 bits in code `graded`, the input's too.
    evaluation: (samples, labels), or a loader of such batches, on which ANN and SNN are compared, by `metric`: a
    function (logits, labels) -> a score for each sample, or its name: `top1` (the default: whether the class is right),
    `top5`, `mse`, `mae`, `cosine`; labels None: what the ANN says takes their place. max_drop: points (100 times the
    mean score) that may be lost; the cheapest network by `objective` (`synops`, `latency`, `spikes`, `memory`) whose
    drop on `validation`, samples and labels to choose by, is at most that with `confidence` is searched, of mixed bits,
    and in mixed codes unless one is given; dead_zones: whether small words may become 0, too.
    journal: a file from which a search that was interrupted goes on.
    tuned: the words that `tune` has chosen together with the weights. on_progress is told (stage, done, total).
    Networks that spike already are for `convert_spiking`, and so are the limits of chips.

    Raises ConversionError with all operators that cannot be converted, where they stand, and what to do; CheckFailed
    (`budget.BudgetMissed`, with the nearest as its `conversion`) where no network keeps max_drop.
    """
    from spikerun.converters.arrays import convert_arrays

    return convert_arrays(
        model, data, bits=bits, code=code, coding=coding, overrides=overrides, zones=zones, encoding=encoding,
        evaluation=evaluation, validation=validation, max_drop=max_drop, objective=objective, confidence=confidence,
        dead_zones=dead_zones, journal=journal, metric=metric, on_progress=on_progress, limits=limits, tuned=tuned,
    )  # fmt: skip


def convert_spiking(
    model: Any,
    data: Any,
    *,
    duration: int | None = None,
    readout: "Readout | str | None" = None,
    encoding: Encoding | Mapping[str, Encoding] | None = None,
    evaluation: "tuple[Any, npt.ArrayLike] | None" = None,
    metric: "Metric | None" = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    limits: str | None = None,
    neuron: str | None = None,
    reset: str | None = None,
) -> "SpikingConversion":
    """Convert a trained spiking network, which keeps its time loop, to integers; or an ANN to rates of spikes.

    model: a `StepSource`, or what an importer opens, such as "net.nir". data: some dozen samples that calibrate and on
    which spikes are compared, integers (N, *shape), in the codes `frames` and `spikes` (N, steps, *shape), or real
    ones, or a loader, as `convert` takes them; by name where it has several inputs. Those of an encoded data set
    (`spikerun.datasets.encode`) stay encoded, and the network says how. duration: its time steps, readout: what its
    outputs say, such as "count" or Readout("count", 10), where it does not tell itself. encoding: by default
    Encoding(code="current"), or that of the encoder. evaluation, metric, on_progress: as `convert` has them; without a
    metric it is the first of several results whose class counts. limits: the chip, "loihi1" or "loihi2", whose
    fixed-point arithmetic the network shall keep to.
    neuron: "if", for an ANN: its activations become the rates of integrate-and-fire neurons over `duration` steps,
    fitted to some hundred samples; reset: theirs, "zero" or "subtract" (the default).

    Raises ConversionError for what cannot be converted, UsageError where something has to be said.
    """
    from spikerun.converters.spiking.arrays import convert_spiking_arrays

    return convert_spiking_arrays(
        model, data, duration=duration, readout=readout, encoding=encoding, evaluation=evaluation, metric=metric,
        on_progress=on_progress, limits=limits, neuron=neuron, reset=reset,
    )  # fmt: skip


def prune(
    model: "nn.Module | str",
    data: Any,
    train_fn: "Callable[[nn.Module], Any] | None" = None,
    *,
    pattern: str = "unstructured",
    method: str = "gradual",
    sparsity: float | None = None,
    recipe: "Recipe | None" = None,
    rounds: int | None = None,
    rewind: int | None = None,
    encoding: Encoding | Mapping[str, Encoding] | None = None,
    evaluation: "tuple[Samples, npt.ArrayLike] | None" = None,
    metric: "Metric | str | None" = None,
    journal: str | os.PathLike[str] | None = None,
    force: bool = False,
    device: str = "auto",
    on_progress: Callable[[str, int, int], None] | None = None,
) -> "Pruned":
    """Return a copy of a trained torch module without the least of its weights, channels or neurons, trained anew.

    model: a module, which stays as it is, or "model.py:build". data: samples, or (samples, labels), or a loader of such
    batches, as `convert` takes them: they train, but for a tenth by which networks are judged. train_fn: a training of
    your own in place of this one, a function of the module, which is called once, by `gradual` four times, by `lottery`
    in each round; the masks hold meanwhile. pattern: `unstructured`, `block16`, `2:4`, `channels` or `neurons`; method:
    `one-shot`, `gradual` or `lottery`; sparsity: the share that goes, by default 0.9, of the last three patterns 0.5.
    recipe: of the training (`training.Recipe`). rounds, rewind: of the lottery, the step to return to being one of its
    first training. encoding, evaluation, metric, on_progress: as `convert` has them. journal: what names of files begin
    with, from which an interrupted training goes on; force: those of something else are forgotten. device: `auto` is a
    GPU where there is one.

    Raises UsageError for what makes no sense, ConversionError for models that cannot be converted, and where a layer
    would be left empty; TrainingDiverged.
    """
    from spikerun.converters.pruning.run import Plan, prune_arrays

    return prune_arrays(
        model, data, Plan(pattern, method, sparsity, rounds, rewind), recipe, encoding=encoding, evaluation=evaluation,
        own=train_fn, metric=metric, journal=journal, force=force, device=device, tell=on_progress,
    )  # fmt: skip


def tune(
    model: Any,
    data: Any,
    *,
    objective: str = "synops",
    bits: int = 4,
    input_bits: int = 5,
    price: float | Sequence[float] = 0.2,
    max_drop: float | None = None,
    stages: int = 3,
    recipe: "Recipe | None" = None,
    encoding: Encoding | Mapping[str, Encoding] | None = None,
    evaluation: "tuple[Samples, npt.ArrayLike] | None" = None,
    validation: "tuple[Samples, npt.ArrayLike] | None" = None,
    metric: "Metric | str | None" = None,
    journal: str | os.PathLike[str] | None = None,
    force: bool = False,
    device: str = "auto",
    on_progress: Callable[[str, int, int], None] | None = None,
) -> "Tuning":
    """Return a trained network trained on in the words of its conversion, with a price on its spikes.

    model: as `convert` takes it; it stays as it is. data: (samples, labels), samples alone, or a loader of such
    batches: the first 512 calibrate, all train but for a tenth. objective: what costs: `synops`, `events`, `spikes`
    or `latency` (as synops; take few bits). bits: of activations; input_bits: in which a population behind an input of
    more bits codes it anew; 0: none does. price: of one operation per MAC, in nats; several are stages, each from the
    last.
    max_drop: points that may be lost on `validation`, (samples, labels) that the model has not seen; the price is then
    found in so many stages. recipe: of the training (`training.Recipe`), by default 30 epochs; stages after the first
    take a third of them, and batches are smaller where an epoch would have few steps. encoding, evaluation,
    metric, on_progress: as `convert` has them. journal: from which an interrupted training goes on.

    Of what comes back, `conversion` is the spiking network and its report, `state` the weights of the model (None where
    the source takes none back), which `convert(..., tuned=tuning.tuned)` makes the same network of. Raises
    TrainingDiverged; `tuning.tune.Missed` where no stage keeps max_drop.
    """
    from spikerun.converters.tuning.arrays import tune_arrays
    from spikerun.converters.tuning.stages import Aim

    prices = (price,) if isinstance(price, int | float) else tuple(price)
    return tune_arrays(
        model, data, Aim(objective, bits, input_bits, prices, max_drop, stages), recipe, encoding=encoding,
        evaluation=evaluation, validation=validation, metric=metric, journal=journal, force=force, device=device,
        tell=on_progress,
    )  # fmt: skip


def tunable(
    model: Any,
    data: Any,
    *,
    objective: str = "synops",
    bits: int = 4,
    input_bits: int = 5,
    encoding: Encoding | Mapping[str, Encoding] | None = None,
) -> "Tunable":
    """Return a trained network as a torch module of its conversion, to be trained by a training of your own.

    Its forward takes integers (B, *shape) and gives logits; `cost` is then that of the batch, a tensor to be added to a
    loss; `teacher(x)` gives the results of the network as it was, `groups(rate)` the parameters for an optimiser;
    `finished()` gives weights, words and a converter. data: samples that calibrate. The rest is as `tune` has it.
    """
    from spikerun.converters.tuning.arrays import tunable_of
    from spikerun.converters.tuning.stages import Aim

    return tunable_of(model, data, encoding, Aim(objective, bits, input_bits))


def to_torch(net: Network) -> "NetworkModule":
    """Return a torch module that computes what a network of words does, for analysis and fine-tuning.

    Its forward pass takes integers and gives the logits of `Session.run`, exactly; gradients pass rounding as if it
    were not there. `words(samples)` gives the integers of every population, `network()` the network as it is after
    training. Raises UnsupportedError for networks that spike step by step (IF, LIF), and for delays.
    """
    from spikerun.converters.torch.module import module_of

    return module_of(net)
