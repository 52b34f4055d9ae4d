# SPDX-License-Identifier: Apache-2.0
"""A module is pruned: `prune` in Python, and what `spikerun prune` calls."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spikerun.converters.arguments import metric_of, path_of, require_functions
from spikerun.converters.encoding import as_array
from spikerun.converters.examples import Examples, device_named, harmless
from spikerun.converters.fitting import notes_on
from spikerun.converters.metrics import Metric
from spikerun.converters.pruning.judge import Judge, results_of
from spikerun.converters.pruning.masks import Masks
from spikerun.converters.pruning.methods import EARLY, METHODS, Job, Round, gradual, lottery, one_shot, rounds_for
from spikerun.converters.pruning.patterns import PATTERNS, pattern_named
from spikerun.converters.pruning.plain import plain_copy
from spikerun.converters.pruning.report import PruneReport, layer_rows
from spikerun.converters.pruning.structure import structure_of
from spikerun.converters.samples import Progress, by_name, checked, encodings_of, gathered, labelled, quiet
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.torch.user_model import load_model
from spikerun.converters.training import FAR, UNLABELLED, Recipe
from spikerun.errors import DataError, UsageError, unknown_name

__all__ = ["Plan", "Pruned", "prune_arrays", "run"]

EPOCHS = {"one-shot": 30, "gradual": 30, "lottery": 15}  # of the lottery in each round


@dataclass(frozen=True, eq=False)
class Pruned:
    """model: a copy, on the CPU in inference mode, without its masks, which are multiplied in; masks: bool, by the
    names of its parameters, True where a weight stays.
    """

    model: nn.Module
    masks: dict[str, Tensor]
    report: PruneReport


@dataclass(frozen=True)
class Plan:
    """What is asked for: a pattern and a method, how much (None: what is usual), and for the lottery how many rounds
    and which step to return to.
    """

    pattern: str = "unstructured"
    method: str = "gradual"
    sparsity: float | None = None
    rounds: int | None = None
    rewind: int | None = None

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise unknown_name("pattern", self.pattern, PATTERNS)
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        PATTERNS[self.pattern][0].check(self.share)
        for name, least in (("rounds", 1), ("rewind", 0)):
            value = getattr(self, name)
            if value is not None and self.method != "lottery":
                raise UsageError(f"{name} are for the method lottery, not {self.method}")
            if value is not None and (type(value) is not int or value < least):
                raise UsageError(f"the {name} of the lottery must be an integer of at least {least}, got {value!r}")

    @property
    def share(self) -> float:
        """Return the sparsity."""
        return PATTERNS[self.pattern][1] if self.sparsity is None else self.sparsity

    @property
    def epochs(self) -> int:
        """Return the epochs of a training, where nobody says."""
        return EPOCHS[self.method]

    @property
    def last(self) -> int:
        """Return the number of the last round of the lottery; of other methods -2, which none has."""
        return (self.rounds or rounds_for(self.share)) if self.method == "lottery" else -2

    def said(self) -> str:
        """Return it in words."""
        return f"{self.pattern}, {self.method}, sparsity {self.share:g}"


def run(
    model: nn.Module,
    examples: Examples,
    plan: Plan,
    recipe: Recipe,
    *,
    test: Examples | None = None,
    own: Callable[[nn.Module], Any] | None = None,
    metric: Metric | None = None,
    journal: Path | None = None,
    force: bool = False,
    ticket: Callable[[int, Mapping[str, Tensor]], None] | None = None,
    notes: tuple[str, ...] = (),
    tell: Progress = quiet,
) -> Pruned:
    """Prune a copy of a module. test: what measures it; own: a training in place of this package's; the rest as `Job`
    and `lottery` have it.
    """
    structure = structure_of(model, examples.shapes)
    dense = plain_copy(model).to(examples.device).eval()
    net = plain_copy(model).to(examples.device).eval()
    pattern = pattern_named(plan.pattern, net, structure)
    judge = Judge(dense, examples, examples.held_batches, metric)
    said: list[str] = list(notes)
    fresh = plan.method == "lottery" or (examples.labelled and judge.by_chance)
    if plan.method == "lottery" and own is None and not examples.labelled:
        raise DataError(
            "the lottery trains networks from their beginning, which takes labels: give them, or take another method"
        )
    if own is None and recipe.epochs:
        if (batch := examples.batch(recipe.batch)) < recipe.batch:
            recipe = replace(recipe, batch=batch)
            said.append(f"batches are of {batch} samples, so that an epoch has steps enough")
        recipe, augmented = _augmented(recipe, examples, None if judge.by_chance else dense)
        said += [] if augmented is None else [augmented]
        said += [] if examples.labelled else [UNLABELLED]
        if fresh and plan.method != "lottery":
            said.append("the network is right no more often than by chance: it learns from the labels alone")
        if plan.method == "lottery" and not judge.by_chance:
            said.append(
                "the lottery begins with weights that are trained; tickets are usually drawn from untrained ones"
            )
    masks, teacher = Masks(net), None if fresh else dense
    masks.check(pattern.masks(plan.share))  # before hours of training
    job = Job(net, masks, pattern, plan.share, plan.said(), examples, recipe, judge, teacher, own, journal, force, tell)
    rounds: list[Round] = []
    if plan.method == "lottery":
        total = examples.steps(recipe.batch) * recipe.epochs
        rewind = plan.rewind if plan.rewind is not None else 0 if own is not None else round(EARLY * total)
        if rewind > max(total - 1, 0):
            raise UsageError(f"the lottery returns to step {rewind}, and a training has {total}: name an early one")
        rounds, epochs, before = lottery(job, plan.last, rewind, ticket or _nothing)
        dense.load_state_dict(before)
        judge = Judge(dense, examples, examples.held_batches, metric)
    else:
        epochs = (one_shot if plan.method == "one-shot" else gradual)(job)
    reached, counted = pattern.reached(masks.held, plan.share)
    assert reached >= plan.share - 1e-9
    report = PruneReport(
        plan.pattern, plan.method, plan.share, reached, counted, layer_rows(net, structure), judge.accuracy(net),
        None if test is None else Judge(dense, test, test.every, metric).accuracy(net),
        tuple(epochs), tuple(rounds), tuple(said + pattern.notes), examples.labelled,
    )  # fmt: skip
    held = {name: mask.cpu() for name, mask in masks.held.items()}
    if own is None and recipe.epochs and report.held_out.drop > FAR:
        report = replace(report, notes=(*report.notes, _lost(report.held_out.drop, recipe)))
    return Pruned(net.cpu().eval(), held, report)


def prune_arrays(
    model: Any,
    data: Any,
    plan: Plan,
    recipe: Recipe | None,
    *,
    encoding: Any,
    evaluation: Any,
    own: Callable[[nn.Module], Any] | None,
    metric: Metric | str | None,
    journal: str | os.PathLike[str] | None,
    force: bool,
    device: str,
    tell: Progress | None,
) -> Pruned:
    """Prune a module by samples as people have them: see `spikerun.converters.prune`."""
    score, path = metric_of(metric), path_of(journal)
    require_functions({"train_fn": own, "on_progress": tell})
    where = device_named(device)
    source = TorchSource(load_model(model) if isinstance(model, str) else model)
    pair = data if isinstance(data, tuple) and len(data) == 2 else _loaded(data)
    samples = by_name(pair[0], tuple(source.expected()))
    encodings = encodings_of(encoding, samples)
    whole = checked(samples, encodings, "the training data")
    examples = Examples(whole, None if pair[1] is None else as_array(pair[1], "labels"), encodings, where)
    test = None
    if (tested := labelled(evaluation, "evaluation")) is not None:
        measured = checked(by_name(tested[0], tuple(source.expected())), encodings, "the evaluation data", whole)
        test = Examples(measured, None if tested[1] is None else as_array(tested[1], "labels"), encodings, where)
    given = recipe or Recipe(plan.epochs)
    notes = [] if encoding is not None else notes_on(encodings, samples)
    return run(
        source.model, examples, plan, given, test=test, own=own, metric=score, journal=path, force=force,
        notes=tuple(notes), tell=tell or quiet,
    )  # fmt: skip


def _loaded(data: Any) -> tuple[Any, Any]:
    """Return samples and labels of a loader of such batches; None for the labels of others."""
    try:
        found = labelled(data, "the training data")
    except UsageError:
        return gathered(data, None), None
    assert found is not None
    return found


def _augmented(recipe: Recipe, examples: Examples, teacher: nn.Module | None) -> tuple[Recipe, str | None]:
    """Return the recipe with its augmentation decided, and what is to be said of it; teacher: a trained network."""
    if teacher is None and recipe.augment == "auto":
        moved = examples.images and not examples.real
        note = "images move by a pixel; no trained network says whether they may be mirrored too: augment does"
        return replace(recipe, augment="shift" if moved else "none"), note if moved else None
    assert teacher is not None or recipe.augment != "auto"
    first = lambda seen: next(iter(results_of(teacher, seen).values()))  # type: ignore[arg-type]  # noqa: E731
    augment, said = harmless(examples, recipe.augment, first)
    return replace(recipe, augment=augment), said


def _lost(drop: float, recipe: Recipe) -> str:
    return (
        f"training has not brought back {drop:.1f} points of held-out samples: take more --epochs, a --rate other than "
        f"{recipe.rate:g}, or a lower --sparsity"
    )


def _nothing(number: int, weights: Mapping[str, Tensor]) -> None:
    """Take the place of one who keeps tickets."""
