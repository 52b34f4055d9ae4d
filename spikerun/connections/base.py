# SPDX-License-Identifier: Apache-2.0
"""What every connection is: weights and geometry, and what it computes of events, in plain NumPy.

A connection turns the events of its source population, of shape (C, H, W) or (N,), into currents of its target.
Weights are int8; gains, which rescale whole channels, are int32.
"""

import math
from collections.abc import Iterator
from dataclasses import fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.errors import NetworkError
from spikerun.kernels.synapses import Synapses, expanded
from spikerun.values import as_array, integer, locked

__all__ = [
    "Connection",
    "IntArray",
    "Mask",
    "Pair",
    "Reals",
    "Shape",
    "delays_of",
    "ends_of",
    "frozen",
    "pair",
    "signed_sums",
]

IntArray = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Shape = tuple[int, ...]
Pair = tuple[int, int]
MAX_PAIR = 2**15 - 1


class Connection:
    """Base of all kinds. `kind` is the name in files and messages; fields are the parameters.

    Traits: linear: it makes currents, by a map C(.) of the events. Others lead only to populations that compare
    (`passes_on`). alone: its currents are the largest of several, which do not add up: it is the only projection into
    neurons that integrate step by step. delay_range: the least and the largest delay of its synapses, in steps.
    """

    kind: ClassVar[str]
    linear: ClassVar[bool] = True
    alone: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        # through __init__, so that a copy is checked and locked as well
        return type(self), tuple(getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]

    def parameters(self) -> tuple[tuple[str, Any], ...]:
        """Return all parameters by name."""
        return tuple((field.name, getattr(self, field.name)) for field in fields(self))  # type: ignore[arg-type]

    @cached_property
    def delay_range(self) -> Pair:
        return 0, 0

    @property
    def weights(self) -> int:
        """Return how many weights it stores, a byte each; gains are none."""
        return sum(array.size for array in self._weights())

    @property
    def zeros(self) -> int:
        """Return how many of these are 0."""
        return sum(array.size - int(np.count_nonzero(array)) for array in self._weights())

    def _weights(self) -> Iterator[npt.NDArray[np.int8]]:
        arrays = (value for _, value in self.parameters() if isinstance(value, np.ndarray))
        return (array for array in arrays if array.dtype == np.int8)

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

    def taps(self, source: Shape) -> int:
        """Return how many inputs of each window are compared, 0 for linear connections."""
        return 0

    def apply(self, x: IntArray) -> IntArray:
        """Return C(x), int64, for events `x` of the source's shape."""
        raise NotImplementedError

    def late(self, x: IntArray) -> IntArray:
        """Return what arrives each number of steps after events `x`, int64 (largest delay + 1, *targets in C order)."""
        found, size = self._each, self.target_size(x.shape)
        currents = np.zeros((self.delay_range[1] + 1) * size, np.int64)
        for n in np.flatnonzero(x):
            own = slice(found.indptr[n], found.indptr[n + 1])
            places = found.delay[own].astype(np.int64) * size + found.target[own]
            np.add.at(currents, places, found.weight[own].astype(np.int64) * x.flat[n])  # NumPy 1 keeps int8
        return currents.reshape(-1, size)

    @cached_property
    def _each(self) -> Synapses:
        return expanded(self.kind, dict(self.parameters()))

    def synapse_count(self, source: Shape) -> int:
        """Return how many synapses it has."""
        return int(self.fan_out(source).sum())

    def fan_out(self, source: Shape) -> IntArray:
        """Return for each source neuron how many synapses one of its spikes reaches, int64, of shape `source`.

        The array cannot be written to, and takes no memory for neurons that are all alike.
        """
        raise NotImplementedError

    def largest_sum(self, source: Shape, channels: int) -> npt.NDArray[np.float64]:
        """Return an upper bound of sum |weight| for each of the `channels` that it reaches, (channels,) or ().

        float64 cannot wrap.
        """
        raise NotImplementedError

    def reads(self, source: Shape, kept: Mask) -> Mask:
        """Return which channels of a source, (C,), have synapses that are not 0 to channels, (channels,), of `kept`.

        A kind that does not tell reads all of them.
        """
        return np.ones(source[0], np.bool_)

    def spans(self, source: Shape, channels: int, low: Reals, high: Reals) -> tuple[Reals, Reals]:
        """Return the least and the largest sum in each of the `channels` that it reaches, (channels,) each.

        low <= 0 <= high: of the events of each channel of the source, (C,).
        """
        reach = np.zeros(channels) + self.largest_sum(source, channels) * max(-low.min(), high.max())
        return -reach, reach

    def without(self, source: Shape, less: Mask, fewer: Mask) -> tuple[Mask, Mask]:
        """Return without which channels of its source and of its target it can be: some of `less` and of `fewer`."""
        return np.zeros_like(less), np.zeros_like(fewer)

    def narrowed(self, source: Shape, kept: Mask, reached: Mask) -> "Connection":
        """Return it between the channels `kept` of its source and `reached` of its target, as `without` allows."""
        assert kept.all() and reached.all(), f"{self.kind} cannot be without channels"
        return self


