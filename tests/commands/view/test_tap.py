# SPDX-License-Identifier: Apache-2.0
"""What the view's tap takes of a stream, and the frames that are made of it: bounded, the same each time, and rare."""

import re
import struct
import tracemalloc
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from viewing import SHAPE, events, network, read

from spikerun import EVENT, IF, Dense, Input, Network, Population, Projection, Session, SumPool
from spikerun.commands.view import tap as taps
from spikerun.commands.view.frame import (
    CELLS,
    HEADER,
    NO_SPIKES,
    NOBODY,
    POINTS,
    SAMPLED,
    TRACES,
    Frames,
    Seen,
    Told,
    image,
    traced,
)
from spikerun.commands.view.server import PERIOD
from spikerun.commands.view.tap import SHARE, Tap, Tapped
from spikerun.outputs import Outputs

Array = npt.NDArray[Any]


NET = network()


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Played:
    """A stream, its tap, and what was handed over."""

    def __init__(self, readout: bool = False) -> None:
        self.net = network(readout)
        self.clock, self.handed = Clock(), list[Seen]()
        self.work: Iterator[float] = repeat(0.0)  # what a clock of CPU time says
        self.stream = Session(self.net, threads=1).stream(1000)
        self.tap = Tap(self.stream, lambda: Told(2500.0, 4, 1), self.clock, lambda: next(self.work))
        self.tap.handed = self.handed.append
        self.tap.watching = self.tap.wanted = True

    def push(self, chunk: Array, seconds: float = PERIOD) -> Outputs:
        self.clock.now += seconds
        self.tap.came(chunk)
        sent = self.stream.push(chunk)
        self.tap.saw(sent)
        return sent

    def frame(self, chunk: Array) -> dict[str, Any]:
        """Return the frame of a push, after one that begins it."""
        self.push(events(2))
        self.push(chunk)
        frames = Frames(self.net, 1000)
        return read([frames.make(seen) for seen in self.handed][-1])


def spikes(steps: Array, index: Array, name: str = "classes") -> Outputs:
    """Return outputs that hold these spikes."""
    found = np.zeros(len(steps), [("step", "i8"), ("index", "i4"), ("value", "i2")])
    found["step"], found["index"] = steps, index
    return Outputs([name], {name: found}, {})


def seen(**given: Any) -> Seen:
    """Return what a stream saw of 10 steps of nothing, but for what is given."""
    known = Seen(0, 10, 0.05, 0, (), (), None, 2, None, NOBODY, None, Told())
    return known._replace(**given)


def large() -> Network:
    """Return a network of a sensor of 1280 x 720 pixels, 100 classes, and 70 populations besides."""
    shapes = {"pool": (2, 10, 17), "out": (100,)} | {f"more{k}": (1,) for k in range(70)}
    populations = {name: Population(shape, IF(1)) for name, shape in shapes.items()}
    maps = [Projection("sensor", "pool", SumPool(72, 72))]
    maps += [Projection("pool", name, Dense(np.ones((340, *shapes[name]), np.int8))) for name in list(shapes)[1:]]
    return Network({"sensor": Population((2, 720, 1280), Input(1, "spikes")), **populations}, maps, list(shapes)[1:], 1)


def test_without_a_client_nothing_is_kept_nor_handed_over() -> None:
    played = Played()
    played.tap.watching = False
    for k in range(5):
        played.push(events(2, first=2 * k))
    assert played.handed == [] and not hasattr(played.tap, "_chunks")


def test_when_the_last_client_has_gone_nothing_is_kept() -> None:
    played = Played()
    played.tap.wanted = False
    for k in range(5):
        played.push(events(2, first=2 * k))
    assert played.tap._chunks and played.tap._outputs
    played.tap.watching = False
    played.push(events(2, first=10))
    assert not played.tap._chunks and not played.tap._outputs


