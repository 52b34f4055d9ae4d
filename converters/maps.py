# SPDX-License-Identifier: Apache-2.0
"""The linear maps between coded values, and how they compose: a term of a layer is one map from one source.

Their numbers are real before quantisation and integers after it; what they compute is the same.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from spikerun.connections import Connection, Conv, Dense, Diagonal, PooledConv, Sparse, SumPool
from spikerun.converters import forward
from spikerun.converters.graph import Array, Pair, Shape
from spikerun.errors import ConversionError
from spikerun.population import MAX_EXPONENT, Projection

__all__ = [
    "ChannelMap",
    "ConvMap",
    "DenseMap",
    "Map",
    "PlaceMap",
    "PoolMap",
    "PooledConvMap",
    "Term",
    "accumulate",
    "evened",
    "identity",
    "lifted",
]

WEIGHT_LIMIT = 127
GAIN_LIMIT = 2**30
FLAT_BATCH = 256


@dataclass(frozen=True, eq=False)
class Map:
    """Base of all maps. weight: its numbers, the target's channels first.

    Traits: small: its integers are int8, otherwise int32; light: it moves each value to its own place, so that any
    linear map can be composed with it; image: what it gives are images where it reads images.
    """

    weight: Array
    small: ClassVar[bool] = True
    light: ClassVar[bool] = False
    image: ClassVar[bool] = False

    def apply(self, x: Array) -> Array:
        """Return the map of a batch `x` (batch, *source shape as it is read)."""
        raise NotImplementedError

    def sums(self, x: Array) -> Array:
        """Return the sums that it makes of a batch, before a pool of them."""
        return self.apply(x)

    @property
    def inputs(self) -> int:
        """Return how many inputs a sum has."""
        return int(self.weight[0].size)

    def patches(self, x: Array) -> Array | None:
        """Return what the sums of a batch are made of, (groups, sums, inputs); None where that is not looked at."""
        return None

    def connection(self) -> Connection:
        """Return the connection that computes this map of integers."""
        raise NotImplementedError

    def sliced(self, first: int, end: int) -> tuple["Map", int, int]:
        """Return the map restricted to its input channels `first` to `end`, and the output channels that it reaches."""
        raise NotImplementedError

    def flat(self, shape: Shape) -> "Map":
        """Return the map of a source read as `shape`, whose results are a vector, for a target that is no image."""
        size = math.prod(shape)
        parts = (np.eye(FLAT_BATCH, size, first).reshape(-1, *shape) for first in range(0, size, FLAT_BATCH))
        columns = np.concatenate([self.apply(part).reshape(FLAT_BATCH, -1) for part in parts])[:size]
        return DenseMap(np.ascontiguousarray(columns.T))

    def scaled_in(self, gain: Array) -> Self:
        """Return the map of values multiplied by `gain`, one for each channel of the source or for each neuron."""
        raise NotImplementedError

    def scaled_out(self, gain: Array) -> Self:
        """Return the map with each channel of its result multiplied by `gain`."""
        return replace(self, weight=self.weight * _first(gain, self.weight))

    def largest(self) -> Array:
        """Return the largest magnitude of the numbers of each target channel."""
        found: Array = np.abs(self.weight).reshape(len(self.weight), -1).max(axis=1)
        return found

    def unit(self) -> Array:
        """Return the scale of each target channel at which its largest number is WEIGHT_LIMIT."""
        return self.largest() / WEIGHT_LIMIT

    def rounded(self, scale: Array) -> Self:
        """Return the map in integers, in units of `scale`, one for each channel of the result."""
        limit, dtype = (WEIGHT_LIMIT, np.int8) if self.small else (GAIN_LIMIT, np.int32)
        whole = np.clip(np.rint(self.weight / _first(scale, self.weight)), -limit, limit)
        return replace(self, weight=whole.astype(dtype))


def _first(values: Array, weight: Array) -> Array:
    return values.reshape(-1, *(1,) * (weight.ndim - 1))


@dataclass(frozen=True, eq=False)
class DenseMap(Map):
    """All to all; weight (out, in), the source read in C order."""

    def apply(self, x: Array) -> Array:
        return forward.linear(x, self.weight)

    def patches(self, x: Array) -> Array | None:
        return x.reshape(1, len(x), -1)

    def connection(self) -> Connection:
        return Dense(np.ascontiguousarray(self.weight.T))

    def sliced(self, first: int, end: int) -> tuple[Map, int, int]:
        return DenseMap(self.weight[:, first:end]), 0, len(self.weight)

    def scaled_in(self, gain: Array) -> Self:
        return replace(self, weight=self.weight * np.repeat(gain, self.weight.shape[1] // len(gain)))


@dataclass(frozen=True, eq=False)
class ConvMap(Map):
    """Two-dimensional cross-correlation; weight (out, in / groups, kh, kw)."""

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    image = True

    def apply(self, x: Array) -> Array:
        return forward.conv(x, self.weight, self.stride, self.padding, self.dilation, self.groups)

    def patches(self, x: Array) -> Array | None:
        kernel = self.weight.shape[2], self.weight.shape[3]
        found = forward.unfold(x, kernel, self.stride, self.padding, self.dilation)
        return (
            found.reshape(len(found), self.groups, self.inputs, -1)
            .transpose(1, 0, 3, 2)
            .reshape(self.groups, -1, self.inputs)
        )

    def connection(self) -> Connection:
        return Conv(self.weight, self.stride, self.padding, self.dilation, self.groups)

    def scaled_in(self, gain: Array) -> Self:
        out, inner = self.weight.shape[:2]
        split = self.weight.reshape(self.groups, out // self.groups, inner, -1) * gain.reshape(-1, 1, inner, 1)
        return replace(self, weight=split.reshape(self.weight.shape))

    def sliced(self, first: int, end: int) -> tuple[Map, int, int]:
        """Return the part; where the slice cuts a group, the groups are written as one, with zeros between them."""
        out, inner = self.weight.shape[:2]
        per_group = out // self.groups
        low, high = first // inner, (end - 1) // inner + 1
        weight = self.weight[low * per_group : high * per_group]
        if first % inner == 0 and end % inner == 0:
            return replace(self, weight=weight, groups=high - low), low * per_group, high * per_group
        wide = np.zeros((len(weight), (high - low) * inner, *weight.shape[2:]), dtype=weight.dtype)
        for g in range(high - low):
            rows = slice(g * per_group, (g + 1) * per_group)
            wide[rows, g * inner : (g + 1) * inner] = weight[rows]
        wide = np.ascontiguousarray(wide[:, first - low * inner : end - low * inner])
        return replace(self, weight=wide, groups=1), low * per_group, high * per_group


@dataclass(frozen=True, eq=False)
class PooledConvMap(ConvMap):
    """A cross-correlation, of whose sums the largest of each window is taken; the only one into its target.

    No linear map: a bias of the sums may be added behind it where it is the same at all places, and gains must be
    positive.
    """

    pool_kernel: Pair
    pool_stride: Pair
    pool_padding: Pair
    pool_dilation: Pair

    def sums(self, x: Array) -> Array:
        return super().apply(x)

    def apply(self, x: Array) -> Array:
        return forward.max_pool(self.sums(x), self.pool_kernel, self.pool_stride, self.pool_padding, self.pool_dilation)

    def connection(self) -> Connection:
        return PooledConv(
            self.weight, self.pool_kernel, self.pool_stride, self.stride, self.padding, self.dilation, self.groups,
            self.pool_padding, self.pool_dilation,
        )  # fmt: skip

    def scaled_out(self, gain: Array) -> Self:
        if (gain < 0).any():
            raise ConversionError(
                "what follows a max pool of currents turns some channels round (a batch norm with a negative weight?): "
                "put it before the pool"
            )
        return super().scaled_out(gain)


@dataclass(frozen=True, eq=False)
class ChannelMap(Map):
    """A gain for each channel of the source (C,), each value at its own place."""

    small = False
    light = True
    image = True

    def apply(self, x: Array) -> Array:
        scaled: Array = x * forward.spread(self.weight, x.shape[1:]).astype(x.dtype)
        return scaled

    def connection(self) -> Connection:
        return Diagonal(self.weight)

    def flat(self, shape: Shape) -> Map:
        return PlaceMap(self.weight)

    def scaled_in(self, gain: Array) -> Self:
        return replace(self, weight=self.weight * np.repeat(gain, len(self.weight) // len(gain)))


@dataclass(frozen=True, eq=False)
class PlaceMap(ChannelMap):
    """A gain for each neuron of an image that was flattened (N,)."""

    small = True
    image = False

    def connection(self) -> Connection:
        size = len(self.weight)
        return Sparse(np.arange(size + 1, dtype=np.int64), np.arange(size, dtype=np.int32), self.weight, size)


@dataclass(frozen=True, eq=False)
class PoolMap(Map):
    """Window sums times a gain for each channel, weight (C,)."""

    kernel: Pair
    stride: Pair
    padding: Pair
    small = False
    image = True

    def apply(self, x: Array) -> Array:
        pooled: Array = forward.sum_pool(x, self.kernel, self.stride, self.padding)
        return pooled * _first(self.weight.astype(x.dtype), pooled[0])

    def connection(self) -> Connection:
        return SumPool(self.kernel, self.stride, self.padding, self.weight)

    def scaled_in(self, gain: Array) -> Self:
        return replace(self, weight=self.weight * gain)


@dataclass(frozen=True, eq=False)
class Term:
    """A map of the population `source`, read as `shape`, into the channels `first` to `end` of the target.

    delay: steps by which its events come later than they are sent. exponent: its numbers count 2^exponent times.
    """

    source: str
    own: Shape  # the source's
    shape: Shape  # as it is read: the same, or (N,) flattened
    map: Map
    first: int
    end: int
    delay: int = 0
    exponent: int = 0

    @property
    def image(self) -> bool:
        """Return whether it gives images."""
        return self.map.image and len(self.own) == 3

    def flat(self) -> "Term":
        """Return the same term for a target that is no image, though what it gives are images of one pixel."""
        return replace(self, map=self.map.flat(self.shape)) if self.image else self

    def moved(self, by: int) -> "Term":
        """Return the term with its channels counted from another place."""
        return replace(self, first=self.first + by, end=self.end + by)

    def scaled_out(self, scale: Array) -> "Term":
        """Return the term with each target channel multiplied by `scale` (of the whole target)."""
        return replace(self, map=self.map.scaled_out(scale[self.first : self.end]))

    def absorbed(self, step: Array) -> "Term":
        """Return the term for words: the step of its source, one for each channel, is multiplied into its numbers."""
        return replace(self, map=self.map.scaled_in(step))

    def projection(self, target: str, shape: Shape) -> Projection:
        """Return the projection into the population `target` of this shape that computes the term, in integers."""
        channels = None if (self.first, self.end) == (0, shape[0]) else (self.first, self.end)
        return Projection(self.source, target, self.map.connection(), self.delay, channels, self.exponent)

    def rounded(self, scale: Array) -> "Term":
        """Return the term (steps absorbed) in integers of the accumulator's scale, one for each target channel."""
        return replace(self, map=self.map.rounded(scale[self.first : self.end]))


