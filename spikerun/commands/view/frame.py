# SPDX-License-Identifier: Apache-2.0
"""A frame of the view: what a stream saw since the frame before, decimated, as bytes.

Little-endian; a header (`HEADER`), then the arrays, in this order:

    rates     float32 (rates,)     spikes of each population, for a neuron and second of the stream
    scores    float32 (scores,)    what an output says of each class: its reading, or its spikes, forgotten over a
                                   window
    neurons   uint32 (traces,)     whose membranes these are
    traces    int32 (traces,)      membranes after the last step
    points    uint16 (points, 2)   spikes: when within the frame, and which neuron, both as 0..65535 of the whole
    image     uint8 (height, width)   cells of the sensor: off events + 16 x on events, of each the root of how many
                                   there were, rounded up, at most 15

docs/view.md describes the header.
"""

import math
import struct
from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikerun.activity import Activity
from spikerun.network import Network
from spikerun.outputs import Outputs

__all__ = [
    "CELLS",
    "HEADER",
    "MAGIC",
    "NOBODY",
    "NO_SPIKES",
    "POINTS",
    "SAMPLED",
    "TRACES",
    "VERSION",
    "Frames",
    "Seen",
    "Told",
    "image",
    "traced",
]

MAGIC, VERSION = b"SPKV", 1
POINTS, TRACES, CELLS, SCORES, RATES = 2000, 20, 6000, 64, 64  # at most, of a frame
EVENTS = 2**13  # at most so many make the image
NOBODY = 0xFFFF  # no population
SAMPLED = 1  # a flag: of the raster's population only the spikes of the last step are known

# Magic, version, flags, number of the frame, events; step it begins at, step it ends before; lag in microseconds (NaN:
# not known), dropped events, late events; events a second, class (-1: none yet); width, height, points, traces, rates,
# scores, populations of raster and membranes; spikes of the raster's population; seconds by the clock.
HEADER = struct.Struct("<4sHHIIqqdddfiHHHHHHHHIf")

Array = npt.NDArray[Any]
NO_SPIKES: Array = np.zeros(0, [("step", "i8"), ("index", "i8")])


class Told(NamedTuple):
    """What else is known of a stream: lag in microseconds, events dropped and late since it began. NaN: not known."""

    lag_us: float = math.nan
    dropped: float = math.nan
    late: float = math.nan


class Counted(NamedTuple):
    """The spikes that a stream had sent when so many steps were done."""

    t: int
    activity: Activity


class Seen(NamedTuple):
    """What a stream saw from step `begin` to `end`. Its arrays are looked at and not copied: nobody may change them.

    seconds: how long that took by the clock. chunks: arrays with the fields x, y, p, the newest of all `events`;
    outputs: the newest, empty ones too. counts: what was counted some time ago and now, for rates; None:
    they stay. raster, membranes: populations by
    number; word: what the raster's sent in the last step, if it is no output; traces: the membranes.
    """

    begin: int
    end: int
    seconds: float
    events: int
    chunks: Collection[Array]
    outputs: Collection[Outputs]
    counts: tuple[Counted, Counted] | None
    raster: int
    word: Array | None
    membranes: int
    traces: Array | None
    told: Told


