# SPDX-License-Identifier: Apache-2.0
"""NIR files as sources: a file does not say how its results are read, so what is asked for counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import LIF, Dense, Encoding, Input, Network, Population, Projection, convert_spiking
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
