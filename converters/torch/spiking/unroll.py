# SPDX-License-Identifier: Apache-2.0
"""A module with neurons becomes a program of torch in which each step of each population is one opaque operator.

While it is exported, the forward of every neuron is another: it calls `spikerun::cell` instead of the equation, and
keeps states where the framework keeps them. Afterwards the module is what it was.
"""

import copy
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import extract_stack
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from spikerun.converters.torch.export import TORCH_FOLDER, constants_of, failure, quiet
from spikerun.converters.torch.spiking.neurons import Neuron
from spikerun.converters.torch.spiking.neurons.row import Fire
from spikerun.errors import ConversionError

__all__ = ["CELL", "Program", "Refused", "TooShort", "patched", "repeated", "unroll"]


RANDOM = {"bernoulli", "multinomial", "normal", "poisson", "rand", "randint", "randn", "randperm"}


class Refused(ConversionError):
    """What no other form of the samples can mend."""


class TooShort(ConversionError):
    """The module reads more steps than the example has."""


@dataclass(frozen=True, eq=False)
class Program:
    """An exported module: the nodes of torch.fx, constants by node, the names of the inputs by node.

    results: what forward returns, with the names of nodes in the place of tensors.
    """

    nodes: list[Any]
    constants: dict[str, torch.Tensor]
    inputs: dict[str, str]
    results: Any


@torch.library.custom_op("spikerun::cell", mutates_args=())
def _step(x: torch.Tensor, states: list[torch.Tensor], name: str, count: int) -> list[torch.Tensor]:
    """Return (spikes, states...): of the shape of x, that is all that exports need to know."""
    return [torch.zeros_like(x) for _ in range(1 + count)]


@_step.register_fake
def _(x: torch.Tensor, states: list[torch.Tensor], name: str, count: int) -> list[torch.Tensor]:
    return [torch.empty_like(x) for _ in range(1 + count)]


CELL = torch.ops.spikerun.cell.default


@contextmanager
def patched(model: nn.Module, neurons: Mapping[str, Neuron]) -> Iterator[None]:
    """Make every neuron of `model` call the operator; restore all attributes of all modules afterwards."""
    kept = [(module, _kept(vars(module))) for module in model.modules()]
    with _instances(neurons):
        try:
            for neuron in neurons.values():
                _forget(neuron.module)
                neuron.module.__dict__["forward"] = neuron.row.forward(neuron.module, _fire(neuron))
            model.eval()
            yield
        finally:
            for module, attributes in kept:
                _restore(vars(module), attributes)


