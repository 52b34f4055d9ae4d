# SPDX-License-Identifier: Apache-2.0
"""The populations that a walk through a graph has made so far: layers, names, signs, and relays of words."""

import re
from dataclasses import replace

import numpy as np

from spikerun.converters import forward
from spikerun.converters.activations import Activation, Positive, Signed
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Array, MaxPool, Node, Origin, Shape
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer, RelayLayer
from spikerun.converters.maps import ChannelMap, Term
from spikerun.converters.parts import Coded, Form, Part, copied
from spikerun.converters.relays import Relays, copies
from spikerun.converters.sparse_map import SparseMap

__all__ = ["Populations"]

WEIGHTED = ("conv", "linear", "addmm", "gemm", "matmul")  # in the names of operators that have weights
NAME_LENGTH = 80  # of a population; a number may follow


class Populations:
    """Layers in the order in which they are made; `taken`: names that none may have any more."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._layers: list[InputLayer | PoolLayer | RelayLayer | Layer] = []
        self._signed: dict[str, bool] = {}  # whether words are two's complement
        self._negative: dict[str, bool] = {}  # whether what they stand for may be below 0
        self._relays = Relays()
        self._movers: dict[tuple[object, ...], str] = {}  # relays and pools by what they do: one serves all alike

    def layers(self) -> Layers:
        """Return all of them."""
        return Layers(tuple(self._layers)).alike(self._relays.alike).holding_zero()

    def input(self, name: str, shape: Shape, encoding: Encoding) -> Form:
        """Add the samples, and return what they stand for."""
        self._layers.append(InputLayer(name, shape, encoding))
        self._signed[name] = self._negative[name] = encoding.signed
        self._relays.input(name, shape[0], encoding.bits)
        gain, shift = encoding.gain(shape[0]), encoding.shift(shape[0])
        bias = np.zeros(shape) + forward.spread(shift, shape)
        term = Term(name, shape, shape, ChannelMap(gain), 0, shape[0])
        return Form(shape, (term,), bias, bool((bias >= 0).all()) and not encoding.signed)

    def pool(self, source: str, shape: Shape, op: MaxPool, node: Node) -> Coded:
        """Return a max pool of the words of `source`, which is made where there is none."""
        key = source, shape, op
        if key not in self._movers:
            name = self._movers[key] = self.named((), f"{source}_{node.name}")
            self._layers.append(PoolLayer(name, shape, source, op.kernel, op.stride, op.padding, op.dilation))
            self._signed[name], self._negative[name] = self._signed[source], self._negative[source]
            self._relays.same(name, source)
        name = self._movers[key]
        return Coded(name, shape, shape, self._negative[source])

    def named(self, origins: tuple[Origin, ...], fallback: str) -> str:
        """Return a name of a population that is free: the module's, in letters that names may have."""
        modules = [o.module for o in origins if o.module and any(w in o.operator.lower() for w in WEIGHTED)]
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", modules[-1] if modules else fallback)[-NAME_LENGTH:]
        name = name if re.match("[A-Za-z_]", name) else f"m{name}"
        unique, count = name, 2
        while unique in self._taken:
            unique, count = f"{name}_{count}", count + 1
        self._taken.add(unique)
        return unique

    def add(self, name: str, form: Form, activation: Activation) -> Coded:
        """Add neurons that compute an activation of a form, and return their words."""
        shape, terms = form.shape, form.terms
        if len(shape) == 1 and any(term.image for term in terms):  # one pixel was flattened
            if any(term.map.light and not term.image for term in terms):  # beside single neurons at their places
                terms = tuple(term.flat() for term in terms)
            else:
                shape = (shape[0], 1, 1)  # its neurons are still those of an image
        terms = self._relayed(terms, form, name)
        self._layers.append(Layer(name, shape, terms, form.bias.reshape(shape), activation, form.origins))
        self._signed[name], self._negative[name] = activation.signed, activation.negative
        self._relays.own(name, shape[0])
        return Coded(name, shape, form.shape, activation.negative)

    def coded(self, part: Part, node: Node) -> Coded:
        """Return the part as words of a population, which is made where there is none."""
        if isinstance(part, Coded):
            return part
        name = self.named(part.origins, part.name or node.name)
        return self.add(name, part, Positive() if part.positive else Signed())

    def _relayed(self, terms: tuple[Term, ...], form: Form, name: str) -> tuple[Term, ...]:
        """Return terms in which words that come to other places beside other sums are copied there by a relay.

        A sparse map has int8 weights, which beside those of other maps would leave few bits to a gain.
        """
        if len(terms) == 1:
            return terms
        found = []
        for term in terms:
            beside = any(t is not term and t.first < term.end and term.first < t.end for t in terms)
            if beside and isinstance(term.map, SparseMap):
                shape = (term.end - term.first, *form.shape[1:])
                alone = Form(shape, (term.moved(-term.first),), np.zeros(shape), False)
                relay = self.relay(alone, f"{name}_moved")
                term = term if relay is None else relay.form().terms[0].moved(term.first)
            found.append(term)
        return tuple(found)

    def ready(self, part: Part, node: Node) -> Part:
        """Return the part such that its words are at their own places: copied by a relay, or those of a population."""
        if isinstance(part, Coded):
            return part
        return self.relay(part, part.name or node.name) or self.coded(part, node)

    def relay(self, form: Form, fallback: str, lowest: Array | None = None) -> Part | None:
        """Return the form of words that a relay copies to their places; None where the form is more than that."""
        found = copied(form)
        if found is None:
            return None
        terms, gain = found
        signs = {self._signed[term.source] for term in terms}
        if len(signs) > 1 or not self._relays.can(terms, form.shape):
            return None
        signed, key = signs.pop(), copies(terms, form.shape, lowest)
        if key not in self._movers:
            name = self._movers[key] = self.named((), fallback)
            self._layers.append(RelayLayer(name, form.shape, terms, signed, lowest))
            self._signed[name], self._negative[name] = signed, any(self._negative[term.source] for term in terms)
            self._relays.copy(name, terms, form.shape)
        name = self._movers[key]
        if not form.bias.any() and (gain == 1).all():
            return Coded(name, form.shape, form.shape, self._negative[name])
        return replace(form, terms=(Term(name, form.shape, form.shape, ChannelMap(gain), 0, form.shape[0]),))
