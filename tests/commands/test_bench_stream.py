# SPDX-License-Identifier: Apache-2.0
"""`spikerun bench --stream`: recordings of our own to a network that says where most events were lately."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import IF, Dense, Input, Network, Population, Projection, Readout, Session, datasets, save
from spikerun.cli import main
from spikerun.commands.played import Played, Skipping, played_in_time, played_whole
from spikerun.datasets import Bins, encoder_meta
from spikerun.datasets.events import Recordings
from spikerun.streaming_accuracy import NO_CLASS

STEPS, BINS = 10, Bins(10, 1000)
EACH = 20  # recordings of each of two labels, of which 4 test
Timer = Callable[[], int]


def network() -> Network:
    """Return one whose output k counts the events of column k, with an event of output for each two."""
    weights = np.tile(np.eye(2, dtype=np.int8), (4, 1))  # (p, y, x) to x
    return Network(
        {"input": Population((2, 2, 2), Input(1, "spikes")), "out": Population((2,), IF(np.int32(2)))},
        [Projection("input", "out", Dense(weights))],
        outputs=["out"],
        window=STEPS,
        meta=encoder_meta(Bins(STEPS, 1000, "binary"), "input"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with net.snn, and recordings of events each half a bin, in the column of their label."""
    made = tmp_path_factory.mktemp("stream")
    save(network(), made / "net.snn")
    t = np.tile(np.arange(0, STEPS * 1000, 500), 2 * EACH)
    label = np.repeat([0, 1], EACH)
    x = np.repeat(label, 2 * STEPS)
    y = np.tile([0, 1], len(t) // 2)
    np.savez(
        made / "events.npz", t=t, x=x, y=y, p=y, label=label, shape=(2, 2, 2),
        offset=np.arange(2 * EACH + 1) * 2 * STEPS,
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def recordings(folder: Path) -> Recordings:
    found = datasets.load(folder / "events.npz").samples
    assert isinstance(found, Recordings)
    return found


def ticking(ns: int) -> Timer:
    """Return a timer on which so much passes from each look at it to the next."""
    ticks = count(step=ns)
    return lambda: next(ticks)


def timed(recordings: Recordings, timer: Timer, overload: str = "block", pace: float = 1.0) -> Played:
    return played_in_time(Session(network()), recordings, BINS, pace, overload, lambda n: None, timer)


def words(folder: Path, *more: str) -> list[str]:
    return ["bench", f"{folder}/net.snn", "--data", f"{folder}/events.npz", "--stream", "--threads", "1", "-q", *more]


def test_waiting_and_what_is_done_aside_take_no_time() -> None:
    clock = Skipping(iter([5, 5, 100, 100, 900, 900]).__next__)
    assert clock.now() == 5
    clock.sleep_until(100.5)
    assert clock.now() == 100 + 96
    with clock.aside():
        pass
    assert clock.now() == 100 + 96


def test_bin_by_bin_it_says_what_a_run_says(recordings: Recordings) -> None:
    found = played_whole(Session(network()), recordings, BINS, lambda n: None, ticking(1000))
    assert found.events == len(recordings) * 2 * STEPS
    assert found.seen_us.tolist() == (1000 * np.arange(1, len(recordings) * STEPS + 1)).tolist()
    assert (found.busy_us == 1).all() and found.ready_us is found.seen_us
    answers = found.classes.reshape(-1, STEPS)
    frames = np.stack([BINS.encode(recordings, place) for place in recordings.places.tolist()])
    result = Session(network()).run(frames.clip(0, 1)).classes
    assert answers[:, -1].tolist() == np.asarray(result).tolist() == [0] * 4 + [1] * 4


def test_in_time_without_any_the_answers_come_at_the_ends_of_bins_and_are_the_same(recordings: Recordings) -> None:
    whole = played_whole(Session(network()), recordings, BINS, lambda n: None)
    found = timed(recordings, lambda: 0)
    assert (found.events, found.dropped, found.dropped_bins) == (whole.events, 0, 0)
    assert found.classes.tolist() == whole.classes.tolist()
    assert found.seen_us.tolist() == whole.seen_us.tolist()
    assert (found.ready_us - found.seen_us).max() < 1


def test_what_takes_longer_than_a_bin_is_ever_later_unless_bins_are_dropped(recordings: Recordings) -> None:
    late = {policy: timed(recordings, ticking(400_000), policy) for policy in ("block", "latest")}
    assert late["block"].dropped == 0
    assert late["latest"].dropped > late["block"].events // 4
    lag = {policy: (found.ready_us - found.seen_us)[-1] for policy, found in late.items()}
    assert lag["block"] > 1.5 * lag["latest"] > 0


def test_a_pace_that_is_too_fast_makes_bins_late(recordings: Recordings) -> None:
    slow, fast = (timed(recordings, ticking(20_000), pace=pace) for pace in (1, 100))
    assert (slow.ready_us - slow.seen_us).max() < 1000 < (fast.ready_us - fast.seen_us).max()


def test_of_several_outputs_the_first_says_the_class(recordings: Recordings) -> None:
    alone = network()
    more = {"more": Population((8,), IF(np.int32(1))), "read": Population((9,), Readout())}
    links = [
        Projection("input", "more", Dense(np.ones((8, 8), np.int8))),
        Projection("input", "read", Dense(np.ones((8, 9), np.int8))),
    ]
    net = replace(
        alone,
        populations={**alone.populations, **more},
        projections=[*alone.projections, *links],
        outputs=["out", "more", "read"],
    )
    found, expected = (played_whole(Session(one), recordings, BINS, lambda n: None) for one in (net, alone))
    assert found.classes.tolist() == expected.classes.tolist()


def test_before_anything_has_spiked_there_is_no_class(recordings: Recordings) -> None:
    found = played_whole(Session(network()), recordings, Bins(STEPS, 500), lambda n: None)
    assert found.classes[:2].tolist() == [NO_CLASS, 0]  # it takes two events of a column, and half a bin has one


def test_the_command_prints_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(folder, "--overload", "block", "--json")) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["recordings"], found["steps"], found["threads"]) == (
        "spikerun.bench-stream/1",
        8,
        10,
        1,
    )
    assert (found["events"], found["dropped_events"], found["pace"], found["overload"]) == (160, 0, 1.0, "block")
    assert found["accuracy"]["truths"] == 8 * STEPS * 4
    assert found["accuracy_at_the_end"]["offline"] == {"percent": 100.0, "standard_error": 0.0}
    assert 0 < found["accuracy"]["online"]["percent"] <= found["accuracy"]["offline"]["percent"] < 100
    assert found["bin_us"]["p50"] <= found["bin_us"]["p99"] <= found["bin_us"]["max"]


