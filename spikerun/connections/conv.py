# SPDX-License-Identifier: Apache-2.0
"""Convolution."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import Connection, IntArray, Pair, Shape, alike, frozen, pair
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
