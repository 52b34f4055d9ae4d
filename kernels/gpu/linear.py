# SPDX-License-Identifier: Apache-2.0
"""Dense linear layers: int8 tensor cores, with their neurons in one kernel, as a convolution of one pixel.

Where few of many inputs are active, an event-driven kernel reads less: it says how many are, and this one does nothing
where that is enough (`beyond`), so that the GPU chooses.
"""

import numpy as np
import numpy.typing as npt
import torch

from spikerun.kernels.gpu.conv import Conv, Tile, conv
from spikerun.kernels.gpu.rules import Fire, If, Sums

__all__ = ["dense", "linear"]


def dense(weight: npt.NDArray[np.int8], device: torch.device | str) -> Conv:
    """Prepare weight (n_in, n_out)."""
    inputs, outputs = weight.shape
    kernel = np.ascontiguousarray(weight.T)[:, :, None, None]
    return Conv.of(kernel, (inputs, 1, 1), (outputs, 1, 1), (1, 1), (0, 0), (1, 1), 1, device)


def linear(
    x: torch.Tensor,
    weights: Conv,
    out: torch.Tensor,
    rule: Sums | Fire | If,
    *,
    steps: int = 0,
    constant: bool = False,
    acc: torch.Tensor | None = None,
    v: torch.Tensor | None = None,
    active: torch.Tensor | None = None,
    cut: int = 0,
    scratch: torch.Tensor | None = None,
    tile: Tile | None = None,
) -> None:
    """Multiply x, (B, n_in), and write what `rule`, `prepared`, makes of the sums to out, (B, n_out).

    Sums of steps are (steps, B, n_out). active, cut: nothing is done where active, int32 [1], is not more than cut. All
    else is as `conv` takes it.
    """
    pixel = x.view(x.shape[0], 1, 1, x.shape[1])
    conv(pixel, weights, out, rule, steps=steps, constant=constant, acc=acc, v=v, active=active, cut=cut,
         scratch=scratch, tile=tile)  # fmt: skip
