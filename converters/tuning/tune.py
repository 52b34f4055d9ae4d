# SPDX-License-Identifier: Apache-2.0
"""`tune`: a trained network learns to send few spikes, in the words of its conversion, and keeps what it knows.

Cross-entropy and distillation from the network as it was, plus a price on what its spikes cost, through the rounding of
the converter (straight-through: Bengio et al. 2013; learned steps: Esser et al. 2020). With a budget, stages at other
prices follow, each from the last: which is the cheapest that keeps it is judged on samples that neither trains nor
reports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikerun.converters.encoding import Encoding
from spikerun.converters.evaluate import Evaluation
from spikerun.converters.examples import Examples, device_named, harmless
from spikerun.converters.graph import Array
from spikerun.converters.pipeline import Converter
from spikerun.converters.report import Conversion
from spikerun.converters.resuming import Recipe
from spikerun.converters.samples import Progress, quiet
from spikerun.converters.training import FAR, UNLABELLED
from spikerun.converters.tuning.fit import Tuned
from spikerun.converters.tuning.stages import Aim, Point, Stages, too_few
from spikerun.converters.tuning.tunable import Finished, Tunable
from spikerun.errors import CheckFailed, DataError
from spikerun.result import count_classes
from spikerun.text import listed, plural

__all__ = ["Missed", "Tuning", "recode", "tuned"]

AT_ONCE = 2**25  # values of populations in a batch, about


@dataclass(frozen=True)
class Tuning:
    """A tuned network: what it became, the frontier on the way, and what is to be said.

    conversion: the spiking network, with a report, measured where there was an evaluation. finished: its weights and
    words. kept: whether the budget is kept, where there was one. untuned: of the same words, measured likewise.
    """

    conversion: Conversion
    finished: Finished
    frontier: tuple[Point, ...]
    objective: str
    kept: bool
    notes: tuple[str, ...]
    untuned: Conversion
    judged_by: str = ""

    @property
    def tuned(self) -> Tuned:
        """Return the words that training chose."""
        return self.finished.tuned

    @property
    def state(self) -> dict[str, Tensor] | None:
        """Return the tensors of the model by name; None where the source takes none back."""
        return self.finished.state


class Missed(CheckFailed):
    """No stage keeps the budget; `tuning` is the nearest."""

    def __init__(self, message: str, tuning: Tuning) -> None:
        super().__init__(message)
        self.tuning = tuning


def tuned(
    converter: Converter,
    samples: Mapping[str, Array],
    labels: Array | None,
    aim: Aim,
    recipe: Recipe,
    *,
    device: str = "auto",
    validation: tuple[Mapping[str, Array], Array | None] | None = None,
    evaluation: Evaluation | None = None,
    journal: Path | None = None,
    force: bool = False,
    tell: Progress = quiet,
) -> Tuning:
    """Return the network of `converter` tuned on integer samples by input, and labels or None.

    validation: samples that judge, which the ANN has not seen; else a part of the samples is held out, by which only
    costs are known well, for the ANN knows them by heart. evaluation: measures what comes out. Raises TrainingDiverged;
    `Missed` where max_drop is not kept.
    """
    where = device_named(device)
    tunable = Tunable(converter, aim.bits, recode(converter.encodings, aim), aim.objective)
    tunable.to(where)
    examples = Examples(samples, labels, converter.encodings, where)
    if examples.trained < 2:
        raise DataError(f"training takes three samples at least, got {examples.trained + examples.held_out}")
    for given, what in ((labels, "labels"), (validation and validation[1], "labels of the validation data")):
        _require_fitting(given, converter.layers.outputs[0].shape, what)
    notes: list[str] = []
    fits = _batch(examples, tunable, recipe.batch)
    if fits < recipe.batch:
        notes.append(f"batches are of {fits} samples, so that an epoch has steps enough and a batch has room")
    recipe = replace(recipe, batch=fits)
    if tunable.fixed:
        notes.append(
            f"the weights of {listed(tunable.fixed)} stay as they are: they are computed from several tensors, or "
            "share them in a way that is not understood (weight norm? "
            "torch.nn.utils.parametrize.remove_parametrizations makes plain weights of them)"
        )
    if tunable.links.staying:
        names = (name if name != layer else f"some of {layer}" for name, layer in tunable.links.staying.items())
        notes.append(
            f"the parameters {listed(names)} stay as they are: what trains is weights of linear layers and "
            "convolutions, with the batch norms that these take in, biases, and steps of words"
        )
    if examples.real:
        notes.append("targets are real: points are hundredths of their variance that results do not explain any more")
    if labels is None:
        notes.append(UNLABELLED)
    augment, said = harmless(examples, recipe.augment, lambda x: tunable.teacher(examples.unseen(x)))
    recipe = replace(recipe, augment=augment)
    judges = examples if validation is None else _all_held(Examples(*validation, converter.encodings, where))
    judges.at_once = examples.at_once
    if not judges.labelled:
        notes.append(
            "what judges has no labels: points lost are those of samples whose class is another than that of the "
            "trained network"
        )
    notes += [said] if said else []
    stage = Stages(tunable, examples, judges, aim, recipe, journal, force, tell)
    finished, points = stage.run()
    notes += stage.said
    kept = aim.max_drop is None or any(p.taken and p.drop <= aim.max_drop for p in points)
    conversion = finished.converter.convert(finished.tuned.settings())
    untuned = tunable.start
    if points[0].drop > FAR:
        notes.append(too_few(points[0].drop, aim.bits))
    if evaluation is not None:
        conversion, untuned = (converter.measured(one, evaluation) for one in (conversion, untuned))
        before, after = untuned.report.accuracy, conversion.report.accuracy
        if before and after and before.snn - after.snn > FAR:
            notes.append(
                f"training has lost {before.snn - after.snn:.1f} points beside the same words untuned: take a lower "
                f"--price, or a lower --rate than {stage.recipe.rate:g}, above all for deep networks and few samples"
            )
    by = "held-out training samples, which the ANN may know by heart" if validation is None else "validation samples"
    tuning = Tuning(conversion, finished, tuple(points), aim.objective, kept, tuple(notes), untuned, judged_by=by)
    if not kept:
        best = min((p.drop for p in points if p.stage), default=0.0)
        raise Missed(
            f"no stage keeps the budget of {aim.max_drop:g} points: the nearest loses {best:.2f} on {by}. Take more "
            f"--epochs, more bits (now {aim.bits}), a lower --price than {points[-1].price:g}, or a larger --max-drop",
            tuning,
        )
    return tuning


def recode(encodings: Mapping[str, Encoding], aim: Aim) -> dict[str, int]:
    """Return the bits of the inputs that are coded anew: of those that have more."""
    return {name: aim.input_bits for name, one in encodings.items() if 0 < aim.input_bits < one.bits}


def _batch(examples: Examples, tunable: Tunable, wanted: int) -> int:
    """Return samples of a batch, such that an epoch has steps enough, and a batch has room, one that is judged too."""
    values = sum(int(np.prod(layer.shape)) for layer in tunable.converter.layers.every)
    examples.at_once = max(1, min(examples.at_once, AT_ONCE // values))
    return max(2, min(examples.batch(wanted), AT_ONCE // values))


def _require_fitting(labels: Array | None, shape: tuple[int, ...], what: str) -> None:
    """Refuse classes that the model does not have, and targets of another shape than its results."""
    if labels is None:
        return
    count = len(labels)
    if labels.dtype.kind in "iub":
        classes = count_classes(labels.astype(np.int64), shape, count, what)
        if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise DataError(
                f"{what} go from {labels.min()} to {labels.max()}, the model has {plural(classes, 'output')}"
            )
    elif labels[0].size != int(np.prod(shape)):
        raise DataError(f"{what} are targets of shape {labels.shape[1:]} for each sample, and the model gives {shape}")


def _all_held(examples: Examples) -> Examples:
    """Return examples all of which judge."""
    examples.held = torch.cat([examples.training, examples.held]).sort().values
    examples.held_out = len(examples.held)
    return examples
