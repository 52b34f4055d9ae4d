# SPDX-License-Identifier: Apache-2.0
"""The quantised layers become a network: populations, projections, and what is worth knowing about them."""

from collections.abc import Mapping

from spikerun.connections import Window
from spikerun.converters.layers import InputLayer, PoolLayer
from spikerun.converters.maps import Term
from spikerun.converters.quantise import QLayer, Quantised
from spikerun.errors import ConversionError, NetworkError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import MaxPool, Neuron

__all__ = ["build"]


def build(quantised: Quantised, meta: Mapping[str, str | int | float]) -> Network:
    """Return the network; raises ConversionError with advice where the integers break the contract."""
    populations = {layer.name: Population(layer.shape, _neuron(layer)) for layer in quantised.layers}
    projections = [p for layer in quantised.layers for p in _projections(layer)]
    outputs = tuple(q.name for q in quantised.layers if isinstance(q, QLayer) and not q.activation.fires)
    try:
        return Network(populations, projections, outputs, quantised.window, dict(meta))
    except NetworkError as error:
        advice = "fewer bits, weight decay in training, or a smaller layer help" if "accumulator" in str(error) else ""
        raise ConversionError(
            f"the converted network breaks the arithmetic contract: {error}" + (f" ({advice})." if advice else "")
        ) from error


def _neuron(layer: InputLayer | PoolLayer | QLayer) -> Neuron:
    if isinstance(layer, InputLayer):
        return layer.encoding.neuron()
    if isinstance(layer, PoolLayer):
        return MaxPool()
    return layer.activation.neuron(layer.bits, layer.code, layer.threshold, layer.bias, layer.scale)


def _projections(layer: InputLayer | PoolLayer | QLayer) -> list[Projection]:
    if isinstance(layer, PoolLayer):
        window = Window(layer.kernel, layer.stride, layer.padding, layer.dilation)
        return [Projection(layer.source, layer.name, window)]
    return [_projection(term, layer) for term in layer.terms] if isinstance(layer, QLayer) else []


def _projection(term: Term, layer: QLayer) -> Projection:
    channels = None if (term.first, term.end) == (0, layer.shape[0]) else (term.first, term.end)
    return Projection(term.source, layer.name, term.map.connection(), 0, channels)
