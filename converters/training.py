# SPDX-License-Identifier: Apache-2.0
"""The training that `prune` and `tune` share: seeded, and after an interruption it goes on from its last epoch.

An epoch is random by its number alone (`examples.py`), so what a training needs to go on is what it has learnt: the
modules, AdamW's averages and the records, which the journal keeps. On a CPU it ends with the same weights, bit for bit,
however often it was interrupted.
"""

import ctypes
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikerun.converters.examples import Batch, Examples, seed_of
from spikerun.converters.resuming import Epoch, Judged, Kept, Recipe, Stateful
from spikerun.converters.samples import Progress, quiet
from spikerun.errors import DataError, TrainingDiverged

__all__ = [
    "FAR",
    "UNLABELLED",
    "Epoch",
    "Judged",
    "Recipe",
    "Stateful",
    "distilled",
    "keep_memory",
    "supervised",
    "train",
]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
LOOKED = 50  # steps after which it is looked whether the loss is a number: each look waits for the device

FAR = 5.0  # points that are lost: from there on it is said what helps
UNLABELLED = "there are no labels: the network learns from the results that it had itself"


def train(
    groups: Sequence[Mapping[str, Any]],
    examples: Examples,
    recipe: Recipe,
    loss: Callable[[Batch, float], Tensor],
    judge: Callable[[], Judged],
    *,
    state: Mapping[str, Stateful],
    aim: str = "",
    after: Callable[[float], None] | None = None,
    journal: Path | None = None,
    force: bool = False,
    stage: str = "train",
    earlier: str = "",
    tell: Progress = quiet,
) -> list[Epoch]:
    """Train what is in `groups`, and return what its epochs came to, those before an interruption among them.

    groups: of parameters, as torch's optimisers take them, with `lr` and `weight_decay` of their own where they differ.
    loss: of a batch, at a progress from 0 to 1 over all steps; after: called behind each step. judge: called after each
    epoch. state: all that changes, by name; modules among it are in training mode during an epoch, and in inference
    mode for the judge and at the end. aim: in words, what else the weights depend on, such as options of a loss.
    journal: where it is kept after each epoch; one of another model, data, recipe or aim is refused, or with `force`
    begun anew. earlier: what is kept of trainings before this, which an interruption in the first epoch says. Raises
    TrainingDiverged where the loss is no number any more; the state is then that of the last good epoch.
    """
    if examples.trained < 2:
        raise DataError(f"training takes three samples at least, got {examples.trained + examples.held_out}")
    kept = Kept(state, groups, examples, recipe, aim, journal, force)
    steps = examples.steps(recipe.batch)
    total = steps * recipe.epochs
    begun, first = time.monotonic(), len(kept.epochs)
    if first:
        tell(f"{journal} goes on after epoch {first}", 0, 0)
    with _seeded(examples.device) as seed:
        while not kept.ended:
            epoch = len(kept.epochs)
            seed(seed_of(recipe.seed, epoch))
            _mode(state, True)
            try:
                mean = _epoch(kept, epoch, steps, examples, recipe, loss, after, partial(_done, tell, stage, total))
                _mode(state, False)
                judged = judge()
            except (KeyboardInterrupt, SystemExit):
                held = f"{journal} keeps epoch {epoch}" if epoch else earlier
                if journal is not None and held:
                    tell(f"interrupted: {held}; the same command goes on from there", 0, 0)
                raise
            except TrainingDiverged:
                kept.back()
                _mode(state, False)
                raise
            kept.add(Epoch(epoch + 1, mean, dict(judged.figures), judged.score))
            left = (time.monotonic() - begun) / (epoch + 1 - first) * (recipe.epochs - epoch - 1)
            tell(_line(kept.epochs[-1], recipe.epochs, left), 1, 1)
    kept.end()
    _mode(state, False)
    return kept.epochs


