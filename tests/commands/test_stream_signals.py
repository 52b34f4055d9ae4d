# SPDX-License-Identifier: Apache-2.0
"""`spikerun stream` that is ended by a signal, or by the reader of its output: what came before is kept."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from drives import BIN, leaky, recording

from spikerun import save

ROOT = Path(__file__).resolve().parents[2]
SOON = 5  # seconds, on a machine that others use


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a network and a recording that takes long, where commands run."""
    monkeypatch.chdir(tmp_path)
    save(leaky(), "net.snn")
    np.save("rec.npy", recording(200_000, 60_000 * BIN))
    return tmp_path


def started(*words: str, files: int, stdout: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    """Return a command whose files wait for their names, and that has begun to write."""
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a command inherits that nohup has it ignored
    running = subprocess.Popen(
        [sys.executable, "-m", "spikerun", "stream", "rec.npy", "--net", "net.snn", *words],
        stdout=stdout, stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip
    signal.signal(signal.SIGHUP, before)
    while running.poll() is None:
        held = [path.stat().st_size for path in Path().glob(".spikerun.*")]
        if len(held) == files and min(held) > 500:
            break
        time.sleep(0.02)
    return running


def ended(running: "subprocess.Popen[bytes]", code: int) -> bytes:
    """Return what a command says that ends soon."""
    begin = time.monotonic()
    assert running.stderr is not None
    with running:
        try:
            assert running.wait(timeout=30) == code
        finally:
            running.kill()
        assert time.monotonic() - begin < SOON
        return running.stderr.read()


def assert_kept(*names: str) -> None:
    assert not list(Path().glob(".spikerun.*"))
    for name in names:
        if name.endswith(".npy"):
            kept = np.load(name)
            assert 0 < len(kept) < 200_000
            assert kept.tolist() == np.load("rec.npy")[: len(kept)].tolist()
        else:
            lines = Path(name).read_text().splitlines()
            assert len(lines) > 1
            assert all(len(line.split(",")) == 6 for line in lines)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["term", "hangup"])
def test_what_came_before_a_signal_is_kept(folder: Path, number: signal.Signals, code: int) -> None:
    running = started("--pace", "10", "-o", "o.csv", "--record", "r.npy", files=2)
    running.send_signal(number)
    assert b"interrupted: what came before is in 'o.csv' and 'r.npy'" in ended(running, code)
    assert_kept("o.csv", "r.npy")


def test_a_second_ctrl_c_leaves_work_undone_and_keeps_what_was_written(folder: Path) -> None:
    running = started("-o", "o.csv", "--record", "r.npy", files=2)
    running.send_signal(signal.SIGINT)
    time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    ended(running, 130)
    assert_kept("o.csv", "r.npy")


def test_ctrl_c_ends_what_nobody_reads(folder: Path) -> None:
    running = started("-o", "-", "--record", "r.npy", files=1, stdout=subprocess.PIPE)
    time.sleep(0.5)  # the pipe is full
    running.send_signal(signal.SIGINT)
    assert b"interrupted: what came before is in 'r.npy'" in ended(running, 130)
    assert_kept("r.npy")


def test_events_are_kept_where_the_reader_goes(folder: Path) -> None:
    running = started("-o", "-", "--record", "r.npy", files=1, stdout=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    said = ended(running, 141)
    assert b"the reader has gone: what came before is in 'r.npy'" in said
    assert b"Exception" not in said
    assert_kept("r.npy")
