# SPDX-License-Identifier: Apache-2.0
"""The neurons of Norse 1.1. They fire above the threshold and reset at once; time constants are 1/s, dt is the cell's.

`i <- (1 - dt/tau_syn) i + x`, `v <- v + dt/tau_mem (v_leak - v + i)`: our u is dt/tau_mem i, our v is v - v_leak.
"""

from collections.abc import Callable
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F

from spikerun.converters.rules import Refusal
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.torch.spiking.neurons.row import Fire, Framework, Row, check_step, real

__all__ = ["framework"]

Pack = Callable[[list[torch.Tensor]], Any]
Unpack = Callable[[Any], list[torch.Tensor]]


def framework() -> Framework:
    """Return the table, of the package that is installed."""
    import norse.torch as norse
    from norse.torch.functional.iaf import IAFFeedForwardState
    from norse.torch.functional.leaky_integrator_box import LIBoxState
    from norse.torch.functional.lif_refrac import LIFRefracFeedForwardState, LIFRefracState

    flat = norse.LIFFeedForwardState
    lif: tuple[Pack, Unpack] = (lambda out: flat(out[1], out[2]), lambda s: [s.v, s.i])
    li: tuple[Pack, Unpack] = (lambda out: norse.LIState(out[1], out[2]), lambda s: [s.v, s.i])
    box: tuple[Pack, Unpack] = (lambda out: norse.LIFBoxFeedForwardState(out[1]), lambda s: [s.v])
    li_box: tuple[Pack, Unpack] = (lambda out: LIBoxState(out[1]), lambda s: [s.v])
    iaf: tuple[Pack, Unpack] = (lambda out: IAFFeedForwardState(out[1]), lambda s: [s.v])
    # The count of refractory steps is a state that nobody is to read: the spikes stand for it.
    wait: tuple[Pack, Unpack] = (
        lambda out: LIFRefracFeedForwardState(flat(out[1], out[2]), out[0]),
        lambda s: [s.lif.v, s.lif.i],
    )
    back: tuple[Pack, Unpack] = (lambda out: norse.LIFState(*out), lambda s: [s.v, s.i])
    back_wait: tuple[Pack, Unpack] = (
        lambda out: LIFRefracState(norse.LIFState(*out), out[0]),
        lambda s: [s.lif.v, s.lif.i],
    )

    table = {
        norse.LIFCell: Row(_cell_of(*lif), _lif, 2),
        norse.LIF: Row(_sequence(*lif), _lif, 2),
        norse.LIFRecurrentCell: Row(_cell_of(*back, _fed_back), _lif, 2),
        norse.LIFRecurrent: Row(_sequence(*back, _fed_back), _lif, 2),
        norse.LIFBoxCell: Row(_cell_of(*box), _lif_box),
        norse.IAFCell: Row(_cell_of(*iaf), _iaf),
        norse.IAF: Row(_sequence(*iaf), _iaf),
        norse.LIFRefracCell: Row(_cell_of(*wait), _lif_refrac, 2),
        norse.LIFRefracRecurrentCell: Row(_cell_of(*back_wait, _fed_back_lif), _lif_refrac, 2),
        norse.LIFRefracRecurrent: Row(_sequence(*back_wait, _fed_back_lif), _lif_refrac, 2),
        norse.LICell: Row(_cell_of(*li, spikes=False), _li, 2),
        norse.LI: Row(_sequence(*li, spikes=False), _li, 2),
        norse.LILinearCell: Row(_cell_of(*li, _weighted, spikes=False), _li, 2),
        norse.LIBoxCell: Row(_cell_of(*li_box, spikes=False), _li_box),
    }
    quiet = ("lift.", "sequential.", "regularization.", "conv.")
    return Framework(
        table,
        tuple(f"norse.torch.module.{name}" for name in quiet),
        {
            "LSNN": "its threshold adapts, which is not converted yet; use LIFCell or LIFRecurrentCell and train again",
            "Encoder": "encode the input outside of the network",
            "": "use LIFCell, LIFBoxCell, LIFRefracCell, LIFRecurrentCell, IAFCell or LICell, and train again",
        },
    )


Into = Callable[[Any, torch.Tensor, Any], torch.Tensor]


def _same(module: Any, x: torch.Tensor, state: Any) -> torch.Tensor:
    return x


def _weighted(module: Any, x: torch.Tensor, state: Any) -> torch.Tensor:
    return F.linear(x, module.input_weights)


