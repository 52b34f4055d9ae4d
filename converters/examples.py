# SPDX-License-Identifier: Apache-2.0
"""What a training is given: integer samples on the device, in seeded batches, some of them held out.

Everything random in an epoch follows from the seed and the number of the epoch, so that any epoch can be done again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Array
from spikerun.converters.journal import fingerprint
from spikerun.converters.samples import checked_labels, count_of
from spikerun.errors import DataError, UsageError, unknown_name
from spikerun.text import plural

__all__ = ["AUGMENTS", "Batch", "Examples", "device_named", "harmless", "seed_of"]

AUGMENTS = ("auto", "none", "shift", "mirror", "shift+mirror")
SPLIT = 0  # the seed by which samples are held out: the same of every training, so that trainings can be compared
STEPS_AN_EPOCH, SMALLEST_BATCH = 100, 32
HELD_OUT = (100, 5000)  # samples, a tenth between these, and never more than half
AT_ONCE = 1000  # samples that are looked at without training
LARGE = 16  # rows and columns of images that are as good when they are moved by one
SLACK = 1.0  # points: a network that was trained on mirrored images loses as much by chance, others lose more
SMALL = (torch.uint8, torch.int8, torch.int16, torch.int32)


@dataclass(frozen=True, eq=False)
class Batch:
    """x: integers by input, float32 (B, *shape); labels: int64 (B,) or (B, H, W), float32 (B, K), or None.

    index: places of the samples in what was given, int64 (B,).
    """

    x: dict[str, Tensor]
    labels: Tensor | None
    index: Tensor


class Examples:
    """Integer samples by input (N, *shape), as `encodings` says what they stand for, and classes, targets or None.

    They lie on the device in the smallest dtype. `training` and `held`: places, int64; trained, held_out: how many.
    at_once: samples that are looked at together without training.
    Raises DataError for labels that do not fit.
    """

    def __init__(
        self,
        samples: Mapping[str, Array],
        labels: Array | None,
        encodings: Mapping[str, Encoding],
        device: torch.device | str = "cpu",
    ) -> None:
        count = count_of(samples)
        if labels is not None:
            labels = checked_labels(labels, count)
            whole = labels.dtype.kind in "iub"
            labels = labels.astype(np.int64) if whole else labels.astype(np.float32).reshape(count, -1)
            if not np.isfinite(labels).all():
                raise DataError("the targets must be finite, some are NaN or infinite")
        self.key = fingerprint(dict(samples), labels, {k: e.meta(k) for k, e in encodings.items()})
        self.device = torch.device(device)
        self._samples = {name: _small(values).to(self.device) for name, values in samples.items()}
        self._labels = None if labels is None else torch.from_numpy(labels).to(self.device)
        self._affine = {name: _affine(encodings[name], x.shape, self.device) for name, x in self._samples.items()}
        order = torch.from_numpy(np.random.default_rng(SPLIT).permutation(count))
        held = min(max(count // 10, HELD_OUT[0]), HELD_OUT[1], count // 2)
        self.held, self.training = (part.sort().values.to(self.device) for part in (order[:held], order[held:]))
        self.trained, self.held_out = len(self.training), len(self.held)
        self.at_once = AT_ONCE

    @property
    def labelled(self) -> bool:
        """Return whether there are labels or targets."""
        return self._labels is not None

    @property
    def real(self) -> bool:
        """Return whether labels are real targets."""
        return self._labels is not None and self._labels.is_floating_point()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of a sample, by input."""
        return {name: tuple(x.shape[1:]) for name, x in self._samples.items()}

    @property
    def images(self) -> bool:
        """Return whether the only input takes images so large that moving them by a pixel changes no class."""
        shapes = list(self.shapes.values())
        maps = self._labels is not None and self._labels.ndim > 1
        return len(shapes) == 1 and len(shapes[0]) == 3 and min(shapes[0][1:]) >= LARGE and not maps

    def seen(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the model sees of integers, float32 by input."""
        return {name: torch.addcmul(self._affine[name][1], values, self._affine[name][0]) for name, values in x.items()}

    def unseen(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the integers of what the model sees."""
        return {name: ((values - self._affine[name][1]) / self._affine[name][0]).round() for name, values in x.items()}

    def steps(self, batch: int) -> int:
        """Return the batches of an epoch: whole ones, of at most the samples that train."""
        return self.trained // min(batch, self.trained)

    def batch(self, wanted: int) -> int:
        """Return samples of a step: `wanted`, or half of them, and so on, while an epoch would have few steps."""
        while wanted > SMALLEST_BATCH and self.trained // wanted < STEPS_AN_EPOCH:
            wanted = max(wanted // 2, SMALLEST_BATCH)
        return wanted

    def batches(self, batch: int, seed: int, epoch: int, augment: str = "none") -> Iterator[Batch]:
        """Yield the batches of an epoch, in another order each epoch, augmented."""
        batch, generator = min(batch, self.trained), torch.Generator().manual_seed(seed_of(seed, epoch))
        order = self.training[torch.randperm(self.trained, generator=generator).to(self.device)]
        draws = torch.rand(self.trained, 3, generator=generator).to(self.device)  # right, down, mirrored
        for first in range(0, self.steps(batch) * batch, batch):
            part = slice(first, first + batch)
            yield self._batch(order[part], draws[part], augment)

    def every(self) -> Iterator[Batch]:
        """Yield all samples in their order."""
        places = torch.arange(self.trained + self.held_out, device=self.device)
        for part in torch.split(places, self.at_once):
            yield self._batch(part, torch.empty(0), "none")

    def held_batches(self, augment: str = "none") -> Iterator[Batch]:
        """Yield what is held out, in its order; augmented the same way each time."""
        draws = torch.rand(self.held_out, 3, generator=torch.Generator().manual_seed(SPLIT)).to(self.device)
        if augment == "mirror":
            draws[:, 2] = 0  # all of them
        for first in range(0, self.held_out, self.at_once):
            part = slice(first, first + self.at_once)
            yield self._batch(self.held[part], draws[part], augment)

    def _batch(self, places: Tensor, draws: Tensor, augment: str) -> Batch:
        x = {name: _augmented(values[places], draws, augment).float() for name, values in self._samples.items()}
        return Batch(x, None if self._labels is None else self._labels[places], places)


def harmless(examples: Examples, asked: str, teacher: Callable[[dict[str, Tensor]], Tensor]) -> tuple[str, str | None]:
    """Return how samples are augmented, as `asked` or by `auto`, and what is to be said of it.

    auto: images of 16 x 16 pixels and more move by one; they are mirrored too where the trained network, `teacher` of
    what it sees, is as good on mirrored ones: it is not where left and right mean something, as of digits and spectra.
    """
    if asked not in AUGMENTS:
        raise unknown_name("augmentation", asked, AUGMENTS)
    if asked != "auto":
        return asked, None
    if not examples.images or examples.real:
        return "none", None
    plain, mirrored = (_right(examples, teacher, augment) for augment in ("none", "mirror"))
    lost = 100 * float((plain - mirrored).mean())
    costs = f"costs the trained network {lost:.2f} points on {plural(len(plain), 'held-out sample')}"
    if lost > SLACK:
        return "shift", f"images move by a pixel and are not mirrored: that {costs}"
    return "shift+mirror", f"images move by a pixel and are mirrored, which {costs}"


def device_named(name: str) -> torch.device:
    """Return the device of a name: `auto` is a GPU where torch finds one. Raises UsageError where there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).splitlines()[0]
        raise UsageError(f"torch has no device '{name}' here ({said}): take cpu, or auto for what there is") from None
    return device


def seed_of(seed: int, epoch: int) -> int:
    """Return the seed of an epoch."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> 1)


@torch.no_grad()
def _right(examples: Examples, teacher: Callable[[dict[str, Tensor]], Tensor], augment: str) -> Array:
    """Return 1 where the teacher finds the class of a held-out sample, without labels the class of the plain one."""
    found = []
    for batch, plain in zip(examples.held_batches(augment), examples.held_batches(), strict=True):
        labels = batch.labels if batch.labels is not None else teacher(examples.seen(plain.x)).argmax(1)
        found.append(teacher(examples.seen(batch.x)).argmax(1) == labels)
    right: Array = torch.cat(found).float().cpu().numpy()
    return right


def _small(values: Array) -> Tensor:
    """Return integers in the smallest dtype that holds them and that torch can index."""
    low, high = int(values.min()), int(values.max())
    dtype = next(d for d in SMALL if torch.iinfo(d).min <= low and high <= torch.iinfo(d).max)
    return torch.from_numpy(np.ascontiguousarray(values.astype(str(dtype).removeprefix("torch."))))


def _affine(encoding: Encoding, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return gain and shift of each channel, (C, 1, ...), float32."""
    spread = (shape[1], *(1,) * (len(shape) - 2))
    return tuple(  # type: ignore[return-value]
        torch.from_numpy(values(shape[1]).astype(np.float32).copy()).reshape(spread).to(device)
        for values in (encoding.gain, encoding.shift)
    )


def _augmented(x: Tensor, draws: Tensor, augment: str) -> Tensor:
    """Return samples (B, C, ..., W), each moved by at most one place, zeros coming in, and every other one mirrored."""
    if augment in ("none", "auto") or x.ndim < 3:
        return x
    flat = x.unsqueeze(2) if x.ndim == 3 else x  # signals are images of height 1
    count, _, height, width = flat.shape
    by = torch.floor(3 * draws[:, :2]).long() if "shift" in augment else torch.ones_like(draws[:, :2]).long()
    columns, rows = (torch.arange(size, device=x.device).expand(count, size) for size in (width, height))
    if "mirror" in augment:
        columns = torch.where(draws[:, 2:] < 0.5, columns.flip(1), columns)
    columns, rows = columns + by[:, :1], rows + (by[:, 1:] if height > 1 else 1)
    each = torch.arange(count, device=x.device)[:, None, None]
    moved = F.pad(flat, (1, 1, 1, 1))[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return moved.reshape(x.shape)
