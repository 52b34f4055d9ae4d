# SPDX-License-Identifier: Apache-2.0
"""Forty networks in the manner of other people's, by hand: what they are like, and what to write where one is refused.

Images are (N, 1, 28, 28); signals (N, 28, 28), the rows of an image as channels; tables (N, F).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from zoo.parts import BasicBlock, InvertedResidual, conv_bn, head, residual

__all__ = ["ARCHITECTURES", "Architecture"]

Make = Callable[[], nn.Module]


@dataclass(frozen=True)
class Architecture:
    """A network. task: `images`, `columns`, `signals` of classes, `pixels`, `table`, or `noise`, which has no training.

    instead: the same as the advice of its refusal has it. before: ANN %, SNN % and same class % of a trial in November
    2026, or what became of it; other weights, so only the differences count.
    """

    build: Make
    task: str = "images"
    instead: Make | None = None
    before: str = ""


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class Joined(nn.Module):
    """Branches of one input, their channels side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Added(nn.Module):
    """A body around which its input is added."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.body(x)
        return x + y


class LeNet(nn.Module):
    """LeNet-5 with functional activations and average pools."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.f1, self.f2, self.f3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool2d(F.relu(self.c1(x)), 2)
        x = F.avg_pool2d(F.relu(self.c2(x)), 2).flatten(1)
        x = F.relu(self.f2(F.relu(self.f1(x))))
        result: torch.Tensor = self.f3(x)
        return result


def vgg() -> nn.Module:
    """VGG with batch norm and max pools."""
    layers: list[nn.Module] = []
    for inputs, width in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    classifier = [nn.Linear(32 * 49, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 10)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *classifier)


def vgg_average() -> nn.Module:
    """VGG with average pools and no batch norm."""
    layers: list[nn.Module] = []
    for inputs, width in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        layers.append(nn.AvgPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10))


def preactivated() -> nn.Module:
    """A residual network with batch norm and ReLU before each convolution."""

    def block(width: int) -> nn.Module:
        norms = [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False)]
        more = [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False)]
        return Added(*norms, *more)

    down = nn.Conv2d(16, 32, 3, 2, 1)
    layers = [nn.Conv2d(1, 16, 3, padding=1), block(16), down, block(32), nn.BatchNorm2d(32), nn.ReLU()]
    return nn.Sequential(*layers, *head(32))


def resnext() -> nn.Module:
    """Residual blocks of 1x1, grouped 3x3, 1x1."""

    def block(width: int) -> list[nn.Module]:
        body = [*conv_bn(width, width, 1), nn.ReLU(), *conv_bn(width, width, 3, 1, 4), nn.ReLU()]
        return [Added(*body, *conv_bn(width, width, 1)), nn.ReLU()]

    first = [*conv_bn(1, 16), nn.ReLU(), *block(16), *conv_bn(16, 32, 3, 2), nn.ReLU(), *block(32)]
    return nn.Sequential(*first, *head(32))


def separable(kernel: tuple[int, int] | int, activation: Make) -> nn.Module:
    """Depthwise separable blocks behind one convolution: MobileNetV1, or DS-CNN."""
    padding = (kernel // 2,) * 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
    layers: list[nn.Module] = [nn.Conv2d(1, 16, kernel, 2, padding, bias=False), nn.BatchNorm2d(16), activation()]
    for inputs, width, stride in ((16, 32, 1), (32, 48, 2), (48, 48, 1), (48, 64, 1)):
        layers += [*conv_bn(inputs, inputs, 3, stride, inputs), activation(), *conv_bn(inputs, width, 1), activation()]
    return nn.Sequential(*layers, *head(64))


def mobilenetv2() -> nn.Module:
    """Inverted residuals."""
    blocks = [InvertedResidual(16, 16, 1, 2), InvertedResidual(16, 24, 2, 3), InvertedResidual(24, 24, 1, 3)]
    return nn.Sequential(*conv_bn(1, 16, 3, 2), nn.ReLU6(), *blocks, *conv_bn(24, 64, 1), nn.ReLU6(), *head(64))


def googlenet() -> nn.Module:
    """Three inception blocks."""

    def conv(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
        return [*conv_bn(inputs, outputs, kernel), nn.ReLU()]

    def inception(inputs: int) -> nn.Module:
        pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), *conv(inputs, 8, 1))
        wide = [nn.Sequential(*conv(inputs, 8, 1), *conv(8, 12, kernel)) for kernel in (3, 5)]
        return Joined(nn.Sequential(*conv(inputs, 8, 1)), *wide, pool)

    blocks = [inception(16), nn.MaxPool2d(2), inception(40), inception(40)]
    return nn.Sequential(*conv(1, 16, 3), nn.MaxPool2d(2), *blocks, *head(40))


