# SPDX-License-Identifier: Apache-2.0
"""Activations that are written out: operators that together compute a function of one value become one curve.

`x * sigmoid(x)`, `x * relu6(x + 3) / 6`, `0.5 x (1 + erf(x / sqrt 2))`, in whatever manner. A node's roots are the
values of which alone it is a function: where two meet in a sum or product, all between them and the nearest root that
they share becomes a curve, unless it is a sum of multiples of it. Chains keep their linear parts: those are free.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from spikerun.converters.curved import samples_of
from spikerun.converters.curves import FUNCTIONS
from spikerun.converters.graph import Add, Affine, Array, Curve, Graph, Identity, Input, Multiply, Node, Op, Relu
from spikerun.errors import ConversionError

__all__ = ["check_products", "fused", "products_among", "without_identities"]

PRODUCT = "a product of two computed values (squeeze-and-excite, gates, attention) is not a synapse: train without it"

EXACT = 1e-9
CLOSE = 1e-5  # of a function that is written out to one that has a name


def fused(graph: Graph) -> Graph:
    """Return an equal graph in which functions of one value are single operators."""
    graph = _joined(graph)
    while (found := _chain(graph)) is not None:
        graph = _one(graph, *found)
    return graph


def check_products(graph: Graph) -> None:
    """Refuse, all at once, products of two values that are no function of one."""
    found = [node for node in graph.nodes.values() if isinstance(node.op, Multiply)]
    if found:
        places = "\n".join(f"  - {node.origin or node.name}" for node in found)
        raise ConversionError(
            "the model multiplies values that it computes with one another, which no synapse can; squeeze-and-excite, "
            f"gates and attention do:\n{places}\n    Train without them (docs/operators.md). Constant factors, and "
            "functions of one value such as x * sigmoid(x), are converted."
        )


def products_among(nodes: Mapping[str, Node]) -> list[str]:
    """Return what to say of products among the nodes that could be read of a model that is refused anyway."""
    before = {name: Node(name, Input(name), (), node.shape) for node in nodes.values() for name in node.inputs
              if name not in nodes}  # fmt: skip
    graph = fused(without_identities(Graph({**before, **nodes})))
    return [
        f"{node.origin or node.name}\n    {PRODUCT}" for node in graph.nodes.values() if isinstance(node.op, Multiply)
    ]


def without_identities(graph: Graph) -> Graph:
    """Return the graph without what does nothing."""
    alias: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        inputs = tuple(alias.get(name, name) for name in node.inputs)
        if isinstance(node.op, Identity):
            alias[node.name] = inputs[0]
        else:
            nodes[node.name] = replace(node, inputs=inputs)
    return Graph(nodes)


def _elementwise(node: Node) -> bool:
    """Return whether a node computes with each value alone, as with all others of its channel."""
    match node.op:
        case Affine(scale=scale, shift=shift):
            return all(values.size == 1 or values.shape == node.shape[:1] for values in (scale, shift))
    return isinstance(node.op, (Relu, Curve, Add, Multiply))


def _joined(graph: Graph) -> Graph:
    """Return the graph with a curve for each sum or product of functions of one value."""
    nodes: dict[str, Node] = {}
    roots: dict[str, tuple[str, ...]] = {}  # of each node, the nearest first, itself before all others
    for node in graph.nodes.values():
        own: tuple[str, ...] = ()
        if node.inputs and _elementwise(node) and all(nodes[name].shape == node.shape for name in node.inputs):
            first, *others = (roots[name] for name in node.inputs)
            own = tuple(name for name in first if all(name in other for other in others))
            if own and isinstance(node.op, (Add, Multiply)):
                steps = [*_between(nodes, node.inputs, own[0]), node]
                if not all(isinstance(step.op, (Affine, Add)) for step in steps):
                    node = replace(node, op=_written(steps, own[0]), inputs=(own[0],))
        nodes[node.name] = node
        roots[node.name] = (node.name, *own)
    return _live(Graph(nodes), graph)


def _between(nodes: Mapping[str, Node], inputs: Iterable[str], root: str) -> list[Node]:
    """Return, in order, the nodes from `inputs` up to `root`, which is not one of them."""
    wanted: set[str] = set()
    queue = list(inputs)
    while queue:
        name = queue.pop()
        if name != root and name not in wanted:
            wanted.add(name)
            queue += nodes[name].inputs
    return [node for name, node in nodes.items() if name in wanted]


def _written(steps: list[Node], root: str) -> Op:
    """Return the one operator of the value `root` that computes the last of `steps`."""
    steps = [_evened(step) for step in steps]

    def function(x: Array) -> Array:
        values = {root: x}
        for step in steps:
            values[step.name] = step.op.apply(*(values[name] for name in step.inputs))
        return values[steps[-1].name].astype(x.dtype)

    last = steps[-1]
    given = last.op.given if isinstance(last.op, Curve) else None
    return _named(Curve("curve", function, all(_alike(step.op) for step in steps), given), last.shape[0])


def _evened(node: Node) -> Node:
    """Return the node with one number where all channels have the same, so that it takes any number of channels."""
    if not isinstance(node.op, Affine):
        return node
    scale, shift = (v.reshape(-1)[0] if (v == v.flat[0]).all() else v for v in (node.op.scale, node.op.shift))
    return replace(node, op=Affine(np.array(scale), np.array(shift)))


def _alike(op: Op) -> bool:
    match op:
        case Affine(scale=scale, shift=shift):
            return scale.ndim == shift.ndim == 0
        case Curve(alike=alike):
            return alike
    return True


def _named(curve: Curve, channels: int) -> Op:
    """Return the curve under the name of the activation that it is, where it has one; a rectifier as such."""
    x, y = samples_of(Curve("x", lambda x: x), 1), samples_of(curve, channels)
    for relu in (Relu(), Relu(float(y.max()))):
        if relu.bound > 0 and np.allclose(y, relu.apply(x), rtol=EXACT, atol=EXACT):
            return relu
    for name, function in FUNCTIONS.items():
        if np.allclose(y, samples_of(Curve(name, function), 1), rtol=CLOSE, atol=CLOSE):
            return replace(curve, name=name)
    return curve


def _chain(graph: Graph) -> tuple[list[Node], Op] | None:
    """Return nodes in a row, the last of which is read, and the operator that is all of them.

    Two activations with no more than rescaling between them, one of them a curve; or what together is a rectifier, such
    as a rectifier and a limit from above.
    """
    consumers = graph.consumers()
    for last in graph.nodes.values():
        if not isinstance(last.op, (Relu, Curve, Affine)):
            continue
        row = [last]
        while _elementwise(before := graph.nodes[row[0].inputs[0]]) and len(before.inputs) == 1:
            if len(consumers[before.name]) > 1 or before.shape != last.shape:
                break
            row.insert(0, before)
            bent = [node for node in row if isinstance(node.op, (Relu, Curve))]
            if len(bent) == 2 and row[0] is bent[0]:
                curved = any(isinstance(node.op, Curve) for node in bent)
                if curved and row[-1] is not bent[1]:
                    break  # what is behind the second stays as it is
                op = _written(row, row[0].inputs[0])
                if curved or isinstance(op, Relu):
                    return row, op
                break
    return None


def _one(graph: Graph, row: list[Node], op: Op) -> Graph:
    """Return the graph with `op` in the place of the nodes in a row."""
    gone = {node.name for node in row[:-1]}
    last = replace(row[-1], op=op, inputs=row[0].inputs)
    nodes = {name: last if name == last.name else node for name, node in graph.nodes.items() if name not in gone}
    return Graph(nodes)


def _live(graph: Graph, before: Graph) -> Graph:
    """Return the graph without nodes that were read before, and no longer are."""
    consumers, earlier = graph.consumers(), before.consumers()
    live: set[str] = set()
    for name in reversed(graph.nodes):
        if not earlier[name] or any(reader in live for reader in consumers[name]):
            live.add(name)
    return Graph({name: node for name, node in graph.nodes.items() if name in live})
