"""The quantised layers become a network: populations, projections, and what is worth knowing about them."""

import numpy as np

from spikerun.connections import Connection, Conv, Dense, Diagonal, Sparse, SumPool, Window
from spikerun.converters.graph import Array, Shape
from spikerun.converters.layers import InputLayer, PoolLayer
from spikerun.converters.maps import ConvMap, DenseMap, DiagMap, Term
from spikerun.converters.quantise import QLayer, Quantised
from spikerun.errors import ConversionError, NetworkError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, MaxPool, Neuron, Readout

__all__ = ["build"]


def build(quantised: Quantised, meta: dict[str, str | int | float]) -> Network:
    """Return the network; raises ConversionError with advice where the integers break the contract."""
    settings = quantised.settings
    populations = {layer.name: Population(layer.shape, _neuron(layer, quantised)) for layer in quantised.layers}
    projections: list[Projection] = []
    for layer in quantised.layers:
        if isinstance(layer, PoolLayer):
            window = Window(layer.kernel, layer.stride, layer.padding, layer.dilation)
            projections.append(Projection(layer.source, layer.name, window))
        elif isinstance(layer, QLayer):
            projections += [_projection(term, layer, populations[term.source].shape) for term in layer.terms]
    try:
        return Network(populations, projections, (quantised.layers[-1].name,), settings.window, meta)
    except NetworkError as error:
        advice = "fewer steps, weight decay in training, or a smaller layer help" if "accumulator" in str(error) else ""
        raise ConversionError(
            f"the converted network breaks the arithmetic contract: {error}" + (f" ({advice})." if advice else "")
        ) from error


def _neuron(layer: InputLayer | PoolLayer | QLayer, quantised: Quantised) -> Neuron:
    if isinstance(layer, InputLayer):
        return Input(quantised.settings.input_bits, quantised.settings.input_code)
    if isinstance(layer, PoolLayer):
        return MaxPool()
    if layer.kind == "readout":
        return Readout(layer.scale.astype(np.float32), layer.bias)
    return FewSpikes(layer.bits, _short(layer.threshold), _short(layer.bias), layer.signed, None, layer.code)


def _short(values: Array) -> Array:
    """Return one number for all channels where they agree."""
    return values.reshape(-1)[0] if (values == values.reshape(-1)[0]).all() else values


def _projection(term: Term, layer: QLayer, source: Shape) -> Projection:
    channels = None if (term.first, term.end) == (0, layer.shape[0]) else (term.first, term.end)
    return Projection(term.source, layer.name, _connection(term, source), 0, channels)


def _connection(term: Term, source: Shape) -> Connection:
    map = term.map
    if isinstance(map, DenseMap):
        return Dense(np.ascontiguousarray(map.weight.T))
    if isinstance(map, ConvMap):
        return Conv(map.weight, map.stride, map.padding, map.dilation, map.groups)
    if isinstance(map, DiagMap):
        return _diagonal(map.gain, source)
    return SumPool(map.kernel, map.stride, map.padding, map.gain)


def _diagonal(gain: Array, source: Shape) -> Connection:
    """Return the connection of each neuron to its own place; `gain` has one number a channel, or one a neuron."""
    if len(gain) == source[0]:
        return Diagonal(gain)
    size = len(gain)
    return Sparse(np.arange(size + 1, dtype=np.int64), np.arange(size, dtype=np.int32), gain.astype(np.int8), size)
