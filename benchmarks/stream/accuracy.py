# SPDX-License-Identifier: Apache-2.0
"""Streaming accuracy of a network on recordings that did not calibrate: online beside offline, by pace and policy.

    python benchmarks/stream/accuracy.py cnn_sinabs.snn nmnist.npz [--limit 100] [--case PACE,POLICY ...]

As `spikerun bench --stream` measures it (docs/bench.md), on one thread, whose CPU time counts: it stands still while
others have the processor. `recordings.py` says how the network and the recordings are made.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from record import record

from spikerun import Session, datasets, load
from spikerun.commands.bench_stream import TRUTHS, accuracy
from spikerun.commands.played import played_in_time, played_whole
from spikerun.datasets import Bins, encoder_of
from spikerun.datasets.events import Recordings

NAME = "stream_accuracy"
CASES = ("1,latest", "1,block", "4,latest", "4,drop_bin", "4,drop_tail")


def main(network: Path, file: Path, limit: int | None, cases: list[str]) -> None:
    """Record the times of bins, and for each case lag, what was dropped and both accuracies."""
    net = load(network)
    bins = encoder_of(net.meta, net.inputs[0])
    data = datasets.load(file, limit=limit)
    assert isinstance(bins, Bins) and isinstance(data.samples, Recordings)
    session, timer = Session(net, threads=1), time.thread_time_ns
    whole = played_whole(session, data.samples, bins, _quietly, timer)
    of = f"{network.stem}, {len(data)} recordings"
    for percent in (50, 99, 100):
        record(NAME, f"{of}: a bin, p{percent}", float(np.percentile(whole.busy_us, percent)), "us")
    record(NAME, f"{of}: at most, times real time", len(whole.busy_us) * bins.dt_us / whole.busy_us.sum(), "x")
    for case in cases:
        pace, overload = float(case.partition(",")[0]), case.partition(",")[2]
        timed = played_in_time(session, data.samples, bins, pace, overload, _quietly, timer)
        what = f"{of}, {pace:g} times as recorded, {overload}"
        lag = timed.ready_us - timed.seen_us
        record(NAME, f"{what}: lag, p50", float(np.percentile(lag, 50)), "us")
        record(NAME, f"{what}: lag, p99", float(np.percentile(lag, 99)), "us")
        record(NAME, f"{what}: events dropped", round(100 * timed.dropped / timed.events, 2), "%")
        for when, truths in (("over time", TRUTHS * bins.steps), ("at the end", 1)):
            found: dict[str, Any] = accuracy(data.require_labels(), whole, timed, bins, pace, truths)
            for which in ("online", "offline"):
                one = found[which]
                record(NAME, f"{what}: {which} {when}", f"{one['percent']:.2f} +- {one['standard_error']:.2f}", "%")


def _quietly(done: int) -> None:
    """Take the place of a progress bar."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--case", dest="cases", action="append", metavar="PACE,POLICY")
    given = parser.parse_args()
    main(given.network, given.file, given.limit, given.cases or list(CASES))
