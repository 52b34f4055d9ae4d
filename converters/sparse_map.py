# SPDX-License-Identifier: Apache-2.0
"""Maps in which each place of the target reads a few places of the source: what rearranges, crops, pads or averages.

An index names places of the source in C order. All maps that move values to places of their own can be written so.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from spikerun.connections import Connection, Sparse
from spikerun.converters.graph import Array, Pair, Shape
from spikerun.converters.maps import WEIGHT_LIMIT, ChannelMap, ConvMap, DenseMap, Map, PoolMap, Term

__all__ = ["SparseMap", "as_sparse", "channels_of", "folded", "rows_of", "windows"]

FEW = 32  # different numbers in a channel, for which a scale is sought at which all are integers


@dataclass(frozen=True, eq=False)
class SparseMap(Map):
    """`y[p] = sum over k of weight[p, k] x[index[p, k]]`: weight and index (*target, K); a weight of 0 reads nothing.

    size: of the source.
    """

    index: Array
    size: int

    @property
    def inputs(self) -> int:
        return int(self.weight.shape[-1])

    def apply(self, x: Array) -> Array:
        flat = x.reshape(len(x), -1)
        total = np.zeros((len(x), *self.weight.shape[:-1]), dtype=x.dtype)
        for k in range(self.inputs):
            total += flat[:, self.index[..., k]] * self.weight[..., k].astype(x.dtype)
        return total

    def connection(self) -> Connection:
        used = self.weight != 0
        source = self.index[used]
        target = np.broadcast_to(np.arange(used[..., 0].size).reshape(*used.shape[:-1], 1), used.shape)[used]
        order = np.argsort(source, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=self.size))]).astype(np.int64)
        data = self.weight[used][order].astype(np.int8)
        return Sparse(indptr, target[order].astype(np.int32), data, used[..., 0].size)

    def scaled_in(self, gain: Array) -> Self:
        return replace(self, weight=self.weight * gain[self.index // (self.size // len(gain))])

    def unit(self) -> Array:
        """Return the scale (C,) at which the largest number is nearly WEIGHT_LIMIT, and few others are rounded."""
        return np.array([_unit(np.abs(channel[channel != 0])) for channel in self.weight])

    def sources(self, channels: int) -> tuple[Array, Array]:
        """Return, for each channel, whether it reads anything, and a channel that it reads, of so many, (C,) each."""
        weight, index = (values.reshape(len(values), -1) for values in (self.weight, self.index))
        place = np.argmax(weight != 0, axis=1)
        rows = np.arange(len(weight))
        return weight[rows, place] != 0, index[rows, place] // (self.size // channels)

    def rearranged(self, index: Array) -> "SparseMap":
        """Return the map whose results take the places `index` of this one's; -1: nothing."""
        weight, places = (values.reshape(-1, self.inputs)[index] for values in (self.weight, self.index))
        return replace(self, weight=weight * (index >= 0)[..., None], index=places)

    def compact(self) -> "SparseMap":
        """Return the same map with no more entries a place than some place needs."""
        most = max(int((self.weight != 0).sum(axis=-1).max()), 1)
        order = np.argsort(self.weight == 0, axis=-1, kind="stable")[..., :most]
        weight, index = (np.take_along_axis(values, order, axis=-1) for values in (self.weight, self.index))
        return replace(self, weight=weight, index=index)


def _unit(sizes: Array) -> float:
    """Return a number of which all sizes are nearly multiples, at most WEIGHT_LIMIT times: averages are such."""
    if not len(sizes):
        return 0.0
    different = np.unique(sizes)
    top = float(different[-1])
    if len(different) == 1 or len(different) > FEW:
        return top / WEIGHT_LIMIT
    counts = np.arange(WEIGHT_LIMIT, 0, -1)[:, None] * (different / top)
    errors = (np.abs(counts - np.rint(counts)) / counts).max(axis=1)
    return top / (WEIGHT_LIMIT - int(np.argmax(errors <= errors.min() + 1e-9)))


