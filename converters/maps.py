"""The float linear maps between coded values, and how they compose: a term of a layer is one map from one source."""

from dataclasses import dataclass, replace

import numpy as np

from spikerun.converters.graph import Array, Pair, Shape

__all__ = ["ConvMap", "DenseMap", "DiagMap", "Map", "PoolMap", "Term", "channel_gains", "grouped_slice"]


@dataclass(frozen=True, eq=False)
class DenseMap:
    """All to all; weight (out, in), the source read in C order."""

    weight: Array


@dataclass(frozen=True, eq=False)
class ConvMap:
    """Two-dimensional cross-correlation; weight (out, in / groups, kh, kw)."""

    weight: Array
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int


@dataclass(frozen=True, eq=False)
class DiagMap:
    """A gain for each channel of the source as it is read: (C,) for an image, (N,) for a flattened one."""

    gain: Array


@dataclass(frozen=True, eq=False)
class PoolMap:
    """Window sums times a gain for each channel (C,)."""

    kernel: Pair
    stride: Pair
    padding: Pair
    gain: Array


Map = DenseMap | ConvMap | DiagMap | PoolMap


@dataclass(frozen=True, eq=False)
class Term:
    """A map of the population `source`, read as `shape`, into the channels `first` to `end` of the target."""

    source: str
    own: Shape  # the source's
    shape: Shape  # as it is read: the same, or (N,) flattened
    map: Map
    first: int
    end: int

    @property
    def light(self) -> bool:
        """Return whether it moves each value to its own place, so that any linear map can be composed with it."""
        return isinstance(self.map, DiagMap)

    @property
    def small(self) -> bool:
        """Return whether its integers are int8: weights, and gains of the single neurons of a flattened image."""
        return not isinstance(self.map, PoolMap) and (len(self.own) != len(self.shape) or not self.light)

    @property
    def weight(self) -> Array:
        """Return the trained numbers."""
        return self.map.weight if isinstance(self.map, (DenseMap, ConvMap)) else self.map.gain

    def moved(self, by: int) -> "Term":
        """Return the term with its channels counted from another place."""
        return replace(self, first=self.first + by, end=self.end + by)

    def scaled(self, scale: Array) -> "Term":
        """Return the term with each target channel multiplied by `scale` (of the whole target)."""
        part = scale[self.first : self.end]
        if isinstance(self.map, (DenseMap, ConvMap)):
            weight = self.map.weight
            return replace(self, map=replace(self.map, weight=weight * part.reshape(-1, *(1,) * (weight.ndim - 1))))
        return replace(self, map=replace(self.map, gain=self.map.gain * part))


def channel_gains(weight: Array, gain: Array, groups: int = 1) -> Array:
    """Return `weight` (out, in / groups, ...) with each input channel multiplied by `gain` (in,)."""
    out, inner = weight.shape[:2]
    split = weight.reshape(groups, out // groups, inner, -1) * gain.reshape(groups, 1, inner, 1)
    return split.reshape(weight.shape)


def grouped_slice(conv: ConvMap, first: int, end: int) -> tuple[ConvMap, int, int]:
    """Return the convolution restricted to its input channels `first` to `end`, and the outputs that it reaches.

    Where the slice cuts a group, the groups are written as one, with zeros between them.
    """
    out, inner = conv.weight.shape[:2]
    per_group = out // conv.groups
    low, high = first // inner, (end - 1) // inner + 1
    weight = conv.weight[low * per_group : high * per_group]
    if first % inner == 0 and end % inner == 0:
        return replace(conv, weight=weight, groups=high - low), low * per_group, high * per_group
    wide = np.zeros((len(weight), (high - low) * inner, *weight.shape[2:]), dtype=weight.dtype)
    for g in range(high - low):
        wide[g * per_group : (g + 1) * per_group, g * inner : (g + 1) * inner] = weight[
            g * per_group : (g + 1) * per_group
        ]
    wide = wide[:, first - low * inner : end - low * inner]
    return replace(conv, weight=np.ascontiguousarray(wide), groups=1), low * per_group, high * per_group
