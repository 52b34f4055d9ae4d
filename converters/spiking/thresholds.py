# SPDX-License-Identifier: Apache-2.0
"""Thresholds of neurons whose rates stand for activations: of a grid, by channel; and what spikes are worth."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikerun.converters.forward import spread
from spikerun.converters.graph import Array, AvgPool, Conv, Linear, Op

__all__ = ["BIASES", "KEEPS", "Firing", "chosen", "evened", "largest", "spikes", "worth"]

# What is tried: thresholds, in what the largest activations of a channel are in one step; shifts, of the threshold over
# the whole run; shares of the current that a step keeps, which smooth the spikes of a layer before. `chosen` takes the
# first shift for all thresholds, then the best threshold for all shifts.
THRESHOLDS = tuple(np.geomspace(0.5, 8, 11))
SHIFTS = (0.5, -1.0, -0.5, 0.0, 0.25, 0.75, 1.0, 1.5)
KEEPS = (0.0, 0.5, 0.75, 0.875, 0.9375)
QUIET = 0.3  # of the usual largest activation, below which a channel needs no threshold of its own
SPREAD = 3.0  # times the usual weight: how large that of a channel may be beside its threshold, for all share one there
BIASES = (4.0, 0.25)  # thresholds that a bias may be in a step behind spikes, and behind currents, which take more room
LARGEST = 99.9  # percentile of the activations that is taken for the largest


@dataclass(frozen=True)
class Firing:
    """The reset of cells as `Cell` has it, and the share of the current that a step keeps."""

    reset: str
    keep: float = 0.0


def spikes(currents: Iterable[Array], bias: Array, firing: Firing) -> Iterator[Array]:
    """Yield what cells of threshold 1 send in each step; bias: of the membrane, broadcast."""
    u: Any = 0.0
    v: Any = None
    for x in currents:
        u = u * np.float32(firing.keep) + x * np.float32(1 - firing.keep) if firing.keep else x
        v = u + bias if v is None else np.add(np.add(v, u, out=v), bias, out=v)
        s = v > 1
        if firing.reset == "value":
            v[s] = 0
        else:
            v -= s
        yield s


def largest(activations: Array) -> Array:
    """Return the largest activation of each channel (C,), that of the layer where a channel has none."""
    rows = np.moveaxis(activations, 1, 0).reshape(activations.shape[1], -1)
    top = np.percentile(rows, LARGEST, axis=1).astype(np.float64)
    usual = float(np.median(top[top > 0])) if (top > 0).any() else 1.0
    return np.maximum(top, QUIET * usual)


def evened(gain: Array, op: Op, bias: Array, room: float) -> Array:
    """Return gains (C,) at which no weights and biases are far larger than those of the usual channel.

    room: for biases, in thresholds, that there is anyway.
    """
    sizes = [(np.abs(bias), room)]
    if isinstance(op, (Conv, Linear)):
        sizes.append((np.abs(op.weight).reshape(len(gain), -1).max(axis=1), 0.0))
    found = gain
    for size, least in sizes:
        if (there := size > 0).any():
            most = max(SPREAD * float(np.median((gain * size)[there | (least > 0)])), least)
            found = np.where(there, np.minimum(found, most / np.where(there, size, 1)), found)
    return found


def chosen(
    currents: list[Array], bias: Array, target: Array, top: Array, firing: Firing, pool: AvgPool | None
) -> tuple[float, Array, Array]:
    """Return gain and shift (C,) by which counts of spikes are nearest to multiples of `target`, one for each channel.

    They come behind what is left of its variance.

    currents: of each step (n, *shape), bias: (C,), of the membrane. pool: what averages both before they are compared.
    """
    wanted = _rows(target, pool)
    threshold, shift = np.full(len(top), THRESHOLDS[0]), np.full(len(top), SHIFTS[0])
    best = np.full(len(top), np.inf)
    for which, tried in ((threshold, THRESHOLDS), (shift, SHIFTS)):
        usual = which.copy()
        for value in tried:
            unit = 1 / (top * (value if which is threshold else threshold))
            add = bias * unit + (value if which is shift else shift) / len(currents)
            error = _unexplained(_rows(_counts(currents, unit, add, firing), pool), wanted)
            usual[error < best] = value
            best = np.minimum(error, best)
        which[:] = usual
    return float(best.sum()), 1 / (threshold * top), shift / len(currents)


def _counts(currents: list[Array], gain: Array, bias: Array, firing: Firing) -> Array:
    """Return the spikes (n, *shape) of all steps; gain, bias: (C,)."""
    shape = currents[0].shape[1:]
    unit, add = (spread(values.astype(np.float32), shape) for values in (gain, bias))
    same = currents[0] * unit if currents[0] is currents[-1] else None
    counts = np.zeros(currents[0].shape, np.float32)
    for s in spikes((x * unit if same is None else same for x in currents), add, firing):
        counts += s
    return counts


def _rows(values: Array, pool: AvgPool | None) -> Array:
    """Return values, averaged, as (C, M)."""
    pooled = values if pool is None else pool.apply(values)
    return np.moveaxis(pooled, 1, 0).reshape(pooled.shape[1], -1)


def _unexplained(counts: Array, wanted: Array) -> Array:
    """Return what is left of the variance of `wanted` (C, M) by multiples of the counts, and offsets, (C,)."""
    a, n = wanted - wanted.mean(axis=1, keepdims=True), counts - counts.mean(axis=1, keepdims=True)
    seen = (n * n).sum(axis=1)
    left: Array = (a * a).sum(axis=1) - (a * n).sum(axis=1) ** 2 / np.where(seen > 0, seen, 1)
    return left


def worth(counts: Array, target: Array, steps: int) -> tuple[Array, float]:
    """Return what a spike of each channel stands for in one step, (C,), and the ratio of signal to noise in dB."""
    n, a = (_rows(values, None).astype(np.float64) for values in (counts, target))
    seen = (n * n).sum(axis=1)
    found = np.where(seen > 0, (a * n).sum(axis=1) / np.where(seen > 0, seen, 1), 0.0)
    usual = np.median(found[found > 0]) if (found > 0).any() else 1.0
    found = np.where(found > 0, found, usual)  # what never fires must not have the largest weights
    noise, power = float(np.square(a - n * found[:, None]).sum()), float(np.square(a).sum())
    return found * steps, float(10 * np.log10(power / noise)) if noise > 0 and power > 0 else 200.0
