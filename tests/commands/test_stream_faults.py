# SPDX-License-Identifier: Apache-2.0
"""`spikerun stream` where something is in the way: time, order, room, Ctrl-C."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from drives import BIN, MS, SESSION, Chunk, Clock, driven, evenly, leaky, recording

from spikerun import IF, Dense, Input, Network, Population, Projection, save
from spikerun.cli import main
from spikerun.commands.stream_source import Intake
from spikerun.live import Live

ROOT = Path(__file__).resolve().parents[2]
UNIX = 1_700_000_000_000_000  # microseconds, whole windows of the network


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a network and a recording, where commands run."""
    monkeypatch.chdir(tmp_path)
    save(leaky(), "net.snn")
    np.save("rec.npy", recording(3000, 60 * BIN))
    return tmp_path


def stream(*words: str, code: int = 0) -> None:
    assert main(["stream", *words, "--net", "net.snn"]) == code


def rows(name: str) -> list[list[str]]:
    return [line.split(",") for line in Path(name).read_text().splitlines()[1:]]


def test_a_recording_in_unix_time_keeps_its_times(folder: Path) -> None:
    events = np.load("rec.npy")
    events["t"] += UNIX
    np.save("unix.npy", events)
    stream("rec.npy", "-o", "out.csv")
    stream("unix.npy", "-o", "unix.csv", "--record", "kept.npy")
    expected = [[str(int(step) + UNIX // BIN), str(int(t) + UNIX), *rest] for step, t, *rest in rows("out.csv")]
    assert rows("unix.csv") == expected
    assert np.load("kept.npy").tolist() == events.tolist()


def swapped() -> Chunk:
    """Return a recording within which some events are behind their time."""
    events: Chunk = np.load("rec.npy")
    return np.concatenate([events[:1000], events[1500:2000], events[1000:1500], events[2000:]])


@pytest.mark.parametrize("late", ["drop", "clamp"])
def test_late_events_of_a_recording_are_the_streams_and_those_kept_can_be_run_again(folder: Path, late: str) -> None:
    np.save("late.npy", swapped())
    stream("late.npy", "--late", late, "-o", "a.csv", "--record", "kept.npy")
    stream("kept.npy", "--late", late, "-o", "b.csv")
    assert np.load("kept.npy").tolist() == swapped().tolist()
    assert rows("a.csv") == rows("b.csv")
    stream("late.npy", code=3)


def test_a_recording_with_late_events_can_be_paced(folder: Path) -> None:
    np.save("late.npy", swapped())
    stream("late.npy", "--late", "drop", "-o", "a.csv")
    stream("late.npy", "--late", "drop", "-o", "b.csv", "--pace", "5")
    assert rows("a.csv") == rows("b.csv")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let files grow to so many bytes at most, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_there_is_no_room_what_was_written_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream("rec.npy", "-o", "all.csv")
    with room_for(20_000):
        stream("rec.npy", "--pace", "10", "-o", "out.csv", code=2)
    assert "cannot write all of 'out.csv'" in " ".join(capsys.readouterr().err.split())
    kept = rows("out.csv")
    assert len(kept) > 0
    assert kept == rows("all.csv")[: len(kept)]


def test_where_there_is_no_room_events_recorded_are_a_whole_file(folder: Path) -> None:
    with room_for(20_000):
        stream("rec.npy", "--pace", "10", "--record", "kept.npy", code=2)
    kept = np.load("kept.npy")
    assert 0 < len(kept) < 3000
    assert kept.tolist() == np.load("rec.npy")[: len(kept)].tolist()


def test_a_network_of_two_inputs_is_refused_without_figures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    populations = {name: Population((2, 4, 5), Input(1, "spikes")) for name in "ab"}
    populations["h"] = Population((1,), IF(np.int32(9)))
    projections = [Projection(name, "h", Dense(np.ones((40, 1), np.int8))) for name in "ab"]
    save(Network(populations, projections, ["h"], 4), "net.snn", force=True)
    stream("rec.npy", "-o", "out.csv", code=2)
    printed = capsys.readouterr()
    assert "'net.snn' takes no events of a camera: it has 2 inputs, a, b" in " ".join(printed.err.split())
    assert "push_frame" not in printed.err
    assert printed.out == ""
    assert not Path("out.csv").exists()


def test_ctrl_c_ends_a_run_of_many_steps_soon(folder: Path) -> None:
    np.save("rec.npy", recording(30_000, 9_000_000))
    words = ["stream", "rec.npy", "--net", "net.snn", "--bin", "1us", "-o", "out.csv"]
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    running = subprocess.Popen([sys.executable, "-m", "spikerun", *words], stderr=subprocess.PIPE, env=environment)
    while not list(Path().glob(".spikerun.*")) and running.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert time.monotonic() - begin < 5  # a machine that others use
    assert b"interrupted: what came before is in 'out.csv'" in said
    assert rows("out.csv")


@pytest.mark.parametrize("clock", ["wall", "events"])
def test_a_duration_ends_a_source_that_has_fallen_silent(clock: str) -> None:
    now = Clock()

    class Silent:
        pace = 1.0

        def __iter__(self) -> Iterator[Chunk]:
            yield evenly(1, 1)
            for _ in range(1000):
                now.ns += MS // 2
                yield evenly(0, 0)

    intake = Intake(Silent(), None, 7 * BIN, None, BIN, grace_us=BIN, clock_ns=now)
    live = Live(SESSION.stream(), intake, clock=clock, grace_us=BIN, clock_ns=now)
    begin = now.ns
    driven(live)
    assert 8 <= (now.ns - begin) / MS <= 9
    assert live.stream.t == (7 if clock == "wall" else 1)
