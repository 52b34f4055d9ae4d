# SPDX-License-Identifier: Apache-2.0
"""The neurons of SpikingJelly 2. They fire from the threshold on (>=) and reset at once; a step takes 1/tau away."""

from collections.abc import Callable
from typing import Any

import torch

from spikerun.converters.rules import Refusal
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.torch.spiking.neurons.row import Fire, Framework, Row, check_step, real

__all__ = ["framework"]


def framework() -> Framework:
    """Return the table, of the package that is installed."""
    from spikingjelly.activation_based import neuron

    table = {
        neuron.IFNode: Row(_node, _if),
        neuron.LIFNode: Row(_node, lambda module, name: _lif(module, name, 1 / module.tau)),
        neuron.ParametricLIFNode: Row(_node, lambda module, name: _lif(module, name, real(module.w.sigmoid()))),
    }
    return Framework(
        table,
        ("spikingjelly.activation_based.layer.", "spikingjelly.activation_based.surrogate."),
        {"": "use IFNode, LIFNode or ParametricLIFNode, and train again"},
        _check_mode,
    )


def _check_mode(module: Any) -> None:
    if getattr(module, "step_mode", "s") != "s":
        raise Refusal(
            "its step_mode is 'm', which merges time and batch; call functional.set_step_mode(net, 's') and loop over "
            "the steps in forward"
        )


def _node(module: Any, fire: Fire) -> Callable[..., torch.Tensor]:
    """Return the forward of a node, which keeps its membrane in `v`: a number at first."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        held = module.v
        spikes, module.v = fire(x, [held] if isinstance(held, torch.Tensor) and held.shape == x.shape else [])
        return spikes

    return forward


def _if(module: Any, name: str) -> Cell:
    rest = 0.0 if module.v_reset is None else module.v_reset
    return _fires(module, name, v_reset=rest, v_init=rest, threshold=module.v_threshold)


def _lif(module: Any, name: str, share: Any) -> Cell:
    """Return the cell of a leaky node, whose membrane leaks to v_reset."""
    rest = 0.0 if module.v_reset is None else module.v_reset
    gain = share if module.decay_input else 1.0
    return _fires(module, name, keep_v=1 - share, gain=gain, offset=rest, threshold=module.v_threshold - rest)


def _fires(module: Any, name: str, **more: Any) -> Cell:
    check_step(module.surrogate_function, 1.0, "surrogate_function")
    return Cell.of(name, reset="subtract" if module.v_reset is None else "value", inclusive=True, **more)
