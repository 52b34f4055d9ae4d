# SPDX-License-Identifier: Apache-2.0
"""Dead zones: small words become 0 and send nothing, biases make up for them, and nothing of that is silent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikerun import load, save
from spikerun.converters import Conversion, convert
from spikerun.converters.budget import Aim, settings_of
from spikerun.converters.found import Choice
from spikerun.converters.journal import Journal
from spikerun.converters.pipeline import Converter
from spikerun.converters.sensitivity import ZONES, prices
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.verify import evaluate
from spikerun.errors import UsageError
from spikerun.neurons import Levels
from spikerun.session import Session

Comparison = Callable[[Conversion, Any], None]


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 12), nn.ReLU(),
        nn.Linear(12, 3),
    ).eval()  # fmt: skip


@pytest.fixture
def data(samples: Callable[..., Any]) -> Any:
    return samples(1, 8, 8, count=60)


@pytest.mark.parametrize("code", ["bits", "ttfs", "graded"])
def test_no_word_lies_between_0_and_the_zone(model: nn.Module, data: Any, code: str, words_equal: Comparison) -> None:
    conversion = convert(model, data, bits=4, code=code, zones={"m0": 3})
    words_equal(conversion, data[:2])
    found = evaluate(conversion.quantised, data)["m0"]
    assert set(np.unique(found)) >= {0, 3} and not np.isin(found, (1, 2)).any()


def test_a_zone_is_a_table_of_levels_that_files_keep(model: nn.Module, data: Any, tmp_path: Path) -> None:
    network = convert(model, data, bits=3, zones={"m0": 2}).network
    neuron = network.populations["m0"].neuron
    assert isinstance(neuron, Levels) and neuron.table is not None
    assert neuron.table.tolist() == [0, 2, 3, 4, 5, 6, 7]
    again = load(save(network, tmp_path / "zone.snn"))
    np.testing.assert_array_equal(Session(again).run(data[:5]).logits, Session(network).run(data[:5]).logits)


def test_the_biases_of_readers_make_up_for_what_is_not_sent(model: nn.Module, data: Any) -> None:
    source = TorchSource(model)
    converter = Converter(source, data)
    conversion = converter.convert(settings_of({"m0": Choice(4, "bits", zone=4), "m4": Choice(8, "bits")}))
    v = evaluate(conversion.quantised, data)["output"]
    received = conversion.network.populations["output"].real(v)
    wanted = source.logits({"input": converter.encodings["input"].real(data)})["output"]
    np.testing.assert_allclose(received.mean(axis=0).ravel(), wanted.mean(axis=0).ravel(), atol=0.01 * wanted.std())


def test_a_zone_is_said_in_decisions_and_beside_its_layer(model: nn.Module, data: Any) -> None:
    report = convert(model, data, zones={"m0": 2}).report
    assert "words that become 0: m0 below 2" in report.text()
    assert any("Words below 2 are 0" in reason for one in report.layers if one.name == "m0" for reason in one.reasons)


@pytest.mark.parametrize(
    ("zones", "message"),
    [
        ({"m9": 2}, "m9"),
        ({"m0": 32}, r"1\.\.31"),
        ({"m0": 2.5}, "integer"),
        ({"output": 2}, "output"),
        (3, "by the names of layers"),
    ],
)
def test_zones_that_no_layer_can_have_are_refused(model: nn.Module, data: Any, zones: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        convert(model, data, zones=zones)


def test_a_zone_of_signed_words_is_refused_with_the_layers_that_can_have_one(data: Any) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    with pytest.raises(UsageError, match="can have a zone: m3"):
        convert(model, data, zones={"m1": 2})


def test_a_search_offers_zones_only_where_it_is_asked_to(model: nn.Module, data: Any) -> None:
    calibration = Converter(TorchSource(model), data).calibration

    def offered(zones: bool) -> set[int]:
        table = prices(calibration, None, "spikes", True, Journal(None, ""), lambda *_: None, zones)[0]
        return {row.choice.zone for row in table}

    assert offered(False) == {0} and offered(True) == {0, *ZONES}


@pytest.mark.parametrize(
    ("code", "zones", "found"), [(None, None, False), ("bits", True, True), ("graded", None, False)]
)
def test_a_search_may_make_words_0_only_where_it_is_told_so(code: str | None, zones: bool | None, found: bool) -> None:
    assert Aim(0.1, code=code, zones=zones).zones is found and Aim(0.1, code=code, zones=False).zones is False


def test_what_a_search_does_with_small_words_is_refused_where_there_is_none(model: nn.Module, data: Any) -> None:
    with pytest.raises(UsageError, match="how max_drop searches"):
        convert(model, data, dead_zones=True)


def test_a_price_of_a_zone_counts_fewer_spikes(model: nn.Module, data: Any) -> None:
    calibration = Converter(TorchSource(model), data).calibration
    table = prices(calibration, "graded", "spikes", True, Journal(None, ""), lambda *_: None, True)[0]
    cost = {row.choice: row.cost for row in table if row.population == "m0"}
    found = [cost[Choice(4, "graded", zone=zone)] for zone in (0, 2, 3, 4)]
    assert found == sorted(found, reverse=True) and found[-1] < found[0]


def test_a_zone_is_in_the_short_form_of_a_choice() -> None:
    assert [str(Choice(4, "ttfs", 1.25, 3)), str(Choice(5, "bits", zone=1))] == ["4tx1.25z3", "5"]
