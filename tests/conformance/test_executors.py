# SPDX-License-Identifier: Apache-2.0
"""Which networks the rows that compile take: a kernel that is missing fails, it does not shrink the test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conformance.awkward import NETWORKS
from conformance.executors import EXECUTORS, Firmware
from conformance.truth import Truth

from spikerun import edge
from spikerun.connections import Dense
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import kernels
from spikerun.errors import UnsupportedError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input

ROWS = [executor for executor in EXECUTORS if isinstance(executor, Firmware)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_awkward_network_is_taken(name: str, row: Firmware) -> None:
    assert row.takes(NETWORKS[name]())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_kernel_that_is_missing_is_not_a_network_that_is_left_out(
    row: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "ROWS", [kernel for kernel in kernels.ROWS if kernel.kind != "fire"])
    with pytest.raises(UnsupportedError, match="no C code for 'fire'"):
        row.takes(NETWORKS["one_neuron"]())


def wide(inputs: int, layer: int) -> Network:
    populations = {"in": Population((inputs,), Input()), "wide": Population((layer,), FewSpikes(4, np.int32(3)))}
    return Network(populations, [Projection("in", "wide", Dense(np.ones((inputs, layer), np.int8)))], ["wide"], 8)


def test_what_does_not_fit_the_board_is_left_out() -> None:
    net = wide(2200, 2200)
    assert {row.board: row.takes(net) for row in ROWS} == {"host": True, "generic-cortex-m4": False}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firmware:
    """The row of a board with 64 KiB of flash."""
    (row,) = (row for row in ROWS if row.board == "generic-cortex-m4")
    text = (boards.FOLDER / f"{row.board}.toml").read_text().replace("bytes = 0x00400000", "bytes = 0x00010000", 1)
    (tmp_path / "small.toml").write_text(text.replace(f'"{row.board}"', '"small"', 1))
    monkeypatch.setattr(boards, "FOLDER", tmp_path)
    return replace(row, board="small")


def test_samples_are_cut_to_those_that_fit_beside_the_network(small: Firmware) -> None:
    if small.missing():
        pytest.skip(small.missing())
    net = wide(2000, 4)
    shown = {each.what: each for each in small.show(Truth(net, {"in": np.ones((99, 2000), np.uint8)}))}
    assert 0 < len(shown["outputs"].got) < 99
    assert shown["outputs"].got.tolist() == shown["outputs"].expected.tolist()
    assert shown["the self-test"].values == len(shown["outputs"].got) * 2004


def test_a_network_that_fits_without_a_single_sample_is_left_out(small: Firmware) -> None:
    net = wide(6500, 8)
    assert edge.load("small").check(net).fits
    assert not small.takes(net)
