# SPDX-License-Identifier: Apache-2.0
"""Connections of a network as synapses of a graph: images (C, H, W) become (W, H, C), correlations convolutions.

A weight w of a network is an even number on the chip, 2 w, whose sign takes one of the bits. What is dense or sparse is
halved again by an exponent that is one less than that of the projection; a convolution has no exponent in Lava's fixed
point, so that 2^exponent is part of its weights.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from spikerun.connections.base import Pair
from spikerun.connections.sliding import windows
from spikerun.edge.loihi.graph import IntArray, Shape, Synapses
from spikerun.edge.loihi.synapses import MIXED
from spikerun.errors import UnsupportedError
from spikerun.network import Link, Network

__all__ = ["lava_order", "lava_shape", "synapses_of"]

SMALLEST, LARGEST = -256, 254  # of even numbers of 8 bits and a sign
MAX_SYNAPSES = 2**28  # of one projection
MAX_GROUPS = 127  # of a convolution: Lava keeps the number in 8 bits
CONVERT = "convert the trained network with `--limits loihi2` (or loihi1)"


def lava_shape(shape: Shape) -> Shape:
    """Return the shape of a population as Lava lays it out."""
    return shape[::-1]


def lava_order(values: Any, axes: int) -> Any:
    """Return an array whose last `axes` axes are a population's with those in Lava's order."""
    kept = values.ndim - axes
    return values.transpose(*range(kept), *reversed(range(kept, values.ndim)))


@dataclass(frozen=True, eq=False)
class _Kernel:
    """A connection of images as a correlation: weight (Cout, Cin / groups, kh, kw)."""

    weight: IntArray
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


def _conv(c: Any, source: Shape) -> _Kernel:
    return _Kernel(c.weight.astype(np.int64), c.stride, c.padding, c.dilation, c.groups)


def _pool(c: Any, source: Shape) -> _Kernel:
    gain = np.broadcast_to(c.gain.astype(np.int64), source[:1])
    weight = np.broadcast_to(gain[:, None, None, None], (source[0], 1, *c.kernel))
    return _Kernel(weight, c.stride, c.padding, groups=source[0])


def _diagonal(c: Any, source: Shape) -> _Kernel:
    gain = np.broadcast_to(c.gain.astype(np.int64), source[:1])
    return _Kernel(gain[:, None, None, None], groups=source[0])


def synapses_of(net: Network, link: Link, delay: int, message_bits: int, on_chip: bool) -> Synapses:
    """Return the synapses of a projection; on_chip: their weights are those of the chip, not of a simulation.

    Raises UnsupportedError for what there is not, by name.
    """
    way = WAYS.get(link.connection.kind)
    if way is None:
        what = (
            f"{link.connection.kind}, which compares; train with average pools or strided convolutions instead"
            if link.connection.alone
            else f"connections of kind '{link.connection.kind}', but {', '.join(WAYS)}"
        )
        raise UnsupportedError(f"{link}: Loihi has no {what}")
    shapes = net.populations[link.source].shape, net.populations[link.target].shape
    return way(_Asked(link, link.connection, *shapes, delay, message_bits, on_chip))


@dataclass(frozen=True, eq=False)
class _Asked:
    """A projection, its connection, and what its synapses are to be."""

    link: Link
    connection: Any
    source: Shape
    target: Shape
    delay: int
    message_bits: int
    on_chip: bool

    @property
    def ends(self) -> tuple[str, str]:
        """Return the names of source and target."""
        return self.link.source, self.link.target


def _of_images(kernel_of: Callable[[Any, Shape], _Kernel], asked: _Asked) -> Synapses:
    """Return a convolution, or where it cannot be one, all of its synapses."""
    kernel, link, target = kernel_of(asked.connection, asked.source), asked.link, asked.target
    whole = link.channels == (0, target[0])
    if asked.delay == 0 and (whole or kernel.groups == 1) and kernel.groups <= MAX_GROUPS:
        return _convolution(asked, kernel)
    out = (link.channels[1] - link.channels[0], *target[1:])
    _check_size(link, math.prod(out) * math.prod(kernel.weight.shape[1:]))
    return _sparse(asked, _listed(kernel, asked.source, out))


def _of_gains(asked: _Asked) -> Synapses:
    gain, shape = asked.connection.gain.astype(np.int64), asked.source
    odd = bool(((gain << asked.link.projection.exponent) % 2).any())
    if len(shape) == 3 and not (asked.on_chip and odd):  # the chip shares even weights only
        return _of_images(_diagonal, asked)
    at = np.arange(math.prod(shape))
    gains = np.broadcast_to(gain.reshape(-1, *(1,) * (len(shape) - 1)), shape)
    return _sparse(asked, (at, at, gains.ravel()))


def _of_lists(asked: _Asked) -> Synapses:
    c = asked.connection
    columns = np.repeat(np.arange(len(c.indptr) - 1), np.diff(c.indptr))
    return _sparse(asked, (c.indices.astype(np.int64), columns, c.data.astype(np.int64)))


def _of_matrix(asked: _Asked) -> Synapses:
    link, source, target, rows = asked.link, asked.source, asked.target, asked.connection.weight.T
    _check_size(link, math.prod(target) * math.prod(source))
    if link.channels != (0, target[0]):
        first, every = link.channels[0] * math.prod(target[1:]), np.zeros((math.prod(target), rows.shape[1]), np.int8)
        every[first : first + len(rows)] = rows
        rows = every
    rows = rows[_places(target)] if len(target) > 1 else rows
    return _linear(asked, "dense", rows[:, _places(source)] if len(source) > 1 else rows)


# What each kind of connection is on the chip; none: pooled_conv and window, which compare.
WAYS: Mapping[str, Callable[[_Asked], Synapses]] = MappingProxyType(
    {
        "conv": partial(_of_images, _conv),
        "sum_pool": partial(_of_images, _pool),
        "diagonal": _of_gains,
        "sparse": _of_lists,
        "dense": _of_matrix,
    }
)


def _check_size(link: Link, synapses: int) -> None:
    """Refuse what would be too many synapses, before there is memory for them."""
    if synapses > MAX_SYNAPSES:
        raise UnsupportedError(
            f"{link}: has {synapses:,} synapses where they are listed one by one, and {MAX_SYNAPSES:,} is the most: "
            "make the populations smaller, or leave out the delay or the slice of channels that has no shared kernel"
        )


def _convolution(asked: _Asked, kernel: _Kernel) -> Synapses:
    link = asked.link
    weight = kernel.weight << link.projection.exponent
    if asked.on_chip and (weight % 2).any():
        raise UnsupportedError(
            f"{link}: weights of convolutions and pools are even numbers on Loihi, which an exponent of 1 makes them; "
            f"this one has {link.projection.exponent}, and odd ones: {CONVERT}; or export a .net file with even ones "
            "(2 is the step of lava-dl's quantisation)"
        )
    if asked.on_chip and not _fits(weight):
        raise UnsupportedError(
            f"{link}: weights of convolutions and pools reach {np.abs(weight).max()}, and Loihi holds {LARGEST} (its "
            f"convolutions have no exponent): {CONVERT}"
        )
    first, end = link.channels
    every = np.zeros((asked.target[0], *weight.shape[1:]), np.int64)
    every[first:end] = weight
    mirrored = every[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)
    return Synapses(
        *asked.ends, "conv", np.ascontiguousarray(mirrored, np.int32), message_bits=asked.message_bits,
        sign_mode=MIXED, stride=kernel.stride[::-1], padding=kernel.padding[::-1], dilation=kernel.dilation[::-1],
        groups=kernel.groups,
    )  # fmt: skip


def _listed(kernel: _Kernel, source: Shape, out: Shape) -> tuple[IntArray, IntArray, IntArray]:
    """Return the (targets, sources, weights) of a correlation, in the network's order."""
    outputs, inputs, kh, kw = kernel.weight.shape
    numbers = np.arange(math.prod(source)).reshape(source)
    seen = windows(numbers, (out[1], out[2]), (kh, kw), kernel.stride, kernel.padding, kernel.dilation, -1)
    seen = seen.reshape(kh * kw, kernel.groups, inputs, *out[1:])  # (k, g, Cin/g, Ho, Wo)
    group = np.repeat(np.arange(kernel.groups), outputs // kernel.groups)
    columns = seen[:, group].transpose(1, 2, 0, 3, 4)  # (Cout, Cin/g, k, Ho, Wo)
    weight = np.broadcast_to(kernel.weight.reshape(outputs, inputs, -1, 1, 1), columns.shape)
    rows = np.broadcast_to(np.arange(math.prod(out)).reshape(out)[:, None, None], columns.shape)
    inside = (columns >= 0) & (weight != 0)
    return rows[inside], columns[inside], weight[inside]


def _sparse(asked: _Asked, listed: tuple[IntArray, IntArray, IntArray]) -> Synapses:
    """Return synapses of their (targets, sources, weights), in the network's order and within the link's channels."""
    rows, columns, weight = listed
    target = asked.target
    rows = _numbers(target)[rows + asked.link.channels[0] * math.prod(target[1:])]
    columns = _numbers(asked.source)[columns]
    order = np.lexsort((columns, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=math.prod(target)))]).astype(np.int64)
    return _linear(asked, "sparse", weight[order], indices=columns[order].astype(np.int32), indptr=indptr)


