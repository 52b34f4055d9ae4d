# SPDX-License-Identifier: Apache-2.0
"""A torch module becomes a float graph by torch.export: functional calls are seen, and control flow is refused.

The only file that reads torch's graphs. All operators that cannot be converted are collected before it stops.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from operator import getitem
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import nn

from spikerun.converters.fuse import products_among
from spikerun.converters.graph import Graph, Input, Node, Op, Origin, Output, Shape
from spikerun.converters.rules import Call, Refusal, Value, not_converted, result_shape
from spikerun.converters.torch.aten import ATEN
from spikerun.converters.torch.aten.dialect import MODULES
from spikerun.converters.torch.aten.shape import MIXES, SPLITS
from spikerun.errors import ConversionError

__all__ = [
    "BATCH",
    "TORCH_FOLDER",
    "arguments_of",
    "computed",
    "constants_of",
    "failure",
    "is_random",
    "named",
    "origin_of",
    "quiet",
    "read",
    "reader",
]

T = TypeVar("T")

# Two samples: with one, an operator that drops axes of length 1 would take the batch for one of them.
BATCH = 2
TORCH_FOLDER = str(Path(torch.__file__).parent)
FRAME = re.compile(r'File "([^"]+)", line (\d+), in [^\n]*\n\s*([^\n]*)')


def read(model: nn.Module, shapes: Mapping[str, Shape], like: Mapping[str, Any]) -> Graph:
    """Return the float graph of `model`, which is in inference mode, for samples (C, H, W) or (N,) by name.

    like: the device and dtype of its tensors.
    """
    return reader(model, shapes, like)({})


def reader(
    model: nn.Module, shapes: Mapping[str, Shape], like: Mapping[str, Any]
) -> Callable[[Mapping[str, torch.Tensor]], Graph]:
    """Return what reads the graph of `model`, traced once, with some of its tensors, by name, replaced by others."""
    samples = {name: torch.zeros((BATCH, *shape), **like) for name, shape in shapes.items()}
    program = _export(model, samples)
    return lambda tensors: _Reader(program, tuple(shapes), tensors).graph()


def named(results: Any, kind: type[T]) -> dict[str, T]:
    """Return what a forward returns, by name; raises ConversionError where it is no result, or results, of `kind`."""
    if isinstance(results, Mapping):
        found = {str(name): value for name, value in results.items()}
    elif isinstance(results, (tuple, list)) and len(results) != 1:
        found = {f"output_{k}": value for k, value in enumerate(results)}
    else:
        found = {"output": results[0] if isinstance(results, (tuple, list)) else results}
    for name, value in found.items():
        if not isinstance(value, kind) or not name.isidentifier():
            raise ConversionError(
                f"the model returns {type(value).__name__} as '{name}'; return the logits only, or several as a "
                "tuple or a dict of tensors whose keys are plain names"
            )
    if not found:
        raise ConversionError("the model returns nothing; return the logits")
    return found


def _arguments(samples: Mapping[str, torch.Tensor]) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
    return (tuple(samples.values()), {}) if len(samples) == 1 else ((), dict(samples))


def _export(model: nn.Module, samples: Mapping[str, torch.Tensor]) -> Any:
    args, kwargs = _arguments(samples)
    try:
        with torch.no_grad(), quiet():
            # no decomposition, but in-place operators become ordinary ones
            return torch.export.export(model, args, kwargs).run_decompositions({})
    except Exception as error:  # torch raises whatever the user's forward and its own tracers raise
        raise ConversionError(failure(model, samples, error)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what torch's tracer prints about its own workings; errors are raised, not printed."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def failure(model: nn.Module, samples: Mapping[str, torch.Tensor], error: Exception) -> str:
    """Return what to say about an error of torch.export."""
    name = type(model).__name__
    if refused := _refused(model, samples):
        shapes = ", ".join(f"{tuple(values.shape[1:])}" for values in samples.values())
        flat = any(values.ndim == 3 for values in samples.values())
        axis = " Images need their channel axis: samples[:, None]." if flat else ""
        return (
            f"{name} does not take samples of shape {shapes}, its forward raises {refused}. Give calibration data of "
            f"the shape that it was trained on; if it was, see that the forward takes these inputs and no more.{axis}"
        )
    shapes = ", ".join(str(tuple(values.shape)) for values in samples.values())
    batch = "one batch" if len(samples) == 1 else f"batches by the names {', '.join(samples)}"
    text = str(error).strip()
    place = FRAME.findall(text)
    at = f" At {place[-1][0]}:{place[-1][1]}: {place[-1][2].strip()}." if place else ""
    first = text.split("\n")[0].rstrip(".")
    if any(word in text for word in ("data-dependent", "control flow", "dynamic control")):
        return (
            f"torch.export cannot trace {name}: its forward decides by the values of the data ({first}).{at} "
            "A spiking network does the same work for every sample: write the forward without such branches."
        )
    return (
        f"torch.export cannot trace {name} with {batch} of {shapes}: {type(error).__name__}: {first}.{at} "
        "Check that the model's forward takes that much and no more, then that torch.export.export works on it."
    )


def _refused(model: nn.Module, samples: Mapping[str, torch.Tensor]) -> str:
    """Return what the forward itself, untraced, raises for a batch; nothing where it takes it."""
    args, kwargs = _arguments(samples)
    try:
        with torch.no_grad(), quiet():
            model(*args, **kwargs)
    except Exception as error:  # whatever the user's own code raises
        return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0].rstrip('.')}"
    return ""


class _Reader:
    """Walks an exported program node by node."""

    def __init__(self, program: Any, inputs: tuple[str, ...], tensors: Mapping[str, torch.Tensor]) -> None:
        self.program = program
        self.inputs = dict(zip(program.graph_signature.user_inputs, inputs, strict=True))
        self.nodes: dict[str, Node] = {}
        self.constants = constants_of(program, tensors)
        self.aliases: dict[str, str] = {}  # getitem(batch_norm, 0) is batch_norm
        self.complaints: list[str] = []
        self.wholes: dict[str, str] = {}  # of modules that are refused as a whole, by their paths
        self.refused: set[str] = set()

    def graph(self) -> Graph:
        wanted = self._live()
        for node in self.program.graph.nodes:
            if node.op == "placeholder" and node.name in self.inputs:
                self.nodes[node.name] = Node(
                    node.name, Input(self.inputs[node.name]), (), _shape(node), Origin("input")
                )
            elif node.op == "call_function" and node.name in wanted:
                self._call(node)
        if complaints := [*self.wholes.values(), *self.complaints]:
            raise not_converted([*complaints, *products_among(self.nodes)])
        return self._finished(self.program.graph_signature)

    def _finished(self, signature: Any) -> Graph:
        spec = self.program.call_spec.out_spec
        results = named(torch.utils._pytree.tree_unflatten(signature.user_outputs, spec), str)
        for name, result in results.items():
            source = self.aliases.get(result, result)
            if source not in self.nodes or isinstance(self.nodes[source].op, Input):
                raise ConversionError(
                    f"the model's result '{name}' does not depend on its input through any layer: nothing to convert"
                )
            self.nodes[f"{name}="] = Node(f"{name}=", Output(name), (source,), self.nodes[source].shape)
        return Graph(self.nodes).live()

    def _live(self) -> set[str]:
        """Return the nodes that the result depends on."""
        output = next(n for n in self.program.graph.nodes if n.op == "output")
        found: set[str] = set()
        queue = [output]
        while queue:
            for node in queue.pop().all_input_nodes:
                if node.name not in found:
                    found.add(node.name)
                    queue.append(node)
        return found

    def _call(self, node: Any) -> None:
        sources = [n.name for n in node.all_input_nodes]
        if all(name in self.constants for name in sources) and not is_random(node):
            self.constants[node.name] = computed(node, self.constants)
            return
        if node.target is getitem and node.args[1] == 0:
            self.aliases[node.name] = self.aliases.get(sources[0], sources[0])
            return
        called, item = (node.args[0], node.args[1]) if node.target is getitem else (node, 0)
        operator = str(called.target)
        origin = origin_of(node, operator)
        found = ATEN.find(operator)
        # What follows an operator that was refused is still read, so that all complaints come at once.
        shape = _shape(node)
        if item and operator not in SPLITS:
            if called.name not in self.refused:
                self._refuse(node, origin, f"its result number {item + 1} is not converted, only the first")
            return
        if found is None:
            self.refused.add(node.name)
            self._refuse(node, origin, ATEN.advice_for(operator.removeprefix("aten.").split(".")[0]))
            return
        try:
            emit = partial(self._emit, node.name, origin)
            op, inputs = found(Call(operator, self._arguments(called), shape, BATCH, emit, item))
            self.nodes[node.name] = Node(node.name, op, inputs, shape, origin)
        except Refusal as refusal:
            follows = self.refused.intersection(sources)
            if called.name not in self.refused and not (follows and str(refusal) == MIXES):
                self._refuse(node, origin, str(refusal))
            self.refused.add(node.name)

    def _emit(self, name: str, origin: Origin, op: Op, *values: Value) -> Value:
        """Add an operator that stands before the one called `name`, and return its result."""
        count = sum(1 for other in self.nodes if other.startswith(f"{name}."))
        own, shape = f"{name}.{count}", result_shape(op, *(value.shape for value in values))
        self.nodes[own] = Node(own, op, tuple(value.name for value in values), shape, origin)
        return Value(own, shape)

    def _refuse(self, node: Any, origin: Origin, advice: str) -> None:
        """Take note of an operator; of one within a module that cannot be converted at all, of that module."""
        for path, kind in _modules(node):
            if kind in MODULES:
                whole = replace(origin, operator=kind.rpartition(".")[2], module=path, kind="")
                self.wholes.setdefault(path, f"{whole}\n    {MODULES[kind]}")
                return
        self.complaints.append(f"{origin}\n    {advice}")

    def _arguments(self, node: Any) -> Mapping[str, Any]:
        return {
            name: self._argument(value) for name, value in arguments_of(node.target, node.args, node.kwargs).items()
        }

    def _argument(self, value: Any) -> Any:
        if isinstance(value, torch.fx.Node):
            if value.name in self.constants:
                return self.constants[value.name].detach().cpu().to(torch.float64).numpy()
            return Value(self.aliases.get(value.name, value.name), _shape(value))
        if isinstance(value, (list, tuple)):
            return [self._argument(item) for item in value]
        return value


def arguments_of(target: Any, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by the names of the operator's schema, defaults filled in."""
    schema = target._schema.arguments
    given = {**dict(zip((a.name for a in schema), args, strict=False)), **kwargs}
    return {a.name: given.get(a.name, a.default_value) for a in schema}


