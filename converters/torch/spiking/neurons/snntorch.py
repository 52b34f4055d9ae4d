# SPDX-License-Identifier: Apache-2.0
"""The neurons of snnTorch 1.0. They fire above the threshold, and reset in the step after, as the membrane tells."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from spikerun.converters.graph import Array
from spikerun.converters.rules import Refusal
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.torch.spiking.neurons.row import Fire, Framework, Row, check_step, over_time, real

__all__ = ["framework"]

RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def framework() -> Framework:
    """Return the table, of the package that is installed."""
    import snntorch as snn

    table = {
        snn.Leaky: Row(_stepwise("mem"), _leaky, 1, _overshoot, _before_reset),
        snn.Lapicque: Row(_stepwise("mem"), _lapicque, 1, seen=_before_reset),
        snn.RLeaky: Row(_stepwise("spk", "mem"), _rleaky, 1, _overshoot, _before_reset),
        snn.Synaptic: Row(_stepwise("syn", "mem"), _synaptic, 2, _overshoot, _before_reset),
        snn.RSynaptic: Row(_stepwise("spk", "syn", "mem"), _rsynaptic, 2, seen=lambda m: _before_reset(m, late=True)),
        snn.StateLeaky: Row(_state_leaky, _state_leaky_cell),
        snn.LinearLeaky: Row(_state_leaky, _state_leaky_cell),
        snn.LeakyParallel: Row(_parallel, _parallel_cell),
    }
    lif = "use Leaky, Synaptic, RLeaky or RSynaptic, and train again"
    return Framework(
        table,
        ("snntorch._layers.", *(f"snntorch._neurons.{n}.RecurrentOneToOne" for n in ("rleaky", "rsynaptic"))),
        {
            "Alpha": "its two currents are not converted yet; use Synaptic and train again",
            "SLSTM": f"it is an LSTM, whose gates multiply activations; {lif}",
            "SConv2dLSTM": f"it is an LSTM, whose gates multiply activations; {lif}",
            "": lif,
        },
    )


def _stepwise(*names: str) -> Callable[[Any, Fire], Callable[..., Any]]:
    """Return the forward of modules of one step, whose states `names` are arguments, or are kept in the module."""

    def make(module: Any, fire: Fire) -> Callable[..., Any]:
        def forward(input_: torch.Tensor, *given: Any, **named: Any) -> Any:
            states = {**dict(zip(names, given, strict=False)), **named}
            states = {name: value for name, value in states.items() if value is not None}
            if states and module.init_hidden:
                raise TypeError("states must not be passed as arguments while `init_hidden=True`")
            held = {name: states.get(name, getattr(module, name)) for name in names}
            held = {name: value for name, value in held.items() if value.shape == input_.shape}
            if "spk" in names:
                before = held.pop("spk", None)
                input_ = input_ + module.recurrent(torch.zeros_like(input_) if before is None else before)
            order = [name for name in ("mem", "syn") if name in names]
            out = fire(input_, [held.get(name, torch.zeros_like(input_)) for name in order] if held else [])
            found = dict(zip(["spk", *order], out, strict=True))
            for name in names:
                setattr(module, name, found[name])
            return found["spk"] if module.init_hidden and not module.output else tuple(map(found.get, _order(names)))

        return forward

    return make


def _order(names: tuple[str, ...]) -> tuple[str, ...]:
    return ("spk", *(name for name in names if name != "spk"))


def _leaky(module: Any, name: str) -> Cell:
    """Return the cell of Leaky, which clears its membrane before the step: the input of the step is kept."""
    return _cell(module, name, loses=False, keep_v=_share(module.beta))


def _rleaky(module: Any, name: str) -> Cell:
    return _cell(module, name, keep_v=_share(module.beta))


def _lapicque(module: Any, name: str) -> Cell:
    step, r, c = real(module.time_step), real(module.R), real(module.C)
    return _cell(module, name, keep_v=1 - step / (r * c), gain=step / c)


def _synaptic(module: Any, name: str) -> Cell:
    return _cell(module, name, keep_v=_share(module.beta), keep_u=_share(module.alpha))


def _rsynaptic(module: Any, name: str) -> Cell:
    """Return the cell of RSynaptic, whose reset_delay=False has no effect in snnTorch 1.0."""
    if not module.reset_delay and module.init_hidden:
        raise Refusal("reset_delay=False with init_hidden=True raises in snnTorch 1.0; leave reset_delay=True")
    return _cell(module, name, late=True, keep_v=_share(module.beta), keep_u=_share(module.alpha))


def _share(value: Any) -> Array:
    return np.clip(real(value), 0, 1)


def _cell(module: Any, name: str, loses: bool = True, late: bool | None = None, **more: Any) -> Cell:
    """Return the cell of a module of one step.

    loses: a reset to zero clears what the step after the spike computed, so that its input is lost. late: whether the
    reset waits for the step after the spike; by default as the module says.
    """
    if module.inhibition:
        raise Refusal("inhibition=True lets the largest membrane of the layer alone fire; use inhibition=False")
    _check(module)
    threshold, reset = real(module.threshold), _reset(module)
    if reset != "none" and (threshold < 0).any():
        raise Refusal(f"its threshold is negative ({threshold.min():g}): it would reset before it fires")
    late = _late(module) if late is None else late
    if not late and reset != module.reset_mechanism:
        raise Refusal(f"it was made with reset_mechanism '{reset}', which is '{module.reset_mechanism}' now")
    kind = {"none": "none", "zero": "value", "subtract": "subtract_after_leak" if late else "subtract"}[reset]
    refractory = int(late and loses and reset == "zero")
    factor = real(module.graded_spikes_factor)
    back = kind != "none"
    return Cell.of(name, reset=kind, refractory=refractory, looks_back=back, threshold=threshold, factor=factor, **more)


def _check(module: Any) -> None:
    if getattr(module, "state_quant", False):
        raise Refusal("state_quant rounds states to a table; remove it: the integers of the conversion take its place")
    check_step(module.spike_grad, 0.0, "spike_grad")


def _reset(module: Any) -> str:
    """Return the reset that is computed: that of construction, whatever reset_mechanism became since."""
    return RESETS[module.state_function.__name__]


def _late(module: Any) -> bool:
    return bool(getattr(module, "reset_delay", True))


def _overshoot(module: Any) -> str:
    if _late(module) or _reset(module) != "subtract":
        return ""
    return "no membrane passes twice its threshold in one step (where reset_delay=False compares with twice, once)"


def _before_reset(module: Any, late: bool = False) -> str:
    if not (late or _late(module)) or _reset(module) != "zero":
        return ""
    return "its membrane is read after the reset to zero; snnTorch's is, in the step of a spike, the one before"


def _state_leaky(module: Any, fire: Fire) -> Callable[..., Any]:
    """Return the forward of StateLeaky and LinearLeaky over sequences (steps, batch, channels)."""

    def forward(input_: torch.Tensor) -> Any:
        states: list[torch.Tensor] = []
        spikes, membranes = [], []
        for x in input_:
            out = fire(module.linear(x) if hasattr(module, "linear") else x, states)
            states = out[1:]
            spikes.append(out[0])
            membranes.append(out[1])
        return (torch.stack(spikes), torch.stack(membranes)) if module.output else torch.stack(membranes)

    return forward


def _state_leaky_cell(module: Any, name: str) -> Cell:
    if module.kernel_truncation_steps is not None:
        raise Refusal("kernel_truncation_steps forgets what is older; leave it None")
    _check(module)
    return Cell.of(
        name,
        reset="none",
        threshold=real(module.threshold) if module.output else np.inf,
        keep_v=np.exp(-1 / real(module.tau)),
        factor=real(module.graded_spikes_factor) ** 2,  # it is applied twice
    )


def _parallel(module: Any, fire: Fire) -> Callable[..., Any]:
    """Return the forward of LeakyParallel over sequences (steps, batch, features)."""

    def forward(input_: torch.Tensor) -> torch.Tensor:
        rnn = module.rnn
        states: list[torch.Tensor] = []
        bias = rnn.bias_ih_l0 + rnn.bias_hh_l0 if rnn.bias else None

        def one(x: torch.Tensor) -> torch.Tensor:
            nonlocal states
            out = fire(F.linear(x, rnn.weight_ih_l0, bias), states)
            states = out[1:]
            return out[0]

        return over_time(one, input_)

    return forward


def _parallel_cell(module: Any, name: str) -> Cell:
    weight = real(module.rnn.weight_hh_l0)
    if np.count_nonzero(weight - np.diag(np.diag(weight))):
        raise Refusal("its hidden weights are not diagonal: each membrane feeds all; use weight_hh_enable=False")
    _check(module)
    return Cell.of(
        name,
        reset="none",
        threshold=real(module.threshold),
        keep_v=np.diag(weight),
        v_min=0.0,
        factor=real(module.graded_spikes_factor),
    )
