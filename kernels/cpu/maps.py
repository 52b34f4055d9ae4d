# SPDX-License-Identifier: Apache-2.0
"""Linear maps for the CPU: weights and geometry in kernel order, a row for each kind."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spikerun.errors import UnsupportedError
from spikerun.kernels.cpu.native import Late, Linear
from spikerun.kernels.cpu.order import hwc, positions
from spikerun.kernels.operations import Map
from spikerun.kernels.synapses import Synapses, expanded

__all__ = ["LAYOUTS", "SMALLEST", "Candidate", "late", "layouts", "linear"]

Weights = npt.NDArray[np.int8]

# Weights of `dense` maps: all of them; the blocks of 16 outputs that are not all zero; those that are not zero.
LAYOUTS = ("dense", "blocks", "csr")
BLOCK = 16  # outputs
SMALLEST = 2**18  # weights: where there are fewer, zeros have less than a microsecond to give
ZEROS = {"blocks": 0.5, "csr": 0.85}  # the share of the weights from which on a layout can pay


class Candidate(NamedTuple):
    """A map in the layouts that may be the fastest, the usual one first.

    largest: the magnitude of the values that its inputs can have; large ones take a slower way through the kernels.
    """

    layouts: Sequence[Linear]
    largest: int


def layouts(map_: Map) -> tuple[str, ...]:
    """Return the layouts of a map's weights that may be the fastest, `dense` first; none where they have one only."""
    if map_.kind not in _MATRIX:
        return ()
    weight = map_["weight"]
    if weight.size < SMALLEST or weight.shape[1] < BLOCK:
        return ("dense",)
    zeros = 1 - np.count_nonzero(weight) / weight.size
    return ("dense", *(layout for layout, least in ZEROS.items() if zeros >= least))


def linear(map_: Map, layout: str = "dense") -> Linear:
    """Return the kernel object of a map; layout: that of its weights, where there are several.

    Raises UnsupportedError beyond the limits of the kernels.
    """
    if map_.kind not in _MAKE and map_.kind not in _MATRIX:
        raise UnsupportedError(f"no CPU kernel for a connection of kind '{map_.kind}'; spikerun.reference runs it")
    try:
        if matrix := _MATRIX.get(map_.kind):
            return _LAID_OUT[layout](matrix(map_))
        return _MAKE[map_.kind](map_)
    except ValueError as error:
        raise UnsupportedError(f"beyond the limits of the CPU kernels: {map_}: {error}") from None


def late(map_: Map) -> Late:
    """Return the kernel object of a map whose synapses have delays of their own. Raises as `linear` does."""
    try:
        found = _placed(map_)
        return Late.make(found.indptr, found.target, found.weight, found.delay, math.prod(map_.target))
    except ValueError as error:
        raise UnsupportedError(f"beyond the limits of the CPU kernels: {map_}: {error}") from None


def _placed(m: Map) -> Synapses:
    """Return the synapses of a map, both ends in kernel order."""
    found = expanded(m.kind, dict(m.parameters))
    order = np.argsort(positions(m.source).ravel())  # the source neuron of each kernel row
    targets = _columns(m).astype(np.int32)[found.target]
    if (np.diff(order) == 1).all():
        return found._replace(target=targets)
    counts = np.diff(found.indptr)[order]
    begin = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    entry = np.repeat(found.indptr[:-1][order] - begin[:-1], counts) + np.arange(begin[-1])
    return Synapses(begin, targets[entry], found.weight[entry], found.delay[entry])


def _dense(m: Map) -> Weights:
    weight: Weights = m["weight"]
    size = math.prod(m.target)
    if len(m.source) == len(m.target) == 1 and weight.shape[1] == size:
        return weight
    placed = np.zeros((len(weight), size), np.int8)
    placed[positions(m.source).reshape(-1, 1), _columns(m)] = weight
    return placed


def _blocks(weight: Weights) -> Linear:
    return Linear.blocks(weight) if weight.shape[1] >= BLOCK else Linear.dense(weight)


def _csr(weight: Weights) -> Linear:
    rows, columns = np.nonzero(weight)
    begin = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(weight)))])
    return Linear.sparse(begin, columns.astype(np.int32), weight[rows, columns], weight.shape[1])


_LAID_OUT: Mapping[str, Callable[[Weights], Linear]] = {"dense": Linear.dense, "blocks": _blocks, "csr": _csr}


def _sparse(m: Map) -> Linear:
    found = _placed(m)
    return Linear.sparse(found.indptr, found.target, found.weight, math.prod(m.target))


def _diagonal(m: Map) -> Linear:
    rows, gain = positions(m.source).ravel(), m["gain"]
    gains, index = np.empty((2, len(rows)), np.int32)
    gains[rows] = np.broadcast_to(gain.reshape((-1,) + (1,) * (len(m.source) - 1)), m.source).ravel()
    index[rows] = _columns(m)
    return Linear.diagonal(gains, math.prod(m.target), index)


def _conv(m: Map) -> Linear:
    weight = np.ascontiguousarray(m["weight"].transpose(2, 3, 1, 0))
    geometry = (hwc(m.source), hwc(m.target), m["stride"], m["padding"], m["dilation"], m["groups"])
    return Linear.conv(weight, *geometry, channel_offset=m.channels[0])


def _sum_pool(m: Map) -> Linear:
    gain = np.broadcast_to(m["gain"], (m.source[0],)).astype(np.int32)
    geometry = (hwc(m.source), hwc(m.target), m["kernel"], m["stride"], m["padding"])
    return Linear.sum_pool(*geometry, gain, channel_offset=m.channels[0])


def _columns(m: Map) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return where in kernel order the currents of a map go, in C order."""
    return positions(m.target)[m.channels[0] : m.channels[1]].ravel()


# Weights from each input to each output, in kernel order: their layout is chosen.
_MATRIX: Mapping[str, Callable[[Map], Weights]] = {"dense": _dense}
# dense stands above; window and pooled_conv are no linear maps: what compares is an operation of its own.
_MAKE: Mapping[str, Callable[[Map], Linear]] = {
    "sparse": _sparse,
    "random": _sparse,
    "diagonal": _diagonal,
    "conv": _conv,
    "sum_pool": _sum_pool,
}
