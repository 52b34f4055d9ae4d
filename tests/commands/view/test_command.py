# SPDX-License-Identifier: Apache-2.0
"""`spikerun view`: a recording through a network, watched by a client; how it ends, and what it refuses."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from viewing import events, network, read
from websockets.sync.client import connect

from spikerun import Dense, Input, Network, Population, Projection, Readout, save
from spikerun.cli import main
from spikerun.commands.view.command import _source


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a network and a recording of 300 ms, in which commands run."""
    monkeypatch.chdir(tmp_path)
    save(network(), "n.snn")
    np.savetxt(
        "a.csv", np.stack([events(300, 4)[name] for name in "txyp"], axis=1), "%d", ",", header="t,x,y,p", comments=""
    )
    return tmp_path


@contextmanager
def viewing(*words: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start the command; yield it and the address that it prints."""
    command = [sys.executable, "-m", "spikerun", "view", "a.csv", "--net", "n.snn", "--port", "0", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def frames(url: str, count: int, end: int = 0) -> list[dict[str, Any]]:
    """Return what the page is told first, and frames: so many at least, and until the stream has come to a step."""
    with connect(f"ws{url[4:]}frames", proxy=None) as connection:
        found = [json.loads(connection.recv(timeout=20))]
        while len(found) <= count or found[-1]["end"] < end:
            connection.send("{}")
            found.append(read(bytes(connection.recv(timeout=20))))  # type: ignore[arg-type]
        return found


def test_a_recording_is_shown_from_its_beginning_to_its_end(folder: Path) -> None:
    with viewing() as (process, url):
        about, first, second = frames(url, 2)
        out, _ = process.communicate(timeout=20)
    assert (about["network"], about["source"], about["step_us"]) == ("n.snn", "a.csv", 1000)
    assert first["begin"] < 100 and second["events"] > 0 and second["lag"] >= 0 and second["dropped"] == 0
    assert second["number"] == 1 and process.returncode == 0
    assert "1,200, of which 0 were dropped" in out and "300" in out and "2 frames to 1 page" in out


def test_ctrl_c_ends_a_recording_that_goes_on_for_ever(folder: Path) -> None:
    with viewing("--loop", "--pace", "4", "--bin", "2ms") as (process, url):
        shown = frames(url, 2, 400)[1:]  # steps of 2 ms: more than there are in the recording
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130 and f"{len(shown)} frames to 1 page" in out


def test_ctrl_c_ends_what_nobody_watches_and_that_others_may_watch_is_remarked(folder: Path) -> None:
    with viewing("--host", "0.0.0.0") as (process, _):
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=20)
    assert process.returncode == 130 and "0 frames to 0 pages" in out
    assert "can watch, without a password" in said


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["b.csv"], 3, "'b.csv' does not exist"),
        (["a.csv", "--bin", "soon"], 2, "--bin is a time"),
        (["a.csv", "--pace", "0"], 2, "--pace is how many times"),
        (["-", "--loop"], 2, "--loop is for recordings"),
        (["udp://:0", "--pace", "2"], 2, "--pace is for recordings"),
        (["a.csv", "--overload", "never"], 2, "never"),
        (["a.csv", "--clock", "never"], 2, "never"),
        (["a.csv", "--host", "no.such.host.invalid"], 2, "cannot listen on no.such.host.invalid:8765"),
        (["a.csv", "--port", "65536"], 2, "'--port'"),
    ],
)
def test_what_cannot_be_shown_is_said(
    words: list[str], code: int, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", *words, "--net", "n.snn"]) == code
    assert message in capsys.readouterr().err


def test_a_pipe_comes_at_a_pace_if_one_is_given() -> None:
    for pace in (None, 2.0):
        assert getattr(_source("-", None, None, pace, False, "error"), "pace", None) == pace


def test_a_network_that_takes_no_events_is_refused_before_anybody_is_waited_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    populations = {"in": Population((2, 4, 5), Input(4)), "h": Population((1,), Readout())}
    save(Network(populations, [Projection("in", "h", Dense(np.ones((40, 1), np.int8)))], ["h"], 4), "bits.snn")
    for command in ("view", "stream"):
        assert main([command, "a.csv", "--net", "bits.snn"]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "'bits.snn' takes no events of a camera: its input 'in' takes words of code 'bits'" in said


def test_a_warm_start_waits_for_the_first_page(folder: Path) -> None:
    with viewing("--warm", "3", "--pace", "0.2") as (_, url):
        time.sleep(1.2)  # lag, if the clock went on meanwhile
        _, *shown = frames(url, 3)
    assert np.nanmax([frame["lag"] for frame in shown]) < 800_000  # microseconds


def test_a_missing_package_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "websockets", None)
    monkeypatch.setitem(sys.modules, "websockets.asyncio", None)
    monkeypatch.setitem(sys.modules, "websockets.asyncio.server", None)
    assert main(["view", "a.csv", "--net", "n.snn"]) == 2
    assert "spikerun with its extra [view], or: pip install websockets" in capsys.readouterr().err
