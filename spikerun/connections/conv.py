# SPDX-License-Identifier: Apache-2.0
"""Convolution."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import Connection, IntArray, Mask, Pair, Reals, Shape, alike, frozen, pair, signed_sums
from spikerun.connections.dense import column_sums
from spikerun.connections.sliding import covered, output_size, windows
from spikerun.errors import NetworkError
from spikerun.values import integer

__all__ = ["Conv"]


@dataclass(frozen=True, eq=False)
class Conv(Connection):
    """Two-dimensional cross-correlation, as torch.nn.Conv2d computes it, zero padding.

    weight: int8 (Cout, Cin / groups, kh, kw); stride, padding, dilation: one integer or (vertical, horizontal).
    """

    kind: ClassVar[str] = "conv"
    weight: npt.NDArray[np.int8]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen("weight", self.weight, np.int8, 4))
        object.__setattr__(self, "stride", pair("stride", self.stride, 1))
        object.__setattr__(self, "padding", pair("padding", self.padding, 0))
        object.__setattr__(self, "dilation", pair("dilation", self.dilation, 1))
        object.__setattr__(self, "groups", integer("groups", self.groups, 1, 2**31 - 1))
        if min(self.weight.shape) < 1:
            raise NetworkError(f"weight must not be empty, got shape {self.weight.shape}")
        if self.weight.shape[0] % self.groups:
            raise NetworkError(f"groups={self.groups} must divide the {self.weight.shape[0]} output channels")

    @property
    def kernel(self) -> Pair:
        """Return (kh, kw)."""
        return self.weight.shape[2], self.weight.shape[3]

    def target_shape(self, source: Shape) -> Shape:
        out = output_size("Conv", source, self.kernel, self.stride, self.padding, self.dilation)
        if source[0] != self.weight.shape[1] * self.groups:
            raise NetworkError(
                f"weight takes {self.weight.shape[1]} channels in {self.groups} groups, its source has {source[0]}"
            )
        return (self.weight.shape[0], *out)

    def apply(self, x: IntArray) -> IntArray:
        weight, out = self.weight.astype(np.int64), self.target_shape(x.shape)
        taps = windows(x, (out[1], out[2]), self.kernel, self.stride, self.padding, self.dilation, 0)
        groups, per_group = self.groups, weight.shape[0] // self.groups
        taps = taps.reshape(taps.shape[0], groups, -1, *out[1:])  # (k, g, Cin/g, Ho, Wo)
        weight = weight.reshape(groups, per_group, weight.shape[1], -1)  # (g, Cout/g, Cin/g, k)
        currents: IntArray = np.einsum("goik,kgiyx->goyx", weight, taps, optimize=True)
        return currents.reshape(out)

    def fan_out(self, source: Shape) -> IntArray:
        out = self.target_shape(source)[1:]
        pixels = covered(source, (out[0], out[1]), self.kernel, self.stride, self.padding, self.dilation)
        return alike(pixels * (self.weight.shape[0] // self.groups), source)

    def largest_sum(self, source: Shape, channels: int) -> npt.NDArray[np.float64]:
        return column_sums(self.weight.reshape(len(self.weight), -1).T)

    def reads(self, source: Shape, kept: Mask) -> Mask:
        used: Mask = (self.weight != 0).reshape(*self.weight.shape[:2], -1).max(axis=2) & kept[:, None]
        return np.asarray(used.reshape(self.groups, -1, used.shape[1]).any(axis=1)).reshape(-1)

    def spans(self, source: Shape, channels: int, low: Reals, high: Reals) -> tuple[Reals, Reals]:
        columns = self.weight.reshape(self.groups, -1, self.weight[0].size)  # (g, Cout/g, Cin/g k)
        ends = (np.repeat(end, self.kernel[0] * self.kernel[1]).reshape(self.groups, -1) for end in (low, high))
        found = [signed_sums(group.T, *rows) for group, *rows in zip(columns, *ends, strict=True)]
        least, largest = (np.concatenate(part) for part in zip(*found, strict=True))
        return least, largest

    def without(self, source: Shape, less: Mask, fewer: Mask) -> tuple[Mask, Mask]:
        """Of groups only as many channels as each of them can be without, or a group as a whole."""
        if self.groups == 1:
            return less, fewer
        inner, outer = less.reshape(self.groups, -1), fewer.reshape(self.groups, -1)
        whole: Mask = np.concatenate([inner, outer], axis=1).min(axis=1, keepdims=True)
        return _evenly(inner, whole).reshape(-1), _evenly(outer, whole).reshape(-1)

    def narrowed(self, source: Shape, kept: Mask, reached: Mask) -> "Conv":
        inner, outer = kept.reshape(self.groups, -1), reached.reshape(self.groups, -1)
        groups = [
            rows[out][:, into]
            for rows, out, into in zip(
                self.weight.reshape(*outer.shape, *self.weight.shape[1:]), outer, inner, strict=True
            )
            if out.any()
        ]
        return Conv(np.concatenate(groups), self.stride, self.padding, self.dilation, len(groups))


def _evenly(less: Mask, whole: Mask) -> Mask:
    """Return of channels (groups, C) to be without as many in each group; those of groups that go as a `whole` all."""
    count = min(
        (min(int(row.sum()), len(row) - 1) for row, gone in zip(less, whole, strict=True) if not gone), default=0
    )
    return whole | (less & (np.cumsum(less, axis=1) <= count))
