# SPDX-License-Identifier: Apache-2.0
"""The trainings of a tuning: stage by stage, each at a price, and anew at a lower rate where one destroys a network."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikerun.converters.examples import Batch, Examples
from spikerun.converters.resuming import Epoch, Judged, Recipe
from spikerun.converters.samples import Progress
from spikerun.converters.training import FAR, distilled, train
from spikerun.converters.tuning.tunable import Finished, Tunable
from spikerun.errors import TrainingDiverged, UsageError
from spikerun.paired import standard_error

__all__ = ["HARM", "PRICE", "Aim", "Point", "Stages", "too_few"]

PRICE = 0.2  # of one synaptic operation per MAC, in nats
RAMP = 0.3  # of the steps, over which the price rises to its full height
FACTOR = 1.6  # from a price to the next, until one keeps the budget and one does not
EARLY = 0.2  # of the epochs, in which the rate is highest
HARM, BAD = 20.0, 2  # points that are lost, in so many of these epochs in a row: else the rate is too high
LOWER, TRIES = 4, 4  # by which the rate is then divided, and how often


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


@dataclass
class Stages:
    """All stages. said: what is to be told of them, once they are done."""

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
    judged: bool = False  # in this stage
    progress: float = 0.0  # of its steps
    written: Path | None = None  # the journal of the stage before
    said: list[str] = field(default_factory=list)

    def run(self) -> tuple[Finished, list[Point]]:
        """Train stage by stage, and return the network that is taken and all points."""
        aim = self.aim
        self.judge()
        points = [Point(0, 0.0, 0, self.last[2], *self.last[:2])]
        if points[0].drop > FAR:
            self.tell(too_few(points[0].drop, aim.bits), 0, 0)
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
        """Train at the price as it stands; anew at a lower rate where early epochs destroy the network."""
        before, worst = deepcopy(self.tunable.layers.state_dict()), self.last[0] + HARM
        for tried in range(TRIES + 1):
            self.judged = False
            try:
                epochs = self._trained(number, tried, recipe, worst)
                break
            except TrainingDiverged as error:
                late = not isinstance(error, _Harmed) and self.progress > _early(recipe)
                if late or tried == TRIES:
                    raise
                self.tunable.layers.load_state_dict(before)
                lower = recipe.rate / LOWER
                self.said.append(f"{error.what}: stage {number} began anew at a rate of {lower:.2g}")
                self.tell(self.said[-1], 0, 0)
                recipe, self.recipe = replace(recipe, rate=lower), replace(self.recipe, rate=lower)
        if not self.judged or (recipe.patience is not None and not _last_is_best(epochs)):
            self.judge()  # a journal that was complete, or an earlier epoch that was taken

    def _trained(self, number: int, tried: int, recipe: Recipe, worst: float) -> list[Epoch]:
        course, journal, earlier = _Course(self.price), self._journal(number, tried), self.written

        def judge() -> Judged:
            judged = self.judge()
            course.bad = course.bad + 1 if self.last[0] > worst else 0
            if course.bad == min(BAD, recipe.epochs) and self.progress <= _early(recipe):
                raise _Harmed(
                    f"early epochs lose {self.last[0]:.0f} points at a rate of {recipe.rate:.2g}",
                    f".\nThe training destroys the network, whose weights are as they were. Take a --rate below "
                    f"{recipe.rate / LOWER:.1g} or a lower --price, more --bits, or more samples",
                )
            return judged

        epochs = train(
            self.tunable.groups(recipe.rate), self.examples, recipe, self.loss, judge,
            state={"layers": self.tunable.layers, "course": course}, journal=journal, force=self.force,
            aim=f"{self.aim.objective}, judged by {self.judges.key}", stage=f"stage {number}: price {self.price:.3g}",
            earlier=f"{earlier} keeps stage {number - 1}" if number > 1 else "", tell=self.tell,
        )  # fmt: skip
        self.written = journal
        return epochs

    def _journal(self, number: int, tried: int = 0) -> Path | None:
        name = f"{number}-{tried}" if tried else f"{number}"
        return None if self.journal is None else self.journal.with_suffix(f".{name}{self.journal.suffix}")

    def loss(self, batch: Batch, progress: float) -> Tensor:
        """Return what is to become less: the error beside the ANN, and the price of spikes, which rises."""
        self.progress = progress
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
        right, before = (torch.cat(x).double().cpu().numpy() for x in (own, others))
        if targets:
            variance = max(float(torch.cat(targets).var(correction=0)), 1e-12)
            right, before = right / variance, before / variance
        count = self.judges.held_out
        spent = float(torch.stack(cost).sum()) / count
        self.last = 100 * float((before - right).mean()), standard_error(before, right), spent
        self.judged = True
        figures = {"drop": self.last[0], self.aim.objective: spent}
        return Judged(figures, -(error / count + self.price * spent))

    def _later(self) -> int:
        return self.aim.later if self.aim.later is not None else -(-self.recipe.epochs // 3)


class _Harmed(TrainingDiverged):
    """Early epochs have lost too much."""


def _early(recipe: Recipe) -> float:
    """Return the progress of a training up to which its epochs are early."""
    return max(EARLY, min(BAD, recipe.epochs) / max(recipe.epochs, 1))


def _last_is_best(epochs: list[Epoch]) -> bool:
    scores = [one.score for one in epochs if one.score is not None]
    return scores.index(max(scores)) == len(scores) - 1


@dataclass
class _Course:
    """Of a stage: its price, for a journal of another is refused, and how many epochs in a row have lost too much."""

    price: float
    bad: int = 0

    def state_dict(self) -> Mapping[str, Any]:
        return {"price": self.price, "bad": self.bad}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.price, self.bad = state_dict["price"], state_dict["bad"]


def too_few(drop: float, bits: int) -> str:
    """Return what is to be said of words that lose so many points before any training."""
    return f"before any training, words of {bits} bits lose {drop:.1f} points: more --bits are a better beginning"


def _next(price: float, good: float | None, bad: float | None) -> float:
    """Return the price to try next: higher while the budget is kept, lower while it is not, then in the middle."""
    if good is not None and bad is not None and good < bad:
        return float(np.sqrt(good * bad))
    return price * FACTOR if good is not None and price >= good else price / FACTOR
