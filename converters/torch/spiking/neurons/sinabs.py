# SPDX-License-Identifier: Apache-2.0
"""The neurons of sinabs 3. They fire from the threshold on (>=) and reset at once; time constants are in steps.

`i <- a_syn (i + x)`, `v <- a_mem v + (1 - a_mem) i` (norm_input) or `+ i`: the synaptic decay is after the input.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from spikerun.converters.rules import Refusal
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.torch.spiking.neurons.row import Fire, Framework, Row, real

__all__ = ["framework"]


def framework() -> Framework:
    """Return the table, of the package that is installed."""
    import sinabs.layers as sl

    table = {kind: Row(_sequence, _cell, 2) for kind in (sl.LIF, sl.IAF, sl.LIFRecurrent, sl.IAFRecurrent, sl.ExpLeak)}
    quiet = ("merge.", "pool2d.", "reshape.", "crop2d.")
    return Framework(
        table,
        (*(f"sinabs.layers.{name}" for name in quiet), "sinabs.network."),
        {
            "Squeeze": "it merges time and batch; use the class without Squeeze, over (batch, steps, ...)",
            "": "use LIF or IAF with SingleSpike, and train again",
        },
    )


def _sequence(module: Any, fire: Fire) -> Callable[..., torch.Tensor]:
    """Return the forward over sequences (batch, steps, ...)."""

    def forward(input_data: torch.Tensor) -> torch.Tensor:
        states: list[torch.Tensor] = []
        found, before = [], None
        for x in input_data.unbind(1):
            if hasattr(module, "rec_connect") and before is not None:  # not even its bias, in the first step
                x = x + module.rec_connect(before).reshape(x.shape)
            before, *states = fire(x, states)
            found.append(before if module.spike_fn else states[0])
        return torch.stack(found, 1)

    return forward


def _cell(module: Any, name: str) -> Cell:
    from sinabs.activation import MembraneReset, MembraneSubtract, SingleSpike

    if len(module.v_mem) and bool((module.v_mem != 0).any()):
        raise Refusal("it holds the state of earlier samples; call reset_states() before it is read")
    keep_v = real(module.alpha_mem_calculated)
    synaptic = module.alpha_syn_calculated
    decay = 0.0 if synaptic is None else real(synaptic)
    gain = (1.0 if synaptic is None else decay) * (1 - keep_v if module.norm_input else 1.0)
    given: dict[str, Any] = {"keep_v": keep_v, "keep_u": decay, "gain": gain}
    if module.min_v_mem is not None:
        given["v_min"] = real(module.min_v_mem)
        if (given["v_min"] > 0).any():
            raise Refusal(f"its min_v_mem {given['v_min'].max():g} is above 0")
    if not module.spike_fn:
        return Cell.of(name, reset="none", **given)
    if module.spike_fn is not SingleSpike:
        kind = getattr(module.spike_fn, "__name__", type(module.spike_fn).__name__)
        raise Refusal(
            f"its spike_fn {kind} sends several spikes in one step, which is not converted; with spike_fn=SingleSpike "
            "it sends one and keeps the rest for later steps: set that, and train or at least test again"
        )
    given["threshold"] = real(module.spike_threshold)
    reset = module.reset_fn
    if type(reset) is MembraneSubtract and reset.subtract_value in (None, float(np.max(given["threshold"]))):
        return Cell.of(name, reset="subtract", inclusive=True, **given)
    if type(reset) is MembraneReset and reset.reset_value == 0:
        return Cell.of(name, reset="value", inclusive=True, **given)
    raise Refusal(f"its reset_fn {reset} is not converted; use MembraneSubtract() or MembraneReset()")