def densenet() -> nn.Module:
    """Five layers that each see all before, with a transition."""

    def layer(inputs: int) -> nn.Module:
        return Joined(
            nn.Identity(),
            nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 8, 3, padding=1, bias=False)),
        )

    first = [nn.Conv2d(1, 16, 3, 2, 1), layer(16), layer(24), layer(32)]
    transition = [nn.BatchNorm2d(40), nn.ReLU(), nn.Conv2d(40, 24, 1), nn.AvgPool2d(2)]
    return nn.Sequential(*first, *transition, layer(24), layer(32), nn.BatchNorm2d(40), nn.ReLU(), *head(40))


def squeezenet(ceil: bool) -> nn.Module:
    """Fire modules; the classifier is a convolution with a ReLU behind it."""

    def fire(inputs: int, squeezed: int, width: int) -> nn.Module:
        ways = [nn.Sequential(nn.Conv2d(squeezed, width, k, padding=k // 2), nn.ReLU()) for k in (1, 3)]
        return nn.Sequential(nn.Conv2d(inputs, squeezed, 1), nn.ReLU(), Joined(*ways))

    layers = [nn.Conv2d(1, 24, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=ceil), fire(24, 8, 16)]
    layers += [fire(32, 8, 16), nn.Dropout(0.3), nn.Conv2d(32, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers)


def network_in_network() -> nn.Module:
    """Convolutions followed by 1x1 ones, global average of the classes."""

    def block(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
        first = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.ReLU()]
        return [*first, nn.Conv2d(outputs, outputs, 1), nn.ReLU(), nn.Conv2d(outputs, outputs, 1), nn.ReLU()]

    layers = [*block(1, 24, 5, 1), nn.MaxPool2d(3, 2, 1), *block(24, 32, 3, 1), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*layers, nn.Conv2d(32, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def global_maximum(*after: nn.Module) -> nn.Module:
    """A head of the largest value of each channel."""
    layers = [*conv_bn(1, 16), nn.ReLU(), nn.MaxPool2d(2), *conv_bn(16, 32), nn.ReLU(), nn.MaxPool2d(14), nn.Flatten()]
    return nn.Sequential(*layers, *after)


def convolved(activation: nn.Module, *before_head: nn.Module) -> nn.Module:
    """Two convolutions with this activation."""
    layers = [*conv_bn(1, 16, 3, 2), activation, *conv_bn(16, 24, 3, 2), activation]
    return nn.Sequential(*layers, *before_head, *head(24))


def normalised(norm: Make, other: Make) -> nn.Module:
    """Two convolutions with norms of another kind."""
    layers = [nn.Conv2d(1, 16, 3, 2, 1), norm(), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), other(), nn.ReLU()]
    return nn.Sequential(*layers, *head(24))


def batch_normalised() -> nn.Module:
    """What the advice for other norms comes to."""
    return normalised(lambda: nn.BatchNorm2d(16), lambda: nn.BatchNorm2d(24))


def signals(conv: type[nn.Module], kernel: int | tuple[int, int]) -> nn.Module:
    """A network of signals, as Conv1d or as Conv2d of height 1."""
    one = isinstance(kernel, int)
    padding = kernel // 2 if isinstance(kernel, int) else (0, kernel[1] // 2)
    norm, pool = (nn.BatchNorm1d, nn.AvgPool1d(7)) if one else (nn.BatchNorm2d, nn.AvgPool2d((1, 7)))
    stride = 2 if one else (1, 2)
    layers = [conv(28, 32, kernel, stride, padding), norm(32), nn.ReLU()]  # type: ignore[call-arg]
    layers += [conv(32, 32, kernel, stride, padding), norm(32), nn.ReLU()]  # type: ignore[call-arg]
    return nn.Sequential(*layers, pool, nn.Flatten(), nn.Linear(32, 10))


class Shuffled(nn.Module):
    """ShuffleNet's unit: grouped convolutions with a shuffle of channels between them."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.first = nn.Sequential(*conv_bn(32, 32, 1, 1, groups), nn.ReLU())
        self.second = nn.Sequential(*conv_bn(32, 32, 3, 1, 32), *conv_bn(32, 32, 1, 1, groups))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        count, channels, height, width = y.shape
        y = y.view(count, self.groups, channels // self.groups, height, width).transpose(1, 2)
        return torch.relu(x + self.second(y.reshape(count, channels, height, width)))


class Halved(nn.Module):
    """ShuffleNetV2's unit: half of the channels pass by, and are shuffled with the others."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv_bn(16, 16, 1), nn.ReLU(), *conv_bn(16, 16, 3, 1, 16), *conv_bn(16, 16, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, changed = x.chunk(2, dim=1)
        both = torch.stack((kept, torch.relu(self.body(changed))), 2)
        return both.flatten(1, 2)


def small(*blocks: nn.Module) -> nn.Module:
    """Blocks of 32 channels at quarter size."""
    return nn.Sequential(*conv_bn(1, 32, 3, 2), nn.ReLU(), nn.MaxPool2d(2), *blocks, *head(32))


class UNet(nn.Module):
    """One level down and up again, with a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(*conv_bn(1, 8), nn.ReLU())
        self.middle = nn.Sequential(nn.MaxPool2d(2), *conv_bn(8, 16), nn.ReLU())
        self.up = nn.Sequential(*conv_bn(24, 8), nn.ReLU(), nn.Conv2d(8, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down(x)
        result: torch.Tensor = self.up(torch.cat([x, F.interpolate(self.middle(x), scale_factor=2)], 1))
        return result


def encoder() -> list[nn.Module]:
    """Two convolutions down to 7x7."""
    return [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU()]


def autoencoder() -> nn.Module:
    """Up again by transposed convolutions."""
    up = [nn.ConvTranspose2d(24, 16, 2, 2), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1)]
    return nn.Sequential(*encoder(), *up)


class Excited(nn.Module):
    """Squeeze-and-excite."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(*conv_bn(32, 32), nn.ReLU())
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 8, 1), nn.ReLU(), nn.Conv2d(8, 32, 1), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        result: torch.Tensor = x * self.gate(x)
        return result


class Recurrent(nn.Module):
    """An LSTM over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(28, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.out(self.lstm(x[:, 0])[0][:, -1])
        return result


class Transformer(nn.Module):
    """One block of a vision transformer on patches of 7x7."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 32, 7, 7)
        self.block = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True)
        self.out = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block(self.patches(x).flatten(2).transpose(1, 2))
        result: torch.Tensor = self.out(x.mean(1))
        return result


def deep() -> nn.Module:
    """Thirty layers."""
    layers: list[nn.Module] = []
    for _ in range(29):
        layers += [nn.Linear(64, 64), nn.ReLU()]
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(*layers, nn.Linear(64, 10))


def activation(make: Make, before: str = "refused") -> Architecture:
    """Return a small network of one activation."""
    return Architecture(lambda: convolved(make()), before=before)


def ended(end: nn.Module) -> Architecture:
    """Return a small network with something behind its logits."""
    return Architecture(lambda: nn.Sequential(convolved(nn.ReLU()), end), before="refused")


def on_norm(norm: Callable[[int, int], nn.Module]) -> Architecture:
    """Return a network of a norm that statistics of the running sample make; (channels, size) -> its module."""
    build = lambda: normalised(lambda: norm(16, 14), lambda: norm(24, 7))  # noqa: E731
    return Architecture(build, instead=batch_normalised, before="refused")


ARCHITECTURES: dict[str, Architecture] = {
    "LeNet-5, functional": Architecture(LeNet, before="73.20, 72.90, 99.1"),
    "VGG, batch norm, max pools": Architecture(vgg, before="79.10, 79.00, 98.5"),
    "VGG, average pools": Architecture(vgg_average, before="74.00, 73.40, 96.8"),
    "ResNet-8": Architecture(lambda: residual(1, (16, 32, 64), nn.ReLU), before="73.10, 73.20, 98.8"),
    "ResNet-20": Architecture(lambda: residual(3, (16, 32, 64), nn.ReLU), before="64.00, 61.40, 95.3"),
    "ResNet, pre-activation": Architecture(preactivated, before="57.40, 57.60, 99.4"),
    "ResNeXt": Architecture(resnext, before="68.60, 68.20, 99.0"),
    "MobileNetV1": Architecture(lambda: separable(3, nn.ReLU6), before="70.90, 71.00, 96.0"),
    "MobileNetV2": Architecture(mobilenetv2, before="66.00, 65.70, 96.7"),
    "DS-CNN, first kernel 10x4": Architecture(lambda: separable((10, 4), nn.ReLU), before="67.50, 67.20, 98.1"),
    "GoogLeNet": Architecture(googlenet, before="73.80, 73.00, 97.8"),
    "DenseNet": Architecture(densenet, before="63.20, 63.40, 99.2"),
    "SqueezeNet": Architecture(lambda: squeezenet(False), before="52.35, 53.70, 88.8"),
    "SqueezeNet, ceil_mode": Architecture(lambda: squeezenet(True), before="refused"),
    "Network in network": Architecture(network_in_network, before="40.00, 40.00, 97.6"),
    "global max pool, Linear": Architecture(lambda: global_maximum(nn.Linear(32, 10)), before="81.50, 81.25, 98.5"),
    "global max pool, BatchNorm1d, ReLU": Architecture(
        lambda: global_maximum(nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10)), before="wrongly refused"
    ),
    "MLP, regression": Architecture(
        lambda: nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1)), "table", before="R2 .459, .443"
    ),
    "CNN of signals as Conv2d (1, k)": Architecture(lambda: signals(nn.Conv2d, (1, 5)), "columns", before="corr 0.991"),
    "CNN of signals, Conv1d": Architecture(lambda: signals(nn.Conv1d, 5), "signals", before="refused"),
    "segmentation": Architecture(
        lambda: nn.Sequential(*conv_bn(1, 16), nn.ReLU(), BasicBlock(16, 16, 1, nn.ReLU), nn.Conv2d(16, 1, 1)),
        "pixels", before="corr 0.994",
    ),
    "MLP of 30 layers, random weights": Architecture(deep, "noise", before="corr 0.535"),
    "ShuffleNet": Architecture(lambda: small(Shuffled(4), Shuffled(4)), before="refused"),
    "ShuffleNet, nn.ChannelShuffle": Architecture(
        lambda: small(*conv_bn(32, 32, 1, 1, 4), nn.ReLU(), nn.ChannelShuffle(4), *conv_bn(32, 32, 1, 1, 4), nn.ReLU()),
        before="refused",
    ),
    "ShuffleNetV2": Architecture(lambda: small(Halved(), Halved()), before="refused"),
    "autoencoder, ConvTranspose": Architecture(autoencoder, "pixels", before="refused"),
    "U-Net, interpolate": Architecture(UNet, "pixels", before="refused"),
    "PixelShuffle": Architecture(
        lambda: nn.Sequential(*encoder(), nn.Conv2d(24, 16, 3, padding=1), nn.PixelShuffle(4)), "pixels",
        before="refused",
    ),
    "squeeze-and-excite": Architecture(
        lambda: small(Excited()), instead=lambda: small(*conv_bn(32, 32), nn.ReLU()), before="refused"
    ),
    "LSTM": Architecture(
        Recurrent, before="refused",
        instead=lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)),
    ),
    "transformer": Architecture(Transformer, instead=lambda: small(*conv_bn(32, 32), nn.ReLU()), before="refused"),
    "GroupNorm": on_norm(lambda channels, size: nn.GroupNorm(4, channels)),
    "InstanceNorm": on_norm(lambda channels, size: nn.InstanceNorm2d(channels)),
    "LayerNorm": on_norm(lambda channels, size: nn.LayerNorm([channels, size, size])),
    "BatchNorm without statistics": on_norm(lambda channels, size: nn.BatchNorm2d(channels, track_running_stats=False)),
    "LeakyReLU": activation(nn.LeakyReLU),
    "PReLU": activation(nn.PReLU),
    "ELU": activation(nn.ELU),
    "RReLU": activation(nn.RReLU),
    "GELU": activation(nn.GELU),
    "SiLU": activation(nn.SiLU),
    "Hardswish": activation(nn.Hardswish),
    "Hardsigmoid": activation(nn.Hardsigmoid),
    "tanh": activation(nn.Tanh),
    "sigmoid": activation(nn.Sigmoid),
    "Hardtanh(-1, 1)": activation(nn.Hardtanh),
    "Mish": activation(nn.Mish),
    "Softplus": activation(nn.Softplus),
    "Threshold": activation(lambda: nn.Threshold(0.1, 0.0)),
    "softmax at the end": ended(nn.Softmax(1)),
    "log_softmax at the end": ended(nn.LogSoftmax(1)),
    "sigmoid at the end": ended(nn.Sigmoid()),
    "(x - mean) / std in forward": Architecture(
        lambda: nn.Sequential(Function(lambda x: (x - 0.286) / 0.353), convolved(nn.ReLU())), before="refused"
    ),
    "functional dropout that is always on": Architecture(
        lambda: nn.Sequential(Function(lambda x: F.dropout(x, 0.1)), convolved(nn.ReLU())),
        instead=lambda: nn.Sequential(nn.Dropout(0.1), convolved(nn.ReLU())), before="refused",
    ),
    "ZeroPad2d, unlike at both ends": Architecture(
        lambda: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 16, 3, 2), nn.ReLU(), *head(16)),
        before="refused",
    ),
    "padding by reflection": Architecture(
        lambda: nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, padding_mode="reflect"), nn.ReLU(), *head(16)),
        instead=lambda: nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), *head(16)), before="refused",
    ),
}  # fmt: skip