def as_sparse(term: Term, shape: Shape) -> SparseMap | None:
    """Return the map of a term into a target of `shape` (its own channels) as places; None where it sums over many."""
    size = math.prod(term.shape)
    if isinstance(term.map, SparseMap):
        return term.map
    if isinstance(term.map, ChannelMap):
        gain = term.map.weight
        weight = np.repeat(gain, size // len(gain)).reshape(*shape, 1)
        return SparseMap(weight, np.arange(size).reshape(*shape, 1), size)
    if isinstance(term.map, PoolMap):
        index = windows(term.shape, term.map.kernel, term.map.stride, term.map.padding)
        weight = np.where(index < 0, 0.0, term.map.weight.reshape(-1, 1, 1, 1))
        return SparseMap(weight, np.maximum(index, 0), size)
    return None


def windows(shape: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Return the places that each window of an image (C, H, W) sees, (C, rows, columns, kh kw) int64; -1 outside."""
    image = np.arange(math.prod(shape)).reshape(shape)
    image = np.pad(image, ((0, 0), *((p, p) for p in padding)), constant_values=-1)
    seen = np.lib.stride_tricks.sliding_window_view(image, kernel, axis=(1, 2))
    seen = seen[:, :: stride[0], :: stride[1]]
    return seen.reshape(*seen.shape[:3], -1)


def channels_of(index: Array, area: int) -> Array | None:
    """Return which channel each channel of the result takes, (C,), -1: none; None where places move within channels.

    index: of a result (C, *rest), of a source whose channels have `area` places.
    """
    rows = index.reshape(len(index), -1)
    if rows.shape[1] != area:
        return None
    first = rows[:, 0]
    taken = np.where(first < 0, -1, first // area)
    whole = np.where(taken[:, None] < 0, -1, taken[:, None] * area + np.arange(area))
    return taken if (rows == whole).all() else None


def picked(map_: SparseMap) -> tuple[Array, Array] | None:
    """Return (channel, gain), (C,) each, of a map that takes whole channels; None where it does more."""
    if map_.inputs != 1:
        return None
    weight = map_.weight.reshape(len(map_.weight), -1)
    area = weight.shape[1]
    if (weight != weight[:, :1]).any() or map_.size % area:
        return None
    taken = channels_of(np.where(map_.weight[..., 0] == 0, -1, map_.index[..., 0]), area)
    return None if taken is None else (taken, weight[:, 0])


def folded(outer: Map, term: Term) -> Map | None:
    """Return `outer` after a term that moves values to places of their own; None where that is no map of its kind.

    Nor where it would read a source of which most is of no use to it: its spikes would all be weighed by 0.
    """
    inner = term.map
    if not isinstance(inner, SparseMap):
        return outer.scaled_in(inner.weight)
    used = len(np.unique(inner.index[inner.weight != 0]))
    if 2 * used <= inner.size:
        return None
    if isinstance(outer, DenseMap):
        weight = np.zeros((inner.size, len(outer.weight)), dtype=outer.weight.dtype)
        columns = outer.weight.T.reshape(-1, 1, len(outer.weight))
        flat = (values.reshape(-1, inner.inputs) for values in (inner.weight, inner.index))
        gains, index = flat
        for k in range(inner.inputs):
            np.add.at(weight, index[:, k], columns[:, 0] * gains[:, k : k + 1])
        return DenseMap(np.ascontiguousarray(weight.T))
    found = picked(inner)
    if found is None or type(outer) is not ConvMap or term.shape[1:] != inner.weight.shape[1:-1]:
        return None
    return _picking(outer, *found, inner.size // math.prod(inner.weight.shape[1:]))


def _picking(conv: ConvMap, taken: Array, gain: Array, channels: int) -> ConvMap | None:
    """Return the convolution of a source of so many channels that equals `conv` of those taken; None across groups."""
    groups, (out, inner) = conv.groups, conv.weight.shape[:2]
    if channels % groups:
        return None
    own = channels // groups
    group = np.arange(len(taken)) // inner
    if ((taken // own != group) & (taken >= 0)).any():
        return None
    weight = np.zeros((out, own, *conv.weight.shape[2:]))
    per_group = out // groups
    for channel, source in enumerate(taken):
        if source >= 0:
            rows = slice(group[channel] * per_group, (group[channel] + 1) * per_group)
            weight[rows, source % own] += conv.weight[rows, channel % inner] * gain[channel]
    return replace(conv, weight=weight)


def rows_of(map_: Map, taken: Array) -> Map | None:
    """Return the map of which only these channels of the result are taken, (C,), -1: nothing; None for pools."""
    if isinstance(map_, DenseMap) or type(map_) is ConvMap:
        if isinstance(map_, ConvMap) and map_.groups > 1:
            map_ = _ungrouped(map_)
        keep = (taken >= 0).reshape(-1, *(1,) * (map_.weight.ndim - 1))
        return replace(map_, weight=map_.weight[taken] * keep)
    return None


def _ungrouped(conv: ConvMap) -> ConvMap:
    out, inner = conv.weight.shape[:2]
    wide = np.zeros((out, inner * conv.groups, *conv.weight.shape[2:]))
    for row in range(out):
        first = row // (out // conv.groups) * inner
        wide[row, first : first + inner] = conv.weight[row]
    return replace(conv, weight=wide, groups=1)
