"""The linear maps C(.) that a projection can be: weights and geometry only, no arithmetic (that is `spikerun.linear`).

A connection turns the events of its source population, of shape (C, H, W) or (N,), into currents of its target.
Weights are int8; gains, which rescale whole channels, are int32.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.errors import NetworkError
from spikerun.values import int32_array, integer, locked

__all__ = ["KINDS", "Connection", "Conv", "Dense", "Diagonal", "Sparse", "SumPool", "Window"]

Shape = tuple[int, ...]
Pair = tuple[int, int]


def _frozen(name: str, value: Any, dtype: type[np.generic], ndim: int) -> npt.NDArray[Any]:
    array = np.asarray(value)
    if array.dtype != dtype:
        raise NetworkError(f"{name} must have dtype {np.dtype(dtype)}, got {array.dtype}")
    if array.ndim != ndim:
        raise NetworkError(f"{name} must have {ndim} axes, got shape {array.shape}")
    return locked(array)


def _pair(name: str, value: Any, minimum: int) -> Pair:
    pair = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value, value)
    if len(pair) != 2:
        raise NetworkError(f"{name} must be one or two integers, got {value!r}")
    return integer(name, pair[0], minimum, 2**15 - 1), integer(name, pair[1], minimum, 2**15 - 1)


def _windows(what: str, size: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Return the (height, width) of the output of sliding windows over an image of (C, H, W)."""
    if len(size) != 3:
        raise NetworkError(f"{what} needs a source of shape (C, H, W), got {size}")
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size[1:], kernel, stride, padding, dilation, strict=True)
    ]
    if min(out) < 1:
        raise NetworkError(f"{what}: a kernel of {kernel} (dilation {dilation}) does not fit an image of {size[1:]}")
    return out[0], out[1]


class Connection:
    """Base of all kinds. `kind` is the name in files and messages."""

    kind: ClassVar[str]

    def target_shape(self, source: Shape) -> Shape | None:
        """Return the shape of the currents for a source of this shape, or None if only their number is fixed.

        Raises NetworkError where the connection does not fit the source.
        """
        raise NotImplementedError

    def target_size(self, source: Shape) -> int:
        """Return the number of target neurons that the connection reaches from a source of this shape."""
        shape = self.target_shape(source)
        assert shape is not None
        return math.prod(shape)


@dataclass(frozen=True, eq=False)
class Dense(Connection):
    """All to all: `i[o] = sum_n weight[n, o] s[n]`. weight: int8 (in, out); the source is read in C order."""

    kind: ClassVar[str] = "dense"
    weight: npt.NDArray[np.int8]

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _frozen("weight", self.weight, np.int8, 2))

    def target_shape(self, source: Shape) -> Shape | None:
        if math.prod(source) != self.weight.shape[0]:
            raise NetworkError(f"weight has {self.weight.shape[0]} rows, its source {math.prod(source)} neurons")
        return None

    def target_size(self, source: Shape) -> int:
        self.target_shape(source)
        return int(self.weight.shape[1])


@dataclass(frozen=True, eq=False)
class Sparse(Connection):
    """Compressed sparse rows, one a source neuron: `i[indices[k]] += data[k] s[n]`, indptr[n] <= k < indptr[n+1].

    indptr: int64 (in + 1,); indices: int32 (nnz,), targets; data: int8 (nnz,); size: number of target neurons.
    """

    kind: ClassVar[str] = "sparse"
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    data: npt.NDArray[np.int8]
    size: int

    def __post_init__(self) -> None:
        for name, dtype in (("indptr", np.int64), ("indices", np.int32), ("data", np.int8)):
            object.__setattr__(self, name, _frozen(name, getattr(self, name), dtype, 1))
        ptr, idx = self.indptr, self.indices
        if not 1 <= self.size < 2**31:
            raise NetworkError(f"size must be in 1..{2**31 - 1}, got {self.size}")
        rises = len(ptr) > 1 and bool((ptr[1:] >= ptr[:-1]).all())  # compared, for a difference could wrap
        if not rises or ptr[0] != 0 or ptr[-1] != len(idx):
            raise NetworkError("indptr must rise from 0 to the number of indices, with one entry more than neurons")
        if len(idx) != len(self.data):
            raise NetworkError(f"indices and data must be equally long, got {len(idx)} and {len(self.data)}")
        if len(idx) and (idx.min() < 0 or idx.max() >= self.size):
            raise NetworkError(f"indices must be in 0..{self.size - 1}, got {idx.min()}..{idx.max()}")

    def target_shape(self, source: Shape) -> Shape | None:
        if math.prod(source) != len(self.indptr) - 1:
            raise NetworkError(f"indptr has {len(self.indptr) - 1} rows, its source {math.prod(source)} neurons")
        return None

    def target_size(self, source: Shape) -> int:
        self.target_shape(source)
        return self.size


