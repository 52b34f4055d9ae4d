# SPDX-License-Identifier: Apache-2.0
"""What the view costs a stream: turns without it, with it and no client, and with a client that takes every frame.

    python benchmarks/stream/view.py [rounds]

The stream is that of benchmarks/cpu/events.py, 1,000 events in each millisecond, as fast as it goes. The client is a
process of its own, as a browser is. CPU time is that of the stream's thread; what the server's thread does beside it
shows in the time by the clock. A turn is short, and its figures are compared with those of its own round; besides, the
CPU time within the tap is counted call by call.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cpu"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from events import EVENTS, STEP_US, Array, chunks, network
from record import record

from spikerun import Session, Stream, as_events
from spikerun.commands.view.frame import VERSION, Frames
from spikerun.commands.view.server import Server
from spikerun.commands.view.tap import Tap

NAME = "stream_view"
ROUNDS, PUSHES = 60, 4000  # turns of each way, pushes of a turn
BLOCK = 100  # pushes of which the events differ
WAYS = ("without the view", "with the view, no client", "with a client")
CLIENT = """
import select, sys
from websockets.sync.client import connect
for _ in sys.stdin:  # a line begins a visit, another one ends it
    with connect(sys.argv[1], proxy=None) as connection:
        frames, _ = 0, connection.recv()
        while not select.select([sys.stdin], [], [], 0)[0]:
            connection.send("{}")
            frames, _ = frames + 1, connection.recv()
        sys.stdin.readline()
    print(frames, flush=True)
"""


def main(rounds: int = ROUNDS) -> None:
    """Print what a push takes each way, and by how much the view makes it longer."""
    net = network()
    stream = Session(net, threads=1).stream(STEP_US)
    tap = Tap(stream)
    about = {"version": VERSION, "network": "", "source": "", "step_us": STEP_US, "populations": tap.populations}
    given, taken, frames = _Given(), np.empty((rounds, len(WAYS), 2)), 0
    with Server(tap, Frames(net, STEP_US), about, "127.0.0.1", 0) as server, _client(server) as client:
        within = []
        for row in taken:
            row[0] = _turn(stream, None, given.next(PUSHES))
            row[1] = _turn(stream, tap, given.next(PUSHES))
            frames += _visit(client, row, within, stream, tap, given)
    what = f"a push of {EVENTS:,} events"
    for k, clock in enumerate(("CPU time", "by the clock")):
        quiet = np.percentile(taken[:, :, k], 10, axis=0)  # turns in which nothing else ran
        for way, name in enumerate(WAYS):
            record(NAME, f"{what}, {clock}, {name}: median", float(np.median(taken[:, way, k])), "us")
            record(NAME, f"{what}, {clock}, {name}: p10", float(quiet[way]), "us")
        for way in (1, 2):
            record(
                NAME, f"{what}, {clock}, {WAYS[way]}: more than without, of p10", 100 * (quiet[way] / quiet[0] - 1), "%"
            )
            more = 100 * (taken[:, way, k] / taken[:, 0, k] - 1)
            record(NAME, f"{what}, {clock}, {WAYS[way]}: more than without, median", float(np.median(more)), "%")
            low, high = np.percentile(more, (25, 75))
            record(NAME, f"{what}, {clock}, {WAYS[way]}: more than without, quartiles", f"{low:.2f} {high:.2f}", "%")
    record(NAME, f"{what}, CPU time within the tap, with a client: median", float(np.median(within)), "%")
    seconds = 2 * float(taken[:, 2, 1].sum()) * PUSHES / 1e6
    record(NAME, "frames that the client got", frames / seconds, "frames/s")


class _Given:
    """Events of one millisecond after the other, without end."""

    def __init__(self) -> None:
        self._block, self._done = chunks(BLOCK), 0

    def next(self, count: int) -> list[Array]:
        found = []
        for k in range(self._done, self._done + count):
            chunk = as_events(self._block[k % BLOCK])
            chunk["t"] += k // BLOCK * BLOCK * STEP_US
            found.append(chunk)
        self._done += count
        return found


def _turn(stream: Stream, tap: Tap | None, pushed: list[Array]) -> tuple[float, float]:
    """Return what a push took, in microseconds of CPU time and of the clock."""
    began, worked = time.perf_counter_ns(), time.thread_time_ns()
    if tap is None:
        for chunk in pushed:
            stream.push(chunk)
    else:
        for chunk in pushed:
            tap.came(chunk)
            tap.saw(stream.push(chunk))
    worked, began = time.thread_time_ns() - worked, time.perf_counter_ns() - began
    return worked / len(pushed) / 1e3, began / len(pushed) / 1e3


def _within(stream: Stream, tap: Tap, pushed: list[Array]) -> float:
    """Return which part of the thread's CPU time was spent in the tap, in percent."""
    clock, inside, asking = time.thread_time_ns, 0, 0
    began = clock()
    for chunk in pushed:
        sent = stream.push(chunk)
        before = clock()
        tap.came(chunk)
        tap.saw(sent)
        after = clock()
        inside += after - before
        asking += clock() - after
    whole = clock() - began
    return 100 * (inside - asking) / (whole - 3 * asking - inside + asking)


def _visit(
    client: "subprocess.Popen[str]", row: Array, within: list[float], stream: Stream, tap: Tap, given: _Given
) -> int:
    """Measure turns while the client is there; return how many frames it got."""
    assert client.stdin is not None and client.stdout is not None
    for watching in (True, False):
        print(file=client.stdin, flush=True)
        while tap.watching != watching:  # a client that waits for a frame does not leave before it has it
            _turn(stream, tap, given.next(10))
        if watching:
            row[2] = _turn(stream, tap, given.next(PUSHES))
            within.append(_within(stream, tap, given.next(PUSHES)))
    return int(client.stdout.readline())


@contextmanager
def _client(server: Server) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", CLIENT, f"ws{server.url[4:]}frames"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
