# SPDX-License-Identifier: Apache-2.0
"""Streams and early exit on a GPU beside the CPU: the same outputs, counts, refusals, and snapshots of each other."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spikerun import EVENT, IF, Network, Population, Projection, Session
from spikerun.connections import Dense
from spikerun.errors import DataError, UsageError
from spikerun.neurons import Input, Readout
from spikerun.stream import Stream

DEVICES = ("cpu", "cuda")


def network(bits: int = 1) -> Network:
    """Return an input of two channels of 3x2 that takes events, and outputs that spike and that are read."""
    rng = np.random.default_rng(bits)
    populations = {
        "in": Population((2, 3, 2), Input(bits, "spikes" if bits == 1 else "frames")),
        "h": Population((5,), IF(30)),
        "out": Population((4,), Readout(np.float32(0.5))),
    }
    maps = (Dense(rng.integers(-20, 60, (12, 5)).astype(np.int8)), Dense(rng.integers(-9, 9, (5, 4)).astype(np.int8)))
    return Network(populations, [Projection("in", "h", maps[0]), Projection("h", "out", maps[1])], ["h", "out"], 4)


def events(seed: int, n: int = 60, sort: bool = True) -> Any:
    rng, found = np.random.default_rng(seed), np.zeros(n, EVENT)
    t = rng.integers(0, 9000, n)
    found["t"], found["x"], found["y"], found["p"] = np.sort(t) if sort else t, *rng.integers(0, 2, (3, n))
    return found


def streams(net: Network, **how: Any) -> list[Stream]:
    return [Session(net, device=device).stream(**how) for device in DEVICES]


@pytest.mark.parametrize("late", ["error", "clamp", "drop"])
@pytest.mark.parametrize(("bits", "counts"), [(1, None), (2, "graded"), (2, "clip")])
def test_events_become_the_same_spikes(bits: int, counts: str | None, late: str) -> None:
    cpu, gpu = streams(network(bits), late=late, counts=counts)
    for given in np.array_split(events(bits, sort=late == "error"), 4):
        assert repr(cpu.push(given)) == repr(gpu.push(given))
    assert repr(cpu.flush()) == repr(gpu.flush())
    for name in ("events", "late", "dropped", "clipped"):
        assert getattr(cpu.stats, name) == getattr(gpu.stats, name), name
    assert cpu.activity == gpu.activity and cpu.t == gpu.t


@pytest.mark.parametrize("wrong", [{"t": -1}, {"x": 2}, {"t": 5}, {"t": 2**50}])
def test_events_are_refused_in_the_same_words(wrong: dict[str, int]) -> None:
    said = []
    for stream in streams(network()):
        given = events(3)
        given["t"] += 2000
        stream.push(given)
        for name, value in wrong.items():
            given[name][7] = value
        with pytest.raises(DataError) as caught:
            stream.push(given[6:])
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_snapshot_goes_from_one_device_to_the_other() -> None:
    for first, second in (streams(network()), streams(network())[::-1]):
        first.push(events(5))
        second.restore(first.snapshot())
        assert repr(first.flush()) == repr(second.flush())
        assert repr(first.advance(9)) == repr(second.advance(9))


def test_events_that_a_snapshot_holds_are_not_counted_again() -> None:
    for stream in streams(network()):
        stream.push(events(5))
        stream.restore(stream.snapshot())
        assert stream.pushed == stream.stats.events == 60


def test_a_stream_is_one_threads_at_a_time() -> None:
    (_, stream) = streams(network())
    work: Any = stream._work
    with work._busy, pytest.raises(UsageError, match="give each thread a stream of its own"):
        stream.advance(1)


@pytest.fixture
def presses() -> Iterator[list[int]]:
    """Count how often Ctrl-C is handled."""
    found: list[int] = []

    def handle(number: int, _: Any) -> None:
        found.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    yield found
    signal.signal(signal.SIGINT, before)


def press_at(stream: Stream, when: int) -> None:
    work: Any = stream._work
    execute = work._passes.execute

    def press(t: int) -> None:
        if t == when:
            os.kill(os.getpid(), signal.SIGINT)
        execute(t)

    work._passes.execute = press


def test_ctrl_c_ends_a_stream_between_two_steps(presses: list[int]) -> None:
    (_, stream) = streams(network())
    before = signal.getsignal(signal.SIGINT)
    press_at(stream, 3)
    with pytest.raises(KeyboardInterrupt):
        stream.advance(10)
    assert stream.t == 4 and len(presses) == 1 and signal.getsignal(signal.SIGINT) is before
    stream.advance(6)
    assert stream.t == 10


def test_ctrl_c_after_the_last_step_is_not_lost(presses: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    (_, stream) = streams(network())
    work: Any = stream._work
    look = work._look

    def press(*what: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        look(*what)

    monkeypatch.setattr(work, "_look", press)
    with pytest.raises(KeyboardInterrupt):
        stream.advance(2)
    assert stream.t == 2 and len(presses) == 1


def test_ctrl_c_before_an_error_is_not_lost(presses: list[int]) -> None:
    (_, stream) = streams(network())
    work: Any = stream._work

    def fail(t: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise MemoryError

    work._passes.execute = fail
    with pytest.raises(KeyboardInterrupt) as caught:
        stream.advance(2)
    assert isinstance(caught.value.__context__, MemoryError) and len(presses) == 1


@pytest.mark.parametrize("seed", range(3))
def test_early_exit_ends_each_sample_where_the_cpu_ends_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    populations = {
        "in": Population((6,), Input(1, "spikes")),
        "h": Population((9,), IF(40)),
        "out": Population((4,), Readout()),
    }
    maps = [Dense(rng.integers(-20, 40, shape).astype(np.int8)) for shape in ((6, 9), (9, 4))]
    net = Network(populations, [Projection("in", "h", maps[0]), Projection("h", "out", maps[1])], ["out"], 12)
    x = (rng.random((7, 12, 6)) < 0.4).astype(np.uint8)
    sessions = [Session(net, device=device, early_exit="exact") for device in DEVICES]
    for session in sessions:
        session.run(x[::-1])  # leaves nothing behind
    cpu, gpu = (session.run(x) for session in sessions)
    assert cpu.steps is not None and gpu.steps is not None
    np.testing.assert_array_equal(cpu.steps, gpu.steps)
    np.testing.assert_array_equal(cpu.outputs["out"], gpu.outputs["out"])
    assert cpu.activity == gpu.activity