@dataclass(frozen=True, eq=False)
class Conv(Connection):
    """Two-dimensional cross-correlation, as torch.nn.Conv2d computes it, zero padding.

    weight: int8 (Cout, Cin / groups, kh, kw); stride, padding, dilation: one integer or (vertical, horizontal).
    """

    kind: ClassVar[str] = "conv"
    weight: npt.NDArray[np.int8]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _frozen("weight", self.weight, np.int8, 4))
        object.__setattr__(self, "stride", _pair("stride", self.stride, 1))
        object.__setattr__(self, "padding", _pair("padding", self.padding, 0))
        object.__setattr__(self, "dilation", _pair("dilation", self.dilation, 1))
        if min(self.weight.shape) < 1:
            raise NetworkError(f"weight must not be empty, got shape {self.weight.shape}")
        if self.groups < 1 or self.weight.shape[0] % self.groups:
            raise NetworkError(f"groups={self.groups} must divide the {self.weight.shape[0]} output channels")

    def target_shape(self, source: Shape) -> Shape:
        out = _windows("Conv", source, self.kernel, self.stride, self.padding, self.dilation)
        if source[0] != self.weight.shape[1] * self.groups:
            raise NetworkError(
                f"weight takes {self.weight.shape[1]} channels in {self.groups} groups, its source has {source[0]}"
            )
        return (self.weight.shape[0], *out)

    @property
    def kernel(self) -> Pair:
        """Return (kh, kw)."""
        return self.weight.shape[2], self.weight.shape[3]


@dataclass(frozen=True, eq=False)
class Diagonal(Connection):
    """Each neuron to the one at its own place: `i[n] = gain s[n]`, the identity of a residual, or a rescaling.

    gain: int32, shape () or (C,).
    """

    kind: ClassVar[str] = "diagonal"
    gain: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        gain = int32_array("gain", self.gain)
        if gain.ndim > 1:
            raise NetworkError(f"gain must have shape () or (C,), got {gain.shape}")
        object.__setattr__(self, "gain", gain)

    def target_shape(self, source: Shape) -> Shape:
        if self.gain.ndim and self.gain.shape != source[:1]:
            raise NetworkError(f"gain has {self.gain.shape[0]} channels, its source {source[0]}")
        return source


@dataclass(frozen=True, eq=False)
class SumPool(Connection):
    """Sum over windows, channel by channel: `i[c, y, x] = gain[c] * sum of s in the window`; average pooling, unscaled.

    kernel, stride, padding: one integer or (vertical, horizontal); gain: int32, shape () or (C,).
    """

    kind: ClassVar[str] = "sum_pool"
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    gain: npt.NDArray[np.int32] = field(default_factory=lambda: np.array(1, np.int32))

    def __post_init__(self) -> None:
        _pool_geometry(self, self.kernel, self.stride, self.padding, (1, 1))
        object.__setattr__(self, "gain", Diagonal(self.gain).gain)

    def target_shape(self, source: Shape) -> Shape:
        out = _windows("SumPool", source, self.kernel, self.stride, self.padding, (1, 1))
        Diagonal(self.gain).target_shape(source)
        return (source[0], *out)


@dataclass(frozen=True, eq=False)
class Window(Connection):
    """The windows that a MaxPool population compares, channel by channel; not linear, only MaxPool may receive it."""

    kind: ClassVar[str] = "window"
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        _pool_geometry(self, self.kernel, self.stride, self.padding, self.dilation)

    def target_shape(self, source: Shape) -> Shape:
        out = _windows("MaxPool", source, self.kernel, self.stride, self.padding, self.dilation)
        for size, p, d in zip(source[1:], self.padding, self.dilation, strict=True):
            if p and d > size:  # then a window that begins in the padding can step over the whole image
                raise NetworkError(f"MaxPool: dilation {self.dilation} with padding skips an image of {source[1:]}")
        return (source[0], *out)


def _pool_geometry(pool: "SumPool | Window", kernel: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """Normalise the geometry of a pool to pairs; a window may not lie wholly in the padding."""
    object.__setattr__(pool, "kernel", _pair("kernel", kernel, 1))
    object.__setattr__(pool, "stride", _pair("stride", stride, 1))
    object.__setattr__(pool, "padding", _pair("padding", padding, 0))
    if isinstance(pool, Window):
        object.__setattr__(pool, "dilation", _pair("dilation", dilation, 1))
    if any(2 * p > k for p, k in zip(pool.padding, pool.kernel, strict=True)):
        raise NetworkError(f"padding {pool.padding} must be at most half the kernel {pool.kernel}")


KINDS: dict[str, type[Connection]] = {cls.kind: cls for cls in (Dense, Sparse, Conv, Diagonal, SumPool, Window)}