def _fire(neuron: Neuron) -> Fire:
    def fire(x: torch.Tensor, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        found: list[torch.Tensor] = CELL(x, list(states), neuron.path, neuron.row.states)
        return found

    return fire


def _kept(attributes: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return each attribute, and what a container holds."""
    return {k: (v, copy.copy(v) if type(v) in (dict, list, set) else None) for k, v in attributes.items()}


def _restore(attributes: dict[str, Any], kept: Mapping[str, tuple[Any, Any]]) -> None:
    attributes.clear()
    for name, (value, held) in kept.items():
        if held is not None:
            value.clear()
            value.extend(held) if isinstance(value, list) else value.update(held)
        attributes[name] = value


def _forget(module: Any) -> None:
    """Empty the states that a neuron holds from earlier samples."""
    for name in ("mem", "syn", "spk"):
        if name in module._buffers:
            module._buffers[name] = torch.zeros(0)
    if callable(getattr(module, "reset", None)) and hasattr(module, "_memories_rv"):
        module._memories.update(copy.deepcopy(module._memories_rv))


@contextmanager
def _instances(neurons: Mapping[str, Neuron]) -> Iterator[None]:
    """Let snnTorch's reset of "all neurons ever made" reach those of this model alone."""
    base = getattr(sys.modules.get("snntorch"), "SpikingNeuron", None)
    if base is None:
        yield
        return
    every, base.instances = base.instances, [n.module for n in neurons.values() if isinstance(n.module, base)]
    try:
        yield
    finally:
        base.instances = every


class _Repeated(nn.Module):
    """A module that computes one step, called several times."""

    def __init__(self, model: nn.Module, times: int, states: Sequence[str]) -> None:
        super().__init__()
        self.model, self.times, self.states = model, times, states

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> list[Any]:
        found: list[Any] = []
        given: dict[str, Any] = {}
        for _ in range(self.times):
            found.append(self.model(*args, **kwargs, **given))
            if self.states:
                given = dict(zip(self.states, found[-1][-len(self.states) :], strict=True))
        return found


def repeated(model: nn.Module, times: int, states: Sequence[str]) -> nn.Module:
    """Return a module that returns the results of so many calls of `model`.

    states: the arguments in which a call is given the last results of the one before.
    """
    return _Repeated(model, times, states)


def unroll(model: nn.Module, samples: Mapping[str, torch.Tensor]) -> Program:
    """Return the program of a patched module. Raises ConversionError where it cannot be traced."""
    args, kwargs = (tuple(samples.values()), {}) if len(samples) == 1 else ((), dict(samples))
    before = _attributes(model)
    try:
        with torch.no_grad(), quiet(), _NoChance():
            exported = torch.export.export(model, args, kwargs, strict=False)
            if any(_mutates(node) for node in exported.graph.nodes):  # operators in place become ordinary ones
                exported = exported.run_decompositions({})
    except Refused:
        raise
    except Exception as error:  # torch raises whatever the user's forward and its own tracers raise
        raise _explained(model, samples, error) from error
    if new := sorted(_attributes(model).items() - before.items()):
        raise _keeps(model, f"self.{new[0][0]}")
    signature = exported.graph_signature
    return Program(
        list(exported.graph.nodes),
        constants_of(exported),
        dict(zip(signature.user_inputs, samples, strict=True)),
        torch.utils._pytree.tree_unflatten(signature.user_outputs, exported.call_spec.out_spec),
    )


class _NoChance(TorchFunctionMode):
    """Refuses functions that draw random numbers: those of encoders come back in shapes that cannot be traced."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "").removesuffix("_like").rstrip("_") in RANDOM:
            place = next(
                (f for f in extract_stack()[::-1] if not f.filename.startswith((TORCH_FOLDER, __file__))), None
            )
            at = f" ({place.filename}:{place.lineno}: {place.line})" if place else ""
            raise Refused(
                f"forward draws random numbers{at}; take the encoding out of the network, and encode the samples"
            )
        return func(*args, **(kwargs or {}))


def _attributes(model: nn.Module) -> dict[str, int]:
    """Return the tensors that modules hold as plain attributes, by what they are called in their modules."""
    found = ((name, value) for module in model.modules() for name, value in vars(module).items())
    return {name: id(value) for name, value in found if isinstance(value, torch.Tensor)}


def _keeps(model: nn.Module, what: str) -> Refused:
    return Refused(
        f"{type(model).__name__} keeps {what} from call to call in an attribute of its own; pass it as an argument and "
        "a result of forward, or keep it in a variable of forward's loop"
    )


def _mutates(node: Any) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _explained(model: nn.Module, samples: Mapping[str, torch.Tensor], error: Exception) -> ConversionError:
    text, name = str(error), type(model).__name__
    if re.search(r"assigned during export|fake tensor in the exported program", text):
        attribute = re.search(r"attributes? (self\.\w+)", text)
        return _keeps(model, attribute[1] if attribute else "values of a step")
    if re.search(r"out of range|out of bounds", text):
        return TooShort(failure(model, samples, error))
    if re.search(r"data-dependent|control flow|dynamic control", text):
        return Refused(failure(model, samples, error))
    if isinstance(error, TypeError) and "missing" in text:
        return Refused(
            f"forward of {name}: {text}; which states it starts from is not told. Give these arguments a default of "
            "None and make the states in forward, or write the loop over steps into forward"
        )
    return ConversionError(failure(model, samples, error))
