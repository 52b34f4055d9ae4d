"""The quantised ANN, evaluated plainly: integer sums, one floor division, one clip. What the spikes must equal.

It walks the quantised layers, not the network, and knows nothing of spikes; sums are exact in float64 below 2^53.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from spikerun.codes import word_range
from spikerun.converters import forward
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer
from spikerun.converters.quantise import QLayer, Quantised

__all__ = ["evaluate", "logits", "real_logits"]

L = TypeVar("L", Layer, QLayer)


def evaluate(quantised: Quantised, samples: Array) -> dict[str, Array]:
    """Return the integers (int64, batch first) of every population for `samples`; of the readout, its accumulators."""

    def fire(layer: QLayer, values: dict[str, Array]) -> Array:
        v = forward.accumulate([(t, t.map) for t in layer.terms], values, layer.shape)
        v += forward.spread(layer.bias, layer.shape)
        if layer.kind == "readout":
            return v
        low, high = word_range(layer.bits, layer.signed)
        return np.clip(np.floor_divide(v, forward.spread(layer.threshold, layer.shape)), low, high)

    return {name: value.astype(np.int64) for name, value in _walk(quantised.layers, samples, fire).items()}


def logits(quantised: Quantised, samples: Array) -> Array:
    """Return the scaled readout (batch, classes), float32."""
    readout = quantised.layers[-1]
    scale: Array = readout.scale.astype(np.float32)  # type: ignore[union-attr]
    v = evaluate(quantised, samples)[readout.name].reshape(len(samples), len(scale), -1)
    return (v.astype(np.float32) * scale[:, None]).reshape(len(samples), -1)


def real_logits(layers: Layers, samples: Array) -> Array:
    """Return what the layers compute in real numbers, before any quantisation (batch, classes), float64."""

    def activate(layer: Layer, values: dict[str, Array]) -> Array:
        z = forward.accumulate([(t, t.map) for t in layer.terms], values, layer.shape) + layer.bias
        return np.clip(z, 0, layer.bound) if layer.kind == "relu" else z

    return _walk(layers.all, samples, activate)[layers.readout.name].reshape(len(samples), -1)


def _walk(
    layers: Iterable[InputLayer | PoolLayer | L], samples: Array, compute: Callable[[L, dict[str, Array]], Array]
) -> dict[str, Array]:
    """Return the values of every layer; `compute` gives those of a sum from the values before it."""
    values: dict[str, Array] = {}
    for layer in layers:
        if isinstance(layer, InputLayer):
            values[layer.name] = samples.astype(np.float64)
        elif isinstance(layer, PoolLayer):
            geometry = (layer.kernel, layer.stride, layer.padding, layer.dilation)
            values[layer.name] = forward.max_pool(values[layer.source], *geometry)
        else:
            values[layer.name] = compute(layer, values)
    return values