def test_a_client_that_does_not_wait_is_handed_nothing_and_what_is_kept_is_bounded() -> None:
    played = Played()
    played.tap.wanted = False
    chunks = [events(1, 800, first=k) for k in range(300)]
    for chunk in chunks:
        played.push(chunk)
    kept = played.tap._chunks
    assert played.handed == [] and len(kept) <= taps.PUSHES and sum(map(len, kept)) <= taps.KEPT
    assert kept[-1] is chunks[-1]


def test_a_push_of_more_than_all_that_is_kept_stands_alone() -> None:
    played = Played()
    played.push(events(2))
    played.tap.wanted = False
    for k in (2, 3):
        played.push(events(1, 2 * taps.KEPT, first=k))
    assert [len(chunk) for chunk in played.tap._chunks] == [2 * taps.KEPT]


def test_frames_cover_the_stream_without_gap_or_overlap() -> None:
    played = Played()
    for k in range(50):
        played.tap.wanted = True
        played.push(events(1, first=k), 0.02)
    ends = [(one.begin, one.end) for one in played.handed]
    assert len(ends) > 10 and [end for _, end in ends[:-1]] == [begin for begin, _ in ends[1:]]


def test_a_frame_says_what_the_stream_saw() -> None:
    played, chunk = Played(), events(40, first=2)
    played.push(events(2))
    sent = played.push(chunk)
    frame = read(Frames(NET, 1000).make(played.handed[-1]))
    found = sent.spikes["classes"]
    assert len(found) > 5
    assert (frame["begin"], frame["end"], frame["events"], frame["spikes"]) == (1, 41, len(chunk), len(found))
    assert (frame["lag"], frame["dropped"], frame["late"]) == (2500, 4, 1)
    assert frame["rate"] == pytest.approx(len(chunk) / PERIOD, rel=1e-5)
    assert (frame["points"][:, 1].astype(int) * 5 // 65536).tolist() == found["index"].tolist()
    assert (frame["points"][:, 0].astype(int) * 40 / 65536).round().astype(int).tolist() == (found["step"] - 1).tolist()
    assert frame["scores"].tolist() == np.bincount(found["index"], minlength=5).tolist()
    assert frame["best"] == frame["scores"].argmax()
    v = played.stream.membrane("classes")
    assert (frame["neurons"].tolist(), frame["traces"].tolist()) == (list(range(5)), v.tolist())


def test_rates_are_those_of_the_last_tenth_of_a_second_or_more() -> None:
    played, frames = Played(), Frames(NET, 1000)
    found: list[dict[str, Any]] = []
    for k in range(12):
        played.tap.wanted = True
        played.push(events(10, 40 if k < 6 else 1, first=10 * k), 0.0625)
        found += [read(frames.make(seen)) for seen in played.handed[len(found) :]]
    sensor = [frame["rates"][0] for frame in found]
    assert [len(set(sensor[k : k + 2])) for k in (1, 3, 5, 7)] == [1, 1, 1, 1]  # each stays for two frames
    pixels, few, many = 384, 1000, 40_000  # events a second of the stream
    assert sensor[3] == pytest.approx(many / pixels, rel=0.1)
    assert sensor[-1] == pytest.approx(few / pixels, rel=0.2)


def test_frames_that_take_the_stream_long_are_to_be_rarer() -> None:
    played = Played()
    played.work = iter([3.0, 3.25])
    played.push(events(1))
    played.push(events(1, first=1))
    assert played.tap.pause == 0.25 / SHARE


def test_a_readout_says_its_latest_reading() -> None:
    played = Played(readout=True)
    frame = played.frame(events(35, first=2))
    reading = list(played.handed[-1].outputs)[-1].readings["classes"][1][-1]
    assert frame["scores"].tolist() == reading.tolist() and frame["best"] == reading.argmax()


def test_the_class_is_that_of_a_readout_and_spikes_are_those_of_an_output_that_sends_some() -> None:
    net = network(readout=True)
    net = Network(net.populations, net.projections, ["conv", "classes"], net.window)
    tap = Tap(Session(net, threads=1).stream(1000))
    assert [tap.names[k] for k in (tap.raster, tap.membranes)] == ["conv", "conv"]
    answer = np.array([[1, 2, 9, 3, 0]], np.float32)
    answered = Outputs(["conv", "classes"], {"conv": NO_SPIKES}, {"classes": (np.array([9]), answer)})
    said = seen(raster=1, outputs=[answered])
    assert read(Frames(net, 1000).make(said))["best"] == 2


def test_nothing_said_yet_is_no_class() -> None:
    assert read(Frames(NET, 1000).make(seen()))["best"] == -1


def test_spikes_of_classes_are_forgotten_over_a_window() -> None:
    frames = Frames(NET, 1000)
    frames.make(seen(outputs=[spikes(np.arange(10), np.full(10, 3))]))
    scores = read(frames.make(seen(begin=10, end=20, outputs=[spikes(np.array([12]), np.array([1]))])))["scores"]
    assert scores[1] == 1 and scores[3] == pytest.approx(10 / np.e, rel=1e-5)


def test_of_a_population_that_is_no_output_the_last_step_is_shown() -> None:
    played = Played()
    played.tap.raster = played.tap.membranes = played.tap.names.index("conv")
    frame = played.frame(events(10, 400, first=2))
    spikes = np.flatnonzero(played.stream.spikes("conv"))
    assert frame["flags"] == SAMPLED and len(spikes) and frame["spikes"] == len(spikes)
    assert (frame["points"][:, 1].astype(int) * 768 // 65536).tolist() == spikes.tolist()
    v = played.stream.membrane("conv").ravel()
    assert frame["traces"].tolist() == v[frame["neurons"]].tolist() and len(frame["traces"]) == TRACES


def test_what_has_no_membrane_or_is_too_large_to_be_read_is_not_offered() -> None:
    played = Played()
    assert [p["membranes"] for p in played.tap.populations] == [False, True, True]
    assert [p["complete"] for p in played.tap.populations] == [False, False, True]
    assert [p["raster"] for p in played.tap.populations] == [True, True, True]


def test_the_same_stream_makes_the_same_frames() -> None:
    def played() -> list[bytes]:
        one, frames = Played(), Frames(NET, 1000)
        for k in range(20):
            one.tap.wanted = True
            one.push(events(2, 300, first=2 * k))
        return [frames.make(found) for found in one.handed]

    assert played() == played()


def test_watching_changes_nothing_that_is_sent() -> None:
    chunks = [events(2, 300, first=2 * k) for k in range(20)]
    watched, alone = Played(), Session(network(), threads=1).stream(1000)
    assert [watched.push(chunk) for chunk in chunks] == [alone.push(chunk) for chunk in chunks]


def test_an_image_counts_events_of_either_polarity() -> None:
    chunk = np.zeros(6, EVENT)
    chunk["x"], chunk["y"], chunk["p"] = [3, 3, 3, 3, 9, 15], [0, 0, 0, 0, 5, 11], [1, 1, 1, 0, 0, 1]
    cells = read(Frames(NET, 1000).make(seen(chunks=[chunk[:2], chunk[2:]], events=6)))["image"]
    assert cells.shape == SHAPE[1:] and np.count_nonzero(cells) == 3
    assert (cells[0, 3], cells[5, 9], cells[11, 15]) == (2 << 4 | 1, 1, 1 << 4)  # 2: the root of 3, rounded up


def test_what_is_no_image_has_none() -> None:
    assert image([events(1)], (700,)).size == 0


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 3))
def test_an_image_is_small_and_shows_the_corners_of_any_sensor(height: int, width: int, pushes: int) -> None:
    chunk = np.zeros(2, EVENT)
    chunk["x"], chunk["y"] = [0, width - 1], [0, height - 1]
    cells = image([chunk] * pushes, (2, height, width))
    assert cells.size <= CELLS and (height * width > CELLS or cells.shape == (height, width))
    assert bool(cells[0, 0]) == bool(cells[-1, -1]) == bool(pushes)


