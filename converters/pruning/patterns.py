# SPDX-License-Identifier: Apache-2.0
"""Which weights go: a pattern ranks parts of a network by size, and makes masks of as many as are asked for.

Parts that are zero rank lowest, so what is masked stays masked when more is asked for.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from spikerun.converters.graph import Array
from spikerun.converters.pruning.structure import NOBODY, Norm, Structure, Use
from spikerun.errors import ConversionError, UsageError, unknown_name
from spikerun.text import listed

__all__ = ["PATTERNS", "Pattern", "pattern_named"]

BLOCK = 16  # outputs
Masks = dict[str, Tensor]  # bool, True where a weight stays, by the names of parameters


@dataclass(frozen=True, eq=False)
class Pattern:
    """Parts of a model that can be left out, by their size; notes: what stays dense."""

    model: nn.Module
    structure: Structure
    notes: list[str] = field(default_factory=list)

    @classmethod
    def check(cls, sparsity: float) -> None:
        """Refuse a sparsity that cannot be."""
        if not (isinstance(sparsity, int | float) and 0 < sparsity < 1):
            raise UsageError(f"the sparsity is a share above 0 and below 1, such as 0.9; got {sparsity!r}")

    def masks(self, sparsity: float) -> Masks:
        """Return the masks that leave at least so large a share out."""
        raise NotImplementedError

    def reached(self, masks: Mapping[str, Tensor], sparsity: float) -> tuple[float, str]:
        """Return the share that masks leave out of what the pattern counts, and what that is."""
        gone = sum(int((~mask).sum()) for mask in masks.values())
        return gone / sum(mask.numel() for mask in masks.values()), "the weights that the pattern takes"

    def say_dense(self, names: list[str], why: str) -> None:
        """Take note of layers that are left as they are."""
        if dense := [name for name in self.structure.weights if name not in names]:
            self.notes[:] = dict.fromkeys([*self.notes, f"{listed(dense)} stay dense, for {why}"])

    def swapped(self, name: str) -> bool:
        """Return whether a weight is (in, out, ...)."""
        return next(use.swapped for use in self.structure.uses if use.weight == name)

    def weight(self, name: str) -> Tensor:
        """Return a weight, detached."""
        return self.model.get_parameter(name).detach()


class Unstructured(Pattern):
    """The smallest weights of all convolutions and linear layers, wherever they are."""

    def masks(self, sparsity: float) -> Masks:
        """Return the masks of the smallest weights."""
        sizes = {name: self.weight(name).abs() for name in self.structure.weights}
        return _smallest(sizes, {name: torch.ones_like(size) for name, size in sizes.items()}, sparsity)


class Blocks(Pattern):
    """Blocks of 16 outputs and one input of linear layers, by their mean square beside that of their layer.

    The means of so many weights are so near to each other within a layer that, ranked by plain size, layers of smaller
    weights would go whole.
    Convolutions stay dense: their rows are so short that no kernel gains by blocks of them, and a layer of fewer than
    16 outputs would be one block for each input.
    """

    def masks(self, sparsity: float) -> Masks:
        """Return the masks of the smallest blocks."""
        names = self.linear()
        if not names:
            raise ConversionError(
                f"the model has no linear layer of {BLOCK} outputs or more, and convolutions have no blocks: take the "
                "pattern channels or unstructured"
            )
        layers = {name: self._blocked(name) for name in names}
        sizes = {name: blocks.square().sum(1) / count for name, (blocks, count) in layers.items()}
        sizes = {name: size / size.mean().clamp_min(1e-30) for name, size in sizes.items()}
        counts = {name: count.expand(sizes[name].shape) for name, (_, count) in layers.items()}
        found = _smallest(sizes, counts, sparsity)
        return {name: self._spread(name, mask) for name, mask in found.items()}

    def linear(self) -> list[str]:
        """Return the weights that are taken apart into blocks."""
        kept = dict.fromkeys(use.weight for use in self.structure.uses if not use.convolution)
        names = [name for name in kept if self._turned(name).shape[0] >= BLOCK]
        self.say_dense(names, f"only linear layers of {BLOCK} outputs and more have blocks")
        return names

    def _turned(self, name: str) -> Tensor:
        """Return a weight (out, in)."""
        return self.weight(name).T if self.swapped(name) else self.weight(name)

    def _blocked(self, name: str) -> tuple[Tensor, Tensor]:
        """Return blocks (count, 16, in), zeros in the last where it is shorter, and how many weights each has."""
        weight = self._turned(name)
        outputs, inputs = weight.shape
        count = -(-outputs // BLOCK)
        blocks = nn.functional.pad(weight, (0, 0, 0, count * BLOCK - outputs)).reshape(count, BLOCK, inputs)
        sizes = torch.full((count, 1), float(BLOCK), device=weight.device)
        sizes[-1] = outputs - BLOCK * (count - 1)
        return blocks, sizes

    def _spread(self, name: str, blocks: Tensor) -> Tensor:
        mask = blocks.repeat_interleave(BLOCK, 0)[: len(self._turned(name))]
        return mask.T if self.swapped(name) else mask


class TwoOfFour(Pattern):
    """Two of four weights along the inputs, the smaller two: what sparse tensor cores of GPUs take.

    Of convolutions at each place of the kernel by itself. Layers whose inputs are no multiple of four stay dense.
    """

    @classmethod
    def check(cls, sparsity: float) -> None:
        """Refuse all but a half."""
        super().check(sparsity)
        if sparsity != 0.5:
            raise UsageError(
                f"the pattern 2:4 leaves out two of four, a sparsity of 0.5 and no other, got {sparsity:g}; other "
                "shares are for the patterns unstructured and block16"
            )

    def masks(self, sparsity: float) -> Masks:
        """Return masks of the smaller two of each four; below a half, of the smallest among these."""
        sizes, counts, names = {}, {}, []
        for name in self.structure.weights:
            axis = 0 if self.swapped(name) else 1
            if self.weight(name).shape[axis] % 4 == 0:
                names.append(name)
                sizes[name] = _of_four(self.weight(name).abs(), axis)
                counts[name] = torch.ones_like(sizes[name])
        if not names:
            raise ConversionError(
                "no layer of the model has inputs in fours (in / groups a multiple of 4): take the pattern unstructured"
            )
        self.say_dense(names, "their inputs are no multiple of four")
        return _smallest(sizes, counts, sparsity)


class Units(Pattern):
    """Whole channels of convolutions, or neurons of linear layers, the same share of each family of layers.

    A family is what depends on each other: branches that are added, depthwise convolutions and what they read. A unit
    that goes loses the weights that make it, its bias, scale and shift of batch norm, and the weights that read it;
    shapes stay. It ranks by what makes it (the scale of its batch norm, or its weights) times the weights that read it,
    each beside the mean of its layer. The same share of each, for then every layer shrinks, and none is emptied.
    """

    convolutions = True

    def masks(self, sparsity: float) -> Masks:
        """Return the masks of the smallest units."""
        what, other = ("channels", "neurons") if self.convolutions else ("neurons", "channels")
        families = self.structure.families(self.convolutions)
        if not families:
            raise ConversionError(f"the model has no {what} to leave out: take the pattern {other} or unstructured")
        sizes, gone = self._sizes(), set()
        for units in families:
            count = _gone(sparsity, len(units))
            if count >= len(units):
                uses = listed(dict.fromkeys(u.weight for u in self.structure.uses if np.isin(u.outputs, units).any()))
                raise ConversionError(
                    f"a sparsity of {sparsity:g} would leave none of the {len(units)} {what} of {uses}: ask for "
                    f"{(len(units) - 1) / len(units):.3g} at most"
                )
            order = np.argsort(sizes[units], kind="stable")
            gone.update(units[order[:count]].tolist())
        alive = np.ones(len(sizes) + 1, bool)  # the last is NOBODY
        alive[list(gone)] = False
        assert NOBODY == -1
        return self._masked(alive)

    def reached(self, masks: Mapping[str, Tensor], sparsity: float) -> tuple[float, str]:
        """Return the share of units that are left out."""
        counts = [len(units) for units in self.structure.families(self.convolutions)]
        what = "channels" if self.convolutions else "neurons"
        return sum(_gone(sparsity, count) for count in counts) / sum(counts), f"the {what} that can be left out"

    def _sizes(self) -> Array:
        """Return the size of each unit, float64."""
        count = 1 + max(
            (int(units.max()) for use in self.structure.uses for units in (use.inputs, use.outputs)), default=0
        )
        made, read = np.zeros((2, count)), np.zeros((2, count))
        for use in self.structure.uses:
            weight = self._turned(use).double().cpu().numpy()
            rows = np.sqrt(np.square(weight).reshape(len(weight), -1).sum(1))
            if use.norm is not None:
                rows = np.abs(self.weight(use.norm.weight).double().cpu().numpy()) * (rows > 0)
            _count(made, use.outputs, rows)
            if len(use.inputs) > use.groups:  # depthwise ones read what they make
                _count(read, use.inputs, np.sqrt(_columns(np.square(weight), use.groups)))
        sizes: Array = np.where(made[1] > 0, made[0] / np.maximum(made[1], 1), 1) * np.where(
            read[1] > 0, read[0] / np.maximum(read[1], 1), 1
        )
        return sizes

    def _turned(self, use: Use) -> Tensor:
        weight = self.weight(use.weight)
        return weight.transpose(0, 1) if use.swapped else weight

    def _masked(self, alive: Array) -> Masks:
        """Return the masks of what makes units that are gone, and of what reads them."""
        masks: dict[str, Array] = {}

        def put(name: str | None, mask: Array) -> None:
            if name is not None and not mask.all():
                masks[name] = masks[name] & mask if name in masks else mask

        for use in self.structure.uses:
            weight = self._turned(use)
            groups = use.groups
            rows = alive[use.outputs]
            columns = np.repeat(alive[use.inputs].reshape(groups, -1), len(weight) // groups, axis=0)
            whole = (rows[:, None] & columns).reshape(*weight.shape[:2], *(1,) * (weight.ndim - 2))
            whole = np.broadcast_to(whole, weight.shape)
            put(use.weight, whole.swapaxes(0, 1) if use.swapped else whole)
            put(use.bias, rows)
        for norm in self.structure.norms:
            self._norm(norm, alive, put)
        return {name: torch.from_numpy(mask.copy()).to(self.weight(name).device) for name, mask in masks.items()}

    def _norm(self, norm: Norm, alive: Array, put: Callable[[str | None, Array], None]) -> None:
        put(norm.weight, alive[norm.units])
        put(norm.bias, alive[norm.units])


class Neurons(Units):
    """Neurons of linear layers: `Units`."""

    convolutions = False


PATTERNS: MappingProxyType[str, tuple[type[Pattern], float]] = MappingProxyType(
    {
        "unstructured": (Unstructured, 0.9),
        "block16": (Blocks, 0.9),
        "2:4": (TwoOfFour, 0.5),
        "channels": (Units, 0.5),
        "neurons": (Neurons, 0.5),
    }
)


def pattern_named(name: str, model: nn.Module, structure: Structure) -> Pattern:
    """Return the pattern of a name, for a model."""
    if name not in PATTERNS:
        raise unknown_name("pattern", name, PATTERNS)
    return PATTERNS[name][0](model, structure, list(structure.notes))


def _gone(sparsity: float, count: int) -> int:
    """Return how many of so many are at least so large a share of them."""
    return math.ceil(sparsity * count - 1e-9)


def _smallest(sizes: Mapping[str, Tensor], counts: Mapping[str, Tensor], sparsity: float) -> Masks:
    """Return masks without the smallest of all parts, whose weights are at least so large a share of all.

    sizes: of each part, infinite where it cannot go; counts: of its weights. Equal ones go in their order.
    """
    flat = torch.cat([size.reshape(-1) for size in sizes.values()])
    weights = torch.cat([count.reshape(-1) for count in counts.values()]).double()
    order = torch.sort(flat, stable=True).indices
    wanted = math.ceil(sparsity * float(weights.sum()) - 1e-6)
    gone = torch.cumsum(weights[order], 0) - weights[order] < wanted
    mask = torch.ones_like(flat, dtype=torch.bool)
    mask[order[gone]] = False
    parts = torch.split(mask, [size.numel() for size in sizes.values()])
    return {name: part.reshape(sizes[name].shape) for name, part in zip(sizes, parts, strict=True)}


def _of_four(sizes: Tensor, axis: int) -> Tensor:
    """Return the sizes of the smaller two of each four along an axis; of the others infinity."""
    fours = sizes.movedim(axis, -1).reshape(*sizes.movedim(axis, -1).shape[:-1], -1, 4)
    kept = torch.sort(fours, dim=-1, stable=True).indices[..., 2:]
    found = fours.scatter(-1, kept, math.inf)
    return found.reshape(sizes.movedim(axis, -1).shape).movedim(-1, axis).contiguous()


def _count(into: Array, units: Array, sizes: Array) -> None:
    """Add sizes beside their mean, and how many there are, to units."""
    mean = sizes.mean() or 1.0
    known = units >= 0
    np.add.at(into[0], units[known], sizes[known] / mean)
    np.add.at(into[1], units[known], 1)


def _columns(squares: Array, groups: int) -> Array:
    """Return the sum for each input of squared weights (out, in / groups, ...)."""
    parts = squares.reshape(groups, len(squares) // groups, squares.shape[1], -1)
    found: Array = parts.sum(axis=(1, 3)).reshape(-1)
    return found