class Frames:
    """Makes frames of a stream, one behind the other, and keeps what an output says: the first that is a readout, or
    if none is, the first.
    """

    def __init__(self, net: Network, step_us: float) -> None:
        self._populations = list(net.populations.items())
        self._shape, self._window, self._step_us = net.populations[net.inputs[0]].shape, net.window, step_us
        said = [name for name in net.outputs if net.populations[name].neuron.reported]
        self._speaks, self._speaker = bool(said), (said or net.outputs)[0]
        self._scores = np.zeros(net.populations[self._speaker].size, np.float64)
        self._rates = np.zeros(min(len(self._populations), RATES))
        self._spoken = False
        self._made = 0

    def make(self, seen: Seen) -> bytes:
        """Return the next frame: at most 2,000 spikes, 20 membranes, 6,000 cells, 64 rates and scores, under 16 KB."""
        self._listen(seen)
        cells = image(seen.chunks, self._shape)
        points, spikes = self._points(seen)
        rates, scores = self._rated(seen), self._scores[:SCORES]
        traces = np.zeros(0) if seen.traces is None else seen.traces
        neurons = traced(0 if seen.traces is None else self._populations[seen.membranes][1].size)
        head = HEADER.pack(
            MAGIC, VERSION, SAMPLED * (seen.word is not None), self._made, min(seen.events, 2**32 - 1),
            seen.begin, seen.end,
            *seen.told,
            seen.events / seen.seconds if seen.seconds > 0 else 0.0,
            int(self._scores.argmax()) if self._spoken else -1,
            cells.shape[1], cells.shape[0], len(points), len(traces), len(rates), len(scores),
            seen.raster, seen.membranes,
            min(spikes, 2**32 - 1), seen.seconds,
        )  # fmt: skip
        self._made = (self._made + 1) % 2**32
        arrays = {"<f4": (rates, scores), "<u4": (neurons,), "<i4": (traces,), "<u2": (points,), "u1": (cells,)}
        return b"".join([head, *(a.astype(dtype).tobytes() for dtype, group in arrays.items() for a in group)])

    def _listen(self, seen: Seen) -> None:
        """Take what the output said."""
        if self._speaks:
            said = [logits for outputs in seen.outputs for logits in outputs.readings[self._speaker][1]]
            if said:
                self._scores[:] = said[-1].ravel()
        else:
            said = [outputs.spikes[self._speaker]["index"] for outputs in seen.outputs]
            self._scores *= math.exp(-max(seen.end - seen.begin, 0) / self._window)
            if said:
                self._scores += np.bincount(np.concatenate(said), minlength=len(self._scores))
        self._spoken |= bool(said)

    def _rated(self, seen: Seen) -> Array:
        """Return the spikes of a neuron and second of each population."""
        if seen.counts is not None and seen.counts[1].t > seen.counts[0].t:
            before, after = seen.counts
            sent = zip(*(list(one.activity.populations.values())[:RATES] for one in seen.counts), strict=True)
            seconds = (after.t - before.t) * self._step_us / 1e6
            self._rates = np.array([(new.spikes - old.spikes) / (new.neurons * seconds) for old, new in sent])
        return self._rates

    def _points(self, seen: Seen) -> tuple[Array, int]:
        """Return spikes as (time, neuron), every k-th of all that are known, and how many those are."""
        if seen.raster == NOBODY:
            return np.zeros((0, 2)), 0
        name, population = self._populations[seen.raster]
        if seen.word is not None:
            index = np.flatnonzero(seen.word)
            steps = np.full(len(index), seen.end - 1)
        else:
            found = [outputs.spikes[name] for outputs in seen.outputs] or [NO_SPIKES]
            steps, index = (np.concatenate([part[field] for part in found]) for field in ("step", "index"))
        every = max(1, -(-len(steps) // POINTS))
        time = (steps[::every] - seen.begin) * 65536 // max(seen.end - seen.begin, 1)
        row = (2 * index[::every].astype(np.int64) + 1) * 32768 // population.size  # the middle of the neuron's own row
        return np.stack([time.clip(0, 65535), row], axis=1), len(steps)


@lru_cache
def traced(size: int) -> Array:
    """Return which neurons of so many are traced: uint32, at most 20, equally far apart."""
    n = min(size, TRACES)
    return (np.arange(n, dtype=np.int64) * size // max(n, 1)).astype(np.uint32)


def image(chunks: Collection[Array], shape: tuple[int, ...]) -> Array:
    """Return the cells of the sensor, uint8 (height, width); they are its pixels where those are not too many."""
    if len(shape) != 3:
        return np.zeros((0, 0), np.uint8)
    _, height, width = shape
    side = _side(height, width)
    rows, columns = -(-height // side), -(-width // side)
    total = sum(map(len, chunks))
    if not total:
        return np.zeros((rows, columns), np.uint8)
    every = -(-total // EVENTS)
    words = np.concatenate([chunk.view("<u8")[1 :: 2 * every] for chunk in chunks])  # all of each event but its time
    x, y, p = words.view("<u2").reshape(-1, 4)[:, :3].T
    on_rows = ((p & 0xFF) > 0).astype(np.uint16) * rows
    place = (on_rows + y // side) * columns + x // side  # below 2 * CELLS: uint16 holds it
    counts = np.bincount(place, minlength=2 * rows * columns) * every
    off, on = np.minimum(np.ceil(np.sqrt(counts)), 15).astype(np.uint8).reshape(2, rows, columns)
    return off | on << 4


def _side(height: int, width: int) -> int:
    """Return how many pixels a cell is wide and high."""
    side = 1
    while -(-height // side) * -(-width // side) > CELLS:
        side += 1
    return side
