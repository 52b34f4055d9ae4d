# SPDX-License-Identifier: Apache-2.0
"""The neurons of the frameworks: which modules are neurons, and what refuses. A file for each framework."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from torch import nn

from spikerun.converters.rules import Refusal
from spikerun.converters.torch.spiking.neurons.row import Framework, Row
from spikerun.errors import ConversionError

__all__ = ["FRAMEWORKS", "Neuron", "bases", "find"]

FRAMEWORKS = ("snntorch", "norse", "spikingjelly", "sinabs")
# What a subclass may define, and still compute what its base does.
OWN = {
    "__init__",
    "__doc__",
    "__module__",
    "__qualname__",
    "__annotations__",
    "__firstlineno__",
    "__static_attributes__",
}


@dataclass(frozen=True, eq=False)
class Neuron:
    """A module that is a population (or several, if it is called with several states)."""

    path: str
    module: Any
    row: Row


def find(model: nn.Module) -> dict[str, Neuron]:
    """Return the neurons of a model by their paths.

    Raises ConversionError, with all places, for classes of a framework that cannot be read.
    """
    found: dict[str, Neuron] = {}
    complaints = []
    for path, module in model.named_modules():
        name = path or "neuron"
        try:
            row = _row(module)
            if row is not None:
                found[name] = Neuron(name, module, row)
                row.cell(module, name)
        except (Refusal, ValueError) as error:  # ValueError: a number that no cell may have
            complaints.append(f"'{name}' ({type(module).__name__}): {error}")
    if complaints:
        raise ConversionError(
            "the model has neurons that cannot be read:\n" + "\n".join(f"  - {c}" for c in complaints)
        )
    if not found:
        raise ConversionError(
            f"{type(model).__name__} holds no spiking neurons that are modules of {', '.join(FRAMEWORKS)}: functions "
            "and classes of your own are not seen; use the framework's modules, or hand over one step as a graph"
        )
    return found


def _row(module: nn.Module) -> Row | None:
    """Return the row of a module; None for one that is no neuron of a framework."""
    base, package = next(bases(module), (None, ""))
    if base is None:
        return None
    framework = _framework(package)
    framework.check(module)
    row = framework.rows.get(base)
    full = f"{base.__module__}.{base.__name__}"
    if row is None and full.startswith(framework.harmless):
        return None
    if row is None:
        name = base.__name__
        raise Refusal(next(advice for part, advice in framework.advice.items() if part in name))
    changed = {name for kind in type(module).__mro__[: type(module).__mro__.index(base)] for name in vars(kind)} - OWN
    if changed:
        raise Refusal(f"a class of your own that changes {', '.join(sorted(changed))} of {full}; use that class itself")
    return row


def bases(module: nn.Module) -> Iterator[tuple[type, str]]:
    """Yield the classes of a module that a framework defines, and the framework."""
    for kind in type(module).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in FRAMEWORKS:
            yield kind, package


@cache
def _framework(package: str) -> Framework:
    found: Framework = import_module(f"{__name__}.{package}").framework()
    return found
