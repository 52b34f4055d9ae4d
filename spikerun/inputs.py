"""What is given to a network's inputs: checked, and encoded as events."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.codes import encode, word_range
from spikerun.errors import DataError
from spikerun.network import Network
from spikerun.neurons import Input

__all__ = ["by_name", "checked", "events"]

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
        raise DataError(f"values are given for {sorted(given)}, the inputs are {sorted(net.inputs)}")
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
    shape = (net.steps, *population.shape) if neuron.code == "spikes" else population.shape
    if values.shape[batch:] != shape or values.ndim != len(shape) + batch:
        expected = ", ".join(["B"] * batch + [str(n) for n in shape])
        raise DataError(f"input '{name}' takes values of shape ({expected}), got {values.shape}")
    if values.dtype.kind not in "biu":
        raise DataError(
            f"input '{name}' takes integers, got {values.dtype}: give the raw {neuron.bits}-bit values, unscaled"
        )
    low, high = word_range(neuron.bits, neuron.signed)
    if values.size and (values.min() < low or values.max() > high):
        raise DataError(f"input '{name}' takes values in {low}..{high}, got {values.min()}..{values.max()}")
    return values


def events(net: Network, name: str, values: npt.NDArray[Any], batch: bool) -> npt.NDArray[np.int64]:
    """Return checked values as the events of one window: int64 (W, *shape), or (B, W, *shape)."""
    neuron, values = _neuron(net, name), checked(net, name, values, batch)
    if neuron.code == "spikes":
        return values.astype(np.int64)
    encoded = encode(values, neuron.code, neuron.bits, neuron.signed, net.steps)
    return np.moveaxis(encoded, 0, 1) if batch else encoded
