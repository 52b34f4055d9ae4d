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
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikerun.converters.encoding import Encoding
from spikerun.converters.evaluate import Evaluation
from spikerun.converters.examples import Batch, Examples, device_named, harmless
from spikerun.converters.graph import Array
from spikerun.converters.pipeline import Converter
from spikerun.converters.report import Conversion
from spikerun.converters.resuming import Epoch, Judged, Recipe
from spikerun.converters.samples import Progress, quiet
from spikerun.converters.training import UNLABELLED, distilled, train
from spikerun.converters.tuning import BATCH
from spikerun.converters.tuning.fit import Tuned
from spikerun.converters.tuning.tunable import Finished, Tunable
from spikerun.errors import CheckFailed, DataError, UsageError
from spikerun.paired import standard_error
from spikerun.result import count_classes
from spikerun.text import listed, plural

__all__ = ["Aim", "Missed", "Point", "Tuning", "recode", "tuned"]

PRICE = 0.2  # of one synaptic operation per MAC, in nats
RAMP = 0.3  # of the steps, over which the price rises to its full height
FACTOR = 1.6  # from a price to the next, until one keeps the budget and one does not
STEPS_AN_EPOCH, SMALLEST_BATCH = 100, 32
FAR = 5.0  # points that are lost: from there on it is said what helps
AT_ONCE = 2**25  # values of populations in a batch, about


@dataclass(frozen=True)
class Aim:
    """What a tuning is for. bits: of activations; input_bits: of the population that codes inputs anew, 0: none.

    prices: of one unit of cost, a stage each; with max_drop, points that may be lost, the first of them, and the others
    are found, in `stages` stages at most. later: epochs of stages after the first.
    """

    objective: str = "synops"
    bits: int = 4
    input_bits: int = 5
    prices: tuple[float, ...] = (PRICE,)
    max_drop: float | None = None
    stages: int = 3
    later: int | None = None

    def __post_init__(self) -> None:
        for name, value, low, high in (("bits", self.bits, 1, 8), ("input_bits", self.input_bits, 0, 8)):
            if type(value) is not int or not low <= value <= high:
                raise UsageError(f"{name} of a tuning must be an integer in {low}..{high}, got {value!r:.80}")
        if not self.prices or not all(isinstance(p, int | float) and 0 <= p < np.inf for p in self.prices):
            raise UsageError(f"prices are finite numbers of at least 0, such as 0.2, got {self.prices!r:.80}")
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise UsageError(f"max_drop is in points, 0..100, got {self.max_drop!r:.80}")
        if self.max_drop is not None and len(self.prices) > 1:
            raise UsageError("max_drop finds the prices itself: give one to begin with, or leave out max_drop")
        if self.max_drop is not None and not self.prices[0]:
            raise UsageError("max_drop looks for the highest price that keeps it: begin with one above 0")
        if self.stages < 1:
            raise UsageError(f"stages must be at least 1, got {self.stages}")


