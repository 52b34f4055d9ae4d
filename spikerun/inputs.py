"""What is given to a network's inputs: checked, and encoded as events."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.codes import encode, word_range
from spikerun.errors import DataError
from spikerun.network import Network
from spikerun.neurons import Input

__all__ = ["by_name", "checked", "checked_step", "events"]

Given = npt.ArrayLike | Mapping[str, npt.ArrayLike]


def by_name(net: Network, given: Given) -> dict[str, npt.NDArray[Any]]:
    """Return what is given for each input, as arrays by name; one array will do for a network of one input.

    Raises DataError where names are missing or unknown.
    """
    if not isinstance(given, Mapping):
        if len(net.inputs) != 1:
            raise DataError(f"the network has the inputs {', '.join(net.inputs)}: give a dict by name")
        given = {net.inputs[0]: given}
    if set(given) != set(net.inputs):
        raise DataError(f"values are given for {', '.join(map(str, given))}; the inputs are {', '.join(net.inputs)}")
    return {name: np.asarray(values) for name, values in given.items()}


def _neuron(net: Network, name: str) -> Input:
    neuron = net.populations[name].neuron
    assert isinstance(neuron, Input)
    return neuron


def checked(net: Network, name: str, values: npt.NDArray[Any], batch: bool) -> npt.NDArray[Any]:
    """Return `values` if they are what input `name` takes: integers of its range and shape, (B, *shape) if a batch.

    Where the input's code is `spikes`, events: (W, *shape), (B, W, *shape). Raises DataError if they are not.
    """
    population, neuron = net.populations[name], _neuron(net, name)
    shape = (net.window, *population.shape) if neuron.code == "spikes" else population.shape
    return _fitting(name, values, shape, batch, *word_range(neuron.bits, neuron.signed))


def checked_step(net: Network, name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Return `values` if they are the events that input `name` may send in one step: 0 or 1, or payloads."""
    neuron = _neuron(net, name)
    binary = neuron.code in ("bits", "ttfs")
    low, high = (0, 1) if binary else word_range(neuron.bits, neuron.signed)
    return _fitting(name, values, net.populations[name].shape, False, low, high).astype(np.int16)


def _fitting(
    name: str, values: npt.NDArray[Any], shape: tuple[int, ...], batch: bool, low: int, high: int
) -> npt.NDArray[Any]:
    if values.shape[batch:] != shape or values.ndim != len(shape) + batch:
        expected = ", ".join(["B"] * batch + [str(n) for n in shape])
        raise DataError(f"input '{name}' takes values of shape ({expected}), got {values.shape}")
    if values.dtype.kind not in "biu":
        raise DataError(
            f"input '{name}' takes integers of {low}..{high}, got {values.dtype}: give raw values, unscaled"
        )
    if values.size and (values.min() < low or values.max() > high):
        raise DataError(f"input '{name}' takes values in {low}..{high}, got {values.min()}..{values.max()}")
    return values


def events(net: Network, name: str, values: npt.NDArray[Any], batch: bool) -> npt.NDArray[np.int64]:
    """Return checked values as the events of one window: int64 (W, *shape), or (B, W, *shape)."""
    neuron, values = _neuron(net, name), checked(net, name, values, batch)
    if neuron.code == "spikes":
        return values.astype(np.int64)
    encoded = encode(values, neuron.code, neuron.bits, neuron.signed, net.window)
    return np.moveaxis(encoded, 0, 1) if batch else encoded
