# SPDX-License-Identifier: Apache-2.0
"""Modules pruned by torch.nn.utils.prune as plain ones: weight = weight_orig * weight_mask, and no hooks."""

from collections.abc import Mapping
from copy import deepcopy

from torch import Tensor, nn
from torch.nn.utils import prune

__all__ = ["own_names", "plain_copy"]


def plain_copy(model: nn.Module) -> nn.Module:
    """Return a copy without masks of torch's, which are multiplied in; the model stays as it is.

    What such a mask has made in a training step cannot be copied, so it is put aside meanwhile.
    """
    made = [(module, name) for module in model.modules() for name in _masked(module)]
    aside = [getattr(module, name) for module, name in made]
    for module, name in made:
        delattr(module, name)
    try:
        copy = deepcopy(model)
    finally:
        for (module, name), value in zip(made, aside, strict=True):
            setattr(module, name, value)
    for module in copy.modules():
        for name in _masked(module):
            prune.remove(module, name)  # type: ignore[no-untyped-call]
    return copy


def own_names(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state of a plain copy under the names that the module itself has, each value its own, on the CPU."""
    found = {}
    for name in model.state_dict():
        plain = name if name in state else name.removesuffix("_orig").removesuffix("_mask")
        value = state[plain].detach().cpu().contiguous().clone()
        found[name] = (value != 0).to(value.dtype) if name.endswith("_mask") and plain != name else value
    return found


def _masked(module: nn.Module) -> list[str]:
    held = dict(module.named_buffers(recurse=False))
    return [
        name.removesuffix("_mask")
        for name in held
        if name.endswith("_mask") and f"{name[:-5]}_orig" in module._parameters
    ]
