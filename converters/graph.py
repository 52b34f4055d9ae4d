"""The float graph that a front end reads from a trained network: operators, NumPy arrays, no framework.

Shapes leave out the batch axis. Every node keeps where it came from, so that any later message can name the line.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Add",
    "Affine",
    "Array",
    "AvgPool",
    "Concat",
    "Conv",
    "Flatten",
    "Graph",
    "Identity",
    "Input",
    "Linear",
    "MaxPool",
    "Node",
    "Op",
    "Origin",
    "Pair",
    "Relu",
    "Shape",
]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Origin:
    """Where an operator stands in the user's model."""

    operator: str = ""  # as the framework calls it
    module: str = ""  # dotted path of the module, empty for the model itself
    line: str = ""  # file:line
    code: str = ""  # the source line

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        inside = f" in module '{self.module}'" if self.module else ""
        code = f": {self.code}" if self.code else ""
        return f"{self.operator}{inside}{at}{code}"


class Op:
    """Base of the operators."""


@dataclass(frozen=True)
class Input(Op):
    """The samples, as the model's forward takes them."""


@dataclass(frozen=True, eq=False)
class Linear(Op):
    """y = W x + b; weight (out, in), bias (out,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True, eq=False)
class Conv(Op):
    """Two-dimensional cross-correlation with zero padding; weight (out, in / groups, kh, kw), bias (out,)."""

    weight: Array
    bias: Array
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """y = scale x + shift for each channel (the first axis): batch norm as it acts after training."""

    scale: Array
    shift: Array


@dataclass(frozen=True)
class Relu(Op):
    """y = min(max(x, 0), bound)."""

    bound: float = inf


@dataclass(frozen=True)
class AvgPool(Op):
    """Sum over windows divided by `divisor`, zeros outside."""

    kernel: Pair
    stride: Pair
    padding: Pair
    divisor: float


@dataclass(frozen=True)
class MaxPool(Op):
    """Largest value of each window; outside counts as minus infinity."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair


@dataclass(frozen=True)
class Flatten(Op):
    """All axes but the batch become one, C order."""


@dataclass(frozen=True)
class Add(Op):
    """Sum of two values of one shape."""


@dataclass(frozen=True)
class Concat(Op):
    """Values one after the other along the channels (the first axis)."""


@dataclass(frozen=True)
class Identity(Op):
    """The same value: dropout, clone."""


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
    """Nodes in an order in which each comes after its inputs."""

    nodes: dict[str, Node]
    output: str

    @property
    def input(self) -> Node:
        """Return the one input."""
        return next(node for node in self.nodes.values() if isinstance(node.op, Input))

    def consumers(self) -> dict[str, list[str]]:
        """Return, for each node, the nodes that take its value (once for each time they take it)."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for name in node.inputs:
                found[name].append(node.name)
        return found

    def macs(self) -> int:
        """Return the multiply-accumulates of one forward pass (padding counted, as profilers do)."""
        total = 0
        for node in self.nodes.values():
            if isinstance(node.op, Linear):
                total += int(node.op.weight.size)
            elif isinstance(node.op, Conv):
                total += int(np.prod(node.shape)) * int(np.prod(node.op.weight.shape[1:]))
        return total