def _fed_back(module: Any, x: torch.Tensor, state: Any) -> torch.Tensor:
    before = x.new_zeros((*x.shape[:-1], int(module.hidden_size))) if state is None else state.z
    return F.linear(x, module.input_weights) + F.linear(before, module.recurrent_weights)


def _fed_back_lif(module: Any, x: torch.Tensor, state: Any) -> torch.Tensor:
    return _fed_back(module, x, None if state is None else state.lif)


def _cell_of(pack: Pack, unpack: Unpack, into: Into = _same, spikes: bool = True) -> Callable[[Any, Fire], Any]:
    """Return the forward of modules of one step: (current, state or None) to (spikes or membrane, state)."""

    def make(module: Any, fire: Fire) -> Callable[..., Any]:
        def forward(input_tensor: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
            current = into(module, input_tensor, state)
            out = fire(current, [] if state is None else [s.expand_as(current) for s in unpack(state)])
            return out[0 if spikes else 1], pack(out)

        return forward

    return make


def _sequence(pack: Pack, unpack: Unpack, into: Into = _same, spikes: bool = True) -> Callable[[Any, Fire], Any]:
    """Return the forward of modules over sequences (steps, batch, ...)."""
    make_one = _cell_of(pack, unpack, into, spikes)

    def make(module: Any, fire: Fire) -> Callable[..., Any]:
        from norse.torch.module.snn import _merge_states

        one = make_one(module, fire)

        def forward(input_tensor: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
            found, states = [], []
            for x in input_tensor:
                out, state = one(x, state)
                found.append(out)
                states.append(state)
            return torch.stack(found), _merge_states(states) if module.record_states else state

        return forward

    return make


def _share(module: Any, inverse: Any) -> Any:
    """Return the share of a state that a step takes away, dt / tau."""
    return module.dt * real(inverse)


def _lif(module: Any, name: str) -> Cell:
    return _leaky(module, name, module.p)


def _lif_refrac(module: Any, name: str) -> Cell:
    rho = real(module.p.rho_reset)
    if not (rho == rho.flat[0]).all():
        raise Refusal("rho_reset differs from neuron to neuron; give one number of refractory steps for all")
    return _leaky(module, name, module.p.lif, refractory=max(ceil(rho.flat[0]), 0))


def _leaky(module: Any, name: str, p: Any, **more: Any) -> Cell:
    _check(p)
    keep_u = 1 - _share(module, p.tau_syn_inv)
    return Cell.of(name, reset="value", keep_u=keep_u, **_membrane(module, p), **_spiking(p), **more)


def _membrane(module: Any, p: Any) -> dict[str, Any]:
    share = _share(module, p.tau_mem_inv)
    return {"keep_v": 1 - share, "gain": share, "offset": real(p.v_leak)}


def _spiking(p: Any) -> dict[str, Any]:
    return {"threshold": real(p.v_th) - real(p.v_leak), "v_reset": real(p.v_reset) - real(p.v_leak)}


def _lif_box(module: Any, name: str) -> Cell:
    from norse.torch.functional.reset import reset_subtract, reset_value

    p = module.p
    _check(p)
    reset = {reset_value: "value", reset_subtract: "subtract"}.get(p.reset_method)
    if reset is None:
        raise Refusal("its reset_method is neither reset_value nor reset_subtract")
    if reset == "subtract" and (real(p.v_leak) != 0).any():
        raise Refusal("reset_subtract takes v_th off, with a v_leak other than 0; use v_leak=0 or reset_value")
    return Cell.of(name, reset=reset, **_membrane(module, p), **_spiking(p))


def _iaf(module: Any, name: str) -> Cell:
    """Return the cell of IAF, which starts at v_reset."""
    _check(module.p)
    reset = real(module.p.v_reset)
    return Cell.of(name, reset="value", threshold=real(module.p.v_th), v_reset=reset, v_init=reset)


def _li(module: Any, name: str) -> Cell:
    return Cell.of(name, reset="none", keep_u=1 - _share(module, module.p.tau_syn_inv), **_membrane(module, module.p))


def _li_box(module: Any, name: str) -> Cell:
    return Cell.of(name, reset="none", **_membrane(module, module.p))


def _check(p: Any) -> None:
    from norse.torch.functional.threshold import threshold

    check_step(lambda x: threshold(x, p.method, torch.as_tensor(p.alpha)), 0.0, "method")