def constants_of(program: Any, instead: Mapping[str, torch.Tensor] = MappingProxyType({})) -> dict[str, torch.Tensor]:
    """Return the parameters, buffers and constants of an exported program by the names of their nodes.

    instead: other tensors for some of them, by their names in the model.
    """
    signature = program.graph_signature
    lifted = getattr(signature, "inputs_to_lifted_tensor_constants", {})
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers, **lifted}
    held = {**dict(program.state_dict), **dict(program.constants), **instead}
    return {placeholder: held[target].detach() for placeholder, target in names.items()}


def is_random(node: Any) -> bool:
    """Return whether an operator may draw random numbers."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def computed(node: Any, constants: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return what an operator of constants gives: weights that the model derives from its parameters."""
    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: constants[n.name])
    with torch.no_grad():
        result = node.target(*args, **kwargs)
    return result  # type: ignore[no-any-return]


def _shape(node: Any) -> Shape:
    value = node.meta.get("val")
    value = value[0] if isinstance(value, (tuple, list)) else value
    return tuple(int(n) for n in value.shape[1:]) if hasattr(value, "shape") else ()


def origin_of(node: Any, operator: str) -> Origin:
    """Return the place in the user's code: the innermost frame that is not torch's own, where there is one."""
    module, kind = _modules(node)[-1]
    kind = kind.rpartition(".")[2]
    frames = FRAME.findall(node.meta.get("stack_trace") or "")
    if not frames:
        return Origin(operator, module, kind=kind)
    own = [frame for frame in frames if not frame[0].startswith(TORCH_FOLDER)]
    file, line, code = (own or frames)[-1]
    if not own:  # a Sequential: all of the forward is torch's
        file = f"torch{file.removeprefix(TORCH_FOLDER)}"
    return Origin(operator, module, f"{file}:{line}", code.strip(), kind)


def _modules(node: Any) -> list[tuple[str, str]]:
    """Return the modules that an operator is part of, outermost first: path and class, by its full name."""
    stack = (node.meta.get("nn_module_stack") or {}).values()
    return [(path, _class(kind)) for path, kind in stack] or [("", "")]


def _class(kind: Any) -> str:
    return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
