# SPDX-License-Identifier: Apache-2.0
"""What a run takes before anything ran, beside dense int8 and binary steps; cycles, time and energy of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun.cli import main
from spikerun.connections import Conv, Dense, Window
from spikerun.edge import golden
from spikerun.edge.golden import Activity
from spikerun.edge.mcu import McuTarget, deploy
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import cycles as cycle_table
from spikerun.edge.mcu import int8 as int8_table
from spikerun.edge.mcu.model import compose
from spikerun.edge.mcu.work import Work, estimate
from spikerun.file import save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, MaxPool, Readout

Needs = Callable[..., None]
M4 = boards.load("generic-cortex-m4").core


@pytest.fixture(scope="module")
def small() -> Network:
    """A convolution, a pool and a classifier."""
    rng = np.random.default_rng(3)
    fire = FewSpikes(4, np.int32(300), np.int32(50))
    populations = {
        "in": Population((1, 12, 12), Input(5)),
        "conv": Population((8, 12, 12), fire),
        "pool": Population((8, 6, 6), MaxPool()),
        "out": Population((10,), Readout()),
    }
    first = Conv(rng.integers(-40, 60, (8, 1, 3, 3)).astype(np.int8), padding=(1, 1))
    last = Dense(rng.integers(-128, 128, (288, 10)).astype(np.int8))
    projections = [
        Projection("in", "conv", first),
        Projection("conv", "pool", Window((2, 2), (2, 2))),
        Projection("pool", "out", last),
    ]
    return Network(populations, projections, ["out"], 5)


def frames(share: float) -> dict[str, Any]:
    """Return two frames of the small network, so much of which is active."""
    rng = np.random.default_rng(4)
    values = rng.integers(1, 32, (2, 1, 12, 12))
    return {"in": np.where(rng.random(values.shape) < share, values, 0)}


CHEAP = int8_table.Int8({"conv": {"mac": 0.5}, "linear": {"mac": 0.5}}, "made up")


def of(net: Network, share: float, int8: int8_table.Int8 = CHEAP) -> Work:
    """Return the work of a network whose every population is so active, beside dense layers of some cost."""
    seen = {name: Activity(share, 2.0) for name in net.populations}
    return estimate(compose(net, features=M4.features), M4.costs, int8, seen)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_estimates_are_near_what_is_emulated(small: Network, tmp_path: Path, needs: Needs, share: float) -> None:
    needs("arm-none-eabi-gcc", "qemu-system-arm")
    given = frames(share)
    bundle = deploy(small, tmp_path / "fw", "generic-cortex-m4", given, run=True, toolchain="gcc", emulator="qemu")
    found = estimate(compose(small, features=M4.features), M4.costs, M4.int8, golden.seen(small, given)).firmware
    emulated = int(bundle.measures["instructions_per_inference"])
    assert 0.6 < found / emulated < 1.6  # how far off whole networks are is in docs/measured.md
    assert bundle.verdict.labels["instructions_per_inference"] == "emulated"
    assert bundle.verdict.labels["cycles_per_inference"] == "estimated of what was emulated"
    assert emulated < int(bundle.measures["cycles_per_inference"]) < 2 * emulated


def as_dear_as(net: Network, share: float) -> int8_table.Int8:
    """Return the costs of dense layers that take what firmware takes where so much is active."""
    layers = of(net, share)
    pool = layers.parts[1].firmware
    each = (layers.firmware - pool) / sum(net.populations[name].size for name in ("conv", "out"))
    return int8_table.Int8({"conv": {"output": each}, "linear": {"output": each}}, "made up")


def test_where_two_ways_are_even_they_take_the_same(small: Network) -> None:
    work = of(small, 0.1, as_dear_as(small, 0.4))
    assert work.factor == pytest.approx(4.0)
    assert work.even == "4x"
    assert of(small, 0.4).firmware == pytest.approx(work.dense)


def test_activity_decides_what_is_said_of_dense_int8(small: Network) -> None:
    even = as_dear_as(small, 0.4)
    quiet, busy = (" ".join(of(small, share, even).sentences()) for share in (0.02, 1.0))
    assert "dense int8 (CMSIS-NN) would take" in quiet and "x the instructions" in quiet
    assert "dense int8 (CMSIS-NN) would be" in busy and "faster" in busy


def test_a_layer_of_silent_sources_is_never_dearer_than_one_of_active_ones(small: Network) -> None:
    costs = [of(small, share).firmware for share in (0.0, 0.3, 0.6, 1.0)]
    assert costs == sorted(costs)
    assert of(small, 0.5).binary is not None and float(of(small, 0.5).binary or 0) > of(small, 0.5).firmware


def test_firmware_of_many_steps_is_said_to_be_one(spiking: Network) -> None:
    work = estimate(compose(spiking), M4.costs, M4.int8, {})
    assert work.binary is None and work.steps > 1
    assert f"where firmware takes {work.steps} steps" in work.sentences()[0]


def test_a_core_that_lacks_a_cost_says_so(small: Network) -> None:
    work = estimate(compose(small), {}, None, {})
    assert work.dense is None
    assert any("are guesses" in text for text in work.sentences())


def test_a_check_prints_where_each_figure_is_from(
    small: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(small, tmp_path / "net.snn")
    np.savez(tmp_path / "data.npz", samples=frames(0.3)["in"].astype(np.uint8), labels=[0, 1])
    words = ["deploy", str(tmp_path / "net.snn"), "-t", "nrf52840", "--check", "--json", "--toolchain", "zig"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"]["instructions_per_inference"] == "estimated"
    assert found["labels"]["stack_bytes"] == "upper bound"
    assert found["measures"]["microseconds_per_inference"] > 0 and found["measures"]["microjoules_per_inference"] > 0
    rows = found["tables"]["instructions"]
    assert [row["population"] for row in rows] == ["conv", "pool", "out", "(all)"]
    assert {row["known"] for row in rows[:3]} == {"assumed", "-"}
    assert main([*words, "--data", str(tmp_path / "data.npz"), "--samples", "2"]) == 0
    rows = json.loads(capsys.readouterr().out)["tables"]["instructions"]
    assert rows[0]["known"] == "measured" and 20 <= int(str(rows[0]["active"]).rstrip("%")) <= 40


def test_a_core_without_cycles_has_no_time_and_says_so(small: Network) -> None:
    verdict = McuTarget(boards.load("esp32c3")).check(small, samples=1)
    assert "instructions_per_inference" in verdict.measures
    assert not {"cycles_per_inference", "microseconds_per_inference"} & verdict.measures.keys()
    assert any("are not modelled" in note for note in verdict.notes)


def test_cycles_are_those_of_the_classes() -> None:
    core = cycle_table.Cycles(load=1, store=0.5, branch=2, vector=3, factor=0.5, mean=1.5, source="a table")
    counted = {"instructions": 100.0, "loads": 10.0, "stores": 4.0, "branches": 5.0, "vectors": 1.0}
    assert core.of(counted) == 0.5 * (100 + 10 + 2 + 10 + 3)
    assert core.of({"instructions": 100.0}) == 150


GOOD = {"load": 1, "store": 0, "branch": 2, "vector": 0, "factor": 1, "mean": 1.5, "source": "a manual"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"load": -1}, "'load' must be a number"),
        ({"factor": True}, "'factor' must be a number"),
        ({"source": ""}, "lacks its 'source'"),
        ({"speed": 3}, "unknown key 'speed'"),
    ],
)
def test_a_table_of_cycles_that_is_wrong_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cycle_table.read_cycles({**GOOD, **change})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"conv": {"mac": 1.0}}, "lacks its 'source'"),
        ({"source": "x", "magic": {"mac": 1.0}}, "'magic' is no layer"),
        ({"source": "x", "conv": {"macs": 1.0}}, "'conv' is no layer"),
        ({"source": "x", "conv": {"mac": -1.0}}, "0 or more"),
    ],
)
def test_a_table_of_int8_that_is_wrong_is_refused(table: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        int8_table.read(table)


def test_energy_without_a_source_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks its 'source'"):
        cycle_table.read_energy({"microamperes": 50.0, "volts": 3.0})
