# SPDX-License-Identifier: Apache-2.0
"""Event files to arrays: ours beside other readers, and beside what reading the bytes and writing events alone takes.

    python benchmarks/stream/decode.py [FILE ...] [--rounds 15]

Without files, of made events: bursts of one to eight in a row of 1280 x 720 pixels, a microsecond each. With files, of
those. A reader goes through the file a chunk at a time and keeps nothing, as a stream does; what it knows to do at once
only, it does at once, which is said. The floor reads the same bytes as np.fromfile does, in pieces of 256 kB, and
copies 16 bytes for each event. Contestants take turns; CPU time of the one thread, medians of rounds, ratios those of
the rounds' own. Memory is by how much a new process grows at its peak while it goes through the file.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cpu"))

import aedat
import evt3
import faery
import h5py  # type: ignore[import-untyped]
import numpy as np
from record import record
from turns import Array, in_turns, over

from spikerun import EVENT, sources
from spikerun.sources import File

NAME = "stream_decode"
EVENTS = 1_000_000
PIECE = 1 << 18
SIZE = b"% geometry 1280x720\n% end\n"
GROWN = """
import importlib, re, sys
from pathlib import Path
from spikerun import sources
source = sources.file(sys.argv[1], chunk=int(sys.argv[2]))
importlib.import_module({"aedat4": "faery", "es": "faery"}.get(source.format, "numpy"))
Path("/proc/self/clear_refs").write_text("5")
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
for events in source:
    pass
print((peak() - before) / 1000)
"""


def made(count: int) -> Array:
    """Return random events in order of time."""
    rng = np.random.default_rng(0)
    many = rng.integers(1, 9, count)
    burst = np.repeat(np.arange(count), many)[:count]
    events = np.zeros(count, EVENT)
    events["t"] = burst
    events["y"] = rng.integers(0, 720, count)[burst]
    events["x"] = (rng.integers(0, 1200, count)[burst] + rng.integers(0, 80, count)) % 1280
    events["p"] = rng.integers(0, 2, count)
    return events


def written(events: Array, folder: Path) -> Iterator[Path]:
    """Write the events in every format that has a reader, and yield the files."""
    t, x, y, p = (events[name].astype("u4") for name in ("t", "x", "y", "p"))
    at = np.flatnonzero(np.append(True, (t[1:] >> 6) != (t[:-1] >> 6)))
    words = np.insert(p << 28 | (t & 63) << 22 | x << 11 | y, at, 8 << 28 | t[at] >> 6)
    yield _put(folder / "evt2.raw", b"% evt 2.0\n" + SIZE, words.astype("<u4"))
    yield _put(folder / "evt3.raw", b"% evt 3.0\n" + SIZE, _evt3(t, x, y, p))
    yield _put(folder / "cd.dat", b"% Version 2\n\x0c\x08", np.stack([t, x | y << 14 | p << 28], 1).astype("<u4"))
    part = events[t < 1 << 23]
    small = np.stack([part["x"] % 34, part["y"] % 34, part["p"] << 7 | part["t"] >> 16, part["t"] >> 8, part["t"]], 1)
    yield _put(folder / "n-mnist.bin", b"", small.astype("u1"))
    with h5py.File(folder / "dsec.h5", "w") as file:
        for name, column in (("t", t), ("x", x.astype("u2")), ("y", y.astype("u2")), ("p", p.astype("u1"))):
            file.create_dataset(f"events/{name}", data=column, chunks=(1 << 16,))
    yield folder / "dsec.h5"
    theirs = np.zeros(len(events), faery.EVENTS_DTYPE)
    for name in EVENT.names or ():
        theirs[name] = events[name]
    for name in ("lz4.aedat4", "dvs.es", "events.csv"):
        faery.events_stream_from_array(theirs, (1280, 720)).to_file(folder / name)
        yield folder / name


def _evt3(t: Array, x: Array, y: Array, p: Array) -> Array:
    """Return words of EVT 3.0: of each burst the time and the row, then its events."""
    first = np.append(True, t[1:] != t[:-1])
    high = np.append(True, (t[1:] >> 12) != (t[:-1] >> 12))
    words = np.stack([8 << 12 | t >> 12 & 4095, 6 << 12 | t & 4095, y, 2 << 12 | p << 11 | x], 1)
    kept: Array = words[np.stack([high, first, first, np.ones(len(t), np.bool_)], 1)]
    return kept.astype("<u2")


def _put(path: Path, header: bytes, values: Array) -> Path:
    path.write_bytes(header + values.tobytes())
    return path


def readers(source: File) -> dict[str, Callable[[int], int]]:
    """Return what reads the file, and returns how many events it has."""
    path, form = source.path, source.format
    found: dict[str, Callable[[int], int]] = {
        "spikerun": lambda k: sum(map(len, source)),
        "floor": lambda k: floor(path),
    }
    if form in ("evt2", "evt3", "aedat4", "es", "csv"):
        found["faery"] = lambda k: sum(map(len, faery.events_stream_from_file(path, version_fallback=_version(form))))
    if form == "evt3":
        found["evt3, at once"] = lambda k: len(evt3.decode_file(str(path)).t)
    if form == "aedat4":
        found["aedat"] = lambda k: sum(len(packet["events"]) for packet in aedat.Decoder(path) if "events" in packet)
    events = sum(map(len, source))
    piece, room = np.zeros(PIECE, "u1"), np.empty(PIECE, "u1")

    def floor(path: Path) -> int:
        with path.open("rb") as file:
            while len(np.fromfile(file, "u1", PIECE)):
                pass
        for _ in range(events * EVENT.itemsize // PIECE):
            room[:] = piece
        return events

    return found


def _version(form: str) -> str | None:
    return form if form.startswith("evt") else None


def grown(path: Path, chunk: int = sources.CHUNK) -> float:
    """Return by how many MB a new process grows at its peak while it goes through a file."""
    words = [sys.executable, "-c", GROWN, str(path), str(chunk)]
    path_of = os.pathsep.join(one for one in sys.path if one)
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path_of})
    return float(done.stdout)


def measure(path: Path, rounds: int) -> None:
    """Record how many events a second each reader gives, how far ours is from them, and what memory it takes."""
    source = sources.file(path)
    calls = readers(source)
    counts = {name: call(0) for name, call in calls.items()}
    if len(set(counts.values())) > 1:
        raise SystemExit(f"{path.name}: readers differ in the number of events: {counts}")
    times = in_turns(list(calls.values()), rounds, inputs=2)
    for k, name in enumerate(calls):
        rate = counts[name] / float(np.median(times[:, k]))
        record(NAME, f"{source.format}, {path.name}: {name}", rate, "million events/s")
        if k:
            record(NAME, f"{source.format}, {path.name}: time of spikerun / {name}", over(times, 0, k), "x")
    record(NAME, f"{source.format}, {path.name}: memory above import", grown(path), "MB")


def main() -> None:
    """Measure the files that are named, or made ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for path in asked.files or written(made(EVENTS), Path(folder)):
            measure(path, asked.rounds)


if __name__ == "__main__":
    main()