def _linear(asked: _Asked, form: Any, weight: IntArray, **lists: Any) -> Synapses:
    if weight.dtype == np.int8:  # twice that always fits, and may be large: no wider copies than it takes
        doubled: Any = np.left_shift(weight, 1, dtype=np.int16)
    elif _fits(2 * weight):
        doubled = (2 * weight).astype(np.int32)
    else:
        raise UnsupportedError(
            f"{asked.link}: gains reach {np.abs(weight).max()}, and Loihi's weights {LARGEST // 2}: {CONVERT}"
        )
    return Synapses(
        *asked.ends, form, doubled, exponent=asked.link.projection.exponent - 1,
        sign_mode=MIXED, message_bits=asked.message_bits, delay=asked.delay, **lists,
    )  # fmt: skip


def _fits(weight: IntArray) -> bool:
    return bool(weight.min(initial=0) >= SMALLEST and weight.max(initial=0) <= LARGEST)


def _places(shape: Shape) -> IntArray:
    """Return the number in the network of each neuron in Lava's order."""
    places: IntArray = lava_order(np.arange(math.prod(shape)).reshape(shape), len(shape)).ravel()
    return places


def _numbers(shape: Shape) -> IntArray:
    """Return the number in Lava's order of each neuron of the network."""
    return np.argsort(_places(shape))
