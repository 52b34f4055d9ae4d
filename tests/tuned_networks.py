# SPDX-License-Identifier: Apache-2.0
"""Small networks of the kinds that are tuned, and a short training of them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn


class Residual(nn.Module):
    """A convolution, and two around which it is added."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1)
        )
        self.head = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        result: torch.Tensor = self.head(self.body(x) + x)
        return result


class Branches(nn.Module):
    """Two convolutions side by side, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 3, 5, padding=2)
        self.last = nn.Sequential(nn.Conv2d(7, 5, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(45, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(torch.cat([self.one(x).relu(), self.two(x).relu()], 1))
        return result


class Shared(nn.Module):
    """A convolution that is used twice, and a linear layer whose weights are another's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])
        self.a, self.b, self.last = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 3)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        for norm in self.norms:
            x = norm(self.twice(x)).relu()
        x = nn.functional.max_pool2d(x, 2).flatten(1)
        result: torch.Tensor = self.last(self.b(self.a(x).relu()).relu())
        return result


def plain() -> nn.Module:
    """Return a plain CNN with a max pool."""
    features = [nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 12), nn.ReLU(),
                         nn.Linear(12, 3))  # fmt: skip


def depthwise() -> nn.Module:
    """Return a depthwise and a pointwise convolution, and a bottleneck without an activation."""
    first = [nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()]
    pair = [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 4, 1)]
    return nn.Sequential(*first, *pair, nn.Conv2d(4, 8, 1), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(8, 3))


def mlp() -> nn.Module:
    """Return an MLP."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3))


def scaled() -> nn.Module:
    """Return a CNN whose batch norm stands behind the activation, before a convolution with padding."""
    first = [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(256, 3))


def smooth() -> nn.Module:
    """Return a CNN whose activations are tables."""
    return nn.Sequential(nn.Conv2d(1, 5, 3), nn.SiLU(), nn.Conv2d(5, 5, 3), nn.GELU(), nn.Flatten(), nn.Linear(80, 3))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": plain, "residual": Residual, "depthwise": depthwise, "mlp": mlp, "branches": Branches, "shared": Shared,
    "scaled": scaled,
}  # fmt: skip


def made(name: str) -> nn.Module:
    """Return a network with numbers as after training: nothing is left at 0 or 1."""
    torch.manual_seed(0)
    model = (NETWORKS | {"smooth": smooth})[name]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.4)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def figures() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return images (240, 1, 8, 8) of a bar across, a bar down or a square, on noise, and which it is."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    images = rng.integers(0, 90, (240, 1, 8, 8))
    for image, label in zip(images, labels, strict=True):
        row, column = rng.integers(1, 5, 2)
        height, width = ((2, 6), (6, 2), (4, 4))[label]
        image[0, row : row + height, column : column + width] += 150
    return images.astype(np.uint8), labels.astype(np.int64)
