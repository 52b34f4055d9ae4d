# SPDX-License-Identifier: Apache-2.0
"""How samples become integers, and what the network says of that."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikerun import datasets, save
from spikerun.cli import main
from spikerun.converters import Encoding, convert
from spikerun.errors import DataError


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_samples_are_the_integers_that_they_encode(shape: tuple[int, ...], dtype: Any) -> None:
    encoding = Encoding(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    integers = np.random.default_rng(0).integers(0, 256, shape)
    np.testing.assert_array_equal(encoding.integers(encoding.real(integers).astype(dtype), "x"), integers)


def test_a_tensor_of_real_samples_calibrates() -> None:
    torch.manual_seed(0)
    model, integers = nn.Linear(6, 3), np.random.default_rng(0).integers(0, 256, (20, 6))
    real = convert(model, torch.from_numpy(integers).float() / 255).network
    plain = convert(model, integers).network
    np.testing.assert_array_equal(real.projections[0].connection.weight, plain.projections[0].connection.weight)  # type: ignore[attr-defined]


@pytest.mark.parametrize("labelled", [True, False])
def test_the_first_samples_of_a_loader_calibrate(labelled: bool) -> None:
    torch.manual_seed(0)
    model, integers = nn.Linear(6, 3), np.random.default_rng(0).integers(0, 256, (600, 6))
    real, labels = torch.from_numpy(integers).float() / 255, torch.zeros(600)
    rows = torch.utils.data.TensorDataset(real, labels)
    loader = torch.utils.data.DataLoader(rows if labelled else real, 64)  # type: ignore[arg-type,var-annotated]
    loaded, plain = convert(model, loader), convert(model, integers[:512])
    assert loaded.report.layers == plain.report.layers and loaded.report.calibration_samples == 512


@pytest.mark.parametrize("value", [0.3, float("nan"), 2.0, -1 / 255])
def test_real_samples_that_encode_no_integer_of_the_input_are_refused(value: float) -> None:
    with pytest.raises(DataError):
        Encoding().integers(np.full((4, 6), value), "the data")


def test_signed_integers_enter_in_two_s_complement() -> None:
    torch.manual_seed(0)
    model, samples = nn.Linear(6, 3), np.random.default_rng(0).integers(-128, 128, (20, 6))
    network = convert(model, samples, encoding=Encoding(scale=1 / 128, signed=True)).network
    assert network.populations["input"].neuron.signed  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"from -128 to .* 8-bit integers, 0\.\.255"):
        convert(model, samples, encoding=Encoding())


def test_a_network_tells_its_encoding() -> None:
    given = Encoding(scale=1 / 16, mean=(0.4, 0.5), std=2.0)
    assert Encoding.of(given.meta("eye"), "eye") == given
    assert Encoding.of({}, "eye") == Encoding()
    with pytest.raises(DataError, match="must be a number"):
        Encoding.of({"eye_scale": "much"}, "eye")


def test_bench_against_a_network_of_other_results_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = "from torch import nn\n\n\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))\n"
    (tmp_path / "model.py").write_text(build)
    data = datasets.load("digits", split="train", limit=20)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    save(convert(model, data.samples, encoding=Encoding(data.scale)).network, tmp_path / "net.snn")
    words = [f"{tmp_path}/net.snn", "--data", "digits", "--against", f"{tmp_path}/model.py:build", "--batch", "5"]
    assert main(["bench", *words]) == 3
    assert "gives 1 values a sample, the network 10" in capsys.readouterr().err
