# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of synapses, as Lava 0.10.0 has it in fixed point (lava.proc.dense, sparse, conv).

Weights of dense and sparse synapses are clipped to 8 bits and a sign, and lose their lowest bits: `8 - weight_bits`,
and one more where signs are mixed. Convolutions do neither, ignore the exponent, and wrap their sums to 24 bits.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.edge.loihi.graph import IntArray, Shape, Synapses

__all__ = [
    "EXCITATORY",
    "INHIBITORY",
    "MIXED",
    "Incoming",
    "compiled",
    "fan_out",
    "held",
    "holds",
    "in_parts",
    "listed",
    "sign_mode_of",
]

MIXED, EXCITATORY, INHIBITORY = 1, 2, 3
HALF = 2**23
PART = 2**18  # weights that are looked at together
Apply = Callable[[IntArray], IntArray]


def sign_mode_of(weight: IntArray) -> int:
    """Return the mode that Lava takes for weights where none is given."""
    if not weight.size or weight.min() >= 0:
        return EXCITATORY
    return INHIBITORY if weight.max() <= 0 else MIXED


def held(weight: npt.NDArray[Any], weight_bits: int, sign_mode: int) -> IntArray:
    """Return weights as the chip holds them."""
    mixed = sign_mode == MIXED
    sign = -1 if sign_mode == INHIBITORY else 1  # the magnitude is what is truncated
    lost = 8 - weight_bits + mixed
    clipped = np.clip(sign * weight.astype(np.int64), -256 if mixed else 0, 255)
    whole: IntArray = sign * ((clipped >> lost) << lost)
    return whole


def compiled(synapses: Synapses, source: Shape, target: Shape) -> "Incoming":
    """Return synapses that are ready to run."""
    if synapses.form == "conv":
        return Incoming([_convolution(synapses, source, target)], target)
    rows, columns, weight = listed(synapses)
    delay = np.broadcast_to(np.asarray(synapses.delay), synapses.weight.shape).ravel()
    parts: list[Apply] = []
    for d in range(synapses.largest_delay + 1):
        here = delay == d
        if synapses.form == "dense":
            matrix = np.where(here, weight, 0).reshape(synapses.weight.shape).T.astype(np.int32)
            parts.append(partial(_dense, np.ascontiguousarray(matrix), synapses))
        else:
            parts.append(
                partial(_sparse, _by_source(rows[here], columns[here], weight[here], source), target, synapses)
            )
    return Incoming(parts, target)


class Incoming:
    """What waits to reach a target: `parts[d]` makes of events what d steps later than the next one arrives."""

    def __init__(self, parts: list[Apply], target: Shape) -> None:
        self.parts = parts
        self.waiting = np.zeros((len(parts), *target), np.int64)

    def sent(self) -> IntArray:
        """Return the currents (*target shape) of this step."""
        sent: IntArray = self.waiting[0]
        return sent

    def take(self, events: IntArray) -> None:
        """Take the events (*source shape) of this step."""
        self.waiting[:-1] = self.waiting[1:]
        self.waiting[-1] = 0
        if events.any():
            for waiting, part in zip(self.waiting, self.parts, strict=True):
                waiting += part(events).reshape(waiting.shape)


def listed(synapses: Synapses) -> tuple[IntArray, IntArray, IntArray]:
    """Return (targets, sources, weights) of dense or sparse synapses, one after the other by target."""
    weight = held(synapses.weight, synapses.weight_bits, synapses.sign_mode).ravel()
    if synapses.form == "dense":
        both = np.indices(synapses.weight.shape).reshape(2, -1).astype(np.int64)
        return both[0], both[1], weight
    targets = np.repeat(np.arange(len(synapses.indptr) - 1, dtype=np.int64), np.diff(synapses.indptr))
    return targets, synapses.indices.astype(np.int64), weight


def holds(weight: npt.NDArray[Any], weight_bits: int, sign_mode: int) -> bool:
    """Return whether the chip holds weights as they are."""
    mixed = sign_mode == MIXED
    sign, lost = -1 if sign_mode == INHIBITORY else 1, (1 << (8 - weight_bits + mixed)) - 1
    return all(
        -256 * mixed <= (sign * part).min() and (sign * part).max() <= 255 and not ((sign * part) & lost).any()
        for part in in_parts(weight)
    )


