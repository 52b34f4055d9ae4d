# SPDX-License-Identifier: Apache-2.0
"""The float graph that an importer reads from a trained network: operators, NumPy arrays, no framework.

Shapes leave out the batch axis. An operator knows what it computes, so that a graph can be held against its model.
Operators of images take signals (C, L) as images of height 1, and give signals. Every node keeps where it came from,
so that any later message can name the line.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.converters import forward

__all__ = [
    "RANGE",
    "Add",
    "Affine",
    "Array",
    "AvgPool",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Curve",
    "Final",
    "Flatten",
    "Graph",
    "Identity",
    "Input",
    "Linear",
    "MaxPool",
    "Multiply",
    "Node",
    "Op",
    "Origin",
    "Output",
    "Pair",
    "Ranged",
    "Rearrange",
    "Relu",
    "Shape",
]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Pair = tuple[int, int]
RANGE = "range"  # the name of the curve that is a range alone


@dataclass(frozen=True)
class Origin:
    """Where an operator stands in the user's model."""

    operator: str = ""  # as the framework calls it
    module: str = ""  # dotted path of the module, empty for the model itself
    line: str = ""  # file:line
    code: str = ""  # the source line
    kind: str = ""  # the class of the module

    def __bool__(self) -> bool:
        return bool(self.operator)

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        kind = f" ({self.kind})" if self.kind else ""
        inside = f" in module '{self.module}'{kind}" if self.module else ""
        code = f": {self.code}" if self.code else ""
        return f"{self.operator}{inside}{at}{code}"


class Op:
    """Base of the operators."""

    def apply(self, *x: Array) -> Array:
        """Return what it computes of batches (batch, *shape)."""
        raise NotImplementedError

    def macs(self, shape: Shape, source: Shape) -> int:
        """Return its multiplications by weights for a result of `shape` from a value of shape `source`."""
        return 0


@dataclass(frozen=True)
class Input(Op):
    """The samples `name`, as the model's forward takes them."""

    name: str = "input"


@dataclass(frozen=True)
class Output(Op):
    """The result `name`."""

    name: str = "output"

    def apply(self, *x: Array) -> Array:
        return x[0]


@dataclass(frozen=True, eq=False)
class Linear(Op):
    """y = W x + b; weight (out, in), bias (out,). own: as of `Conv`."""

    weight: Array
    bias: Array
    own: int | None = None

    def apply(self, *x: Array) -> Array:
        return forward.linear(x[0], self.weight) + self.bias

    def macs(self, shape: Shape, source: Shape) -> int:
        return math.prod(shape) * _own(self.own, self.weight)


@dataclass(frozen=True, eq=False)
class Conv(Op):
    """Two-dimensional cross-correlation with zero padding; weight (out, in / groups, kh, kw), bias (out,).

    own: by how many weights of the model each result is computed: fewer than the kernel holds where the importer has
    widened it, none where it wrote a mean or sum so. None: all are.
    """

    weight: Array
    bias: Array
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    own: int | None = None

    def apply(self, *x: Array) -> Array:
        y = forward.conv(x[0], self.weight, self.stride, self.padding, self.dilation, self.groups)
        return y + forward.spread(self.bias, y.shape[1:])

    def macs(self, shape: Shape, source: Shape) -> int:
        return math.prod(shape) * _own(self.own, self.weight)


def _own(said: int | None, weight: Array) -> int:
    """Return how many weights of the model each result is computed by."""
    return math.prod(weight.shape[1:]) if said is None else said


@dataclass(frozen=True, eq=False)
class ConvTranspose(Op):
    """Transposed convolution: every value adds its share of the kernel; weight (in, out / groups, kh, kw), bias (out,).

    padding: rows and columns cut from the result on all sides, output_padding: added to it again at the ends.
    """

    weight: Array
    bias: Array
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def apply(self, *x: Array) -> Array:
        y = forward.conv_transpose(
            x[0], self.weight, self.stride, self.padding, self.output_padding, self.dilation, self.groups
        )
        return y + forward.spread(self.bias, y.shape[1:])

    def macs(self, shape: Shape, source: Shape) -> int:
        return math.prod(source) * math.prod(self.weight.shape[1:])


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """y = scale x + shift: batch norm as it acts after training, constants that are added or multiplied.

    scale, shift: one for each channel (the first axis), (C,); or one for each value, of the value's full shape.
    """

    scale: Array
    shift: Array

    def apply(self, *x: Array) -> Array:
        scale, shift = (forward.spread(values, x[0].shape[1:]) for values in (self.scale, self.shift))
        return x[0] * scale + shift


@dataclass(frozen=True)
class Relu(Op):
    """y = min(max(x, 0), bound).

    given: the bound is the range that a quantised model has chosen for its words.
    """

    bound: float = inf
    given: bool = False

    def apply(self, *x: Array) -> Array:
        return np.clip(x[0], 0, self.bound)


@dataclass(frozen=True)
class Ranged(Op):
    """The same value, and what words of 8 bits stand for it in a quantised model: step * (word - zero).

    name: of the node that says so, which many may take over.
    """

    step: float
    zero: int
    name: str = field(default="", compare=False)

    def apply(self, *x: Array) -> Array:
        return x[0]


