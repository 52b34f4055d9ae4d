# SPDX-License-Identifier: Apache-2.0
"""What is given to a network's inputs: checked, and encoded as events."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from spikerun import real
from spikerun.codes import Word
from spikerun.errors import DataError
from spikerun.kernels.executor import Apart, Taken
from spikerun.network import Network
from spikerun.values import on_host

__all__ = [
    "NO_INPUT",
    "Given",
    "Lazy",
    "by_name",
    "checked",
    "checked_step",
    "encoded",
    "events",
    "in_parts",
    "lacks_one",
    "part",
    "sample_shape",
    "taken",
]

_WHOLE = {np.dtype(t): (np.iinfo(t).min, np.iinfo(t).max) for t in (np.uint8, np.int8, np.uint16, np.int16)}

NO_INPUT = (
    "the network has no input, and so no samples: it runs step by step, spikerun.Session(net).stream().advance(steps)"
)

Given = npt.ArrayLike | Mapping[str, npt.ArrayLike]


@runtime_checkable
class Lazy(Protocol):
    """Samples (N, *shape) that are made when they are asked for, some at a time; numpy.asarray makes them all."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of them all."""

    def part(self, first: int, end: int) -> npt.NDArray[Any]:
        """Return the samples first..end."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all of them."""


def by_name(net: Network, given: Given, all_of_them: bool = True) -> dict[str, npt.NDArray[Any]]:
    """Return what is given for each input, as arrays by name; one array will do for a network of one input.

    Raises DataError where names are unknown, or missing unless some are enough.
    """
    return {name: _array(values) for name, values in _named(net, given, all_of_them).items()}


def in_parts(net: Network, given: Given, device: Apart | None = None) -> dict[str, npt.NDArray[Any] | Lazy]:
    """Return a batch for each input by name, as `by_name` does, checked where it is an array.

    What makes its samples when asked stays as it is; only their shape is checked. So does what lies on the `device`.
    """
    found: dict[str, npt.NDArray[Any] | Lazy] = {}
    for name, values in _named(net, given, True).items():
        if device is not None and device.holds(values):
            found[name] = _on_device(net, name, values, device)
        elif not isinstance(values, np.ndarray) and isinstance(values, Lazy):  # of arrays that takes long to say
            _check_shape(name, values.shape, sample_shape(net, name), batch=True)
            found[name] = values
        else:
            found[name] = checked(net, name, _array(values), batch=True)
    return found


def part(net: Network, name: str, values: npt.NDArray[Any] | Lazy, first: int, end: int) -> npt.NDArray[Any]:
    """Return the samples first..end of what `in_parts` found, checked."""
    if isinstance(values, Lazy) and not isinstance(values, np.ndarray):
        return checked(net, name, values.part(first, end), batch=True)
    return values[first:end]


def _on_device(net: Network, name: str, values: Any, device: Apart) -> Any:
    """Return what lies on a device, without a copy, its shape and values checked there."""
    values = device.tensor(values)
    _check_shape(name, tuple(values.shape), sample_shape(net, name), batch=True)
    low, high = _word(net, name).range
    if not device.within(values, low, high):
        raise DataError(f"input '{name}' takes integers of {low}..{high}, got others, on the device: {values.dtype}")
    return values


def _named(net: Network, given: Given, all_of_them: bool) -> Mapping[str, npt.ArrayLike]:
    if not isinstance(given, Mapping):
        if not net.inputs:
            raise DataError(NO_INPUT)
        if len(net.inputs) > 1:
            raise DataError(f"the network has the inputs {', '.join(net.inputs)}: give a dict by name")
        given = {net.inputs[0]: given}
    if not given.keys() <= set(net.inputs) or (all_of_them and len(given) != len(net.inputs)):
        names = ", ".join(map(str, given)) or "none"
        raise DataError(f"values are given for {names}; the inputs are {', '.join(net.inputs) or 'none'}")
    return given


def _array(values: Any) -> npt.NDArray[Any]:
    layout = str(getattr(values, "layout", "torch.strided"))
    if layout.startswith("torch.") and layout != "torch.strided":
        raise DataError(f"values must be whole arrays, got a tensor of layout {layout}: take its .to_dense()")
    if str(getattr(values, "device", "")) == "meta":
        raise DataError("values must be there, got a tensor of torch on the device 'meta', which has none")
    try:
        array = np.asanyarray(on_host(values))
    except ValueError as error:
        raise DataError(f"values must be arrays with rows of equal length: {error}") from None
    if isinstance(array, np.ma.MaskedArray):
        raise DataError("values have a mask, which nothing looks at: give an array that is filled")
    return np.asarray(array)


