# SPDX-License-Identifier: Apache-2.0
"""What a report says of the layers: errors beside plain formulas, costs beside the network, decisions, its JSON."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikerun.converters import Conversion, convert
from spikerun.converters.report import Accuracy, LayerReport, Report, SweepRow
from spikerun.converters.report_page import verdicts
from spikerun.converters.verify import evaluate
from spikerun.memory import Memory, memory_of_all

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "conversion.md"


class Small(nn.Module):
    """A convolution with a norm, an average pool that no activation follows, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2))
        self.hidden, self.last = nn.Linear(16, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(torch.relu(self.hidden(self.features(x).flatten(1))))
        return result


@pytest.fixture(scope="module")
def given() -> tuple[nn.Module, Any, Any]:
    """Return a model, samples that calibrate, and others with labels."""
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (60, 1, 6, 6)).astype(np.uint8)
    return Small().eval(), data[:40], (data[40:], rng.integers(0, 3, 20))


@pytest.fixture(scope="module")
def conversion(given: tuple[nn.Module, Any, Any]) -> Conversion:
    model, samples, labelled = given
    return convert(model, samples, bits=4, evaluation=labelled)


def layer_of(report: Report, name: str) -> LayerReport:
    return next(layer for layer in report.layers if layer.name == name)


def test_the_error_of_a_layer_is_that_of_its_values_on_the_samples_that_did_not_calibrate(
    conversion: Conversion, given: tuple[nn.Module, Any, Any]
) -> None:
    model, _, (samples, _) = given
    with torch.no_grad():
        features = model.features(torch.from_numpy(samples).float() / 255).flatten(1)  # type: ignore[operator]
        wanted = torch.relu(model.hidden(features)).double().numpy()  # type: ignore[operator]
    layer = next(one for one in conversion.quantised.layers if one.name == "hidden")
    words = evaluate(conversion.quantised, samples)["hidden"].reshape(20, -1)
    received = words * layer.step_size  # type: ignore[union-attr]
    found = layer_of(conversion.report, "hidden")
    assert found.relative_error == pytest.approx(np.linalg.norm(wanted - received) / np.linalg.norm(wanted), rel=1e-4)
    cosine = (wanted * received).sum() / np.linalg.norm(wanted) / np.linalg.norm(received)
    assert found.cosine == pytest.approx(cosine, rel=1e-6)
    assert found.signal_to_noise == pytest.approx(-20 * np.log10(found.relative_error or 1), rel=1e-6)
    assert (conversion.report.error_samples, conversion.report.held_out) == (20, True)


def test_without_samples_that_are_held_out_the_report_says_so(given: tuple[nn.Module, Any, Any]) -> None:
    model, samples, _ = given
    report = convert(model, samples, bits=4).report
    assert (report.error_samples, report.held_out) == (40, False)
    assert "none were held out" in report.html() and layer_of(report, "hidden").cosine is not None


def test_more_bits_are_nearer_in_every_layer(given: tuple[nn.Module, Any, Any]) -> None:
    model, samples, labelled = given
    few, many = (convert(model, samples, bits=bits, evaluation=labelled).report for bits in (2, 7))
    for name in ("features.0", "hidden"):
        coarse, fine = layer_of(few, name).relative_error, layer_of(many, name).relative_error
        assert coarse is not None and fine is not None and fine < coarse / 4


def test_dense_operations_and_synops_of_a_layer_are_of_the_same_projections(conversion: Conversion) -> None:
    report = conversion.report
    assert sum(layer.dense for layer in report.layers) == conversion.network.dense
    assert layer_of(report, "hidden").dense == 6 * 3
    assert sum(layer.synops or 0 for layer in report.layers) == pytest.approx(report.synops_per_sample)


