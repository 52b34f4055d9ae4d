# SPDX-License-Identifier: Apache-2.0
"""Masks of parameters, which are multiplied into them behind every step of a training.

Not those of torch.nn.utils.prune: these put a second tensor beside each weight and make the weight anew in each
forward, so that a module that has been trained cannot be copied, names of its state are others than the user's, and
what masks a scale of batch norm, or a weight that two layers share, takes more code than all of this file. Values that
are multiplied in are the module's own: it can be copied, exported, saved as it is.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikerun.errors import ConversionError

__all__ = ["Masks"]


class Masks:
    """Masks by the names of a model's parameters, bool, True where a weight stays; stage: how often they were made."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.held: dict[str, Tensor] = {}
        self.stage = 0

    def put(self, masks: Mapping[str, Tensor]) -> None:
        """Take these masks, and apply them. Raises ConversionError where one leaves nothing of a weight."""
        self.check(masks)
        self.held = dict(masks)
        self.apply()

    @staticmethod
    def check(masks: Mapping[str, Tensor]) -> None:
        """Refuse masks of which one leaves nothing of a weight."""
        for name, mask in masks.items():
            if mask.ndim > 1 and not mask.any():
                raise ConversionError(
                    f"the masks would leave no weight of '{name}', and so no way from samples to results: ask for a "
                    "lower sparsity, or for a pattern that takes the same share of each layer (channels, neurons, 2:4)"
                )

    @torch.no_grad()
    def apply(self) -> None:
        """Set to zero what is masked; to autograd nothing has happened."""
        for name, mask in self.held.items():
            self._model.get_parameter(name).data.mul_(mask)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold the masks in the trainings of somebody else: before each forward, and at the end."""
        hook = self._model.register_forward_pre_hook(lambda module, args: self.apply())
        try:
            yield
        finally:
            hook.remove()
            self.apply()

    def at_random(self, seed: int) -> dict[str, Tensor]:
        """Return masks that leave as many of each weight, at random: what a ticket is held against."""
        generator = torch.Generator().manual_seed(seed)
        shuffled = {}
        for name, mask in self.held.items():
            order = torch.randperm(mask.numel(), generator=generator).to(mask.device)
            shuffled[name] = mask.reshape(-1)[order].reshape(mask.shape)
        return shuffled

    def state_dict(self) -> dict[str, Any]:
        """Return all of it, as journals keep it."""
        return {"stage": self.stage, **{f"mask {name}": mask for name, mask in self.held.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take that up again."""
        self.stage = state_dict["stage"]
        device = next(self._model.parameters()).device
        masks = {name.removeprefix("mask "): mask for name, mask in state_dict.items() if name != "stage"}
        self.held = {name: mask.to(device) for name, mask in masks.items()}
