# SPDX-License-Identifier: Apache-2.0
"""Which tensors of a torch module are the weights of its layers, and which channels of them stand and fall together.

It is read off the converter's float graph, and by no library that walks modules: the graph sees functional calls and
weights that layers share, a network that cannot be converted is refused before hours of training, and what this file
takes for a channel is what the converter drops. The graph holds numbers, not names, so it is read of a copy with random
parameters: a weight is the one that has its numbers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikerun.converters.graph import (
    Add,
    Affine,
    Array,
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Curve,
    Final,
    Flatten,
    Graph,
    Identity,
    Input,
    Linear,
    MaxPool,
    Multiply,
    Node,
    Output,
    Ranged,
    Rearrange,
    Relu,
    Shape,
)  # fmt: skip
from spikerun.converters.pruning.plain import plain_copy
from spikerun.converters.torch.source import TorchSource

__all__ = ["Norm", "Structure", "Use", "structure_of"]

NOBODY = -1  # what stands where no channel is: zeros that pad
FIXED = 0  # what cannot be left out: samples, results, and what is computed by unknown weights
ELEMENTWISE = (Relu, Curve, Ranged, Identity, Final)


@dataclass(frozen=True)
class Norm:
    """A batch norm: names of its scale and shift, and the unit of each channel, int64 (C,)."""

    weight: str
    bias: str | None
    units: Array


@dataclass(frozen=True)
class Use:
    """A layer: a weight (out, in / groups, ...), swapped (in, out, ...), by which units are computed of others.

    units are int64, NOBODY or FIXED where nothing can be left out; outputs (out,), inputs (in,). norm: that which
    follows at once.
    """

    weight: str
    bias: str | None
    swapped: bool
    groups: int
    inputs: Array
    outputs: Array
    norm: Norm | None = None
    convolution: bool = True


@dataclass(frozen=True)
class Structure:
    """Layers and batch norms; a unit is a channel or neuron, or those of several layers that depend on each other.

    notes: layers whose weights are no parameters of their own, which are left as they are.
    """

    uses: tuple[Use, ...]
    norms: tuple[Norm, ...]
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> tuple[str, ...]:
        """Return the names of the weights, each once."""
        return tuple(dict.fromkeys(use.weight for use in self.uses))

    def families(self, convolutions: bool) -> list[Array]:
        """Return units that can be left out, sorted, those of layers that share some together; of convolutions, or not.

        Units of which a convolution is a part are channels, all others neurons.
        """
        channels = {int(u) for use in self.uses if use.convolution for u in use.outputs if u > FIXED}
        sets = [{int(u) for u in use.outputs if u > FIXED} for use in self.uses]
        joined: list[set[int]] = []
        for units in sets:
            near = [one for one in joined if one & units]
            joined = [one for one in joined if not one & units] + [units.union(*near)]
        kept = ([u for u in sorted(units) if (u in channels) == convolutions] for units in joined)
        return [np.array(units) for units in kept if units]


def structure_of(model: nn.Module, shapes: Mapping[str, Shape]) -> Structure:
    """Return the structure of a module for samples of these shapes; raises ConversionError as converting it does."""
    probe = plain_copy(model).cpu()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in probe.parameters():
            parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
    return _Walk(probe, TorchSource(probe).graph(shapes)).structure()


class _Walk:
    """Goes through a graph and finds the unit of every value."""

    def __init__(self, model: nn.Module, graph: Graph) -> None:
        self.model, self.graph = model, graph
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.known = dict(_signed(model))
        self.parents = [FIXED]
        self.units: dict[str, Array] = {}
        self.uses: list[tuple[Use, str]] = []
        self.norms: dict[str, Norm] = {}
        self.notes: list[str] = []
        self.seen: dict[str, Use] = {}

    def structure(self) -> Structure:
        for node in self.graph.nodes.values():
            self.units[node.name] = self._units(node, [self.units[name] for name in node.inputs])
        roots = self._roots()
        norms = {name: Norm(n.weight, n.bias, roots(n.units)) for name, n in self.norms.items()}
        consumers = self.graph.consumers()
        uses = []
        for use, name in self.uses:
            readers = consumers[name]
            norm = norms.get(readers[0]) if len(readers) == 1 else None
            parts = use.weight, use.bias, use.swapped, use.groups, roots(use.inputs), roots(use.outputs)
            uses.append(Use(*parts, norm, use.convolution))
        return Structure(tuple(uses), tuple(norms.values()), tuple(dict.fromkeys(self.notes)))

    def _units(self, node: Node, given: list[Array]) -> Array:
        """Return the unit of each number of a node's result, int64 of its shape."""
        op = node.op
        if isinstance(op, Input):
            return np.full(node.shape, FIXED)
        if isinstance(op, Output):
            self._fix(given[0])
            return given[0]
        if isinstance(op, Flatten):
            return given[0].reshape(-1)
        if isinstance(op, Rearrange):
            return np.where(op.index < 0, NOBODY, given[0].reshape(-1)[op.index])
        if isinstance(op, Concat):
            return np.concatenate(given)
        if isinstance(op, Add | Multiply):
            return self._join(*given)
        if isinstance(op, ELEMENTWISE):
            return given[0]
        if isinstance(op, Affine):
            return self._affine(node, given[0])
        if isinstance(op, MaxPool | AvgPool):
            return self._spread(self._channels(given[0]), node.shape)
        if isinstance(op, Linear | Conv | ConvTranspose):
            return self._layer(node, given[0])
        self._fix(*given)
        return np.full(node.shape, FIXED)

    def _affine(self, node: Node, given: Array) -> Array:
        module = self.model.get_submodule(node.origin.module)
        if isinstance(module, _BatchNorm) and module.weight is not None:
            bias = None if module.bias is None else self.names[id(module.bias)]
            self.norms[node.name] = Norm(self.names[id(module.weight)], bias, self._channels(given))
        return given

    def _layer(self, node: Node, given: Array) -> Array:
        op = node.op
        assert isinstance(op, Linear | Conv | ConvTranspose)
        groups = 1 if isinstance(op, Linear) else op.groups
        inputs = given if isinstance(op, Linear) else self._channels(given)
        each = len(inputs) == groups
        found = self.known.get(_sign(op.weight))
        if found is None or (isinstance(op, ConvTranspose) and groups > 1):
            return self._foreign(node, inputs, each and groups > 1)
        name, turned = found
        swapped = turned != isinstance(op, ConvTranspose)
        if each and groups > 1:
            outputs = np.repeat(inputs, node.shape[0] // groups)  # its channels fall with those that they read
        else:
            outputs = np.arange(len(self.parents), len(self.parents) + node.shape[0])
            self.parents += outputs.tolist()
        bias = next(
            (n for n, p in self.model.named_parameters() if p.ndim == 1 and _sign(_numbers(p)) == _sign(op.bias)), None
        )
        convolution = not isinstance(op, Linear) and self.model.get_parameter(name).ndim > 2
        use = Use(name, bias, swapped, groups, inputs, outputs, None, convolution)
        before = self.seen.setdefault(name, use)
        if before is not use:  # one weight, so what is masked in one place is masked in the other
            mine = (inputs, outputs) if swapped == before.swapped else (outputs, inputs)
            self._join(before.inputs, mine[0])
            self._join(before.outputs, mine[1])
        self.uses.append((use, node.name))
        return self._spread(outputs, node.shape)

    def _foreign(self, node: Node, inputs: Array, each: bool) -> Array:
        """Return the units of a layer whose weights are no parameters; one of each channel alone leaves them."""
        if isinstance(node.op, Conv) and each and node.shape[0] == len(inputs):
            return self._spread(inputs, node.shape)
        if node.op.weight.size > 1 and node.op.own != 0:  # type: ignore[attr-defined]
            self.notes.append(f"not pruned, for its weights are no parameter of their own: {node.origin}")
        self._fix(inputs)
        return np.full(node.shape, FIXED)

    def _channels(self, units: Array) -> Array:
        """Return the unit of each channel (C,), all within a channel being joined."""
        flat = units.reshape(len(units), -1)
        found: Array = flat.max(axis=1)
        self._join(flat, np.broadcast_to(found[:, None], flat.shape))
        return found

    def _spread(self, units: Array, shape: Shape) -> Array:
        whole: Array = np.broadcast_to(units.reshape(-1, *(1,) * (len(shape) - 1)), shape)
        return whole

    def _fix(self, *units: Array) -> None:
        for one in units:
            self._join(one, np.full(one.shape, FIXED))

    def _join(self, first: Array, second: Array) -> Array:
        """Join units place by place, and return them."""
        pairs = np.unique(np.stack([first.reshape(-1), second.reshape(-1)]), axis=1)
        for a, b in pairs[:, (pairs >= 0).all(axis=0)].T.tolist():
            low, high = sorted((self._root(a), self._root(b)))
            self.parents[high] = low
        joined: Array = np.maximum(first, second)
        return joined

    def _root(self, unit: int) -> int:
        while self.parents[unit] != unit:
            self.parents[unit] = self.parents[self.parents[unit]]
            unit = self.parents[unit]
        return unit

    def _roots(self) -> Any:
        table = np.array([self._root(unit) for unit in range(len(self.parents))] + [NOBODY])
        return lambda units: table[units]


def _signed(model: nn.Module) -> Iterator[tuple[bytes, tuple[str, bool]]]:
    """Yield the sign of every weight with its name, and whether it is that of the transposed."""
    for name, parameter in model.named_parameters():
        values = _numbers(parameter)
        if values.ndim > 1:
            yield _sign(values), (name, False)
        if values.ndim == 2:
            yield _sign(values.T), (name, True)


def _numbers(parameter: torch.Tensor) -> Array:
    values: Array = parameter.detach().double().numpy()
    return values


def _sign(values: Array) -> bytes:
    """Return a hash of numbers in their order, without the zeros with which kernels are widened."""
    flat = values.astype(np.float64).reshape(-1)
    return sha256(flat[flat != 0].tobytes()).digest()
