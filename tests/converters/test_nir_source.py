# SPDX-License-Identifier: Apache-2.0
"""NIR files as sources: a file does not say how its results are read, so what is asked for counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import LIF, Dense, Encoding, Input, Network, Population, Projection, convert_spiking, load
from spikerun.cli import main
from spikerun.converters.nir.source import NirSource
from spikerun.converters.nir.write import write_nir
from spikerun.converters.spiking.step import Readout


@pytest.fixture
def source(tmp_path: Path) -> NirSource:
    rng = np.random.default_rng(0)
    weight: Any = rng.integers(-9, 20, (16, 8)).astype(np.int8)
    lif = LIF(threshold=np.int32(300 << 6), keep_v=np.int32(60_000), fraction_bits=6)
    populations = {"x": Population((16,), Input(8, "current")), "lif": Population((8,), lif)}
    write_nir(Network(populations, [Projection("x", "lif", Dense(weight))], ["lif"], 9), tmp_path / "a.nir", 1e-3)
    return NirSource(tmp_path / "a.nir", dt=1e-3)


@pytest.mark.parametrize(("readout", "size"), [(None, 8), (Readout("count", groups=2), 2)])
def test_the_readout_that_is_asked_for_is_taken(source: NirSource, readout: Readout | None, size: int) -> None:
    samples = np.random.default_rng(1).integers(0, 9, (8, 16))
    encoding = Encoding(scale=1, code="current")
    net = convert_spiking(source, samples, duration=9, readout=readout, encoding=encoding).network
    assert net.populations[net.outputs[0]].shape == (size,)


def test_a_file_is_named_by_a_text_or_a_path(source: NirSource, tmp_path: Path) -> None:
    assert NirSource(f"{tmp_path}/a.nir", dt=1e-3).inputs == source.inputs


def test_the_command_takes_time_step_writer_and_reset(
    source: NirSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "x.npz", samples=rng.integers(0, 9, (8, 16), np.uint8), labels=np.arange(8), scale=1.0)
    words = ["convert", f"{tmp_path}/a.nir", "--calibration", f"{tmp_path}/x.npz", "-o", f"{tmp_path}/a.snn"]
    how = ["--dt", "1ms", "--nir-writer", "euler", "--duration", "9"]
    assert main([*words, *how, "--nir-reset", "subtract", "--quiet"]) == 0
    lif: Any = load(tmp_path / "a.snn").populations["lif"].neuron
    assert lif.reset == "subtract"
    assert main([*words, *how, "--nir-reset", "substract", "-f"]) == 2
    assert "Did you mean 'subtract'" in capsys.readouterr().err
