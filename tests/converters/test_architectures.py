# SPDX-License-Identifier: Apache-2.0
"""Small networks in the manner of well-known ones: each converts, its words are exact, its results near the ANN's."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from operators import Functional
from torch import nn


def unit(inputs: int, outputs: int, kernel: int = 3, **options: Any) -> nn.Sequential:
    """Return a convolution, batch norm and rectifier."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def ecg() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((2, 6), (6, 8)):
        layers += [nn.Conv1d(inputs, outputs, 5, padding=2), nn.BatchNorm1d(outputs), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 4))


def shuffled(x: torch.Tensor, groups: int) -> torch.Tensor:
    count, channels, height, width = x.shape
    return x.view(count, groups, channels // groups, height, width).transpose(1, 2).reshape(count, -1, height, width)


class ShuffleUnit(nn.Module):
    """Of ShuffleNet v1: grouped convolutions, between which channels are shuffled, and a residual."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.first = unit(channels, channels, 1, groups=groups)
        self.depthwise = nn.Sequential(*list(unit(channels, channels, groups=channels))[:2])
        self.last = nn.Sequential(*list(unit(channels, channels, 1, groups=groups))[:2])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.last(self.depthwise(shuffled(self.first(x), self.groups))))


class SplitUnit(nn.Module):
    """Of ShuffleNet v2: half of the channels pass, the others are computed with, and all are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        depthwise = nn.Sequential(*list(unit(half, half, groups=half))[:2])
        self.branch = nn.Sequential(unit(half, half, 1), depthwise, unit(half, half, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        passed, computed = x.chunk(2, dim=1)
        return shuffled(torch.cat([passed, self.branch(computed)], dim=1), 2)


def headed(*layers: nn.Module, channels: int) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))


def fire(inputs: int, squeezed: int, outputs: int) -> nn.Module:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.squeeze(x))
        return torch.cat([F.relu(m.left(x)), F.relu(m.right(x))], 1)

    return Functional(
        forward,
        squeeze=nn.Conv2d(inputs, squeezed, 1),
        left=nn.Conv2d(squeezed, outputs, 1),
        right=nn.Conv2d(squeezed, outputs, 3, padding=1),
    )


def squeezenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), fire(6, 3, 4), fire(8, 3, 4),
        nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 3, 2, 1, 1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.ConvTranspose2d(6, 2, 2, 2), nn.Sigmoid(),
    )  # fmt: skip


def unet() -> nn.Module:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        first = m.a(x)
        second = m.b(F.max_pool2d(first, 2))
        third = m.c(F.max_pool2d(second, 2))
        x = m.d(torch.cat([F.interpolate(third, size=second.shape[2:]), second], 1))
        x = m.e(torch.cat([F.interpolate(x, size=first.shape[2:]), first], 1))
        return m.head(x)  # type: ignore[no-any-return]

    return Functional(
        forward, a=unit(2, 4), b=unit(4, 6), c=unit(6, 8), d=unit(14, 6), e=unit(10, 4), head=nn.Conv2d(4, 3, 1)
    )


def super_resolution() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.PixelShuffle(2))


def padded_resnet() -> nn.Module:
    """Return a residual network whose skips have no weights: strided, with channels of zeros (option A)."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.a(x)
        skip = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return m.head(F.relu(m.c(m.b(x)) + skip).mean((2, 3)))  # type: ignore[no-any-return]

    without = nn.Sequential(*list(unit(8, 8))[:2])
    return Functional(forward, a=unit(2, 4), b=unit(4, 8, stride=2), c=without, head=nn.Linear(8, 4))


def normalised() -> nn.Module:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(m.net((x - 0.45) / 0.22), dim=1)

    return Functional(forward, net=headed(unit(2, 6), nn.MaxPool2d(2), unit(6, 8), channels=8))


def keras_like() -> nn.Module:
    """Return a network of 'same' padding with strides, written out, and channels last before the classifier."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.b(F.pad(m.a(F.pad(x, (0, 1, 0, 1))), (0, 1, 0, 1)))
        return m.head(x.permute(0, 2, 3, 1).flatten(1))  # type: ignore[no-any-return]

    def strided(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2), nn.BatchNorm2d(outputs), nn.ReLU6())

    return Functional(forward, a=strided(2, 4), b=strided(4, 6), head=nn.Linear(54, 4))


def mixer() -> nn.Module:
    """Return a network of Linear layers along either axis of patches."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.patches(x)).flatten(2).transpose(1, 2)
        x = F.relu(x + m.tokens(x.transpose(1, 2)).transpose(1, 2))
        x = F.relu(x + m.channels(x))
        return m.head(x.mean(1))  # type: ignore[no-any-return]

    layers = {"patches": nn.Conv2d(2, 6, 3, 3), "tokens": nn.Linear(16, 16), "channels": nn.Linear(6, 6)}
    return Functional(forward, **layers, head=nn.Linear(6, 4))


ARCHITECTURES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "ECG, Conv1d": (ecg, (2, 32)),
    "ShuffleNet v1": (lambda: headed(unit(2, 6), ShuffleUnit(6, 3), ShuffleUnit(6, 3), channels=6), (2, 8, 8)),
    "ShuffleNet v2": (lambda: headed(unit(2, 8), *(SplitUnit(8) for _ in range(3)), channels=8), (2, 8, 8)),
    "SqueezeNet, ceil mode": (squeezenet, (2, 14, 14)),
    "autoencoder": (autoencoder, (2, 12, 12)),
    "U-Net": (unet, (2, 10, 10)),
    "super-resolution": (super_resolution, (2, 6, 6)),
    "ResNet, option A": (padded_resnet, (2, 8, 8)),
    "normalised in forward": (normalised, (2, 8, 8)),
    "in the manner of Keras": (keras_like, (2, 12, 12)),
    "MLP-mixer": (mixer, (2, 12, 12)),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_converts(name: str, check: Any) -> None:
    make, shape = ARCHITECTURES[name]
    torch.manual_seed(0)
    ends_in_probabilities = name in ("autoencoder", "normalised in forward")
    check(make(), *shape, near=None if ends_in_probabilities else 0.1)
