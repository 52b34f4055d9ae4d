# SPDX-License-Identifier: Apache-2.0
"""When weights go: at once, little by little during a training, or round by round from an early step on.

Each works with the training of this package, or with one of the user's own, a function of the module.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikerun.converters.examples import Batch, Examples
from spikerun.converters.journal import fingerprint
from spikerun.converters.pruning.judge import Judge, results_of
from spikerun.converters.pruning.masks import Masks
from spikerun.converters.pruning.patterns import Pattern
from spikerun.converters.resuming import keep, kept_in, state_hash
from spikerun.converters.samples import Progress
from spikerun.converters.training import Epoch, Judged, Recipe, distilled, supervised, train

__all__ = ["METHODS", "Job", "Round", "gradual", "lottery", "one_shot", "rounds_for", "weights_of"]

METHODS = ("one-shot", "gradual", "lottery")
SCHEMA = "spikerun.lottery/1"
UPDATES = 4  # of the masks in each epoch
UNTIL = 0.5  # of the steps masks grow, the rest trains what is left
SHARE = 0.2  # of what is left goes in each round of the lottery
EARLY = 0.05  # of the steps of a training, to whose end tickets are rewound
STAGES = 4  # of `gradual` by a training of the user's own


@dataclass(frozen=True)
class Round:
    """A round of the lottery, 0 the dense network: its sparsity, and its score on held-out samples, in percent."""

    number: int
    sparsity: float
    score: float


@dataclass(frozen=True, eq=False)
class Job:
    """A model on its device, which is changed, and how it is pruned.

    aim: pattern, method and sparsity in words. teacher: what it learns from beside the labels. own: a training of the
    user's. journal: what names of journals begin with, None: nothing is kept.
    """

    model: nn.Module
    masks: Masks
    pattern: Pattern
    sparsity: float
    aim: str
    examples: Examples
    recipe: Recipe
    judge: Judge
    teacher: nn.Module | None
    own: Callable[[nn.Module], Any] | None
    journal: Path | None
    force: bool
    tell: Progress

    def fit(
        self,
        state: Mapping[str, Any] | None = None,
        after: Callable[[float], None] | None = None,
        ready: Callable[[], bool] = lambda: True,
        journal: Path | None = None,
        stage: str = "train",
        earlier: str = "",
    ) -> list[Epoch]:
        """Train the model within its masks. state: what changes beside; after: called behind each step, before masks
        are applied; ready: whether the score of an epoch counts; earlier: what is kept of trainings before.
        """
        if self.own is not None:
            with self.masks.holding():
                self.model.train()
                self.own(self.model)
            self.model.eval()
            return []

        def behind(progress: float) -> None:
            if after is not None:
                after(progress)
            self.masks.apply()

        def judge() -> Judged:
            score = self.judge.score(self.model)
            return Judged({"held out": score}, score if ready() else None)

        whole = {"model": self.model, "masks": self.masks, **(state or {})}
        groups = [{"params": list(self.model.parameters())}]
        return train(
            groups, self.examples, self.recipe, self._loss, judge, state=whole, aim=self.aim, after=behind,
            journal=journal, force=self.force, stage=stage, earlier=earlier, tell=self.tell,
        )  # fmt: skip

    def path(self, kind: str) -> Path | None:
        """Return the journal of a kind."""
        return None if self.journal is None else self.journal.with_suffix(f".{kind}.pt")

    def _loss(self, batch: Batch, progress: float) -> Tensor:
        seen = self.examples.seen(batch.x)
        found = results_of(self.model, seen)
        first = next(iter(found))
        if self.teacher is None:
            assert batch.labels is not None
            return supervised(found[first], batch.labels)
        with torch.no_grad():
            taught = results_of(self.teacher, seen)
        parts = [distilled(y, taught[name], batch.labels if name == first else None) for name, y in found.items()]
        return torch.stack(parts).sum()


def one_shot(job: Job) -> list[Epoch]:
    """Prune, then train what is left."""
    job.masks.put(job.pattern.masks(job.sparsity))
    return job.fit(journal=job.path("training"))


def gradual(job: Job) -> list[Epoch]:
    """Prune more and more over the first half of the training, by s (1 - (1 - t)^3) (Zhu and Gupta 2017).

    With a training of the user's own: prune, train, and so on in four stages.
    """
    if job.own is not None:
        for stage in range(1, STAGES + 1):
            job.masks.put(job.pattern.masks(_cubic(job.sparsity, stage / STAGES)))
            job.fit()
        return []
    last = max(round(UPDATES * job.recipe.epochs * UNTIL), 1)

    def after(progress: float) -> None:
        stage = min(int(progress * last / UNTIL), last)
        if stage > job.masks.stage:
            job.masks.stage = stage
            job.masks.put(job.pattern.masks(_cubic(job.sparsity, stage / last)))

    epochs = job.fit(None, after, lambda: job.masks.stage == last, job.path("training"))
    if job.masks.stage < last:  # of so few steps that none was at the end
        after(1.0)
    return epochs


def lottery(
    job: Job, rounds: int, rewind: int, ticket: Callable[[int, Mapping[str, Tensor]], None]
) -> tuple[list[Round], list[Epoch], dict[str, Tensor]]:
    """Train, prune, go back to an early step, train again, round after round (Frankle and Carbin 2019, 2020).

    rewind: the step of the first training to whose weights each round returns, 0: to the beginning, as with a training
    of the user's own. ticket: told of the weights of each round, -1 being those to return to. Returns the rounds, the
    epochs of the last, and the weights of the dense network of round 0.
    """
    key = {
        "recipe": fingerprint(asdict(job.recipe)),
        "aim": f"{job.aim}, {rounds} rounds, rewound to step {rewind}",
        "data": job.examples.key,
        "model": state_hash({"model": job.model}),
    }
    path = job.path("rounds")
    held = None if path is None else kept_in(path, SCHEMA, key, job.force)
    early = _Early(job.model, rewind)
    done: list[Round] = []
    dense: dict[str, Tensor] = {}
    if held is not None:
        done = [Round(**one) for one in held["rounds"]]
        early.load_state_dict(held["early"])
        job.masks.load_state_dict(held["masks"])
        job.model.load_state_dict(held["model"])
        dense = held["dense"]
        job.tell(f"{path} goes on after round {done[-1].number} of {rounds}", 0, 0)
    epochs: list[Epoch] = []
    for number in range(len(done), rounds + 1):
        share = 0.0 if number == 0 else 1 - (1 - job.sparsity) ** (number / rounds)
        if number:
            job.masks.put(job.pattern.masks(job.sparsity if number == rounds else share))
            job.model.load_state_dict(early.weights)
            job.masks.apply()
        stage = f"round {number} of {rounds}, {100 * share:.1f} % pruned"
        own = job.path(f"round-{number}")
        earlier = f"{path} keeps round {number - 1}" if number else ""
        epochs = job.fit(
            {"early": early}, None if number else early.after, journal=own, stage=stage, earlier=earlier
        )  # fmt: skip
        done.append(Round(number, share, job.judge.score(job.model)))
        if number == 0:
            dense = weights_of(job.model)
            ticket(-1, early.weights)
        ticket(number, job.model.state_dict())
        if path is not None:
            states = {"early": early.state_dict(), "masks": job.masks.state_dict(), "model": weights_of(job.model)}
            keep(path, SCHEMA, key, rounds=[asdict(one) for one in done], dense=dense, **states)
        if own is not None:
            own.unlink(missing_ok=True)
    return done, epochs, dense


def rounds_for(sparsity: float) -> int:
    """Return the rounds that leave out a fifth of what is left each."""
    return max(math.ceil(math.log(1 - sparsity) / math.log(1 - SHARE) - 1e-9), 1)


class _Early:
    """The weights at an early step of a training, those of its beginning until then."""

    def __init__(self, model: nn.Module, step: int) -> None:
        self._model, self._step, self._count = model, step, 0
        self.weights = weights_of(model)

    def after(self, progress: float) -> None:
        """Count a step."""
        self._count += 1
        if self._count == self._step:
            self.weights = weights_of(self._model)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self._count, **{f"weight {name}": value for name, value in self.weights.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._count = state_dict["count"]
        held = {name.removeprefix("weight "): value for name, value in state_dict.items() if name != "count"}
        self.weights = {name: value.to(self.weights[name].device) for name, value in held.items()}


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the state of a model, of each name its own."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _cubic(sparsity: float, part: float) -> float:
    return sparsity * (1 - (1 - part) ** 3) if part < 1 else sparsity