@dataclass(frozen=True)
class Point:
    """A network on the frontier, measured on samples that judge. stage: 0, untuned. price, epochs: of its training.

    cost: in units of the objective a MAC (of `spikes`, a neuron). drop, standard_error: points lost against the ANN; of
    real targets, hundredths of their variance.
    """

    stage: int
    price: float
    epochs: int
    cost: float
    drop: float
    standard_error: float
    taken: bool = False


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
    fits = _batch(examples, tunable)
    if fits < recipe.batch:
        notes.append(f"batches are of {fits} samples, so that an epoch has steps enough and a batch has room")
    recipe = replace(recipe, batch=min(recipe.batch, fits))
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
    stage = _Stages(tunable, examples, judges, aim, recipe, journal, force, tell)
    finished, points = stage.run()
    kept = aim.max_drop is None or any(p.taken and p.drop <= aim.max_drop for p in points)
    conversion = finished.converter.convert(finished.tuned.settings())
    untuned = tunable.start
    if points[0].drop > FAR:
        notes.append(_too_few(points[0].drop, aim.bits))
    if evaluation is not None:
        conversion, untuned = (converter.measured(one, evaluation) for one in (conversion, untuned))
        before, after = untuned.report.accuracy, conversion.report.accuracy
        if before and after and before.snn - after.snn > FAR:
            notes.append(
                f"training has lost {before.snn - after.snn:.1f} points beside the same words untuned: take a lower "
                f"--price, or a lower --rate than {recipe.rate:g}, above all for deep networks and few samples"
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


@dataclass
class _Stages:
    tunable: Tunable
    examples: Examples
    judges: Examples
    aim: Aim
    recipe: Recipe
    journal: Path | None
    force: bool
    tell: Progress
    price: float = 0.0
    last: tuple[float, float, float] = (0.0, 0.0, 0.0)  # drop, its standard error, cost
    judged: int = 0  # how often in this stage

    def run(self) -> tuple[Finished, list[Point]]:
        """Train stage by stage, and return the network that is taken and all points."""
        aim = self.aim
        self.judge()
        points = [Point(0, 0.0, 0, self.last[2], *self.last[:2])]
        if points[0].drop > FAR:
            self.tell(_too_few(points[0].drop, aim.bits), 0, 0)
        taken: tuple[Finished, int] | None = None
        nearest: tuple[Finished, int] | None = None
        if aim.max_drop is not None and points[0].drop <= aim.max_drop:  # untuned words may be the best that keep it
            taken = self.tunable.finished(), 0
        prices, good, bad = list(aim.prices), None, None
        for number in range(1, (aim.stages if aim.max_drop is not None else len(prices)) + 1):
            self.price = prices[number - 1]
            recipe = self.recipe if number == 1 else replace(self.recipe, epochs=self._later())
            self.stage(number, recipe)
            drop, error, cost = self.last
            points.append(Point(number, self.price, recipe.epochs, cost, drop, error))
            better = taken is None or cost < points[taken[1]].cost
            if aim.max_drop is None:
                taken = self.tunable.finished(), number
                continue
            if drop <= aim.max_drop:
                good = max(good or 0.0, self.price)
                if better:
                    taken = self.tunable.finished(), number
            else:
                bad = min(bad or np.inf, self.price)
                if nearest is None or drop < points[nearest[1]].drop:
                    nearest = self.tunable.finished(), number
            prices.append(_next(self.price, good, bad))
        finished, place = taken or nearest or (self.tunable.finished(), 0)
        return finished, [replace(point, taken=k == place) for k, point in enumerate(points)]

    def stage(self, number: int, recipe: Recipe) -> None:
        """Train at the price as it stands."""
        self.judged = 0
        journal = self._journal(number)
        epochs = train(
            self.tunable.groups(recipe.rate), self.examples, recipe, self.loss, self.judge,
            state={"layers": self.tunable.layers, "price": _Price(self.price)}, journal=journal, force=self.force,
            aim=f"{self.aim.objective}, judged by {self.judges.key}",
            stage=f"stage {number}: price {self.price:.3g}",
            earlier=f"{self._journal(number - 1)} keeps stage {number - 1}" if number > 1 else "", tell=self.tell,
        )  # fmt: skip
        if not self.judged or (recipe.patience is not None and not _last_is_best(epochs)):
            self.judge()  # a journal that was complete, or an earlier epoch that was taken

    def _journal(self, number: int) -> Path | None:
        return None if self.journal is None else self.journal.with_suffix(f".{number}{self.journal.suffix}")

    def loss(self, batch: Batch, progress: float) -> Tensor:
        """Return what is to become less: the error beside the ANN, and the price of spikes, which rises."""
        logits = self.tunable(batch.x)
        error = distilled(logits, self.tunable.teacher(batch.x), batch.labels)
        return error + self.price * min(1.0, progress / RAMP) * self.tunable.cost

    @torch.no_grad()
    def judge(self) -> Judged:
        """Return how the network does on samples that judge, and what it costs."""
        own: list[Tensor] = []
        others: list[Tensor] = []
        targets: list[Tensor] = []
        cost, error = [], 0.0
        self.tunable.eval()
        for batch in self.judges.held_batches():
            mine, ann = self.tunable(batch.x), self.tunable.teacher(batch.x)
            cost.append(self.tunable.cost * len(mine))
            error += float(distilled(mine, ann, batch.labels)) * len(mine)
            if batch.labels is not None and batch.labels.is_floating_point():
                targets.append(batch.labels.flatten())
                for found, results in ((own, mine), (others, ann)):
                    squares = (results.flatten(1) - batch.labels.reshape(len(results), -1)).square()
                    found.append(-squares.mean(1))
                continue
            labels: Tensor = ann.argmax(1) if batch.labels is None else batch.labels
            own.append(torch.eq(mine.argmax(1), labels).float().flatten())
            others.append(torch.eq(ann.argmax(1), labels).float().flatten())
        right, before = (torch.cat(x).cpu().numpy() for x in (own, others))
        if targets:
            variance = max(float(torch.cat(targets).var(correction=0)), 1e-12)
            right, before = right / variance, before / variance
        count = self.judges.held_out
        spent = float(torch.stack(cost).sum()) / count
        self.last = 100 * float((before - right).mean()), standard_error(before, right), spent
        self.judged += 1
        figures = {"drop": self.last[0], self.aim.objective: spent}
        return Judged(figures, -(error / count + self.price * spent))

    def _later(self) -> int:
        return self.aim.later if self.aim.later is not None else -(-self.recipe.epochs // 3)


def _last_is_best(epochs: list[Epoch]) -> bool:
    scores = [one.score for one in epochs if one.score is not None]
    return scores.index(max(scores)) == len(scores) - 1


@dataclass
class _Price:
    """Of a stage: a journal of another is refused."""

    value: float

    def state_dict(self) -> Mapping[str, Any]:
        return {"price": self.value}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.value = state_dict["price"]


def _too_few(drop: float, bits: int) -> str:
    return f"before any training, words of {bits} bits lose {drop:.1f} points: more --bits are a better beginning"


def _next(price: float, good: float | None, bad: float | None) -> float:
    """Return the price to try next: higher while the budget is kept, lower while it is not, then in the middle."""
    if good is not None and bad is not None and good < bad:
        return float(np.sqrt(good * bad))
    return price * FACTOR if good is not None and price >= good else price / FACTOR


def recode(encodings: Mapping[str, Encoding], aim: Aim) -> dict[str, int]:
    """Return the bits of the inputs that are coded anew: of those that have more."""
    return {name: aim.input_bits for name, one in encodings.items() if 0 < aim.input_bits < one.bits}


def _batch(examples: Examples, tunable: Tunable) -> int:
    """Return samples of a batch, such that an epoch has steps enough, and a batch has room, one that is judged too."""
    wanted = BATCH
    while wanted > SMALLEST_BATCH and examples.trained // wanted < STEPS_AN_EPOCH:
        wanted //= 2
    values = sum(int(np.prod(layer.shape)) for layer in tunable.converter.layers.every)
    examples.at_once = max(1, min(examples.at_once, AT_ONCE // values))
    return max(2, min(wanted, AT_ONCE // values))


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
