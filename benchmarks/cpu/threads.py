# SPDX-License-Identifier: Apache-2.0
"""What threads gain, and what they cost where others have the processors.

    python benchmarks/cpu/threads.py [--rounds 15]

One image at a time through the network like VGG (`vgg.py`; words, 15 % of those that layers read are active) and
through a small one of two layers, by sessions of one thread, of two, of as many as there are processors, and of four
times as many; beside nothing, then beside as many processes as there are processors that do nothing but compute, then
beside twice as many. Sessions take turns of some images, so that load hits all alike; times are of the clock, since
that is what threads are to save: the mean of a turn, whose outliers count, and medians of the ratios of the turns.

The limit of two threads is 2.0; what is not shared (the last layer, short operations) and what one thread wrote and
another reads lie between.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import vgg
from record import record
from turns import Array

from spikerun import Conv, FewSpikes, Input, Network, Population, Projection, Readout, Session
from spikerun.kernels.cpu.native import isa

NAME = "cpu_threads"
ACTIVE = 0.15
CALLS = 40  # of a turn, at least
LONGEST = 0.05  # seconds that a turn takes: many time slices of the scheduler


def small() -> Network:
    """Return a network that one thread runs in some tens of microseconds."""
    rng = np.random.default_rng(0)
    populations = {
        "in": Population((1, 16, 16), Input(8)),
        "a": Population((16, 16, 16), FewSpikes(5, np.int32(20000), np.int32(0))),
        "out": Population((10, 16, 16), Readout()),
    }
    first, second = (
        Conv(rng.integers(-60, 61, shape).astype(np.int8), padding=(1, 1)) for shape in ((16, 1, 3, 3), (10, 16, 3, 3))
    )
    return Network(populations, [Projection("in", "a", first), Projection("a", "out", second)], ["out"], 8)


def compute() -> None:
    """Keep a processor busy."""
    x = 1
    while True:
        x = (3 * x + 1) % 1_000_003


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Have so many processes that compute."""
    started = [multiprocessing.get_context("spawn").Process(target=compute, daemon=True) for _ in range(processes)]
    for process in started:
        process.start()
    try:
        time.sleep(1.0 if started else 0.0)
        yield
    finally:
        for process in started:
            process.kill()
            process.join()


def turns(sessions: list[Session], samples: Array, rounds: int) -> Array:
    """Return the mean time of a call in microseconds, (rounds, sessions)."""
    times = np.empty((rounds, len(sessions)))
    begin = time.perf_counter()
    for session in sessions:
        for k in range(2 * CALLS):
            session.run(samples[k % len(samples)][None])
    once = (time.perf_counter() - begin) / (2 * CALLS * len(sessions))
    calls = max(CALLS, round(LONGEST / once))
    for taken in times:
        for which, session in enumerate(sessions):
            begin = time.perf_counter()
            for k in range(calls):
                session.run(samples[k % len(samples)][None])
            taken[which] = 1e6 * (time.perf_counter() - begin) / calls
    return times


def measure(name: str, net: Network, samples: Any, rounds: int) -> None:
    """Measure and record one network beside each load."""
    processors = len(os.sched_getaffinity(0))
    counts = tuple(sorted({1, 2, processors, 4 * processors}))
    sessions = [Session(net, threads=count) for count in counts]
    for others in (0, processors, 2 * processors):
        with busy(others):
            times = turns(sessions, samples, rounds)
        what = f"{name}, {isa()}, {processors} processors, {others} other processes"
        record(NAME, f"{what}: 1 thread", float(np.median(times[:, 0])), "us")
        for which, count in enumerate(counts[1:], 1):
            ratio = float(np.median(times[:, which] / times[:, 0]))
            record(NAME, f"{what}: {count} threads over 1", ratio, "x")


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    rounds = parser.parse_args().rounds
    measure("VGG-like, words", vgg.words(ACTIVE), vgg.images(8), rounds)
    rng = np.random.default_rng(0)
    measure("a small network", small(), rng.integers(0, 256, (8, 1, 16, 16)).astype(np.uint8), rounds)


if __name__ == "__main__":
    main()
