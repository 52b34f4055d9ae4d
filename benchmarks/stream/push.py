# SPDX-License-Identifier: Apache-2.0
"""`stream.push`: events a second through one layer, one event at a time, a network's bins, an HD sensor, an hour.

    python benchmarks/stream/push.py nmnist.npz cnn_sinabs.snn [--hd FILE] [--rounds 9] [--case layer push ...]

nmnist.npz and cnn_sinabs.snn are made as `recordings.py` says; FILE is a recording of a camera of up to 1280 x 720.
The layer is a convolution 3 x 3 of 2 to 16 channels with leaky neurons, in steps of 1 ms. One thread, whose CPU time
counts, but for the percentiles of single calls, which are by the clock. A rate is the median of the rounds.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from record import record

from spikerun import LIF, Conv, Input, Network, Population, Projection, Session, datasets, load, sources
from spikerun.commands.played import events_of
from spikerun.datasets import Bins, encoder_of
from spikerun.datasets.events import Recordings
from spikerun.datasets.lazy import Lazy
from spikerun.events import EVENT
from spikerun.kernels.cpu.native import isa

NAME = "stream_push"
STEP_US = 1000
HD = (720, 1280)
HOUR_S = 3600
Events = np.ndarray[Any, Any]


def layer(height: int, width: int) -> Network:
    """Return a network of one layer."""
    weight = np.clip(np.rint(np.random.default_rng(0).normal(0, 40, (16, 2, 3, 3))), -127, 127).astype(np.int8)
    populations = {
        "camera": Population((2, height, width), Input(1, "spikes")),
        "layer": Population((16, height, width), LIF(400, keep_v=62_259, reset="subtract")),
    }
    return Network(populations, [Projection("camera", "layer", Conv(weight, padding=1))], ["layer"], 1)


def recordings(file: Path, count: int) -> Events:
    """Return recordings one after the other, each from when the one before has ended."""
    data = datasets.load(file, limit=count).samples
    assert isinstance(data, Recordings)
    found, end = [], 0
    for k in range(count):
        events = np.zeros(len(data.events(k).t), EVENT)
        for field in "txyp":
            events[field] = getattr(data.events(k), field)
        events["t"] += end - events["t"][0]
        end = int(events["t"][-1]) + STEP_US
        found.append(events)
    return np.concatenate(found)


def rate(session: Session, events: Events, chunk: int, rounds: int) -> float:
    """Return how many million events a second go through a stream, in chunks of so many."""
    parts = np.split(events, range(chunk, len(events), chunk))
    found = []
    for _ in range(rounds):
        stream = session.stream(STEP_US)
        stream.push(events[:1])
        begin = time.thread_time()
        for part in parts:
            stream.push(part)
        found.append(len(events) / (time.thread_time() - begin) / 1e6)
    return float(np.median(found))


def case_layer(given: argparse.Namespace, events: Events) -> None:
    """The layer at a recording's own rate, and with 1,000 events in each step."""
    what = f"layer 34x34x16, {isa()}"
    session = Session(layer(34, 34), threads=1)
    dense = events.copy()
    dense["t"] = np.arange(len(events)) // 1000 * STEP_US
    for name, some in (("1,000 events in a step", dense), ("at the recordings' own rate", events)):
        for chunk in (1000, 100):
            value = rate(session, some, chunk, given.rounds)
            record(NAME, f"{what}, {name}, chunks of {chunk}", value, "million events/s")
    every = Session(layer(34, 34), threads=1, kernels="dense")
    value = rate(every, events[:40_000], 1000, 3)
    record(NAME, f"{what}, own rate, all neurons updated in each step", value, "million events/s")


def percentiles(what: str, call: Callable[[Any], Any], given: list[Any]) -> None:
    """Record the percentiles of calls, by the clock."""
    taken = np.empty(len(given))
    for k, one in enumerate(given):
        begin = time.perf_counter_ns()
        call(one)
        taken[k] = time.perf_counter_ns() - begin
    for percent in (50, 99):
        record(NAME, f"{what}: p{percent}", float(np.percentile(taken, percent)) / 1000, "us")


def case_push(given: argparse.Namespace, events: Events) -> None:
    """One event at a time."""
    stream = Session(layer(34, 34), threads=1).stream(STEP_US)
    single = [events[k : k + 1] for k in range(min(len(events), 100_000))]
    percentiles(f"push of one event, layer 34x34x16, {isa()}", stream.push, single)


