# SPDX-License-Identifier: Apache-2.0
"""Bundles in Lava itself, and what becomes of it when it fails. It needs `spikerun lava-env create`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from chip_graphs import FAMILIES, random_graph, random_samples, write_bundle
from chip_networks import chip_network
from networks import random_network

from spikerun import edge
from spikerun.edge.loihi import lava
from spikerun.edge.loihi.graph import Graph, Neurons
from spikerun.edge.loihi.mapping import to_graph
from spikerun.errors import FileFormatError, SpikerunError, TargetError
from spikerun.network import Network

STANDIN = Path(__file__).parent / "standin"
FRESH = 7_000  # seeds of the command `scripts/lava` are smaller
RECORD = "        self.rows[self.time_step - 1] = self.a_in.recv()\n"
HANG = "        import time; time.sleep(1000)\n"
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def found() -> lava.Lava:
    return lava.find()


@pytest.fixture
def bundle(tmp_path: Path) -> Make:
    """Return a function that writes a small bundle with a runner, whose recorder does something else."""

    def make(instead: str = RECORD, family: str | Graph = "dense") -> Path:
        graph = random_graph(family, 3) if isinstance(family, str) else family
        folder = write_bundle(tmp_path / "bundle", graph, random_samples(graph, 3))
        shutil.copytree(lava.RUNNER, folder / "runner")
        processes = folder / "runner" / "processes" / "__init__.py"
        text = processes.read_text(encoding="utf-8")
        assert text.count(RECORD) == 1
        processes.write_text(text.replace(RECORD, instead), encoding="utf-8")
        return folder

    return make


SHARED = set(Path("/dev/shm").glob("psm_*_*"))  # of others, who may have ended without a word


def segments() -> dict[Path, Path]:
    """Return new shared memory, and where the process that made it stands while it runs."""
    found = set(Path("/dev/shm").glob("psm_*_*")) - SHARED
    return {path: Path("/proc", path.name.split("_")[1]) for path in found}


def left(folder: Path, seconds: float = 5) -> list[str]:
    """Return processes that name a folder, and new shared memory of runners that ended, after some seconds."""
    end = time.monotonic() + seconds
    while True:
        alive = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in words and path.parent.name != str(os.getpid()):
                alive.append(words.decode(errors="replace"))
        alive += [str(path) for path, process in segments().items() if not process.exists()]
        if not alive or time.monotonic() > end:
            return alive
        time.sleep(0.2)


@contextmanager
def started(words: list[Any]) -> Iterator[subprocess.Popen[str]]:
    """Start a program; whatever becomes of the test, it is ended."""
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_every_family_is_equal_in_lava(found: lava.Lava, tmp_path: Path) -> None:
    graphs = {family: random_graph(family, FRESH) for family in FAMILIES}
    bundles = [write_bundle(tmp_path / name, graph, random_samples(graph, FRESH)) for name, graph in graphs.items()]
    verdicts = lava.run_all(bundles, found, sum(lava.seconds(graph, 4) for graph in graphs.values()), ("--states",))
    assert [name for name, verdict in zip(graphs, verdicts, strict=True) if not verdict["equal"]] == []
    for folder, verdict in zip(bundles, verdicts, strict=True):
        with np.load(folder / "samples.npz") as file:
            assert {row["what"] for row in verdict["compared"]} == {n for n in file.files if not n.startswith("input/")}
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "net",
    [chip_network(12, feedforward=True), chip_network(20), random_network(26, "words", tables=False)],
    ids=["one run", "delays", "words"],
)
def test_a_network_that_is_deployed_is_equal_in_lava(net: Network, tmp_path: Path) -> None:
    bundle = edge.load("loihi2").deploy(net, tmp_path / "out", 3, run=True)
    assert bundle.run is not None
    assert bundle.run.mismatches == ()
    assert bundle.json()["identical"]


def test_an_input_that_is_an_output_is_verified(found: lava.Lava, tmp_path: Path) -> None:
    net = chip_network(12, feedforward=True)
    net = Network(net.populations, net.projections, ["in", *net.outputs], net.window)
    bundle = edge.load("loihi2").deploy(net, tmp_path / "out", 2, run=True)
    assert bundle.json()["identical"]


def test_one_wrong_event_is_found_and_named(found: lava.Lava, bundle: Make, tmp_path: Path) -> None:
    folder = bundle()
    with np.load(folder / "samples.npz") as file:
        arrays = dict(file)
    arrays["events/n1"][1, 2, 0, 1, 1] ^= 1
    np.savez(folder / "samples.npz", **arrays)
    verdict = lava.run(folder, found, 60)
    wrong = [row for row in verdict["compared"] if row["different"]]
    assert not verdict["equal"]
    assert [(row["what"], row["different"], row["first"]["at"]) for row in wrong] == [("events/n1", 1, [1, 2, 0, 1, 1])]


def test_a_bundle_stays_as_it_was(found: lava.Lava, bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    folder = bundle()
    before = sorted(folder.rglob("*"))
    assert lava.run(folder, found, 60)["equal"]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("instead", "timeout", "said"),
    [
        ("        raise ValueError('boom')\n", 60, "ValueError in one of its processes: boom"),
        ("        import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n", 60, "a process of Lava ended by itself"),
        (HANG, 6, "has not ended in time"),
    ],
)
def test_a_lava_that_fails_is_an_error_soon(
    found: lava.Lava, bundle: Make, tmp_path: Path, instead: str, timeout: float, said: str
) -> None:
    folder, begin = bundle(instead), time.monotonic()
    with pytest.raises(TargetError, match=said):
        lava.run(folder, found, timeout)
    assert time.monotonic() - begin < 30
    assert left(tmp_path) == []


@pytest.mark.parametrize("whom", ["caller", "runner"])
def test_what_is_killed_leaves_nothing_behind(found: lava.Lava, bundle: Make, tmp_path: Path, whom: str) -> None:
    folder = bundle(HANG)
    code = f"""
