# SPDX-License-Identifier: Apache-2.0
"""Small networks of the kinds that are pruned, and samples of three classes that they can learn."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spikerun.converters import Encoding
from spikerun.converters.examples import Examples

__all__ = ["NETWORKS", "images", "mlp", "plain", "trainings"]

SHAPE = (1, 8, 8)


class Residual(nn.Module):
    """A block around which its input is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*norm(width, width), nn.ReLU(), *norm(width, width))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.relu(x + self.body(x))
        return y


def norm(inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> list[nn.Module]:
    """Return a convolution and its batch norm."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def plain() -> nn.Sequential:
    """Return two convolutions and two linear layers."""
    body = [*norm(1, 4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))


def residual() -> nn.Sequential:
    """Return a residual block behind a convolution."""
    return nn.Sequential(*norm(1, 8), nn.ReLU(), Residual(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


def depthwise() -> nn.Sequential:
    """Return a depthwise separable convolution behind a convolution."""
    body = [*norm(1, 8), nn.ReLU(), *norm(8, 8, 3, 8), nn.ReLU(), *norm(8, 12, 1), nn.ReLU()]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 3))


def mlp() -> nn.Sequential:
    """Return three linear layers."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 20), nn.ReLU(), nn.Linear(20, 3))


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "plain": plain, "residual": residual, "depthwise": depthwise, "mlp": mlp,
}  # fmt: skip


def images(count: int = 120, seed: int = 0) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return noise with a bright row, and which third it lies in."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    samples = rng.integers(0, 60, (count, *SHAPE))
    samples[np.arange(count), 0, labels * 2 + 1] += 180
    return samples.astype(np.uint8), labels


def trainings(labelled: bool = True, count: int = 120) -> Examples:
    """Return such samples as examples."""
    samples, labels = images(count)
    return Examples({"input": samples.astype(np.int64)}, labels if labelled else None, {"input": Encoding()})