@given(st.integers(0, 9000), st.integers(1, 10**6), st.integers(0, 2**60))
def test_a_raster_is_small_and_says_how_much_is_left_out(count: int, steps: int, begin: int) -> None:
    rng = np.random.default_rng(count)
    sent = spikes(begin + np.sort(rng.integers(0, steps, count)), rng.integers(0, 5, count))
    data = Frames(NET, 1000).make(seen(begin=begin, end=begin + steps, outputs=[sent] * 2))
    frame = read(data)
    assert frame["spikes"] == 2 * count and len(frame["points"]) <= POINTS
    assert len(frame["points"]) >= min(2 * count, POINTS // 2)
    assert len(data) < 2**14


def test_the_largest_frame_takes_less_than_16_kb() -> None:
    """Of a sensor of 1280 x 720 in a storm, with all that there is at most."""
    rng = np.random.default_rng(0)
    chunk = np.zeros(taps.KEPT, EVENT)
    chunk["x"], chunk["y"], chunk["p"] = (rng.integers(0, n, len(chunk)) for n in (1280, 720, 2))
    net = large()
    sent = spikes(np.sort(rng.integers(0, 10, taps.KEPT)), rng.integers(0, 100, taps.KEPT), "out")
    full = seen(chunks=[chunk], outputs=[sent], raster=2, membranes=2, traces=np.zeros(TRACES, np.int32))
    data = Frames(net, 1000).make(full)
    frame = read(data)
    assert len(data) < 2**14 and np.count_nonzero(frame["image"]) > 3000 and len(frame["points"]) > POINTS // 2
    assert [len(frame[name]) for name in ("traces", "rates", "scores")] == [TRACES, 64, 64]


def test_the_header_is_as_documented() -> None:
    """Each row of the table in docs/view.md has the first bytes and the type of some fields."""
    letters = {"uint16": "H", "uint32": "I", "int32": "i", "int64": "q", "float32": "f", "float64": "d"}
    text = (Path(__file__).parents[3] / "docs" / "view.md").read_text()
    rows = re.findall(r"^\| ([\d, ]+) \| (\w+|4 bytes) \|", text, re.MULTILINE)
    fields = [(int(place), letters.get(kind, "4s")) for places, kind in rows for place in places.split(",")]
    assert HEADER.format == "<" + "".join(letter for _, letter in fields)
    assert [place for place, _ in fields] == [
        struct.calcsize("<" + "".join(letter for _, letter in fields[:k])) for k in range(len(fields))
    ]
    assert f"a header of {HEADER.size} bytes" in text


@pytest.mark.parametrize("size", [1, 5, 20, 21, 1000, 10**7])
def test_traced_neurons_are_different_ones(size: int) -> None:
    chosen = traced(size)
    assert len(set(chosen.tolist())) == min(size, TRACES) and chosen.max() < size


def test_a_tapped_source_is_the_source_in_all_else() -> None:
    class Source:
        pace, shape = 2.0, SHAPE

        def __iter__(self) -> Any:
            return iter(chunks)

    played, chunks = Played(), [events(2, first=k) for k in (2, 4)]
    played.push(events(2))
    played.tap.wanted = False
    source = Tapped(Source(), played.tap)
    assert all(a is b for a, b in zip(source, chunks, strict=True)) and source.pace == 2.0
    assert list(played.tap._chunks) == chunks
    with pytest.raises(AttributeError):
        source.drift  # noqa: B018


def test_memory_does_not_grow_while_a_client_sleeps() -> None:
    played, chunks = Played(), [events(1, 100, first=k) for k in range(600)]
    for chunk in chunks[:300]:
        played.push(chunk)
    played.tap.wanted = False
    tracemalloc.start()
    try:
        for chunk in chunks[300:450]:
            played.push(chunk)
        before = tracemalloc.get_traced_memory()[0]
        for chunk in chunks[450:]:
            played.push(chunk)
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()