def distilled(
    logits: Tensor,
    teacher: Tensor,
    labels: Tensor | None,
    smoothing: float = 0.05,
    weight: float = 2.0,
    temperature: float = 2.0,
) -> Tensor:
    """Return the loss of results (B, K, ...) beside those of the trained network, `teacher`.

    Of classes: cross-entropy with smoothed labels + weight * KL divergence from the teacher at the temperature. Of real
    targets, and without labels, where nobody says which it is: squared errors from targets + weight * from the teacher,
    in terms of the teacher's variance.
    """
    if labels is None or labels.is_floating_point():
        scale = teacher.var(correction=0).clamp_min(1e-12)
        own = weight * F.mse_loss(logits, teacher) / scale
        return own if labels is None else own + F.mse_loss(logits.flatten(1), labels.flatten(1)) / scale
    own, other = (F.log_softmax(values / temperature, 1) for values in (logits, teacher))
    divergence = F.kl_div(own, other, reduction="batchmean", log_target=True) * len(logits) / labels.numel()
    return F.cross_entropy(logits, labels, label_smoothing=smoothing) + weight * divergence


def supervised(logits: Tensor, labels: Tensor, smoothing: float = 0.05) -> Tensor:
    """Return the loss of results (B, K, ...) without a teacher: cross-entropy, or squared errors by their variance."""
    if not labels.is_floating_point():
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    return F.mse_loss(logits.flatten(1), labels.flatten(1)) / labels.var(correction=0).clamp_min(1e-12)


def keep_memory() -> None:
    """Have glibc keep what is freed, for the rest of the process: a training on a CPU takes the same memory at each
    step, and half of its time would go into pages that come anew. Other C libraries are left as they are.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    except (OSError, AttributeError):  # no glibc
        return


def _epoch(
    kept: "Kept", epoch: int, steps: int, examples: Examples, recipe: Recipe, loss: Callable[[Batch, float], Tensor],
    after: Callable[[float], None] | None, done: Callable[[int], None],
) -> float:  # fmt: skip
    """Take the steps of an epoch, and return the mean loss."""
    total, last = torch.zeros((), device=examples.device), max(steps * recipe.epochs - 1, 1)
    batches = examples.batches(recipe.batch, recipe.seed, epoch, recipe.augment)
    for k, batch in enumerate(batches, start=1):
        progress = (epoch * steps + k - 1) / last
        kept.pace(progress)
        found = loss(batch, progress)
        kept.optimiser.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(kept.parameters, recipe.clip)
        kept.optimiser.step()
        if after is not None:
            after(progress)
        total += found.detach()
        if k % LOOKED == 0 or k == steps:
            _require_number(float(total), epoch, recipe.rate)
        done(epoch * steps + k)
    return float(total) / steps


def _done(tell: Progress, stage: str, total: int, steps: int) -> None:
    tell(stage, steps, total)


def _require_number(loss: float, epoch: int, rate: float) -> None:
    if not math.isfinite(loss):
        raise TrainingDiverged(
            f"the training diverged: in epoch {epoch + 1} the loss became {loss}, at a rate of at most {rate:g}",
            f"; {f'epoch {epoch} is kept' if epoch else 'the weights are as they were'}. Take a lower rate, such as "
            f"{rate / 10:g}, and look for samples far out of the usual range.",
        )


@contextmanager
def _seeded(device: torch.device) -> Iterator[Callable[[int], Any]]:
    """Yield what seeds torch, whose random states are as before in the end."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield torch.manual_seed


def _mode(state: Mapping[str, Stateful], training: bool) -> None:
    for one in state.values():
        if isinstance(one, nn.Module):
            one.train(training)


def _line(epoch: Epoch, epochs: int, left: float) -> str:
    figures = "".join(f", {name} {value:.4g}" for name, value in epoch.figures.items())
    minutes = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
    return f"epoch {epoch.epoch}/{epochs}: loss {epoch.loss:.4f}{figures}; {minutes} left"
