# SPDX-License-Identifier: Apache-2.0
"""What a training is, what its epochs come to, and the journal from which it goes on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from spikerun.atomic import write_atomically
from spikerun.converters.examples import AUGMENTS, Examples
from spikerun.converters.journal import fingerprint
from spikerun.errors import UsageError, unknown_name

__all__ = ["Epoch", "Judged", "Kept", "Recipe", "Stateful", "keep", "kept_in", "state_hash"]

SCHEMA = "spikerun.training/1"
RISES, FIRST, LAST = 0.1, 1 / 25, 1 / 250_000  # of the steps, and of the highest rate: one cycle
LARGEST = 1e30  # torch takes float32
MOMENTUM = (0.85, 0.95)  # where the rate is highest, and lowest


class Stateful(Protocol):
    """What a training changes besides weights, such as masks: tensors, numbers, texts, lists and dicts of them."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return what it holds."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take that up again."""


@dataclass(frozen=True)
class Recipe:
    """A training: AdamW, whose rate rises for a tenth of the steps and falls along a cosine.

    rate: the highest; batch: at most the samples; decay: of weights; clip: the largest norm of a gradient; augment: one
    of AUGMENTS (`examples.harmless` decides what `auto` is, which is else as `none`); patience: epochs without a better
    score after which it ends, with the weights of the best; None: all epochs, and the weights of the last.
    """

    epochs: int
    rate: float = 1e-3
    batch: int = 512
    decay: float = 1e-4
    clip: float = 5.0
    seed: int = 0
    augment: str = "auto"
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, least in {"epochs": 0, "batch": 2, "seed": 0, "patience": 1}.items():
            value = getattr(self, name)
            if (type(value) is not int or value < least) and not (value is None and name == "patience"):
                raise UsageError(f"the {name} of a training must be an integer of at least {least}, got {value!r}")
        for name, low in {"rate": 1e-12, "clip": 1e-12, "decay": 0.0}.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= LARGEST:
                above = "of at least 0" if low == 0 else "above 0"
                raise UsageError(
                    f"the {name} of a training must be a finite number {above}, at most {LARGEST:g}, got {value!r}"
                )
        if self.augment not in AUGMENTS:
            raise unknown_name("augmentation", self.augment, AUGMENTS)


@dataclass(frozen=True)
class Judged:
    """Figures after an epoch, for the line of progress and the records; score: the higher the better, None: no say."""

    figures: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: counted from 1, the mean loss, what the judge said."""

    epoch: int
    loss: float
    figures: dict[str, float]
    score: float | None


class Kept:
    """The optimiser, the records and the journal of a training."""

    def __init__(
        self, state: Mapping[str, Stateful], groups: Sequence[Mapping[str, Any]], examples: Examples, recipe: Recipe,
        aim: str, path: Path | None, force: bool,
    ) -> None:  # fmt: skip
        self._state, self._recipe, self._path = state, recipe, path
        self.optimiser = torch.optim.AdamW([dict(group) for group in groups], recipe.rate, weight_decay=recipe.decay)
        self.parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        self._rates = [group["lr"] for group in self.optimiser.param_groups]
        self.epochs: list[Epoch] = []
        self._best: dict[str, Any] | None = None
        self._last = self._all()
        if path is not None:
            recipes = fingerprint(asdict(recipe), self._rates)
            self._key = {"recipe": recipes, "data": examples.key, "model": state_hash(state), "aim": aim}
            self._read(path, force)

    @property
    def ended(self) -> bool:
        """Return whether all epochs are done, or none was better for too long."""
        scores = [one.score for one in self.epochs if one.score is not None]
        patience = self._recipe.patience
        waited = len(scores) - 1 - scores.index(max(scores)) if scores else 0
        return len(self.epochs) >= self._recipe.epochs or (patience is not None and waited >= patience)

    def pace(self, progress: float) -> None:
        """Set rate and momentum."""
        up = progress / RISES if progress < RISES else (1 - progress) / (1 - RISES)
        share = (1 - math.cos(math.pi * up)) / 2
        low = FIRST if progress < RISES else LAST
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * (low + (1 - low) * share)
            group["betas"] = (MOMENTUM[1] - (MOMENTUM[1] - MOMENTUM[0]) * share, group["betas"][1])

    def add(self, epoch: Epoch) -> None:
        """Keep an epoch."""
        best = max((e.score for e in self.epochs if e.score is not None), default=-math.inf)
        self.epochs.append(epoch)
        self._last = self._all()
        if self._recipe.patience is not None and epoch.score is not None and epoch.score > best:
            self._best = self._last
        if self._path is not None:
            records = [asdict(one) for one in self.epochs]
            keep(self._path, SCHEMA, self._key, epochs=records, last=self._last, best=self._best)

    def back(self) -> None:
        """Go back to the last epoch."""
        self._take(self._last)

    def end(self) -> None:
        """Take the best epoch, where patience looks for one."""
        if self._best is not None:
            self._take(self._best)

    def _all(self) -> dict[str, Any]:
        state = {name: dict(one.state_dict()) for name, one in self._state.items()}
        whole: dict[str, Any] = _copied({"state": state, "optimiser": self.optimiser.state_dict()})
        return whole

    def _take(self, held: Mapping[str, Any]) -> None:
        for name, one in self._state.items():
            one.load_state_dict(held["state"][name])
        self.optimiser.load_state_dict(_copied(held["optimiser"]))  # it would go on with these very tensors

    def _read(self, path: Path, force: bool) -> None:
        held = kept_in(path, SCHEMA, self._key, force)
        if held is not None:
            self.epochs = [Epoch(**one) for one in held["epochs"]]
            self._last, self._best = held["last"], held["best"]
            self._take(self._last)


def kept_in(path: Path, schema: str, key: Mapping[str, str], force: bool) -> dict[str, Any] | None:
    """Return what a journal keeps, None where there is none.

    One of another schema or key, whose names are what it may differ by, is refused, or with `force` forgotten. Raises
    UsageError for that, and for a file that is something else.
    """
    if not path.exists():
        return None
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # readers raise whatever a broken file makes them stumble over
        held = None
    if not isinstance(held, dict) or not str(held.get("schema")).startswith("spikerun."):
        raise UsageError(f"'{path}' is no journal of a training, and would be overwritten: move it away")
    other = [name for name, mine in key.items() if held.get("key", {}).get(name) != mine]
    if held["schema"] == schema and not other:
        return held
    if force:
        return None
    what = f"another {' and another '.join(other)}" if held["schema"] == schema else "another version of spikerun"
    raise UsageError(
        f"'{path}' keeps a training of {what}: give what was given then to go on with "
        "it, delete it, or use --force, in Python force=True, to begin anew"
    )


def keep(path: Path, schema: str, key: Mapping[str, str], **held: Any) -> None:
    """Write a journal, of tensors and plain values."""
    file = BytesIO()
    torch.save({"schema": schema, "key": dict(key), **held}, file)
    write_atomically(path, file.getvalue(), force=True)


def _copied(value: Any) -> Any:
    """Return plain values of which all tensors are copies, where they are."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copied(one) for key, one in value.items()}
    return type(value)(map(_copied, value)) if isinstance(value, list | tuple) else value


def state_hash(state: Mapping[str, Stateful]) -> str:
    """Return a hash of what changes: tensors and plain values."""
    held = {name: dict(one.state_dict()) for name, one in state.items()}
    return fingerprint({name: {k: _plain(v) for k, v in one.items()} for name, one in held.items()})


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value
