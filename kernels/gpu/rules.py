# SPDX-License-Identifier: Apache-2.0
"""What becomes of the sums of a layer: the parameters of neurons as the kernels of a GPU take them.

Parameters with a value for each neuron or channel are int32 tensors of 1, C or all elements of one sample, channels
last: neuron j has value j % len. `last` makes them of the operations' `Values`, in (C, H, W) order.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["Fire", "If", "Lif", "Sums", "last"]

IF_LIMIT = 2**23 - 1
SHORT_BIAS = 2**24  # of biases up to this, 32 bits hold all that an IF neuron adds, once currents are cut at 2^28


def last(values: npt.ArrayLike, shape: tuple[int, ...], device: torch.device | str) -> torch.Tensor:
    """Return `Values` of a register of `shape`, (), (C,) or shape, as 1, C or all elements, channels last."""
    array = np.asarray(values, np.int32)
    if array.ndim > 1:
        array = np.moveaxis(array.reshape(shape), 0, -1)
    return torch.from_numpy(np.ascontiguousarray(array).reshape(-1)).to(device)


@dataclass(frozen=True)
class Sums:
    """Out are the sums themselves, int32, that begin at `fill` (1 or C values)."""

    fill: torch.Tensor


@dataclass(frozen=True)
class Fire:
    """Out are words: clip(floor(v / threshold), lo, hi), of which the `max_spikes` most significant set bits stay.

    lo..hi is 0..2^bits - 1; signed: -2^(bits-1)..2^(bits-1) - 1. Words have 8 bits at most: uint8, int8 where signed.
    """

    fill: torch.Tensor
    threshold: torch.Tensor
    bits: int
    signed: bool
    max_spikes: int


@dataclass(frozen=True)
class If:
    """v = clip(v + i + bias, max(v_min, -(2^23 - 1)), 2^23 - 1); s = (v >= threshold); reset `subtract` or `zero`.

    `v_min` is -(2^23 - 1) at least. short: every bias is within +-2^24, so that 32 bits suffice. most: of |fill| +
    |bias|; floor: the largest of v_min: both bound what a few steps come to.
    """

    fill: torch.Tensor
    threshold: torch.Tensor
    bias: torch.Tensor
    v_min: torch.Tensor
    reset: str
    short: bool
    most: int
    floor: int

    @staticmethod
    def of(
        fill: torch.Tensor, threshold: torch.Tensor, bias: torch.Tensor, v_min: torch.Tensor, reset: str = "subtract"
    ) -> "If":
        """Return the rule of these parameters; looks at the biases, so not while a graph is captured."""
        if reset not in ("subtract", "zero"):
            raise ValueError(f"reset: expected 'subtract' or 'zero', got '{reset}'")
        largest = [max((int(x.max()), -int(x.min()))) for x in (fill, bias)]
        v_min = v_min.clamp(min=-IF_LIMIT)
        return If(fill, threshold, bias, v_min, reset, largest[1] <= SHORT_BIAS, sum(largest), int(v_min.max()))

    def width(self, steps: int, products: int) -> int:
        """Return how membranes are added up: 2 where none comes to a limit, 1 in 32 bits, 0 in 64.

        They begin at 0, and a current is at most `products` beside fill and bias.
        """
        if steps * (products + self.most) <= min(IF_LIMIT, -self.floor):
            return 2
        return int(self.short)


@dataclass(frozen=True)
class Lif:
    """The leaky neuron in fixed point, with the fields of `LifStep`.

    decays: some keep_u is not 0; True is always right.
    """

    threshold: torch.Tensor
    keep_v: torch.Tensor
    keep_u: torch.Tensor
    bias: torch.Tensor
    bias_u: torch.Tensor
    v_reset: torch.Tensor
    v_min: torch.Tensor
    fraction_bits: int = 0
    reset: str = "value"
    refractory: int = 0
    limits: str = "wide"
    reset_interval: int = 0
    reset_offset: int = 0
    inclusive: bool = False
    decays: bool = True