def evened(terms: Sequence[Term]) -> Iterator[list[Term]]:
    """Yield terms as they are, then with ever more of them divided by powers of two, until all are of about one size.

    What is small beside the rest would else be rounded to nothing, which weights of pixels (0..255) are beside those of
    spikes (0, 1).
    """
    sizes = [float(np.median(found[found > 0])) if (found := term.map.largest()).any() else 0.0 for term in terms]
    least, small = min((size for size in sizes if size), default=1.0), any(term.map.small for term in terms)
    exponents = [
        int(np.rint(np.log2(size / least))) if size and term.map.small == small else 0
        for term, size in zip(terms, sizes, strict=True)
    ]
    for less in range(max(exponents, default=0), -1, -1):
        yield [lifted(term, max(e - less, 0)) for term, e in zip(terms, exponents, strict=True)]


def lifted(term: Term, exponent: int) -> Term:
    """Return the term with its numbers divided by 2^exponent, and counted as often."""
    exponent = min(exponent, MAX_EXPONENT)
    gain = np.full(term.end - term.first, 2.0**-exponent)
    return replace(term, map=term.map.scaled_out(gain), exponent=exponent) if exponent else term


def identity(source: str, own: Shape, shape: Shape) -> Term:
    """Return the term that passes on the words of a population, read as `shape`."""
    kind = ChannelMap if shape[0] == own[0] else PlaceMap
    return Term(source, own, shape, kind(np.ones(shape[0])), 0, shape[0])


def accumulate(terms: Iterable[Term], values: Mapping[str, Array], shape: Shape) -> Array:
    """Return the sum of the terms' maps of `values` (batch, *own shape) by source, as a batch of `shape`."""
    total: Array | None = None
    for term in terms:
        x = values[term.source]
        if total is None:
            total = np.zeros((len(x), *shape), dtype=x.dtype)
        part = term.map.apply(x.reshape(len(x), *term.shape))
        part = part.reshape(len(x), term.end - term.first, *shape[1:])
        total[:, term.first : term.end] += part * 2**term.exponent if term.exponent else part
    assert total is not None, "a layer has terms"
    return total