import pathlib, sys
sys.path[:0] = {sys.path}
from spikerun.edge.loihi import lava
lava.run(pathlib.Path({str(folder)!r}), lava.inspect(pathlib.Path({str(found.python)!r}), "x"), 100)
"""
    with started([sys.executable, "-c", code]) as caller:
        runner = _runner(folder)
        os.kill(caller.pid if whom == "caller" else runner, signal.SIGKILL)
        _, said = caller.communicate(timeout=30)
    assert whom == "caller" or "ended by the signal SIGKILL" in said
    assert left(folder) == []


def test_control_c_leaves_nothing_behind(found: lava.Lava, bundle: Make) -> None:
    folder = bundle(HANG)
    with started([found.python, folder / "runner"]) as runner:
        _runner(folder)
        runner.send_signal(signal.SIGINT)
        _, said = runner.communicate(timeout=30)
    assert (runner.returncode, "interrupted" in said, left(folder)) == (130, True, [])


def _runner(folder: Path) -> int:
    """Return the process of a runner, once its network runs."""
    for _ in range(300):
        for process in segments().values():
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if os.fsencode(folder) in words:
                time.sleep(0.5)
                return int(process.name)
        time.sleep(0.1)
    raise AssertionError("the runner did not start")


@pytest.mark.parametrize("name", ["graph.h5", "samples.npz"])
def test_a_damaged_bundle_is_one_sentence(found: lava.Lava, bundle: Make, name: str) -> None:
    folder = bundle()
    raw = (folder / name).read_bytes()
    (folder / name).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(FileFormatError, match=rf"^'.*{name}' is damaged .*; make the bundle again\.$"):
        lava.run(folder, found, 60)


def test_a_run_that_needs_too_much_room_is_refused(found: lava.Lava, bundle: Make) -> None:
    graph = replace(random_graph("dense", 3), synapses=(), meta={"probes": ""})
    late = Neurons("n2", (300,), "sigma", {}, 2)
    folder = bundle(family=replace(graph, neurons=(*graph.neurons, late)))
    with h5py.File(folder / "graph.h5", "r+") as file:
        file["neurons/000002"].attrs["begin"] = 2**24
    with pytest.raises(TargetError, match=r"'n2', 300 neurons, are more than 4294967296 bytes; give fewer --samples"):
        lava.run(folder, found, 60)


def test_samples_of_another_graph_are_refused(found: lava.Lava, bundle: Make, tmp_path: Path) -> None:
    folder, other = bundle(), random_graph("conv", 3)
    made = write_bundle(tmp_path / "other", other, random_samples(other, 3))
    shutil.copy(made / "samples.npz", folder / "samples.npz")
    with pytest.raises(FileFormatError, match="must hold integers of shape"):
        lava.run(folder, found, 60)


@pytest.fixture
def chip(found: lava.Lava, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Return a function that runs a bundle where SLURM seems to have Loihi 2."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, does in {"sinfo": "echo PARTITION AVAIL", "ping": "exit 1"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def run(folder: Path, *options: str, **variables: str) -> tuple[int, str]:
        words = [found.python, STANDIN, folder / "runner", "--hardware", *options]
        env = {**os.environ, **variables}
        done = subprocess.run(words, capture_output=True, text=True, timeout=100, env=env)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("family", ["recurrent", "sigma_delta_networks"])
def test_hardware_mode_wires_adapters_and_finds_how_late_they_are(chip: Any, bundle: Make, family: str) -> None:
    code, said = chip(bundle(family=family), "--profile", PARTITION="kp", LOIHI_GEN="N3C1")
    assert code == 0, said
    assert "'SLURM': '1', 'PARTITION': 'kp', 'BOARD': None, 'LOIHI_GEN': 'N3C1'" in said
    assert "'callback_fxs': ['Loihi2Power', 'Loihi2ExecutionTime']" in said
    for part in ("3 steps late", "total_power_w 0.5", "us_per_step 20", "never run on silicon", "identical: yes"):
        assert part in said


@pytest.mark.parametrize(
    ("family", "variables", "said"),
    [
        ("subtract", {}, "no chip has the models of n0 (lif_subtract), n1 (lif_subtract_after_leak)"),
        ("dense", {"LOIHI_GEN": "N4"}, "LOIHI_GEN is 'N4'; known are N2A2"),
        ("dense", {"BOARD": "a", "PARTITION": "kp"}, "BOARD and PARTITION are both set"),
        ("dense", {"NXSDKHOST": "host.invalid"}, "`ping host.invalid` failed"),
    ],
)
def test_hardware_mode_refuses_what_it_cannot(chip: Any, bundle: Make, family: str, variables: Any, said: str) -> None:
    code, text = chip(bundle(family=family), **variables)
    assert (code, said in text) == (2, True), text


MAPPED: dict[str, Callable[[], Graph]] = {
    "one run": lambda: to_graph(chip_network(8, feedforward=True)),
    "delays": lambda: to_graph(chip_network(8)),
    "words": lambda: to_graph(random_network(26, "words", tables=False)),
    "sigma-delta": lambda: random_graph("sigma_delta_networks", 3),
}


@pytest.mark.parametrize("name", MAPPED)
def test_hardware_mode_waits_for_adapters_that_delay_what_enters(chip: Any, bundle: Make, name: str) -> None:
    folder = bundle(family=MAPPED[name]())
    code, said = chip(folder, "--own-models", "--input-latency", "20", STANDIN_LATE="20")
    assert (code, "23 steps late" in said) == (0, True), said


@pytest.mark.parametrize("name", MAPPED)
def test_adapters_that_delay_what_enters_are_found_where_nothing_waits(chip: Any, bundle: Make, name: str) -> None:
    code, said = chip(bundle(family=MAPPED[name]()), "--own-models", STANDIN_LATE="2")
    assert (code, "identical: no" in said) == (1, True), said


@pytest.mark.parametrize(
    ("family", "latency", "said"),
    [
        ("sigma_delta", "2", "population 'n0' sends by itself from the first step, which cannot be made 2 steps later"),
        ("dense", "33", "--input-latency must be in 0..32, it is 33"),
        ("dense", "-1", "--input-latency must be in 0..32, it is -1"),
    ],
)
def test_latencies_that_cannot_be_are_refused(chip: Any, bundle: Make, family: str, latency: str, said: str) -> None:
    code, text = chip(bundle(family=family), "--own-models", "--input-latency", latency)
    assert (code, said in text) == (2, True), text


def test_a_latency_that_makes_a_delay_too_long_is_refused(chip: Any, bundle: Make) -> None:
    graph = random_graph("sigma_delta_networks", 3)
    longer = [replace(s, delay=62) if s.source == "l0:bias" else s for s in graph.synapses]
    code, text = chip(bundle(family=replace(graph, synapses=tuple(longer))), "--input-latency", "2")
    assert (code, "'l0:bias' sends by itself from the first step" in text) == (2, True)


def test_a_membrane_that_no_chip_shows_is_said_not_to_be_compared(chip: Any, bundle: Make, tmp_path: Path) -> None:
    graph = replace(random_graph("dense", 3), meta={"probes": "n1"})
    code, said = chip(bundle(family=graph), "--json", str(tmp_path / "verdict.json"))
    assert (code, "note: not compared, for it is not read: states/n1/v" in said) == (0, True), said
    assert "identical: yes, all events; not the membranes" in said
    assert json.loads((tmp_path / "verdict.json").read_text())["unread"] == ["states/n1/v"]


def test_hardware_mode_takes_models_of_your_own_if_told(chip: Any, bundle: Make) -> None:
    code, text = chip(bundle(family="subtract"), "--own-models")
    assert (code, "identical: yes" in text) == (0, True), text


def test_hardware_mode_without_lava_loihi_says_so(found: lava.Lava, bundle: Make) -> None:
    words = [found.python, bundle() / "runner", "--hardware"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "lava-loihi is not installed" in done.stderr) == (2, True)


def test_a_run_that_is_too_long_is_ended_within_its_limit(found: lava.Lava, bundle: Make) -> None:
    with pytest.raises(SpikerunError):
        lava.run(bundle(), found, 0.01)
