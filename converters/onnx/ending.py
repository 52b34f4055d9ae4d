# SPDX-License-Identifier: Apache-2.0
"""Where a model ends: at results that a user names, or at values beyond which nothing can be converted."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import replace

from spikerun.converters.onnx.model import Model
from spikerun.errors import UsageError, printable

__all__ = ["advice", "ending_at"]

MAX_NAMES = 8  # that are suggested: more are no end of a network
SHARE = 0.75  # of the weights that must lie before a suggested end


def ending_at(model: Model, outputs: Sequence[str]) -> Model:
    """Return the model whose results are these values, by the names of the file; raises UsageError for others."""
    makers = model.makers()
    for name in outputs:
        if name not in makers:
            raise UsageError(f"--outputs: {_unknown(model, name, makers)}")
    if len(set(outputs)) < len(outputs) or not outputs:
        raise UsageError(f"--outputs: name one value of the file or several different ones, got {','.join(outputs)!r}")
    return replace(model, outputs=tuple(outputs))


def _unknown(model: Model, name: str, known: Collection[str]) -> str:
    for kind, names in (("an input", model.inputs), ("a constant", model.constants)):
        if name in names:
            return f"{printable(name)!r} is {kind} of the file: name what an operator gives"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else f" Its results are {', '.join(model.outputs)}."
    return printable(f"no operator of the file gives '{name}'.{hint}")


def advice(model: Model, found: Collection[str], values: Collection[str]) -> str:
    """Return which results to name instead, where most of the weights lie before what cannot be converted.

    found: all names that could be read; values: those of them that depend on the input. Empty where there are none.
    """
    left = [item for item in model.items if not set(item.outputs) <= set(found)]
    ends = {name for item in left for name in item.inputs} | set(model.outputs)
    names = [name for item in model.items for name in item.outputs if name in ends and name in values]
    weights = {
        name: model.constants[name].size for item in model.items for name in item.inputs if name in model.constants
    }
    beyond = {name for item in left for name in item.inputs}
    share = 1 - sum(size for name, size in weights.items() if name in beyond) / max(sum(weights.values()), 1)
    if not 0 < len(names) <= MAX_NAMES or share < SHARE:
        return ""
    return printable(
        f"\nWhat stands before, with {share:.0%} of the weights, may convert alone: --outputs '{','.join(names)}'"
    )