def signed_sums(weight: npt.NDArray[Any], low: Reals, high: Reals) -> tuple[Reals, Reals]:
    """Return the least and the largest sum of each column of weights (rows, columns), for inputs low..high, (rows,).

    Some rows at a time: a copy is wider than the weights.
    """
    rows = max(1, 2**21 // weight.shape[1])
    least, largest = np.zeros((2, weight.shape[1]))
    for first in range(0, len(weight), rows):
        part, here = weight[first : first + rows].astype(np.float64), slice(first, first + rows)
        up, down = np.maximum(part, 0), np.minimum(part, 0)
        least += low[here] @ up + high[here] @ down
        largest += high[here] @ up + low[here] @ down
    return least, largest


def alike(count: int | IntArray, source: Shape) -> IntArray:
    """Return a fan-out as a view of shape `source`."""
    return np.broadcast_to(np.asarray(count, np.int64), source)


def frozen(name: str, value: Any, dtype: type[np.generic], ndim: int) -> npt.NDArray[Any]:
    """Return `value` as a locked array of this type and number of axes; nothing is converted."""
    array = as_array(name, value)
    if array.dtype != dtype:
        wanted = np.dtype(dtype)
        remedy = f"give {name}.astype(np.{wanted}) where all values fit"
        if array.dtype.kind == "f":
            remedy = (
                f"scale and round it first, np.rint({name} / unit).astype(np.{wanted}), or convert the trained network"
            )
        raise NetworkError(f"{name} must have dtype {wanted}, got {array.dtype}: {remedy}")
    if array.ndim != ndim:
        raise NetworkError(f"{name} must have {ndim} axes, got shape {array.shape}")
    return locked(array)


def delays_of(delays: npt.NDArray[np.uint8] | None, shape: Shape) -> npt.NDArray[np.uint8] | None:
    """Return the delays of synapses as a locked array, which must have this shape; None where there are none."""
    if delays is None:
        return None
    array = frozen("delays", delays, np.uint8, len(shape))
    if array.shape != shape:
        raise NetworkError(f"delays must have a number of steps for each weight, shape {shape}, got {array.shape}")
    return array


def ends_of(delays: npt.NDArray[np.uint8] | None) -> Pair:
    """Return the least and the largest of delays."""
    return (0, 0) if delays is None or not delays.size else (int(delays.min()), int(delays.max()))


def pair(name: str, value: Any, minimum: int) -> Pair:
    """Return one or two integers as (vertical, horizontal)."""
    both = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value, value)
    if len(both) != 2:
        raise NetworkError(f"{name} must be one or two integers, got {value!r:.80}")
    return integer(name, both[0], minimum, MAX_PAIR), integer(name, both[1], minimum, MAX_PAIR)
