# SPDX-License-Identifier: Apache-2.0
"""Networks that were tuned for silence with `spikerun tune`: how each is built; its weights are tuned_NAME.safetensors.

spikerun convert examples/tuned.py:cnn --weights examples/tuned_cnn.safetensors --calibration fashion-mnist -o cnn.snn

cnn, resnet8 and depthwise know Fashion-MNIST, keywords spoken digits (fsdd). benchmarks/sparsity/tuning.py tunes them.
"""

import torch
from torch import nn


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps the size but for its stride, and its batch norm."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def head(channels: int) -> list[nn.Module]:
    """Return the mean over the image and the classifier."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def separable() -> list[nn.Module]:
    """Return four pairs of a depthwise and a pointwise convolution, of 64 channels."""
    layers: list[nn.Module] = []
    for _ in range(4):
        layers += [*conv_bn(64, 64, groups=64), nn.ReLU(), *conv_bn(64, 64, 1), nn.ReLU()]
    return layers


class Block(nn.Module):
    """Two convolutions around which the input is added, by a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv_bn(inputs, outputs, 3, stride), nn.ReLU(), *conv_bn(outputs, outputs))
        alike = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if alike else nn.Sequential(*conv_bn(inputs, outputs, 1, stride))
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.activation(self.body(x) + self.shortcut(x))
        return result


def cnn() -> nn.Sequential:
    """Return the network of fashion_mnist.py: 3.0 million MACs, images (1, 28, 28)."""
    one, two, three = ([*conv_bn(i, o), nn.ReLU()] for i, o in ((1, 16), (16, 32), (32, 32)))
    dense = [nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10)]
    return nn.Sequential(*one, nn.MaxPool2d(2), *two, *three, nn.MaxPool2d(2), *dense)


def resnet8() -> nn.Sequential:
    """Return a residual net of 16, 32 and 64 channels: 9.3 million MACs, images (1, 28, 28)."""
    blocks = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)]
    return nn.Sequential(*conv_bn(1, 16), nn.ReLU(), *blocks, *head(64))


def depthwise() -> nn.Sequential:
    """Return a net of the shape of MLPerf Tiny's keywords: 3.8 million MACs, images (1, 28, 28)."""
    return nn.Sequential(*conv_bn(1, 64, 3, 2), nn.ReLU(), *separable(), *head(64))


def keywords() -> nn.Sequential:
    """Return that net for ten spoken digits: spectrograms (1, 50, 32)."""
    first = nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False)
    return nn.Sequential(first, nn.BatchNorm2d(64), nn.ReLU(), *separable(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Dropout(0.2), nn.Linear(64, 10))  # fmt: skip