def in_parts(weight: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield weights some rows at a time, so that what is made of them stays small."""
    rows = max(1, PART // max(1, weight[:1].size))
    for first in range(0, len(weight), rows):
        yield weight[first : first + rows]


def fan_out(synapses: Synapses, source: Shape, target: Shape) -> IntArray:
    """Return how many synapses a spike of each source neuron reaches, of shape `source`."""
    if synapses.form == "dense":
        return np.full(source, synapses.weight.shape[0])
    if synapses.form == "sparse":
        return np.bincount(synapses.indices, minlength=math.prod(source)).reshape(source)
    (px, py), (width, height, channels) = synapses.padding, source
    reached = np.zeros((width + 2 * px, height + 2 * py), np.int64)
    for i in range(synapses.weight.shape[1]):
        for j in range(synapses.weight.shape[2]):
            reached[_taps(synapses, 0, i, target), _taps(synapses, 1, j, target)] += 1
    each = reached[px : px + width, py : py + height] * (target[2] // synapses.groups)
    return np.repeat(each[:, :, None], channels, axis=2)


def _taps(synapses: Synapses, axis: int, place: int, target: Shape) -> slice:
    """Return what one place of a kernel sees along an axis of a padded image."""
    first, step = place * synapses.dilation[axis], synapses.stride[axis]
    return slice(first, first + step * (target[axis] - 1) + 1, step)


def _shifted(sums: IntArray, exponent: int) -> IntArray:
    return sums << exponent if exponent > 0 else sums >> -exponent


def _dense(matrix: npt.NDArray[np.int32], synapses: Synapses, events: IntArray) -> IntArray:
    """Return the sums of the rows of (sources, targets) whose source sends something."""
    x = events.ravel()
    active = np.flatnonzero(x)
    rows = matrix[active]
    sums = x[active] @ rows.astype(np.int64) if synapses.message_bits else rows.sum(axis=0, dtype=np.int64)
    return _shifted(sums, synapses.exponent)


@dataclass(frozen=True, eq=False)
class _Lists:
    """Synapses by source: those of source n are indptr[n] .. indptr[n + 1]."""

    indptr: IntArray
    targets: IntArray
    weight: IntArray


def _by_source(rows: IntArray, columns: IntArray, weight: IntArray, source: Shape) -> _Lists:
    order = np.argsort(columns, kind="stable")
    counts = np.bincount(columns, minlength=math.prod(source))
    return _Lists(np.concatenate([[0], np.cumsum(counts)]), rows[order], weight[order])


def _sparse(lists: _Lists, target: Shape, synapses: Synapses, events: IntArray) -> IntArray:
    x = events.ravel()
    active = np.flatnonzero(x)
    counts = lists.indptr[active + 1] - lists.indptr[active]
    places = np.arange(counts.sum()) + np.repeat(lists.indptr[active] - np.cumsum(counts) + counts, counts)
    payload = np.repeat(x[active], counts) if synapses.message_bits else 1
    sums = np.bincount(lists.targets[places], lists.weight[places] * payload, math.prod(target))  # exact below 2^53
    return _shifted(sums.astype(np.int64), synapses.exponent)


def _convolution(synapses: Synapses, source: Shape, target: Shape) -> Apply:
    """Return the convolution: one product of matrices for each place of the kernel and group."""
    kernel = synapses.weight[:, ::-1, ::-1].astype(np.float64)  # a true convolution mirrors its kernel
    (kx, ky), (px, py) = kernel.shape[1:3], synapses.padding
    inputs, outputs = source[2] // synapses.groups, target[2] // synapses.groups

    def apply(events: IntArray) -> IntArray:
        x = (events if synapses.message_bits else events != 0).astype(np.float64)  # exact below 2^53
        x = np.pad(x, ((px, px), (py, py), (0, 0)))
        sums = np.zeros(target)
        for g in range(synapses.groups):
            to, of = slice(g * outputs, (g + 1) * outputs), slice(g * inputs, (g + 1) * inputs)
            for i in range(kx):
                for j in range(ky):
                    seen = x[_taps(synapses, 0, i, target), _taps(synapses, 1, j, target), of]
                    sums[:, :, to] += seen @ kernel[to, i, j].T
        wrapped: IntArray = (sums.astype(np.int64) + HALF) % (2 * HALF) - HALF
        return wrapped

    return apply
