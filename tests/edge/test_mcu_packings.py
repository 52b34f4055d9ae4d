# SPDX-License-Identifier: Apache-2.0
"""Which packing weights get, what the report says of it, and that each holds the weights of random maps."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_inputs

from spikerun.connections import Connection, Conv, Dense, Sparse
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy
from spikerun.edge.mcu.build import SANITIZERS, WARNINGS, build, execute
from spikerun.edge.mcu.memory import report
from spikerun.edge.mcu.model import compose
from spikerun.edge.mcu.printer import source
from spikerun.errors import UsageError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Readout

Needs = Callable[..., None]
BOARD = "generic-cortex-m4"
TABLES = re.compile(r"model_[a-z_]+\d+\w*|model_tables")
PACKED = re.compile(r"model_\w+\d+_(marks|weights|counts|wide_counts|starts|wide_starts|targets|wide_targets)")


def weights(rng: np.random.Generator, shape: tuple[int, ...], zeros: float) -> np.ndarray[Any, Any]:
    return np.where(rng.random(shape) < zeros, 0, rng.integers(1, 128, shape)).astype(np.int8)


def dense(inputs: int, outputs: int, zeros: float) -> Network:
    populations = {"in": Population((inputs,), Input()), "out": Population((outputs,), Readout())}
    weight = weights(np.random.default_rng(0), (inputs, outputs), zeros)
    return Network(populations, [Projection("in", "out", Dense(weight))], ["out"], 8)


def table(net: Network, packing: str = "auto") -> dict[str, dict[str, Any]]:
    model = compose(net, packing=packing)
    rows = report(model, source(model), boards.load(BOARD), samples=1).verdict().json()["table"]
    return {row["population"]: row for row in rows}


@pytest.mark.parametrize(("zeros", "packing"), [(0.0, "dense"), (0.6, "dense"), (0.9, "delta"), (1.0, "delta")])
def test_the_packing_follows_from_the_share_of_zeros(zeros: float, packing: str) -> None:
    assert table(dense(400, 200, zeros))["out"]["packing"] == packing


@pytest.mark.parametrize(("outputs", "packing"), [(12, "dense"), (400, "bitmap")])
def test_few_weights_are_not_worth_the_code_of_a_packing(outputs: int, packing: str) -> None:
    rng = np.random.default_rng(0)
    populations = {
        "in": Population((40,), Input()),
        "full": Population((50,), FewSpikes(4, np.int32(900))),
        "out": Population((outputs,), Readout()),
    }
    full, thin = Dense(weights(rng, (40, 50), 0.0)), Dense(weights(rng, (50, outputs), 0.6))
    net = Network(populations, [Projection("in", "full", full), Projection("full", "out", thin)], ["out"], 8)
    assert {name: row["packing"] for name, row in table(net, "small").items()} == {"full": "dense", "out": packing}


def test_some_bytes_less_are_not_worth_much_time() -> None:
    kernel = weights(np.random.default_rng(0), (32, 16, 3, 3), 0.8)
    populations = {"in": Population((16, 9, 9), Input()), "out": Population((32, 9, 9), Readout())}
    net = Network(populations, [Projection("in", "out", Conv(kernel, padding=(1, 1)))], ["out"], 8)
    assert [table(net, wish)["out"]["packing"] for wish in ("small", "auto")] == ["bitmap", "delta"]


@pytest.mark.parametrize("packing", ["auto", "small"])
def test_a_choice_of_packings_never_takes_more_flash_than_dense_weights(pruned: Network, packing: str) -> None:
    for net in (pruned, dense(30, 30, 0.0), dense(100, 9, 0.3), dense(100, 100, 0.8)):
        sizes = []
        for wish in ("dense", packing):
            model = compose(net, packing=wish)
            sizes.append(report(model, source(model), boards.load(BOARD), samples=1).flash)
        assert sizes[1] <= sizes[0]


def test_ninety_percent_of_zeros_leave_less_than_a_third_of_the_flash(tmp_path: Path, needs: Needs) -> None:
    needs("qemu-system-arm", "arm-none-eabi-gcc")
    rng = np.random.default_rng(0)
    populations = {
        "in": Population((1, 8, 8), Input()),
        "conv": Population((16, 8, 8), FewSpikes(4, np.int32(2000))),
        "hidden": Population((64,), FewSpikes(4, np.int32(9000))),
        "out": Population((10,), Readout()),
    }
    projections = [
        Projection("in", "conv", Conv(weights(rng, (16, 1, 3, 3), 0.5), padding=(1, 1))),
        Projection("conv", "hidden", Dense(weights(rng, (1024, 64), 0.9))),
        Projection("hidden", "out", Dense(weights(rng, (64, 10), 0.8))),
    ]
    net = Network(populations, projections, ["out"], 8)
    made = {p: deploy(net, tmp_path / p, BOARD, 3, run=True, packing=p) for p in ("dense", "auto")}
    runs = [bundle.run for bundle in made.values() if bundle.run is not None]
    assert all(run.identical for run in runs)
    np.testing.assert_array_equal(runs[0].outputs, runs[1].outputs)
    assert 3 * int(made["auto"].measures["flash_bytes"]) < int(made["dense"].measures["flash_bytes"])
    assert int(runs[1].measures["instructions_per_inference"]) < int(runs[0].measures["instructions_per_inference"])


@pytest.mark.parametrize("packing", ["auto", "delta", "bitmap", "dense"])
def test_the_reported_bytes_are_those_of_the_executable(
    pruned: Network, tmp_path: Path, needs: Needs, packing: str
) -> None:
    needs("arm-none-eabi-gcc", "arm-none-eabi-nm", "qemu-system-arm")
    bundle = deploy(pruned, tmp_path / "fw", BOARD, 1, run=True, packing=packing, toolchain="gcc")
    command = ["arm-none-eabi-nm", "-S", tmp_path / "fw" / "selftest.elf"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    sizes = {parts[3]: int(parts[1], 16) for line in lines if len(parts := line.split()) == 4}
    rows = bundle.verdict.json()["table"]
    assert sum(size for name, size in sizes.items() if PACKED.fullmatch(name)) == bundle.measures["weight_bytes"]
    assert sum(-(-size // 4) * 4 for name, size in sizes.items() if TABLES.fullmatch(name)) == sum(
        row["flash"] for row in rows
    )


def test_the_report_and_the_readme_say_how_weights_are_packed(tmp_path: Path) -> None:
    net = dense(400, 200, 0.9)
    bundle = deploy(net, tmp_path / "fw", BOARD, 1)
    (row,) = (row for row in bundle.verdict.json()["table"] if row["population"] == "out")
    connection = net.projections[0].connection
    assert isinstance(connection, Dense)
    assert (row["weights"], row["zeros"]) == (80_000, int((connection.weight == 0).sum()))
    assert 2 * (row["weights"] - row["zeros"]) < row["packed"] < 0.25 * row["weights"]
    said = f"`out` 80000 ({row['zeros']} are 0) as delta in {row['packed']} bytes"
    assert said in (tmp_path / "fw" / "README.md").read_text()
    assert f"| {row['zeros']} | delta | {row['packed']} |" in (tmp_path / "fw" / "report.md").read_text()


def test_an_unknown_packing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"packing 'delt'.*'delta'"):
        deploy(dense(2, 2, 0.0), tmp_path / "fw", "host", 1, packing="delt")


def random_map(rng: np.random.Generator, zeros: float) -> tuple[Connection, tuple[int, ...]]:
    """Return a map from (4, 5, 6) neurons, and the shape of what it reaches."""
    kind = rng.integers(4)
    if kind == 0:
        outputs = int(rng.choice([1, 7, 8, 9, 64, 300, 700]))
        return Dense(weights(rng, (120, outputs), zeros)), (outputs,)
    if kind == 1:
        outputs = int(rng.choice([3, 40, 900]))
        counts = rng.integers(0, 6, 120)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        indices = rng.integers(0, outputs, indptr[-1]).astype(np.int32)
        return Sparse(indptr, indices, weights(rng, (int(indptr[-1]),), zeros), outputs), (outputs,)
    groups, channels = (int(rng.choice([1, 2, 4])), 4 * int(rng.choice([1, 3, 5])))
    kernel, stride, dilation = (tuple(int(n) for n in rng.integers(1, most, 2)) for most in (4, 3, 3))
    if kind == 2:
        stride = dilation = (1, 1)
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    connection = Conv(weights(rng, (channels, 4 // groups, *kernel), zeros), stride, padding, dilation, groups)
    return connection, connection.target_shape((4, 5, 6))


@pytest.mark.parametrize("packing", ["delta", "bitmap", "small"])
@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.95, 1.0])
def test_random_maps_of_any_share_of_zeros_are_identical(
    tmp_path: Path, needs: Needs, packing: str, zeros: float
) -> None:
    needs("gcc")
    rng = np.random.default_rng([int(100 * zeros), len(packing)])
    populations, projections = {"in": Population((4, 5, 6), Input(3, signed=True))}, []
    for k in range(24):
        connection, shape = random_map(rng, zeros)
        populations[f"out{k}"] = Population(shape, Readout())
        projections.append(Projection("in", f"out{k}", connection))
    net = Network(populations, projections, [f"out{k}" for k in range(24)], 8)
    deploy(net, tmp_path / "fw", "host", random_inputs(net, 0, 4, 0.5), packing=packing)
    host = boards.load("host")
    program = build(tmp_path / "fw", host, "gcc", tmp_path / "program", (*WARNINGS, *SANITIZERS, "-O1"))
    found = execute(program, host, "none", timeout=60)
    assert found.complete and found.mismatches == []


@pytest.mark.parametrize("packing", ["delta", "bitmap"])
def test_more_entries_of_a_convolution_than_16_bits_can_count_are_identical(
    tmp_path: Path, needs: Needs, packing: str
) -> None:
    needs("gcc")
    populations = {"in": Population((64, 3, 3), Input(3)), "out": Population((128, 3, 3), Readout())}
    kernel = weights(np.random.default_rng(0), (128, 64, 3, 3), 0.05)
    net = Network(populations, [Projection("in", "out", Conv(kernel, padding=(1, 1)))], ["out"], 8)
    run = deploy(net, tmp_path / "fw", "host", 2, run=True, packing=packing).run
    assert run is not None and run.identical
    assert "_wide_starts[64]" in (tmp_path / "fw" / "model" / "model.c").read_text()
