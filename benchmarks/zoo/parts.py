# SPDX-License-Identifier: Apache-2.0
"""Networks of the kinds that people train, for images (N, 1, 28, 28) and spectrograms (N, 1, 50, 32); 10 classes."""

from collections.abc import Callable

import torch
from torch import nn

__all__ = ["BasicBlock", "InvertedResidual", "conv_bn", "head", "keywords", "mobile", "plain", "residual"]

Make = Callable[[], nn.Module]


def conv_bn(
    inputs: int, outputs: int, kernel: int | tuple[int, int] = 3, stride: int | tuple[int, int] = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution that keeps the size but for its stride, and its batch norm."""
    padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class BasicBlock(nn.Module):
    """Two convolutions around which the input is added, by a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Make) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv_bn(inputs, outputs, 3, stride), activation(), *conv_bn(outputs, outputs))
        alike = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if alike else nn.Sequential(*conv_bn(inputs, outputs, 1, stride))
        self.activation = activation()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.activation(self.body(x) + self.shortcut(x))
        return result


class InvertedResidual(nn.Module):
    """Expand, depthwise, project to a bottleneck without activation; its input is added where the shape allows."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        first = [*conv_bn(inputs, wide, 1), nn.ReLU6()] if expand > 1 else []
        depthwise = [*conv_bn(wide, wide, 3, stride, wide), nn.ReLU6()]
        self.body = nn.Sequential(*first, *depthwise, *conv_bn(wide, outputs, 1))
        self.added = inputs == outputs and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.body(x)
        return x + y if self.added else y


def head(channels: int) -> list[nn.Module]:
    """Return the mean over the image and the classifier."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def residual(blocks: int, widths: tuple[int, ...], activation: Make) -> nn.Sequential:
    """Return a residual network: `blocks` of each width, every stage but the first at half the size."""
    layers: list[nn.Module] = [*conv_bn(1, widths[0]), activation()]
    inputs = widths[0]
    for stage, width in enumerate(widths):
        for k in range(blocks):
            layers.append(BasicBlock(inputs, width, 2 if k == 0 and stage > 0 else 1, activation))
            inputs = width
    return nn.Sequential(*layers, *head(inputs))


def mobile() -> nn.Sequential:
    """Return a MobileNetV2 of small images: 10 inverted residuals, ReLU6, signed bottlenecks."""
    layers: list[nn.Module] = [*conv_bn(1, 16), nn.ReLU6()]
    inputs = 16
    for expand, width, count, stride in ((1, 16, 1, 1), (4, 24, 2, 2), (4, 32, 3, 2), (4, 48, 2, 1), (4, 64, 2, 1)):
        for k in range(count):
            layers.append(InvertedResidual(inputs, width, stride if k == 0 else 1, expand))
            inputs = width
    return nn.Sequential(*layers, *conv_bn(inputs, 192, 1), nn.ReLU6(), *head(192))


def plain(activation: Make) -> nn.Sequential:
    """Return four convolutions with batch norm, at full, half and quarter size."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((1, 24, 1), (24, 32, 2), (32, 48, 1), (48, 64, 2)):
        layers += [*conv_bn(inputs, outputs, 3, stride), activation()]
    return nn.Sequential(*layers, nn.AvgPool2d(7), nn.Flatten(), nn.Linear(64, 10))


def keywords() -> nn.Sequential:
    """Return a DS-CNN of spectrograms: a convolution of 10x4, four depthwise separable blocks of 64 channels."""
    layers: list[nn.Module] = [nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for _ in range(4):
        layers += [*conv_bn(64, 64, 3, 1, 64), nn.ReLU(), *conv_bn(64, 64, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10))
