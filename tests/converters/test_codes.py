# SPDX-License-Identifier: Apache-2.0
"""A code never changes the result: integers are chosen once, and `bits`, `ttfs` and `graded` are how they travel."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikerun.converters import Encoding
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.torch.source import TorchSource
from spikerun.session import Session


class Dense(nn.Module):
    """Two layers of a DenseNet: each takes all that came before it; an average pool ends them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(5, 3, 3, padding=1)
        self.last = nn.Linear(8 * 9, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.first, self.second):
            x = torch.cat([x, torch.relu(layer(x))], dim=1)
        return self.last(nn.functional.avg_pool2d(x, 2).flatten(1))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """A block with an identity skip."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.inner, self.last = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.enter(x))
        return self.last(torch.relu(x + self.inner(x)).flatten(1))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """An inverted residual: its sums are signed and have no activation."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide, self.back = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 1)
        self.depth, self.last = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Linear(108, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.narrow(x)
        inner = nn.functional.relu6(self.depth(nn.functional.relu6(self.wide(x))))
        return self.last((x + self.back(inner)).flatten(1))  # type: ignore[no-any-return]


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 2), nn.ReLU(), nn.Flatten(), nn.Linear(6, 5)
    )


def deep() -> nn.Module:
    """Return a network where one step size for all channels is sometimes the better bargain."""
    torch.manual_seed(1)
    blocks = [[nn.Conv2d(a, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()] for a in (2, 6, 6)]
    return nn.Sequential(
        *(module for block in blocks for module in block), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 5)
    )


NETS = {"average pool": pooled, "DenseNet": Dense, "residual": Residual, "signed bottleneck": Bottleneck, "deep": deep}


def outputs(converter: Converter, bits: int, code: str, data: Any) -> Any:
    return Session(converter.convert(Settings(bits, code)).network).run(data).outputs["output"]


@pytest.mark.parametrize(
    ("net", "largest", "every"),
    [
        ("average pool", 255, (2, 3, 4, 5, 6)),
        ("DenseNet", 255, (2, 5)),
        ("residual", 255, (2, 4)),
        ("signed bottleneck", 255, (2, 4)),
        ("signed bottleneck", 15, (3, 5)),
        ("deep", 255, (2, 4)),
    ],
)
def test_results_are_the_same_in_every_code(net: str, largest: int, every: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    source, data = TorchSource(NETS[net]()), np.random.default_rng(0).integers(0, largest + 1, (12, 2, 6, 6))
    encoding = Encoding(1 / largest, bits=int(largest).bit_length())
    enters = {code: Converter(source, data, replace(encoding, code=code)) for code in ("bits", "graded")}
    for bits in every:
        expected = outputs(enters["bits"], bits, "bits", data)
        assert expected.any()
        for code, other in (("ttfs", "bits"), ("graded", "graded"), ("bits", "graded")):
            assert (outputs(enters[other], bits, code, data) == expected).all(), (bits, code, other)
