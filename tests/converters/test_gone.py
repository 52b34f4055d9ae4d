# SPDX-License-Identifier: Apache-2.0
"""Pruned models: what makes no difference is not in the network, the report says so, and others lose nothing by it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikerun.connections import Conv
from spikerun.converters import Conversion, convert
from spikerun.converters.journal import Journal
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import QLayer
from spikerun.converters.sensitivity import prices
from spikerun.converters.torch.source import TorchSource

Comparison = Callable[[Conversion, Any], None]


class Blocks(nn.Module):
    """A stem, a residual, a depthwise pair, a concatenation, a max pool, a flattening."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.body = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.depth = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6))
        self.point = nn.Sequential(nn.Conv2d(6, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.hidden, self.last = nn.Linear(14 * 9, 12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = torch.relu(self.stem(x))
        both = torch.relu(self.body(first) + first)
        deep = torch.relu(self.depth(both))
        wide = torch.cat([torch.relu(self.point(deep)), deep], 1)
        pooled = torch.max_pool2d(wide, 4).flatten(1)
        result: torch.Tensor = self.last(torch.relu(self.hidden(pooled)))
        return result


def pruned(norm: Any, channels: list[int]) -> None:
    """Make channels of a norm those of a pruned model, whose shapes stay."""
    with torch.no_grad():
        norm.weight[channels], norm.bias[channels] = 0, -0.05


@pytest.fixture
def model() -> Blocks:
    made = Blocks().eval()
    for block, dead in ((made.stem, [1, 4]), (made.body, [1, 4]), (made.depth, [1, 4]), (made.point, [0, 7])):
        pruned(block[1], dead)
    return made


@pytest.fixture
def data(samples: Callable[..., Any]) -> Any:
    return samples(1, 12, 12)


def test_pruned_channels_are_gone_through_residuals_groups_concatenations_and_pools(
    model: Blocks, data: Any, words_equal: Comparison
) -> None:
    conversion = convert(model, data)
    words_equal(conversion, data[:2])
    shapes = {name: p.shape[0] for name, p in conversion.network.populations.items()}
    assert (shapes["stem.0"], shapes["body.0"], shapes["depth.0"], shapes["point.0"]) == (4, 4, 4, 6)
    depthwise = next(p for p in conversion.network.projections if p.target == "depth.0").connection
    assert isinstance(depthwise, Conv) and depthwise.groups == 4


def test_the_report_says_how_many_channels_went_and_why(model: Blocks, data: Any) -> None:
    report = convert(model, data).report
    layer = next(one for one in report.layers if one.name == "point.0")
    assert layer.gone["pruned"] == 2 and layer.shape[0] == 6
    (note,) = (one for one in report.notes if "left out" in one)
    assert "2 of 8 of 'point.0'" in note and "no weight leads to them" in note and note in report.text()


def test_channels_of_nothing_but_zeros_leave_the_others_as_they_are(data: Any) -> None:
    """Their scales are the least that there are, and no step or weight of others follows them."""
    torch.manual_seed(1)
    whole = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3)).eval()
    fewer = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(300, 3)).eval()
    with torch.no_grad():
        whole[1].weight[2] = whole[1].bias[2] = 0  # type: ignore[index, operator]
        fewer[0].weight.copy_(whole[0].weight[[0, 1, 3]])  # type: ignore[index, operator]
        fewer[0].bias.copy_(whole[0].bias[[0, 1, 3]])  # type: ignore[index, operator]
        fewer[4].weight.copy_(whole[4].weight.reshape(3, 4, 100)[:, [0, 1, 3]].reshape(3, 300))
        fewer[4].bias.copy_(whole[4].bias)
    found, wanted = (convert(one, data, bits=4) for one in (whole, fewer))
    steps = [next(x for x in one.quantised.layers if isinstance(x, QLayer)).step_size for one in (found, wanted)]
    np.testing.assert_array_equal(steps[0][[0, 1, 3]], steps[1])
    for a, b in zip(found.network.projections, wanted.network.projections, strict=True):
        np.testing.assert_array_equal(a.connection.weight, b.connection.weight)  # type: ignore[attr-defined]


def test_a_model_of_which_a_layer_is_pruned_as_a_whole_is_converted_with_a_note(
    data: Any, words_equal: Comparison
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3)).eval()
    with torch.no_grad():
        model[0].weight.zero_()
    conversion = convert(model, data)
    words_equal(conversion, data[:2])
    assert any("the same whatever the samples" in note for note in conversion.report.notes)


def test_the_search_prices_no_synapses_of_channels_that_are_gone(data: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(384, 3))
    with torch.no_grad():
        model[2].weight[:3] = 0  # type: ignore[index, operator]
        model[2].bias[:3] = -1  # type: ignore[index, operator]
    calibration = Converter(TorchSource(model.eval()), data).calibration
    synops, spikes = (
        prices(calibration, "bits", objective, True, Journal(None, ""), lambda *_: None)[0][0].cost
        for objective in ("synops", "spikes")
    )
    assert 0 < synops <= 27 * spikes  # three targets of 3 x 3 weights
