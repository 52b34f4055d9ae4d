# SPDX-License-Identifier: Apache-2.0
"""Small models, one an operator or a form of it, as people write them; every importer is held against these."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["OPERATORS", "Functional", "Model"]

Shape = tuple[int, ...]


class Functional(nn.Module):
    """A model whose forward is a function given to it."""

    def __init__(self, function: Any, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)  # type: ignore[no-any-return]


class Model:
    """A maker of a model, and the shape of the samples that it takes."""

    def __init__(self, make: Callable[[], nn.Module], *shape: int) -> None:
        self.make, self.shape = make, shape

    def build(self) -> nn.Module:
        """Return a model whose lazy layers know their shapes."""
        model = self.make()
        with torch.no_grad():
            model(torch.zeros(2, *self.shape))
        return model.eval()


IMAGE, SIGNAL, VECTOR = (2, 6, 6), (3, 12), (12,)


def between(layer: Callable[[], nn.Module], channels: int = 4) -> Model:
    """Return a model with a layer between two convolutions of images."""

    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(2, channels, 3, padding=1), nn.ReLU(), layer(), nn.LazyConv2d(3, 2), nn.ReLU(), nn.Flatten(),
            nn.LazyLinear(4),
        )  # fmt: skip

    return Model(make, *IMAGE)


def along(*layers: Callable[[], nn.Module]) -> Model:
    """Return a model of layers of signals, between two convolutions of them."""

    def make() -> nn.Module:
        inner = [layer() for layer in layers]
        return nn.Sequential(
            nn.Conv1d(3, 4, 3, padding=1), nn.ReLU(), *inner, nn.LazyConv1d(2, 2), nn.ReLU(), nn.Flatten(),
            nn.LazyLinear(4),
        )  # fmt: skip

    return Model(make, *SIGNAL)


def after(function: Callable[[Any, torch.Tensor], torch.Tensor], shape: Shape = IMAGE) -> Model:
    """Return a model that calls a function of (constants, activations) between layers."""

    def make() -> nn.Module:
        first: nn.Module = nn.Conv2d(2, 4, 3, padding=1) if len(shape) == 3 else nn.Linear(12, 12)
        model = Functional(
            lambda m, x: m.last(function(m, F.relu(m.first(x))).flatten(1)), first=first, last=nn.LazyLinear(4)
        )
        model.register_parameter("p", nn.Parameter(torch.randn(4, 1, 1)))
        model.register_parameter("q", nn.Parameter(torch.randn(4, 6, 6)))
        model.register_parameter("w", nn.Parameter(torch.randn(6, 5)))
        return model

    return Model(make, *shape)


def whole(function: Callable[[torch.Tensor], torch.Tensor]) -> Model:
    """Return a model that calls a function between two convolutions of images."""
    return between(lambda: Functional(lambda m, x: function(x)))


def normalised(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = (x - torch.tensor([0.4, 0.5])[:, None, None]) / torch.tensor([[[0.2]], [[0.3]]])
    return m.b(F.relu(m.a(x)).flatten(1))  # type: ignore[no-any-return]


def unsqueezed(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m.b(F.relu(m.a(x.unsqueeze(1))).flatten(1))  # type: ignore[no-any-return]


OPERATORS: dict[str, Model] = {
    "conv transpose": between(lambda: nn.ConvTranspose2d(4, 4, 2, stride=2)),
    "conv transpose, output padding": between(lambda: nn.ConvTranspose2d(4, 3, 3, 2, 1, 1)),
    "conv transpose, groups": between(lambda: nn.ConvTranspose2d(4, 6, 3, (2, 1), 1, groups=2, dilation=2)),
    "conv transpose, stride 1": between(lambda: nn.ConvTranspose2d(4, 3, 3, padding=1)),
    "conv transpose, batch norm, relu": between(
        lambda: nn.Sequential(nn.ConvTranspose2d(4, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
    ),
    "conv transpose last": Model(
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 2, 2, 2)), *IMAGE
    ),
    "upsample": between(lambda: nn.Upsample(scale_factor=2)),
    "interpolate to a size": whole(lambda x: F.interpolate(x, size=(7, 9))),
    "interpolate, nearest-exact": whole(lambda x: F.interpolate(x, size=(7, 9), mode="nearest-exact")),
    "upsample, then add": after(lambda m, x: F.relu(F.interpolate(F.max_pool2d(x, 2), scale_factor=2) - 0.3) + x),
    "pixel shuffle": between(lambda: nn.PixelShuffle(2)),
    "pixel unshuffle": between(lambda: nn.PixelUnshuffle(2)),
    "channel shuffle": between(lambda: nn.ChannelShuffle(2)),
    "channel shuffle by view": whole(lambda x: x.view(len(x), 2, 2, 6, 6).transpose(1, 2).reshape(len(x), 4, 6, 6)),
    "channel shuffle into groups": between(
        lambda: nn.Sequential(nn.ChannelShuffle(2), nn.Conv2d(4, 4, 3, groups=2), nn.ReLU())
    ),
    "zero pad": between(lambda: nn.ZeroPad2d((1, 2, 0, 1))),
    "zero pad, stride": between(lambda: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(4, 3, 3, 2), nn.ReLU())),
    "constant pad": between(lambda: nn.ConstantPad2d(1, 0.4)),
    "constant pad before a rectifier": whole(lambda x: F.relu(F.pad(x - 0.2, (1, 1, 1, 1), value=-0.4))),
    "reflection pad": between(lambda: nn.ReflectionPad2d(2)),
    "replication pad": between(lambda: nn.ReplicationPad2d((1, 0, 2, 0))),
    "conv, reflect": between(lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU())),
    "conv, circular": between(lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), nn.ReLU())),
    "padded channels": whole(lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2))),
    "split": whole(lambda x: torch.cat(tuple(reversed(torch.split(x, [1, 3], 1))), 1)),
    "chunk": whole(lambda x: x.chunk(2, 1)[0] + x.chunk(2, 1)[1]),
    "chunk, one part further": whole(lambda x: torch.cat([x[:, :2], F.relu(x[:, 2:] - 0.2)], 1)),
    "unbind": after(lambda m, x: torch.stack(x.unbind(1)[1:], 1)),
    "slice of rows": whole(lambda x: x[:, :, 1:5]),
    "one place": after(lambda m, x: x[:, :, 0, 0]),
    "constant indices": whole(lambda x: x[:, [2, 0, 3, 3]]),
    "index_select": whole(lambda x: x.index_select(1, torch.tensor([3, 1]))),
    "flip": whole(lambda x: x.flip(3)),
    "roll": whole(lambda x: x.roll(1, 2)),
    "squeeze": Model(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 6), nn.ReLU(), Functional(lambda m, x: x.squeeze(3).squeeze(2)), nn.Linear(4, 3)
        ),
        *IMAGE,
    ),
    "channels last": whole(lambda x: F.relu(x.permute(0, 2, 3, 1) - 0.1).permute(0, 3, 1, 2)),
    "transposed image": whole(lambda x: x.transpose(2, 3)),
    "expand": whole(lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 4, 4)),
    "repeat": whole(lambda x: x.repeat(1, 2, 1, 1)),
    "unflatten": Model(
        lambda: nn.Sequential(nn.Linear(12, 18), nn.ReLU(), nn.Unflatten(1, (2, 3, 3)), nn.Conv2d(2, 3, 2), nn.ReLU()),
        *VECTOR,
    ),
    "max pool, ceil mode": between(lambda: nn.MaxPool2d(4, 3, ceil_mode=True)),
    "max pool, ceil mode, before relu": Model(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.ReLU(), nn.Conv2d(4, 2, 2)
        ),
        *IMAGE,
    ),
    "max pool of sums, ceil mode": after(lambda m, x: F.max_pool2d(x - m.p, 4, 3, ceil_mode=True)),
    "average pool, ceil mode": between(lambda: nn.AvgPool2d(4, 3, ceil_mode=True)),
    "average pool, ceil mode, padded": between(lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True)),
    "average pool without padding counted": between(lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "adaptive average pool": between(lambda: nn.AdaptiveAvgPool2d((4, 5))),
    "adaptive max pool": between(lambda: nn.AdaptiveMaxPool2d((4, 5))),
    "global max pool": after(lambda m, x: F.adaptive_max_pool2d(x, 1)),
    "amax": after(lambda m, x: x.amax((2, 3))),
    "max over one axis": after(lambda m, x: x.max(3)[0]),
    "mean of channels": after(lambda m, x: x.mean(1, keepdim=True)),
    "mean of rows": after(lambda m, x: x.mean(2)),
    "sum of channels and columns": after(lambda m, x: x.sum((1, 3))),
    "mean of a vector": Model(
        lambda: Functional(lambda m, x: m.a(x).mean(1, keepdim=True), a=nn.Linear(12, 5)),
        *VECTOR,
    ),
    "plus a number": after(lambda m, x: x + 1.0),
    "plus a parameter of channels": after(lambda m, x: x + m.p),
    "plus a parameter of places": after(lambda m, x: F.relu(x + m.q)),
    "a number less it": after(lambda m, x: F.relu(1 - x)),
    "times parameters": after(lambda m, x: x * m.p / 2 * m.q),
    "negative": after(lambda m, x: F.relu(0.5 + -x)),
    "normalised in forward": Model(lambda: Functional(normalised, a=nn.Conv2d(2, 3, 3), b=nn.Linear(48, 4)), *IMAGE),
    "sum of a list": after(lambda m, x: sum([x, F.max_pool2d(x, 3, 1, 1), x])),  # type: ignore[arg-type,return-value]
    "add with alpha": after(lambda m, x: torch.add(x, x.flip(2), alpha=0.5)),
    "difference of values": after(lambda m, x: F.relu(x - F.max_pool2d(x.flip(1), 3, 1, 1))),
    "broadcast sum": after(lambda m, x: F.relu(x + x.mean((2, 3), keepdim=True) - 0.5)),
    "concatenation of rows": whole(lambda x: torch.cat([x, x.flip(2)], 2)),
    "stack": after(lambda m, x: torch.stack([x, x.flip(2)], 2)),
    "linear of rows": after(lambda m, x: F.linear(x, m.w.T)),
    "linear of signals": Model(
        lambda: nn.Sequential(nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 4), nn.Flatten(), nn.Linear(12, 3)), *SIGNAL
    ),
    "matmul": after(lambda m, x: x @ m.w),
    "matmul from the left": after(lambda m, x: m.w.T @ x),
    "conv1d": along(),
    "conv1d, stride, dilation, groups": along(lambda: nn.Conv1d(4, 4, 3, 2, 2, 2, groups=2), nn.ReLU),
    "conv1d same": along(lambda: nn.Conv1d(4, 4, 4, padding="same", dilation=2), nn.ReLU),
    "batch norm of signals": along(lambda: nn.BatchNorm1d(4), nn.ReLU),
    "max pool of signals": along(lambda: nn.MaxPool1d(2)),
    "max pool of signals, ceil mode": along(lambda: nn.MaxPool1d(5, 3, ceil_mode=True)),
    "average pool of signals": along(lambda: nn.AvgPool1d(3, 2, 1)),
    "adaptive pools of signals": along(lambda: nn.AdaptiveAvgPool1d(5), lambda: nn.AdaptiveMaxPool1d(2)),
    "conv transpose of signals": along(lambda: nn.ConvTranspose1d(4, 3, 4, 2, 1), nn.ReLU),
    "upsampled signals": along(lambda: nn.Upsample(scale_factor=2)),
    "padded signals": along(lambda: nn.ReflectionPad1d(2)),
    "global average of signals": along(lambda: nn.AdaptiveAvgPool1d(1), lambda: nn.Upsample(scale_factor=3)),
    "signals as images": Model(lambda: Functional(unsqueezed, a=nn.Conv2d(1, 3, 3), b=nn.Linear(30, 3)), *SIGNAL),
}
