# SPDX-License-Identifier: Apache-2.0
"""Networks like VGG of random weights whose activity is chosen: 64-64-p-128-128-p-256-256-p-10 on 32x32, 153 MMAC.

What counts is the activity of what a layer reads: behind a max pool that of the pooled words. Thresholds and biases of
each channel are chosen on random images, so that this share of the words is not 0 and the largest of a thousand is 12;
of the network in steps thresholds, by bisection, so that there are spikes in this share of steps. VGG-11 is one such,
64-p-128-p-256-256-p-512-512-p-512-512-p-10, in which the activity is that of what a layer sends.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from turns import Array

from spikerun import IF, Conv, Dense, FewSpikes, Input, Network, Population, Projection, Readout, Window
from spikerun.neurons import MaxPool, Neuron

__all__ = ["CLASSES", "MACS", "VGG7", "VGG11", "Shape", "ann", "images", "stepped", "words"]


@dataclass(frozen=True)
class Shape:
    """The channels of the convolutions, and which of these, by number, are before a pool."""

    widths: tuple[int, ...]
    pooled: tuple[int, ...]


VGG7 = Shape((64, 64, 128, 128, 256, 256), (1, 3, 5))
VGG11 = Shape((64, 128, 256, 256, 512, 512, 512, 512), (0, 1, 3, 5, 7))
SIDE, CLASSES = 32, 10
MACS = 152_835_072
BITS, STEPS = 5, 4
LARGE = 12  # what the largest of a thousand words is
CALIBRATED = 40  # random images
BISECTIONS = 14

Fitted = Callable[[torch.Tensor, bool], tuple[Neuron, torch.Tensor]]


def images(count: int, seed: int = 1) -> Array:
    """Return random images of 8 bits (N, 3, 32, 32)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, SIDE, SIDE)).astype(np.uint8)


def ann() -> nn.Module:
    """Return the float network of these shapes, of random weights."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 3
    for k, width in enumerate(VGG7.widths):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), *([nn.MaxPool2d(2)] if k in VGG7.pooled else [])]
        before = width
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * 16, CLASSES))
    for layer in model:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return model.eval()


def words(active: float) -> Network:
    """Return the network of few-spikes words of 5 bits."""

    def fitted(sums: torch.Tensor, pooled: bool) -> tuple[Neuron, torch.Tensor]:
        read = F.max_pool2d(sums, 2) if pooled else sums
        channels = read.transpose(0, 1).flatten(1).numpy()
        cut, large = np.quantile(channels, (1 - active, 0.999), axis=1)
        threshold = np.maximum(np.rint((large - cut) / LARGE), 1).astype(np.int64)
        bias = threshold - np.ceil(cut).astype(np.int64)
        shaped = (torch.from_numpy(one.astype(np.float32))[None, :, None, None] for one in (threshold, bias))
        th, b = shaped
        q = torch.clamp(torch.floor((sums + b) / th), 0, 2**BITS - 1)
        return FewSpikes(BITS, threshold, bias), q

    return _network(fitted, Input(8), torch.from_numpy(images(CALIBRATED, seed=0)).float(), 8, VGG7)


def stepped(active: float, shape: Shape = VGG7, steps: int = STEPS, sent: bool = False) -> Network:
    """Return the network of integrate-and-fire neurons, pixels as a current of each step.

    sent: the activity is that of what layers send, not of what they read.
    """

    def fitted(sums: torch.Tensor, pooled: bool) -> tuple[Neuron, torch.Tensor]:
        currents = sums.reshape(steps, -1, *sums.shape[1:])
        low = torch.ones(sums.shape[1])
        high = torch.clamp(currents.cumsum(0).amax((0, 1, 3, 4)), min=2.0)
        for _ in range(BISECTIONS):
            middle = torch.floor((low + high) / 2)
            spikes = _fire(currents, middle)
            read = F.max_pool2d(spikes, 2) if pooled and not sent else spikes
            often = read.mean((0, 2, 3)) > active
            low, high = torch.where(often, middle, low), torch.where(often, high, middle)
        threshold = torch.clamp(high, min=1.0)
        return IF(threshold.numpy().astype(np.int64)), _fire(currents, threshold)

    first = torch.from_numpy(images(CALIBRATED // 4, seed=0)).float()
    return _network(fitted, Input(8, "current"), first.repeat(steps, 1, 1, 1), steps, shape)


def _fire(currents: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Return the spikes (steps * N, C, H, W) of currents (steps, N, C, H, W)."""
    v, th = torch.zeros_like(currents[0]), threshold[None, :, None, None]
    found = []
    for i in currents:
        v = v + i
        found.append((v >= th).float())
        v = v - th * found[-1]
    return torch.cat(found)


def _network(fitted: Fitted, pixels: Input, x: torch.Tensor, window: int, shape: Shape) -> Network:
    """Return the network, fitted layer by layer to what the layers before it send for some inputs."""
    rng = np.random.default_rng(7)
    populations = {"pixels": Population((3, SIDE, SIDE), pixels)}
    projections = []
    source = "pixels"
    for k, width in enumerate(shape.widths):
        weight = np.clip(np.rint(rng.normal(0, 30, (width, x.shape[1], 3, 3))), -127, 127).astype(np.int8)
        neuron, x = fitted(F.conv2d(x, torch.from_numpy(weight).float(), padding=1), k in shape.pooled)
        name = f"conv{k}"
        populations[name] = Population(tuple(x.shape[1:]), neuron)
        projections.append(Projection(source, name, Conv(weight, padding=1)))
        source = name
        if k in shape.pooled:
            x = F.max_pool2d(x, 2)
            source = f"pool{k}"
            populations[source] = Population(tuple(x.shape[1:]), MaxPool())
            projections.append(Projection(name, source, Window(2, 2)))
    dense = np.clip(np.rint(rng.normal(0, 30, (x[0].numel(), CLASSES))), -127, 127).astype(np.int8)
    populations["classes"] = Population((CLASSES,), Readout())
    projections.append(Projection(source, "classes", Dense(dense)))
    return Network(populations, projections, ["classes"], window)