@dataclass(frozen=True, eq=False)
class Curve(Op):
    """A function of each value alone: an activation, or what several operators of one value compute together.

    function: of batches (batch, C, ...), in the dtype of the batch; it may differ between channels, not within one.
    alike: it is the same for all channels. given: what words stand for it, where a quantised model says so.
    """

    name: str  # as people call it, such as `silu`
    function: Callable[[Array], Array]
    alike: bool = True
    given: Ranged | None = None

    def apply(self, *x: Array) -> Array:
        with np.errstate(all="ignore"):  # what is not a number is met by those who use it
            return self.function(x[0])


@dataclass(frozen=True)
class Multiply(Op):
    """Product of two computed values: only what `simplify` finds to be a curve of one value can be converted."""

    def apply(self, *x: Array) -> Array:
        return x[0] * x[1]


@dataclass(frozen=True, eq=False)
class Final(Op):
    """What only the last operator of a network may be, for there it is left out: a softmax, say.

    function: of batches (batch, *shape).
    """

    name: str
    function: Callable[[Array], Array]

    def apply(self, *x: Array) -> Array:
        return self.function(x[0])


@dataclass(frozen=True)
class AvgPool(Op):
    """Sum over windows divided by `divisor`, zeros outside."""

    kernel: Pair
    stride: Pair
    padding: Pair
    divisor: float

    def apply(self, *x: Array) -> Array:
        return forward.sum_pool(x[0], self.kernel, self.stride, self.padding) / self.divisor


@dataclass(frozen=True)
class MaxPool(Op):
    """Largest value of each window; outside counts as minus infinity."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def apply(self, *x: Array) -> Array:
        return forward.max_pool(x[0], self.kernel, self.stride, self.padding, self.dilation)


@dataclass(frozen=True)
class Flatten(Op):
    """All axes but the batch become one, C order."""

    def apply(self, *x: Array) -> Array:
        return x[0].reshape(len(x[0]), -1)


@dataclass(frozen=True, eq=False)
class Rearrange(Op):
    """Each place takes one value, or `fill`: upsampling, shuffling, slicing, padding with a constant, transposing.

    index: int64 of the result's shape, places of the value read in C order; -1 where `fill` stands.
    """

    index: Array
    fill: float = 0.0

    def apply(self, *x: Array) -> Array:
        flat = x[0].reshape(len(x[0]), -1)
        return np.where(self.index < 0, flat.dtype.type(self.fill), flat[:, self.index])


@dataclass(frozen=True)
class Add(Op):
    """Sum of two values of one shape."""

    def apply(self, *x: Array) -> Array:
        return x[0] + x[1]


@dataclass(frozen=True)
class Concat(Op):
    """Values one after the other along the channels (the first axis)."""

    def apply(self, *x: Array) -> Array:
        return np.concatenate(x, axis=1)


@dataclass(frozen=True)
class Identity(Op):
    """The same value: dropout, clone."""

    def apply(self, *x: Array) -> Array:
        return x[0]


@dataclass(frozen=True, eq=False)
class Node:
    """An operator applied to the values of other nodes."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    shape: Shape
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which each comes after its inputs; those of `Input` and `Output` bear the names outside.

    notes: what the importer left out of the model, or read otherwise than it stands there; the report repeats them.
    """

    nodes: dict[str, Node]
    notes: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of the inputs."""
        return tuple(node.op.name for node in self.nodes.values() if isinstance(node.op, Input))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of the results."""
        return tuple(node.op.name for node in self.nodes.values() if isinstance(node.op, Output))

    def consumers(self) -> dict[str, list[str]]:
        """Return, for each node, the nodes that take its value (once for each time they take it)."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for name in node.inputs:
                found[name].append(node.name)
        return found

    def live(self) -> "Graph":
        """Return the graph without what no result needs; inputs stay."""
        wanted = {node.name for node in self.nodes.values() if isinstance(node.op, Output)}
        for node in reversed(self.nodes.values()):
            if node.name in wanted:
                wanted.update(node.inputs)
        kept = {name: node for name, node in self.nodes.items() if name in wanted or isinstance(node.op, Input)}
        return replace(self, nodes=kept)

    def macs(self) -> int:
        """Return the MACs of one forward pass: all multiplications by weights, padding counted, as profilers do.

        Those of the model as it was read: pools, means, sums, batch norms, activations, what moves values, and taps
        that only the importer added have none.
        """
        nodes = self.nodes
        return sum(node.op.macs(node.shape, nodes[node.inputs[0]].shape) for node in nodes.values() if node.inputs)

    def evaluate(self, samples: Mapping[str, Array]) -> dict[str, Array]:
        """Return the results by name for real samples by the names of the inputs, batches (batch, *shape)."""
        values: dict[str, Array] = {}
        for node in self.nodes.values():
            given = (values[name] for name in node.inputs)
            if isinstance(node.op, Input):
                values[node.name] = samples[node.op.name].reshape(-1, *node.shape)
            else:
                values[node.name] = node.op.apply(*given)
        return {node.op.name: values[node.name] for node in self.nodes.values() if isinstance(node.op, Output)}
