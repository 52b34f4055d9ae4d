# SPDX-License-Identifier: Apache-2.0
"""The quantised layers become a network: populations, projections, and what is worth knowing about them."""

from collections.abc import Mapping

from spikerun.converters.layers import InputLayer, PoolLayer, RelayLayer
from spikerun.converters.quantise import QLayer, Quantised
from spikerun.errors import ConversionError, NetworkError
from spikerun.network import Network, Population
from spikerun.neurons import Neuron

__all__ = ["build"]


def build(quantised: Quantised, meta: Mapping[str, str | int | float]) -> Network:
    """Return the network; raises ConversionError with advice where the integers break the contract."""
    populations = {layer.name: Population(layer.shape, _neuron(layer)) for layer in quantised.layers}
    projections = [p for layer in quantised.layers for p in layer.projections()]
    outputs = tuple(name for name, population in populations.items() if not population.neuron.fires)
    try:
        return Network(populations, projections, outputs, quantised.window, dict(meta))
    except NetworkError as error:
        advice = "fewer bits, weight decay in training, or a smaller layer help" if "accumulator" in str(error) else ""
        raise ConversionError(
            f"the converted network breaks the arithmetic contract: {error}" + (f" ({advice})." if advice else "")
        ) from error


def _neuron(layer: InputLayer | PoolLayer | RelayLayer | QLayer) -> Neuron:
    try:
        return layer.neuron()
    except ConversionError as error:
        raise ConversionError(f"population '{layer.name}': {error}") from error
