# SPDX-License-Identifier: Apache-2.0
"""Shapes of the layers of networks that are counted: what a dense layer costs does not depend on its weights.

Also what `cmsis_nn.py` has counted of them, as results.csv has it.
"""

import csv
from dataclasses import dataclass

from record import RESULTS

__all__ = ["NETWORKS", "Layer", "dense"]

Shape = tuple[int, int, int]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Layer:
    """A layer from an image (C, H, W) to another; kind: conv, depthwise, linear, mean or add.

    padding: before the first row and column; what lies behind the last follows from the shapes.
    """

    name: str
    kind: str
    source: Shape
    target: Shape
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)


def same(name: str, kind: str, source: Shape, channels: int, kernel: Pair = (3, 3), stride: int = 1) -> Layer:
    """Return a convolution with TensorFlow's padding "same"."""
    _, height, width = source
    h, w = (-(-n // stride) for n in (height, width))
    before = [max(0, (to - 1) * stride + k - n) // 2 for to, k, n in zip((h, w), kernel, (height, width), strict=True)]
    return Layer(name, kind, source, (channels, h, w), kernel, (stride, stride), (before[0], before[1]))


def linear(name: str, inputs: int, outputs: int) -> Layer:
    """Return a linear layer."""
    return Layer(name, "linear", (inputs, 1, 1), (outputs, 1, 1))


def head(source: Shape, classes: int) -> list[Layer]:
    """Return the mean over the image and the classifier."""
    channels, *kernel = source
    return [Layer("mean", "mean", source, (channels, 1, 1), (kernel[0], kernel[1])), linear("fc", channels, classes)]


def keywords() -> list[Layer]:
    """Return the DS-CNN of MLPerf Tiny's keywords."""
    layers = [same("conv0", "conv", (1, 49, 10), 64, (10, 4), 2)]
    for k in range(4):
        layers.append(same(f"depthwise{k}", "depthwise", (64, 25, 5), 64))
        layers.append(same(f"pointwise{k}", "conv", (64, 25, 5), 64, (1, 1)))
    return [*layers, *head((64, 25, 5), 12)]


def wake_words() -> list[Layer]:
    """Return the MobileNetV1 0.25 of MLPerf Tiny's visual wake words."""
    layers = [same("conv0", "conv", (3, 96, 96), 8, (3, 3), 2)]
    outputs = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    for k, (channels, stride) in enumerate(zip(outputs, strides, strict=True)):
        before = layers[-1].target
        layers.append(same(f"depthwise{k}", "depthwise", before, before[0], (3, 3), stride))
        layers.append(same(f"pointwise{k}", "conv", layers[-1].target, channels, (1, 1)))
    return [*layers, *head(layers[-1].target, 2)]


def images() -> list[Layer]:
    """Return the ResNet-8 of MLPerf Tiny's images."""
    layers = [same("conv0", "conv", (3, 32, 32), 16)]
    for k, (channels, stride) in enumerate(((16, 1), (32, 2), (64, 2))):
        before = layers[-1].target
        layers.append(same(f"block{k}a", "conv", before, channels, (3, 3), stride))
        layers.append(same(f"block{k}b", "conv", layers[-1].target, channels))
        if stride == 2:
            layers.append(same(f"shortcut{k}", "conv", before, channels, (1, 1), 2))
        layers.append(Layer(f"add{k}", "add", layers[-1].target, layers[-1].target))
    return [*layers, *head(layers[-1].target, 10)]


def unpadded(name: str, source: Shape, channels: int) -> Layer:
    """Return a 3x3 convolution without padding."""
    return Layer(name, "conv", source, (channels, source[1] - 2, source[2] - 2), (3, 3))


NETWORKS: dict[str, list[Layer]] = {
    "784x128": [linear("fc", 784, 128)],
    "mlp": [linear("fc0", 784, 128), linear("fc1", 128, 10)],
    "cnn": [
        unpadded("conv0", (1, 28, 28), 8),
        unpadded("conv1", (8, 26, 26), 16),
        linear("fc", 16 * 24 * 24, 10),
    ],
    "depthwise 3x3, 64 channels, 25x5": [same("depthwise", "depthwise", (64, 25, 5), 64)],
    "keywords": keywords(),
    "wake words": wake_words(),
    "images": images(),
}


def dense() -> dict[str, float]:
    """Return what CMSIS-NN takes, by "core: network, layer" and "core: network"; the newest of each."""
    with RESULTS.open(newline="") as file:
        return {
            row["metric"]: float(row["value"]) for row in csv.DictReader(file) if row["benchmark"] == "mcu_cmsis_nn"
        }
