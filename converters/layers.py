# SPDX-License-Identifier: Apache-2.0
"""The network regrouped by populations: inputs, pools, and sums of maps of coded values with a bias and an activation.

`Layer` is in real numbers; in integers it is `spikerun.converters.quantise.QLayer`. One walk serves all of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from spikerun.connections import Window
from spikerun.converters import forward
from spikerun.converters.activations import Activation, Grid
from spikerun.converters.encoding import Encoding
from spikerun.converters.forward import spread
from spikerun.converters.graph import Array, Origin, Pair, Shape
from spikerun.converters.maps import Term, accumulate
from spikerun.converters.sparse_map import SparseMap
from spikerun.neurons import FewSpikes, MaxPool, Neuron
from spikerun.population import Projection

__all__ = ["InputLayer", "Layer", "Layers", "PoolLayer", "RelayLayer", "Summing", "walk"]


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

    def grid(self, grids: Mapping[str, Grid]) -> Grid:
        """Return what its words stand for, from what those of its source do."""
        return grids[self.source]

    def word(self, words: Mapping[str, tuple[int, str]]) -> tuple[int, str]:
        """Return (bits, code) of its words, from those of its source."""
        return words[self.source]


@dataclass(frozen=True, eq=False)
class RelayLayer:
    """Words of other populations, copied to other places, for readers that cannot take them where they are.

    terms: sparse maps with weights of 1, of which at most one reaches a place. lowest: bool (*shape), places that no
    term reaches and that hold the smallest word of all, as a max pool needs it outside its image; None: there are none.
    Other places that none reaches hold the word of 0.
    bits, code: of its words, which are those of its sources (0 while these have none yet); zero: int64 (C,), the words
    of 0, while its values are words. exponent: copies count 2^exponent times, and so does the threshold.
    """

    name: str
    shape: Shape
    terms: tuple[Term, ...]
    signed: bool
    lowest: Array | None = None
    bits: int = 0
    code: str = ""
    zero: Array | None = None
    exponent: int = 0

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the layers that it reads."""
        return tuple(term.source for term in self.terms)

    @property
    def holds_zero(self) -> bool:
        """Return whether some place holds the word of 0, which its sources must have."""
        empty = ~self._reached() if self.lowest is None else ~self._reached() & ~self.lowest
        return bool(empty.any())

    def _reached(self) -> Array:
        """Return at which places a term puts a word, bool (*shape)."""
        reached = np.zeros(self.shape, dtype=bool)
        for term in self.terms:
            assert isinstance(term.map, SparseMap)
            reached[term.first : term.end] |= term.map.weight[..., 0] != 0
        return reached

    def pooled(self, values: Mapping[str, Array]) -> Array:
        """Return its values from those of its sources; one that has none gives nothing."""
        total = accumulate([term for term in self.terms if term.source in values], values, self.shape)
        total += self._held().astype(total.dtype)
        return total

    def _held(self) -> Array:
        """Return what places hold that no term reaches, 0 elsewhere, (*shape) float64."""
        held = np.zeros(self.shape)
        if self.zero is not None and self.zero.any():
            held += spread(self.zero, self.shape)
            held[self._reached()] = 0
        if self.lowest is not None:
            words = -(2 ** (self.bits - 1)) if self.signed else 0
            held[self.lowest] = -np.inf if self.zero is None else words
        return held

    def grid(self, grids: Mapping[str, Grid]) -> Grid:
        """Return what its words stand for, from what those of its sources do.

        The step of a channel that none reaches is 0, so that no weight of it makes others small.
        """
        step, zero = np.zeros(self.shape[0]), np.zeros(self.shape[0], np.int64)
        for term in self.terms:
            if term.source in grids:
                assert isinstance(term.map, SparseMap)
                used, source = term.map.sources(len(grids[term.source].step))
                part = slice(term.first, term.end)
                step[part] = np.where(used, grids[term.source].step[source], step[part])
                zero[part] = np.where(used, grids[term.source].zero[source], zero[part])
        return Grid(step, zero)

    def with_zeros(self, grid: Grid) -> "RelayLayer":
        """Return it for words, of which those of 0 are as its own grid has them."""
        return replace(self, zero=grid.zero)

    def with_words(self, words: Mapping[str, tuple[int, str]], grids: Mapping[str, Grid]) -> "RelayLayer":
        """Return it for words that hold those of its sources, (bits, code) by name, with their grids."""
        bits, code = self.word(words)
        return replace(self.with_zeros(self.grid(grids)), bits=bits, code=code)

    def word(self, words: Mapping[str, tuple[int, str]]) -> tuple[int, str]:
        """Return (bits, code) that hold those of its sources, by name."""
        found = [words[name] for name in self.sources]
        codes = {code for _, code in found}
        code = codes.pop() if len(codes) == 1 else "graded" if "graded" in codes else "bits"
        return max(bits for bits, _ in found), code

    def neuron(self) -> Neuron:
        """Return the kind of its population."""
        unit = 2**self.exponent
        held = self._held().astype(np.int32) * unit
        bias = held if held.any() else np.zeros((), np.int32)
        return FewSpikes(self.bits, np.array(unit, np.int32), bias, self.signed, None, self.code)

    def projections(self) -> list[Projection]:
        """Return the projections into its population, one for each term."""
        ones = np.ones(self.shape[0])
        terms = (replace(term.rounded(ones), exponent=self.exponent) for term in self.terms)
        return [term.projection(self.name, self.shape) for term in terms]


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

    origins: the operators of the model that it computes. together: its words have one step size in all channels,
    because a relay mixes them.
    """

    origins: tuple[Origin, ...] = ()
    together: bool = False


S = TypeVar("S", bound=Summing)


@dataclass(frozen=True)
class Layers:
    """Layers in order, readouts last."""

    every: tuple[InputLayer | PoolLayer | RelayLayer | Layer, ...]

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

    def alike(self, names: Iterable[str]) -> "Layers":
        """Return the layers, of which these have one step size in all their channels."""
        chosen = set(names)
        every = (replace(x, together=True) if isinstance(x, Layer) and x.name in chosen else x for x in self.every)
        return Layers(tuple(every))

    def holding_zero(self) -> "Layers":
        """Return the layers, of which those whose words a relay copies beside words of 0 have a word of 0."""
        relays = {layer.name for layer in self.every if isinstance(layer, RelayLayer) and layer.holds_zero}
        every = (
            replace(x, activation=x.activation.holding_zero())
            if isinstance(x, Layer) and any(one.name in relays for one in self.passing(x.name))
            else x
            for x in self.every
        )
        return Layers(tuple(every)) if relays else self

    def input_bits(self, name: str) -> int:
        """Return the bits of the widest input that the layer `name` is, or passes on; 0 if it is none."""
        passed = {layer.name: layer.sources for layer in self.every if isinstance(layer, PoolLayer | RelayLayer)}
        if name in passed:
            return max(map(self.input_bits, passed[name]))
        return next((layer.encoding.bits for layer in self.inputs if layer.name == name), 0)

    def passing(self, name: str) -> tuple[PoolLayer | RelayLayer, ...]:
        """Return the pools and relays that pass on what the layer `name` sends, in order."""
        reached: set[str] = {name}
        found: list[PoolLayer | RelayLayer] = []
        for layer in self.every:
            if isinstance(layer, PoolLayer | RelayLayer) and reached.intersection(layer.sources):
                reached.add(layer.name)
                found.append(layer)
        return tuple(found)


def walk(
    layers: Sequence[InputLayer | PoolLayer | RelayLayer | S],
    given: Mapping[str, Array],
    compute: Callable[[S, Mapping[str, Array]], Array],
) -> Iterator[tuple[InputLayer | PoolLayer | RelayLayer | S, Array]]:
    """Yield each layer with its values (batch, *shape): those of inputs are `given`, those of sums are computed.

    Signals may be given as (batch, C, L) where the input is (C, 1, L). Values are dropped when no later layer reads
    them.
    """
    last = {source: index for index, layer in enumerate(layers) for source in layer.sources}
    values = dict(given)
    for index, layer in enumerate(layers):
        if isinstance(layer, PoolLayer | RelayLayer):
            values[layer.name] = layer.pooled(values)
        elif isinstance(layer, InputLayer):
            values[layer.name] = values[layer.name].reshape(-1, *layer.shape)
        else:
            values[layer.name] = compute(layer, values)
        yield layer, values[layer.name]
        for name in {layer.name, *layer.sources}:
            if last.get(name, index) <= index:
                del values[name]