class MeanOf(nn.Module):
    """The mean over channels of images, or of a vector, which the importer reads as a layer of weights."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).mean(1, keepdim=True)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.Conv2d(2, 6, 3, padding=1, groups=2), 6 * 25 * 9),  # padding counts
        (nn.ConvTranspose2d(2, 3, 2, stride=2, padding=1), 2 * 25 * 3 * 4),  # what is cut off counts too
        (nn.Conv2d(2, 3, 4, padding="same"), 3 * 25 * 2 * 16),  # what the importer adds to the kernel does not
        (nn.Conv2d(2, 3, 2, padding="same", dilation=3), 3 * 25 * 2 * 4),
        (MeanOf(nn.Conv2d(2, 6, 3), nn.ReLU()), 6 * 9 * 18),
        (MeanOf(nn.Flatten(), nn.Linear(50, 4)), 4 * 50),
        (nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 7)), 8 * 7),
        (nn.Sequential(nn.BatchNorm2d(2), nn.Upsample(scale_factor=2), nn.MaxPool2d(2)), 0),
    ],
)
def test_macs_are_multiplications_by_weights_of_the_model_as_it_was_read(layer: nn.Module, macs: int) -> None:
    assert convert(layer.eval(), np.arange(300).reshape(6, 2, 5, 5) % 256).report.macs == macs


def test_a_kernel_of_even_size_counts_as_the_model_has_it() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 4, padding="same"), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3)).eval()
    samples = np.random.default_rng(0).integers(0, 256, (8, 1, 10, 10), dtype=np.uint8)
    assert convert(model, samples).report.macs == 100 * 4 * 16 + 400 * 3


def test_memory_is_that_of_the_network(conversion: Conversion) -> None:
    assert conversion.report.memory == memory_of_all(conversion.network)
    assert layer_of(conversion.report, "hidden").memory.weights == 16 * 6


def test_layers_say_what_they_are_made_of_and_why(conversion: Conversion) -> None:
    report = conversion.report
    first, average = layer_of(report, "features.0"), layer_of(report, report.layers[2].name)
    assert first.operators == ("conv2d (features.0)", "batch_norm (features.1)", "relu (features.2)")
    assert first.reasons[0] == "Folded into the weights: batch_norm (features.1)."
    assert "the next layers meet a relative squared error of" in first.reasons[1]
    assert average.kind == "positive" and "a population of its own" in average.reasons[0]
    assert layer_of(report, "hidden").sources == (average.name,)


def test_a_layer_is_made_of_its_curve_too(given: tuple[nn.Module, Any, Any]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.Flatten(), nn.Linear(32, 3)).eval()
    report = convert(model, given[1], bits=4).report
    assert layer_of(report, report.layers[1].name).operators == ("conv2d (0)", "silu (1)")


def test_decisions_have_reasons(given: tuple[nn.Module, Any, Any]) -> None:
    model, samples, _ = given
    report = convert(model, samples, bits=3, code="ttfs", overrides={"hidden": 4}).report
    found = {d.about: (d.choice, d.reason) for d in report.decisions}
    assert found["activations"][0] == "3 bits" and found["bits of single layers"][0] == "hidden 4"
    assert found["window"] == ("15 time steps", "the longest word is that of 'hidden': 4 bits")
    assert found["code"][0] == "ttfs" and "not the result" in found["code"][1]
    assert found["input 'input'"][0] == "8 bits, code bits"


def test_the_text_says_what_the_page_says(conversion: Conversion) -> None:
    written, page = conversion.report.text(), conversion.report.html()
    for layer in conversion.report.layers:
        assert all(reason in written and reason.replace("'", "&#x27;") in page for reason in layer.reasons)
    assert all(d.reason in written and d.reason.replace("'", "&#x27;") in page for d in conversion.report.decisions)


def test_weights_and_the_zeros_among_them_are_counted_for_each_layer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        model[1].weight[:, ::2] = 0  # type: ignore[index, operator]
    data = np.random.default_rng(0).integers(0, 256, (40, 1, 4, 4)).astype(np.uint8)
    report = convert(model, data).report
    layer = layer_of(report, "m1")
    assert (layer.weights, layer.memory.weights) == (128, 128) and layer.zeros >= 64
    share = f"{100 * layer.zeros / 128:.1f}"
    assert re.search(rf"^m1 +128 +{share} +128 ", report.text(), re.MULTILINE)
    assert f"<td>128</td><td>{share} %</td>" in re.sub("<td[^>]*>", "<td>", report.html())


def test_the_layout_of_weights_is_said_where_many_are_0(given: tuple[nn.Module, Any, Any]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    assert not any(layer.layouts for layer in convert(model, given[1], evaluation=given[2]).report.layers)
    with torch.no_grad():
        model[1].weight[:, ::2] = 0  # type: ignore[index, operator]
    report = convert(model, given[1], evaluation=given[2]).report
    layer = layer_of(report, "m1")
    assert layer.layouts == (("dense", layer.weights),)
    assert (said := f"dense ({layer.weights} bytes)") in report.text() and said in report.html()


def test_the_json_has_the_keys_that_the_document_lists(conversion: Conversion) -> None:
    found = json.loads(json.dumps(conversion.report.json()))
    page = DOCUMENT.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page[page.index("## The report") :], re.MULTILINE))
    assert found["schema"] == "spikerun.convert/2" and f"`{found['schema']}`" in page
    assert set(rows) == set(found) - {"schema"}
    assert set(re.findall(r"`(\w+)`", rows["layers"])) >= set(found["layers"][0])


# --- which layers cost most, and which lost most ---------------------------------------------------------------------


def layer(name: str, error: float | None, synops: float, weights: int, *sources: str) -> LayerReport:
    return LayerReport(
        name, "relu", (4,), 5, "bits", "channel", (1, 2), 9, None, 1.0, synops, None, error,
        memory=Memory(weights, 0, 0, 0), sources=sources,
    )  # fmt: skip


LAYERS = (
    layer("in", None, 10.0, 0),
    layer("a", 0.02, 60.0, 100, "in"),
    layer("b", 0.07, 30.0, 300, "a"),
    layer("c", 0.10, 0.0, 0, "b"),
)
REPORT = Report(5, 8, "bits", "bits", 10, 100, (), LAYERS)


def test_verdicts_name_the_layers_that_cost_and_that_lost_most() -> None:
    costs, far, grows, heavy = verdicts(REPORT)
    assert costs == "Most synaptic operations are caused by the spikes of 'a' (60 %), 'b' (30 %), 'in' (10 %)."
    assert "'c', with a relative error of 10.00 %" in far
    assert "most at 'b': 2.00 % in what it reads, 7.00 % in what it computes" in grows
    assert heavy == "Most weights lead into 'b': 300 bytes, 75 % of all."


def test_what_was_not_measured_is_not_said() -> None:
    bare = replace(REPORT, layers=tuple(replace(one, synops=None, spikes=None, relative_error=None) for one in LAYERS))
    assert [sentence.split()[1] for sentence in verdicts(bare)] == ["weights"]
    page = bare.html()
    assert "not measured" in page and "Accuracy against bits" not in page and "<h2>Activity" not in page


def test_a_sweep_is_a_chart_of_every_number_of_bits() -> None:
    rows = tuple(SweepRow(bits, Accuracy(100, 95.0, 90.0 + bits / 2, 99.0, 0.5), 0.5, 0.7) for bits in range(2, 9))
    page = replace(REPORT, sweep=rows).html()
    found = re.findall(r'<circle class="one" cx="([\d.]+)" cy="([\d.]+)"', page)
    across, down = np.diff(np.array(found, dtype=float), axis=0).T
    assert len(found) == 7 and np.allclose(across, across[0], atol=0.11) and np.allclose(down, down[0], atol=0.11)
    assert across[0] > 0 > down[0] and "ANN 95.00 %" in page  # what is better is higher
