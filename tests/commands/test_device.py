# SPDX-License-Identifier: Apache-2.0
"""Commands that run networks on another device than the processor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import Dense, FewSpikes, Input, Network, Population, Projection, Readout, save
from spikerun.cli import main


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Return the file of a small network for the 8x8 digits."""
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-40, 50, shape).astype(np.int8) for shape in ((64, 20), (20, 10)))
    populations = {
        "pixels": Population((1, 8, 8), Input(8)),
        "h": Population((20,), FewSpikes(4, 3000)),
        "digit": Population((10,), Readout(np.float32(0.01))),
    }
    net = Network(populations, [Projection("pixels", "h", Dense(a)), Projection("h", "digit", Dense(b))], ["digit"], 8)
    return save(net, tmp_path / "net.snn")


def result(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    """Return the one JSON object that a command prints."""
    assert main([*map(str, words), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_run_gives_the_same_on_every_device(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("run", network, "--data", "digits", "--limit", 20)
    cpu, gpu = (result(capsys, *words, "--device", device) for device in ("cpu", "cuda"))
    assert (cpu["device"], gpu["device"]) == ("cpu", "cuda")
    assert [cpu[key] for key in ("accuracy", "populations")] == [gpu[key] for key in ("accuracy", "populations")]


def test_run_says_what_memory_it_takes_before_it_runs(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(network), "--data", "digits", "--limit", "9", "--device", "cuda", "--at-once", "4"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("memory of the device: ") and "device 'cuda'" in said.out


def test_run_refuses_threads_of_a_gpu(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(network), "--data", "digits", "--device", "cuda", "--threads", "2"]) == 2
    assert "unknown option of device 'cuda' 'threads'" in capsys.readouterr().err


def test_bench_measures_a_gpu(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--repeat", 3, "--batch", 4, "--limit", 4)
    found = result(capsys, "bench", network, "--data", "digits", "--device", "cuda", *words)
    assert found["device"] == "cuda" and found["results"][0]["p50_ms"] > 0


def test_bench_compares_on_the_cpu_only(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(network), "--data", "digits", "--device", "cuda", "--against", "m.py:build"]) == 2
    assert "is measured on the CPU, not on the device 'cuda'" in capsys.readouterr().err


def test_pieces_of_the_cpu_are_refused_by_the_name_of_the_option(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(network), "--data", "digits", "--at-once", "4"]) == 2
    assert "--at-once is an option of a GPU" in capsys.readouterr().err