def test_the_command_says_it_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(folder, "--pace", "2", "--limit", "2")) == 0
    out = capsys.readouterr().out
    assert "2 of events.npz, test, one after the other" in out and "2 times as recorded, overload: latest" in out
    assert "80 ground truths over time" in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--overload", "wait"], "unknown policy for overload 'wait'"),
        (["--reference"], "--reference says nothing of a stream"),
        (["--batch", "256"], "--batch says nothing of a stream"),
        (["--no-memory"], "--memory says nothing of a stream"),
        (["--threads", "2"], "give --threads once"),
        (["--data", "digits"], "data set 'digits' holds no event recordings"),
    ],
)
def test_what_says_nothing_of_a_stream_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main(words(folder, *more)) == 2
    assert message in capsys.readouterr().err


def test_options_of_streams_need_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word for word in words(folder, "--pace", "2") if word != "--stream"]) == 2
    assert "--pace is for streams: give --stream, too" in capsys.readouterr().err


def test_networks_that_take_no_events_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(replace(network(), meta={}), folder / "plain.snn", force=True)
    assert main(["bench", f"{folder}/plain.snn", "--data", f"{folder}/events.npz", "--stream"]) == 2
    assert "--stream takes networks of binned events: convert with --input events" in capsys.readouterr().err