def _word(net: Network, name: str) -> Word:
    word = net.sender_of(name)
    assert word is not None
    return word


def checked(net: Network, name: str, values: npt.NDArray[Any], batch: bool) -> npt.NDArray[Any]:
    """Return what input `name` takes: integers of its range and shape, (B, *shape) if a batch.

    Where its code is `spikes` or `frames`, events: (W, *shape), (B, W, *shape). values: such, or real numbers, which
    are encoded as the network's meta says; an axis of length 1 of the shape, such as the height of a signal, may be
    missing. Raises DataError if they are not.
    """
    shape = sample_shape(net, name)
    if lacks_one(values.shape[batch:], shape):
        values = values.reshape(*values.shape[:batch], *shape)
    if values.dtype.kind == "f":
        _check_shape(name, values.shape, shape, batch)
        values = _integers(net, name, values if batch else values[None])
        values = values if batch else values[0]
    return _fitting(name, values, shape, batch, *_word(net, name).range)


def encoded(net: Network, name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return real samples (B, *shape of a sample) as the integers that input `name` takes, by the network's meta."""
    array = _array(values)
    if array.dtype.kind != "f":
        raise DataError(f"input '{name}': {array.dtype} are no real numbers; integers are given as they are")
    return checked(net, name, array, batch=True)


def _integers(net: Network, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    word, channels = _word(net, name), net.populations[name].shape[0]
    given = real.numbers(net.meta, name, channels)
    low, high = word.range
    if given is None:
        raise DataError(
            f"input '{name}' takes integers of {low}..{high}, got {values.dtype}: give raw values, unscaled; the "
            f"network does not say what they stand for (no '{name}_scale' in its meta)"
        )
    steps = values.reshape(-1, *values.shape[2:]) if word.stepwise else values
    exact = real.integers(steps, given["scale"], given["mean"], given["std"])
    return real.encoded(exact, low, high, f"input '{name}'").reshape(values.shape)


def lacks_one(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Return whether a shape is another one without one of its axes of length 1."""
    return len(given) == len(shape) - 1 > 0 and any(
        shape[axis] == 1 and given == (*shape[:axis], *shape[axis + 1 :]) for axis in range(len(shape))
    )


def sample_shape(net: Network, name: str) -> tuple[int, ...]:
    """Return the shape of one sample of input `name`: (W, *shape) where it is given what is sent at each step."""
    shape = net.populations[name].shape
    return (net.window, *shape) if _word(net, name).stepwise else shape


def taken(net: Network, name: str) -> Taken:
    """Return what input `name` takes."""
    return Taken(name, sample_shape(net, name), *_word(net, name).range)


def checked_step(net: Network, name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return `values` if they are the events that input `name` may send in one step: 0 or 1, or payloads."""
    low, high = _word(net, name).event_range
    return _fitting(name, values, net.populations[name].shape, False, low, high).astype(np.int64)


def _fitting(
    name: str, values: npt.NDArray[Any], shape: tuple[int, ...], batch: bool, low: int, high: int
) -> npt.NDArray[Any]:
    _check_shape(name, values.shape, shape, batch)
    if values.dtype.kind not in "biu":
        raise DataError(
            f"input '{name}' takes integers of {low}..{high}, got {values.dtype}: give raw values, unscaled"
        )
    if (low, high) == _WHOLE.get(values.dtype):
        return values  # pixels of 8 bits, or samples of 16: nothing to look at
    if values.size and not _within(values, low, high):
        raise DataError(f"input '{name}' takes values in {low}..{high}, got {values.min()}..{values.max()}")
    return values


def _check_shape(name: str, given: tuple[int, ...], shape: tuple[int, ...], batch: bool) -> None:
    if given[batch:] != shape or len(given) != len(shape) + batch:
        expected = str((*["B"] * batch, *shape)).replace("'", "")
        raise DataError(f"input '{name}' takes values of shape {expected}, got {given}")


def _within(values: npt.NDArray[Any], low: int, high: int) -> bool:
    """Return whether all values are in low..high, where high + 1 is a power of two."""
    if low == 0:  # one look at each value: no bit may be set that `high` has not, the sign among them
        return 0 <= int(np.bitwise_or.reduce(values, axis=None)) <= high
    return bool(values.min() >= low and values.max() <= high)


def events(net: Network, name: str, values: npt.NDArray[Any], batch: bool) -> npt.NDArray[np.int64]:
    """Return checked values as the events of one window: int64 (W, *shape), or (B, W, *shape)."""
    word, values = _word(net, name), checked(net, name, values, batch)
    if word.stepwise:
        return values.astype(np.int64)
    encoded = word.encode(values, net.window)
    return np.moveaxis(encoded, 0, 1) if batch else encoded
