# SPDX-License-Identifier: Apache-2.0
"""`spikerun stream`, as a user types it."""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spikerun import (
    EVENT,
    LIF,
    Conv,
    Dense,
    Input,
    Network,
    Population,
    Projection,
    Reading,
    Readout,
    Session,
    Spike,
    save,
    sources,
)
from spikerun.cli import main
from spikerun.console import live_line

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (2, 12, 10)
N = 6000  # events, of 60 ms
Chunk = np.ndarray[Any, Any]


def recording() -> Chunk:
    rng = np.random.default_rng(5)
    events = np.zeros(N, EVENT)
    events["t"] = np.arange(N) * 10
    for name, size in zip("pyx", SHAPE, strict=True):
        events[name] = rng.integers(0, size, N)
    return events


def network() -> Network:
    rng = np.random.default_rng(1)
    kernel, weights = (rng.integers(-30, 50, shape).astype(np.int8) for shape in ((3, 2, 3, 3), (360, 4)))
    populations = {
        "camera": Population(SHAPE, Input(1, "spikes")),
        "edges": Population((3, 12, 10), LIF(np.int32(200), keep_v=np.int32(60000))),
        "decision": Population((4,), Readout(np.float32(0.5))),
    }
    projections = [
        Projection("camera", "edges", Conv(kernel, padding=1)),
        Projection("edges", "decision", Dense(weights)),
    ]
    return Network(populations, projections, ["edges", "decision"], window=20)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a network and a recording, where commands run."""
    monkeypatch.chdir(tmp_path)
    save(network(), "net.snn")
    np.save("rec.npy", recording())
    return tmp_path


def sent(events: Chunk) -> list[Spike | Reading]:
    stream = Session(network()).stream()
    return [*stream.push(events), *stream.flush()]


def lines(outputs: list[Spike | Reading]) -> list[str]:
    """Return what a file of outputs holds."""
    found = ["step,t_us,population,kind,index,value"]
    for item in outputs:
        begin = f"{item.step},{item.step * 1000},{item.population}"
        if isinstance(item, Spike):
            found.append(f"{begin},spike,{item.index},{item.value}")
        else:
            best = int(item.logits.argmax())
            found.append(f"{begin},class,{best},{item.logits[best]:g}")
            found += [f"{begin},logit,{k},{logit:g}" for k, logit in enumerate(item.logits)]
    return found


def stream(*words: object, code: int = 0) -> None:
    assert main(["stream", "--net", "net.snn", *map(str, words)]) == code


def result(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    stream(*words, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_outputs_of_a_recording_are_those_of_a_stream(folder: Path) -> None:
    stream("rec.npy", "-o", "out.csv")
    assert Path("out.csv").read_text().splitlines() == lines(sent(recording()))


def test_at_the_speed_of_the_clock_they_are_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "rec.npy", "--pace", 2, "-o", "out.csv")
    assert Path("out.csv").read_text().splitlines() == lines(sent(recording()))
    assert found["seconds"] >= 0.029
    assert 0 < found["lag_us"]["p50"] <= found["lag_us"]["p99"] <= found["lag_us"]["max"]


def test_on_the_clock_of_the_wall_they_are_the_same(folder: Path) -> None:
    stream("rec.npy", "--pace", 1, "--clock", "wall", "--grace", "1ms", "-o", "out.csv")
    assert Path("out.csv").read_text().splitlines() == lines(sent(recording()))


def test_the_result_says_what_came_and_went(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, outputs = result(capsys, "rec.npy"), sent(recording())
    assert found["schema"] == "spikerun.stream/1"
    assert (found["events"], found["bins"], found["dropped"], found["interrupted"]) == (N, 60, 0, False)
    assert found["spikes"] == sum(isinstance(item, Spike) for item in outputs) > 0
    assert found["readings"] == sum(found["classes"].values()) == 3


def test_classes_are_those_of_the_first_readout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = result(capsys, "rec.npy")
    more, ones = Population((9,), Readout()), Dense(np.tile(np.arange(9, dtype=np.int8), (360, 1)))
    net = network()
    links = [*net.projections, Projection("edges", "more", ones)]
    outputs = [*net.outputs, "more"]
    save(replace(net, populations={**net.populations, "more": more}, projections=links, outputs=outputs), "two.snn")
    found = result(capsys, "rec.npy", "--net", "two.snn")
    assert (found["classes"], found["readings"]) == (expected["classes"], 2 * expected["readings"])


@pytest.mark.parametrize("source", ["-", "none.npy", "none.csv"])
def test_no_events_at_all_are_said(
    folder: Path, source: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("none.npy", recording()[:0])
    Path("none.csv").write_text("t,x,y,p\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO()))
    stream(source)
    assert f"warning: no events came from '{source}'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["none.bin", "none.csv", "none.dat", "none.npy", "none.raw"])
def test_a_file_of_no_bytes_is_an_error(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).write_bytes(b"")
    stream(name, code=3)
    assert f"'{name}' is empty" in capsys.readouterr().err


def test_the_text_says_it_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream("rec.npy", "--pace", 10)
    out = " ".join(capsys.readouterr().out.split())
    for said in (
        "events 6,000 in",
        "steps 60 of 1000 us",
        "dropped 0 events, of 0 steps",
        "a step took p50",
        "lag p50",
    ):
        assert said in out


def test_steps_are_as_long_as_the_user_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert result(capsys, "rec.npy", "--bin", "500us")["bins"] == 120


@pytest.mark.parametrize("how", [("--limit", 1234), ("--duration", "12.34ms")])
def test_a_part_of_a_recording(folder: Path, capsys: pytest.CaptureFixture[str], how: tuple[str, Any]) -> None:
    assert result(capsys, "rec.npy", *how, "-o", "out.csv")["events"] == 1234
    assert Path("out.csv").read_text().splitlines() == lines(sent(recording()[:1234]))


@pytest.mark.parametrize("name", ["kept.npy", "kept.csv"])
def test_what_is_recorded_gives_the_same_outputs(folder: Path, name: str) -> None:
    stream("rec.npy", "--record", name)
    stream(name, "-o", "out.csv")
    assert np.concatenate(list(sources.file(name))).tolist() == recording().tolist()
    assert Path("out.csv").read_text().splitlines() == lines(sent(recording()))


def test_spikes_as_events(folder: Path) -> None:
    stream("rec.npy", "-o", "spikes.npy")
    events = np.load("spikes.npy")
    spikes = [item for item in sent(recording()) if isinstance(item, Spike)]
    assert events["t"].tolist() == [spike.step * 1000 for spike in spikes]
    places = np.ravel_multi_index((events["p"], events["y"], events["x"]), (3, 12, 10))
    assert places.tolist() == [spike.index for spike in spikes]


def test_outputs_on_standard_output_are_lines_and_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream("rec.npy", "-o", "-")
    printed = capsys.readouterr()
    assert printed.out.splitlines() == lines(sent(recording()))
    assert "6,000" in printed.err


@pytest.mark.parametrize("format", [None, "csv"])
def test_events_through_a_pipe(folder: Path, monkeypatch: pytest.MonkeyPatch, format: str | None) -> None:
    rows = "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in recording()[["t", "x", "y", "p"]].tolist())
    content = recording().tobytes() if format is None else rows.encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    stream("-", "-o", "out.csv", *([] if format is None else ["--format", format]))
    assert Path("out.csv").read_text().splitlines() == lines(sent(recording()))


def test_events_in_datagrams(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def opened(port: int, host: str, *, shape: tuple[int, int, int]) -> sources.Udp:
        found = sources.Udp(port, host, shape, 1000)
        sink = sources.UdpSink(found.port)
        sink.write(recording())  # which the system keeps until it is asked for
        sink.close()
        return found

    monkeypatch.setattr(sources, "udp", opened)
    found = result(capsys, "udp://:0", "--limit", N, "-o", "out.csv")
    assert (found["events"], found["lost_datagrams"], found["refused_datagrams"]) == (N, 0, 0)
    assert Path("out.csv").read_text().splitlines() == lines(sent(recording()))


def test_spikes_in_datagrams(folder: Path) -> None:
    with sources.udp(0, shape=(3, 12, 10)) as listening:
        stream("rec.npy", "--limit", 2000, "-o", f"udp://127.0.0.1:{listening.port}")
        spikes = [item for item in sent(recording()[:2000]) if isinstance(item, Spike)]
        found: list[int] = []
        for chunk in itertools.islice(listening, 200):
            found += chunk["t"].tolist()
            if len(found) >= len(spikes):
                break
    assert found == [spike.step * 1000 for spike in spikes]


@pytest.mark.parametrize("overload", ["drop_tail", "drop_bin", "latest"])
def test_what_is_dropped_is_counted(folder: Path, capsys: pytest.CaptureFixture[str], overload: str) -> None:
    found = result(capsys, "rec.npy", "--pace", 1000, "--overload", overload, "--max-lag", "1us")
    assert found["events"] == N
    assert 0 < found["dropped"] <= N  # this machine may be too slow for all
    assert 0 < found["dropped_bins"] <= found["bins"] == 60


def test_late_events_are_dropped_and_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.concatenate([recording()[:3000], recording()[:100], recording()[3000:]])
    content = rows.tobytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", SimpleNamespace(buffer=Pieces(content, 16 * 100)))
        found = result(capsys, "-", "--late", "drop", "-o", "out.csv")
    assert (found["events"], found["late"], found["late_dropped"]) == (N + 100, 100, 100)
    assert Path("out.csv").read_text().splitlines() == lines(sent(recording()))


class Pieces(io.BytesIO):
    """A pipe that gives so many bytes at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self.size = size

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(self.size)


