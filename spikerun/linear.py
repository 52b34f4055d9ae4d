"""What the connections compute, in plain NumPy: the definition of C(.), and of fan-out, for every kind."""

from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.connections import Connection, Conv, Dense, Diagonal, Pair, Shape, Sparse, SumPool, Window

__all__ = ["apply", "fan_out", "largest_sum", "macs", "windows"]

IntArray = npt.NDArray[np.int64]


def windows(
    x: npt.NDArray[Any], out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, fill: int
) -> npt.NDArray[Any]:
    """Return the taps of sliding windows over `x` (C, H, W) as (kh * kw, C, Ho, Wo); `fill` stands outside."""
    (ho, wo), (sy, sx), (py, px), (dy, dx) = out, stride, padding, dilation
    ky, kx = kernel
    need_y, need_x = (ho - 1) * sy + (ky - 1) * dy + 1, (wo - 1) * sx + (kx - 1) * dx + 1
    padded = np.full((x.shape[0], need_y + py, need_x + px), fill, dtype=x.dtype)
    image = x[:, :need_y, :need_x]
    padded[:, py : py + image.shape[1], px : px + image.shape[2]] = image
    taps = [
        padded[:, dy * j : dy * j + sy * ho : sy, dx * i : dx * i + sx * wo : sx] for j in range(ky) for i in range(kx)
    ]
    return np.stack(taps)


def apply(connection: Connection, x: IntArray) -> IntArray:
    """Return C(x), int64, for events `x` of the source's shape."""
    match connection:
        case Dense():
            total: IntArray = x.ravel() @ connection.weight.astype(np.int64)
            return total
        case Sparse():
            current = np.zeros(connection.size, dtype=np.int64)
            source = np.repeat(np.arange(x.size), np.diff(connection.indptr))
            np.add.at(current, connection.indices, connection.data * x.ravel()[source])
            return current
        case Conv():
            return _conv(connection, x)
        case Diagonal():
            return _per_channel(connection.gain, x.ndim) * x
        case SumPool():
            out = connection.target_shape(x.shape)[1:]
            taps = windows(x, (out[0], out[1]), connection.kernel, connection.stride, connection.padding, (1, 1), 0)
            pooled: IntArray = _per_channel(connection.gain, x.ndim) * taps.sum(axis=0)
            return pooled
    raise TypeError(f"{type(connection).__name__} is not linear")


def _per_channel(gain: npt.NDArray[np.int32], ndim: int) -> IntArray:
    return gain.astype(np.int64).reshape((-1,) + (1,) * (ndim - 1))


def _conv(conv: Conv, x: IntArray) -> IntArray:
    weight, out = conv.weight.astype(np.int64), conv.target_shape(x.shape)
    taps = windows(x, (out[1], out[2]), conv.kernel, conv.stride, conv.padding, conv.dilation, 0)
    groups, per_group = conv.groups, weight.shape[0] // conv.groups
    taps = taps.reshape(taps.shape[0], groups, -1, *out[1:])  # (k, g, Cin/g, Ho, Wo)
    weight = weight.reshape(groups, per_group, weight.shape[1], -1)  # (g, Cout/g, Cin/g, k)
    currents: IntArray = np.einsum("goik,kgiyx->goyx", weight, taps, optimize=True)
    return currents.reshape(out)


def fan_out(connection: Connection, source: Shape) -> IntArray:
    """Return, for each source neuron, the number of synapses that one of its spikes reaches: a view of shape `source`.

    It cannot be written to, and takes no memory for neurons that are all alike.
    """
    match connection:
        case Dense():
            fans: IntArray = np.array(connection.weight.shape[1])
        case Sparse():
            fans = np.diff(connection.indptr).reshape(source)
        case Diagonal():
            fans = np.array(1)
        case Conv():
            per_window = connection.weight.shape[0] // connection.groups
            fans = _covered(source, connection, connection.dilation) * per_window
        case SumPool():
            fans = _covered(source, connection, (1, 1))
        case Window():  # comparisons are not synaptic operations
            fans = np.array(0)
        case _:
            raise TypeError(f"no fan-out is defined for {type(connection).__name__}")
    return np.broadcast_to(fans.astype(np.int64, copy=False), source)


def _covered(source: Shape, connection: Conv | SumPool, dilation: Pair) -> IntArray:
    """Return in how many windows each pixel (H, W) lies."""
    out = connection.target_shape(source)
    counts = [np.zeros(size, dtype=np.int64) for size in source[1:]]
    for axis, count in enumerate(counts):
        stride = connection.stride[axis]
        for tap in range(connection.kernel[axis]):
            first = tap * dilation[axis] - connection.padding[axis]
            last = first + (out[1 + axis] - 1) * stride
            count[first % stride if first < 0 else first : max(0, last + 1) : stride] += 1
    return np.outer(counts[0], counts[1])


def largest_sum(connection: Connection, source: Shape) -> npt.NDArray[np.float64]:
    """Return, for each target neuron or channel, an upper bound of sum |weight|: float64, which cannot wrap.

    Shape (targets,) for Dense and Sparse; (channels,) or () for the others, whose neurons share their weights.
    """
    match connection:
        case Dense():
            return _column_sums(connection.weight)
        case Sparse():
            weights = np.abs(connection.data, dtype=np.float64)
            return np.bincount(connection.indices, weights, connection.size).astype(np.float64)
        case Conv():
            return _column_sums(connection.weight.reshape(len(connection.weight), -1).T)
        case Diagonal():
            return np.abs(connection.gain, dtype=np.float64)
        case SumPool():
            covered = [min(k, n) for k, n in zip(connection.kernel, source[1:], strict=True)]
            return np.abs(connection.gain, dtype=np.float64) * float(np.prod(covered))
    raise TypeError(f"{type(connection).__name__} is not linear")


def _column_sums(weight: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """Return sum |weight| over the rows of (rows, columns), some rows at a time: a copy is wider than the weights."""
    rows = max(1, 2**22 // weight.shape[1])
    total = np.zeros(weight.shape[1])
    for first in range(0, len(weight), rows):
        total += np.abs(weight[first : first + rows], dtype=np.float32).sum(axis=0, dtype=np.float64)
    return total


def macs(connection: Connection, source: Shape) -> int:
    """Return the multiply-accumulates of the same layer in an ANN (padding counted, as the profilers of ANNs do)."""
    match connection:
        case Conv():
            return int(np.prod(connection.target_shape(source))) * int(np.prod(connection.weight.shape[1:]))
        case Dense():
            return int(connection.weight.size)
        case Sparse():
            return len(connection.data)
    return 0
