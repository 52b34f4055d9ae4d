# SPDX-License-Identifier: Apache-2.0
"""The network regrouped by populations: inputs, pools, and sums of maps of coded values with a bias and an activation.

`Layer` is in real numbers; in integers it is `spikerun.converters.quantise.QLayer`. One walk serves all of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from spikerun.connections import Window
from spikerun.converters import forward
from spikerun.converters.activations import Activation
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Array, Origin, Pair, Shape
from spikerun.converters.maps import Term
from spikerun.neurons import MaxPool, Neuron
from spikerun.population import Projection

__all__ = ["InputLayer", "Layer", "Layers", "PoolLayer", "Summing", "walk"]


@dataclass(frozen=True)
class InputLayer:
    """The samples: integers, and what they stand for."""

    name: str
    shape: Shape
    encoding: Encoding

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the layers that it reads: none."""
        return ()

    def neuron(self) -> Neuron:
        """Return the kind of its population."""
        return self.encoding.neuron()

    def projections(self) -> list[Projection]:
        """Return the projections into its population: none."""
        return []


@dataclass(frozen=True)
class PoolLayer:
    """The largest word of each window of `source`."""

    name: str
    shape: Shape
    source: str
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the layer that it reads."""
        return (self.source,)

    def pooled(self, values: Mapping[str, Array]) -> Array:
        """Return its values from those of its source."""
        return forward.max_pool(values[self.source], self.kernel, self.stride, self.padding, self.dilation)

    def neuron(self) -> Neuron:
        """Return the kind of its population."""
        return MaxPool()

    def projections(self) -> list[Projection]:
        """Return the projection into its population."""
        window = Window(self.kernel, self.stride, self.padding, self.dilation)
        return [Projection(self.source, self.name, window)]


@dataclass(frozen=True, eq=False)
class Summing:
    """What layers of sums share, in real numbers or in integers."""

    name: str
    shape: Shape
    terms: tuple[Term, ...]
    bias: Array
    activation: Activation

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the layers that it reads."""
        return tuple(term.source for term in self.terms)


@dataclass(frozen=True, eq=False)
class Layer(Summing):
    """Neurons in real numbers: activation of `sum of terms + bias`; bias is of `shape`.

    origins: the operators of the model that it computes.
    """

    origins: tuple[Origin, ...] = ()


S = TypeVar("S", bound=Summing)


@dataclass(frozen=True)
class Layers:
    """Layers in order, readouts last."""

    every: tuple[InputLayer | PoolLayer | Layer, ...]

    @property
    def inputs(self) -> tuple[InputLayer, ...]:
        """Return the inputs."""
        return tuple(layer for layer in self.every if isinstance(layer, InputLayer))

    @property
    def sums(self) -> tuple[Layer, ...]:
        """Return the layers of sums."""
        return tuple(layer for layer in self.every if isinstance(layer, Layer))

    @property
    def outputs(self) -> tuple[Layer, ...]:
        """Return the readouts."""
        return tuple(layer for layer in self.sums if not layer.activation.fires)

    def passing(self, name: str) -> tuple[PoolLayer, ...]:
        """Return the pools that pass on what the layer `name` sends, in order."""
        reached, found = {name}, []
        for layer in self.every:
            if isinstance(layer, PoolLayer) and layer.source in reached:
                reached.add(layer.name)
                found.append(layer)
        return tuple(found)


def walk(
    layers: Sequence[InputLayer | PoolLayer | S],
    given: Mapping[str, Array],
    compute: Callable[[S, Mapping[str, Array]], Array],
) -> Iterator[tuple[InputLayer | PoolLayer | S, Array]]:
    """Yield each layer with its values (batch, *shape): those of inputs are `given`, those of sums are computed.

    Values are dropped when no later layer reads them.
    """
    last = {source: index for index, layer in enumerate(layers) for source in layer.sources}
    values = dict(given)
    for index, layer in enumerate(layers):
        if isinstance(layer, PoolLayer):
            values[layer.name] = layer.pooled(values)
        elif not isinstance(layer, InputLayer):
            values[layer.name] = compute(layer, values)
        yield layer, values[layer.name]
        for name in {layer.name, *layer.sources}:
            if last.get(name, index) <= index:
                del values[name]