def test_a_warm_start(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cold, warm = (result(capsys, "rec.npy", "--warm", n, "--limit", 200)["spikes"] for n in (0, 20))
    assert warm > cold


def test_bad_input_is_exit_code_3_and_keeps_what_came_before(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = recording()
    np.save("rec.npy", np.concatenate([events, events[:1]]))
    stream("rec.npy", "-o", "out.csv", "--record", "kept.npy", code=3)
    assert "ended by an error: what came before is in 'out.csv' and 'kept.npy'" in capsys.readouterr().err
    assert len(np.load("kept.npy")) == 0  # it is of the same array


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("none.npy",), 3, "'none.npy' does not exist"),
        (("rec.npy", "--format", "tape"), 2, "unknown format of event files 'tape'"),
        (("rec.npy", "--overload", "latest"), 2, "--overload latest needs a source that comes in time"),
        (("rec.npy", "--clock", "wall"), 2, "such as --pace 1.0"),
        (("rec.npy", "--bin", "1e9s"), 2, "--bin is a whole number of nanoseconds"),
        (("rec.npy", "--overload", "panic"), 2, "unknown overload 'panic'"),
        (("rec.npy", "--clock", "sun"), 2, "unknown clock 'sun'"),
        (("rec.npy", "--late", "never"), 2, "unknown policy for late events 'never'"),
        (("rec.npy", "--counts", "all"), 2, "unknown way to count events 'all'"),
        (("rec.npy", "--counts", "graded"), 2, "counts='graded' needs an input of more than one bit"),
        (("rec.npy", "--max-lag", "1ms"), 2, "--overload block drops nothing"),
        (("rec.npy", "--bin", "never"), 2, "--bin is a time, such as 1ms"),
        (("rec.npy", "--pace", "0"), 2, "--pace is how many times as fast"),
        (("",), 2, "the name of a file is empty"),
        (("rec.npy", "-o", "udp://127.0.0.1:0"), 2, "'udp://127.0.0.1:0': a port is a number of 1 to 65535"),
        (("rec.npy", "--pace", "1", "--clock", "wall", "--grace", "-1ms"), 2, "--grace must be 0 or more"),
        (("rec.npy", "--bin", "0"), 2, "--bin must be more than no time"),
        (("rec.npy", "-o", "out.txt"), 2, "give one that ends in .csv or .npy"),
        (("rec.npy", "-o", "rec.npy", "-f"), 2, "is read by this command"),
        (("rec.npy", "-o", "a.csv", "--record", "a.csv"), 2, "cannot both be written"),
        (("rec.npy", "-o", "-", "--json"), 2, "both write to standard output"),
        (("udp://:1", "--pace", "1"), 2, "--pace is for recordings"),
        (("udp://nowhere",), 2, "an address of datagrams is udp://HOST:PORT"),
        (("camera:", "--format", "dat"), 2, "--format is for recordings"),
    ],
)
def test_what_cannot_be_is_refused(
    folder: Path, words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stream(*words, code=code)
    assert said in " ".join(capsys.readouterr().err.split())
    assert sorted(os.listdir()) == ["net.snn", "rec.npy"]


def test_ctrl_c_keeps_what_came_before(folder: Path) -> None:
    words = ["stream", "rec.npy", "--net", "net.snn", "--pace", "0.01", "-o", "out.csv", "--record", "kept.npy"]
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    running = subprocess.Popen([sys.executable, "-m", "spikerun", *words], stderr=subprocess.PIPE, env=environment)
    while len(list(Path().glob(".spikerun.*"))) < 2 and running.poll() is None:  # files that wait for their names
        time.sleep(0.05)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert b"interrupted: what came before is in 'out.csv' and 'kept.npy'" in said
    kept = np.load("kept.npy")
    assert kept.tolist() == recording()[: len(kept)].tolist()
    assert Path("out.csv").read_text().splitlines() == lines(sent(kept))
    assert sorted(os.listdir()) == ["kept.npy", "net.snn", "out.csv", "rec.npy"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_live_line_shows_on_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("spikerun.commands.stream.REFRESH", 0)
    monkeypatch.setenv("TERM", "xterm")
    stream("rec.npy", "--pace", 1)
    shown = terminal.getvalue()
    assert "million events/s" in shown
    assert "lag " in shown
    assert "class " in shown


@pytest.mark.parametrize("quiet", [True, False])
def test_there_is_no_live_line_where_nobody_sees_it(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with live_line(quiet) as tell:
        tell("never")
    assert capsys.readouterr().err == ""


@pytest.mark.shared
def test_a_recording_of_n_mnist_gives_what_a_run_of_its_bins_gives(
    folder: Path, shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(shared("data/nmnist-train/train1000.npz")) as file:
        part = slice(*file["offset"][7:9])
        events = np.zeros(part.stop - part.start, EVENT)
        for name in ("t", "x", "y", "p"):
            events[name] = file[name][part]
    rng, steps = np.random.default_rng(0), int(events["t"][-1]) // 1000 + 1
    kernel, dense = (rng.integers(-40, 60, shape).astype(np.int8) for shape in ((4, 2, 5, 5), (900, 10)))
    populations = {
        "camera": Population((2, 34, 34), Input(1, "spikes")),
        "edges": Population((4, 15, 15), LIF(np.int32(200), keep_v=np.int32(60000))),
        "digit": Population((10,), Readout()),
    }
    projections = [Projection("camera", "edges", Conv(kernel, stride=2)), Projection("edges", "digit", Dense(dense))]
    net = Network(populations, projections, ["digit"], window=steps)
    save(net, "net.snn", force=True)
    np.save("rec.npy", events)
    binned = np.zeros((1, steps, 2, 34, 34), np.uint8)
    binned[0, events["t"] // 1000, events["p"], events["y"], events["x"]] = 1
    stream("rec.npy", "--pace", 20, "-o", "out.csv")
    rows = [line.split(",") for line in Path("out.csv").read_text().splitlines()]
    logits = [float(value) for step, *_, kind, _, value in rows if (step, kind) == (str(steps - 1), "logit")]
    assert logits == Session(net).run(binned).logits[0].tolist()