def case_bins(given: argparse.Namespace, events: Events) -> None:
    """A bin of 1 ms of a whole network, and whether a stream in random chunks gives what a run gives."""
    net = load(given.network)
    bins, data = encoder_of(net.meta, net.inputs[0]), datasets.load(given.recordings)
    binned = datasets.load(given.recordings, encoder=bins)
    assert isinstance(bins, Bins) and isinstance(data.samples, Recordings) and isinstance(binned.samples, Lazy)
    session, rng, same = Session(net, threads=1), np.random.default_rng(0), 0
    stream = session.stream(bins.dt_us)
    percentiles(f"a bin of 1 ms of {given.network.stem}, {isa()}", stream.push, _bins(events[:40_000]))
    (name,) = net.outputs
    for k in range(len(data)):
        part = events_of(data.samples, k, bins)
        stream, counts = session.stream(bins.dt_us), np.zeros(net.populations[name].size, np.int64)
        cuts = np.sort(rng.integers(0, len(part) + 1, 20))
        sent = [stream.push(chunk) for chunk in np.split(part, cuts)]
        sent.append(stream.advance(max(0, net.window - stream.t)))
        for one in sent:
            counts += np.bincount(one.spikes[name]["index"], minlength=len(counts))
        expected = session.run(binned.samples.part(k, k + 1))
        same += np.array_equal(counts, expected.outputs[name].ravel())
    record(NAME, f"{given.network.stem}, streamed in random chunks, equal to a run", f"{same}", "recordings")
    record(NAME, f"{given.network.stem}, recordings streamed", f"{len(data)}", "recordings")


def _bins(events: Events) -> list[Events]:
    """Return the events of each step."""
    return np.split(events, np.flatnonzero(np.diff(events["t"] // STEP_US)) + 1)


def case_hd(given: argparse.Namespace, events: Events) -> None:
    """A layer of 1280 x 720 x 16, a recording again and again, and a bin in which nothing happens."""
    if given.hd is None:
        print("hd: no recording is given; --hd FILE")
        return
    chunks = [np.array(chunk) for chunk in sources.file(given.hd, shape=(2, *HD))]
    events = np.concatenate(chunks)
    events["t"] -= events["t"][0]
    span = (int(events["t"][-1]) // STEP_US + 1) * STEP_US
    stream = Session(layer(*HD), threads=1).stream(STEP_US)
    found, spikes, cells = [], 0, _tiles(events)
    for turn in range(given.rounds + 1):
        again = events.copy()
        again["t"] += turn * span
        parts = np.split(again, range(10_000, len(again), 10_000))
        begin = time.thread_time()
        sent = [len(stream.push(part)) for part in parts]
        if turn:
            found.append(len(events) / (time.thread_time() - begin) / 1e6)
            spikes += sum(sent)
    what = f"layer 1280x720x16, {given.hd.name}, {isa()}"
    record(NAME, f"{what}", float(np.median(found)), "million events/s")
    record(NAME, f"{what}: pixels updated by an event", cells / len(events), "")
    record(NAME, f"{what}: spikes of an event", spikes / len(found) / len(events), "")
    record(NAME, f"{what}: p99 of a step", stream.stats.step_us(99), "us")
    stream.advance(1000)
    percentiles("a step of that layer without an event", lambda _: stream.advance(1), [None] * 1000)


def _tiles(events: Events) -> int:
    """Return how many pixels are updated, bin by bin, whose neighbours an event has."""
    touched, total = np.zeros((HD[0] + 2, HD[1] + 2), bool), 0
    for part in _bins(events):
        for row in range(3):
            for column in range(3):
                touched[part["y"] + row, part["x"] + column] = True
        total += int(touched.sum())
        touched[:] = False
    return total


def case_hour(given: argparse.Namespace, events: Events) -> None:
    """An hour of events at the recordings' own rate, and what memory grows by after its first minute."""
    stream = Session(layer(34, 34), threads=1).stream(STEP_US)
    span, begin, resident = int(events["t"][-1]) + STEP_US, time.thread_time(), 0
    for turn in range(-(-HOUR_S * 1_000_000 // span)):
        again = events.copy()
        again["t"] += turn * span
        for part in np.split(again, range(1000, len(again), 1000)):
            stream.push(part)
        if not resident and stream.t > 60_000:
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) / 1024
    record(NAME, "an hour of stream: peak memory beyond that of the first minute", grown, "MB")
    record(NAME, "an hour of stream: events", f"{stream.stats.events}", "events")
    record(NAME, "an hour of stream", time.thread_time() - begin, "s")


CASES = {"layer": case_layer, "push": case_push, "bins": case_bins, "hd": case_hd, "hour": case_hour}

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("recordings", type=Path)
    arguments.add_argument("network", type=Path)
    arguments.add_argument("--hd", type=Path)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    chosen = arguments.parse_args()
    recorded = recordings(chosen.recordings, 100)
    for one in chosen.case:
        CASES[one](chosen, recorded)
