# SPDX-License-Identifier: Apache-2.0
"""Operations that carry a state from pass to pass, in torch's operators: the loop over passes is within."""

from collections.abc import Iterator
from typing import Any

import torch

from spikerun.kernels.gpu import neurons
from spikerun.kernels.gpu.rows import BITS, At
from spikerun.kernels.gpu.rules import If, Lif

__all__ = ["delay", "if_step", "lif_step"]

V_LIMIT = 2**23 - 1
WIDE_LIMIT = 2**29 - 1


def if_step(at: At) -> None:
    """v = clip(v + i + bias, max(v_min, -(2^23 - 1)), 2^23 - 1); s = (v >= threshold); then the reset."""
    if at.run.fast and _if_steps(at):
        return
    op, v, i, s = at.op, at.state("v"), at.read("i"), []
    threshold, bias = at.value("threshold"), at.value("bias").to(torch.int64)
    low = at.value("v_min").clamp(min=-V_LIMIT).to(torch.int64)
    for p in range(len(at.passes)):
        wide = torch.maximum(v.to(torch.int64) + i[p] + bias, low).clamp_(max=V_LIMIT)
        s.append(wide >= threshold)
        v.copy_(wide - threshold * s[-1] if op.reset == "subtract" else wide * ~s[-1])
    at.put("s", torch.stack(s))


def lif_step(at: At) -> None:
    """The leaky integrate-and-fire neuron in fixed point; `spikerun.LIF` holds the equation."""
    if at.run.fast and _lif_steps(at):
        return
    op, i, s = at.op, at.read("i"), []
    u, v, wait, pending = (at.state(name) for name in ("u", "v", "wait", "pending"))
    names = ("threshold", "keep_v", "keep_u", "bias", "bias_u", "v_reset", "v_min")
    threshold, keep_v, keep_u, bias, bias_u, v_reset, v_min = (at.value(name).to(torch.int64) for name in names)
    most = V_LIMIT if op.limits == "chip" else WIDE_LIMIT
    for p, t in enumerate(at.passes):
        if op.reset_interval and (t - op.when.begin - op.reset_offset) % op.reset_interval == 0:
            for state in (u, v, wait, pending):
                state.zero_()
        current = _kept(u, keep_u) + (i[p].to(torch.int64) << op.fraction_bits) + bias_u
        current = V_LIMIT + 1 - ((V_LIMIT + 1 - current) & 0xFFFFFF) if op.limits == "chip" else _within(current, most)
        awake = wait == 0
        charged = _within(_kept(v, keep_v) + current + bias - threshold * pending, most).maximum(v_min)
        fires = ((charged >= threshold) if op.inclusive else (charged > threshold)) & awake
        if op.reset == "value":
            charged = torch.where(fires, v_reset, charged)
        elif op.reset == "subtract":
            charged = charged - threshold * fires
        elif op.reset == "subtract_after_leak":
            pending.copy_(torch.where(awake, fires, pending))
        u.copy_(current)
        v.copy_(torch.where(awake, charged, v))
        wait.copy_(torch.where(fires, op.refractory, (wait.to(torch.int32) - 1).clamp_(min=0)))
        s.append(fires)
    at.put("s", torch.stack(s))


def _eights(at: At) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]] | None:
    """Return, for eight passes at a time, the place of the first, currents, and where spikes go; None: no piece."""
    i, packed, s = at.view("i"), at.bytes("s"), at.view("s")
    if i is None or (packed is None and s is None):
        return None
    firsts = range(0, len(i), BITS)
    if packed is not None:
        return ((first, i[first : first + BITS], byte) for first, byte in zip(firsts, packed, strict=True))
    assert s is not None
    return ((first, i[first : first + BITS], s[first : first + BITS]) for first in firsts)


def _flat(at: At, name: str) -> torch.Tensor:
    return at.value(name).reshape(-1)


def _if_steps(at: At) -> bool:
    """Update by one kernel; return False, having done nothing, where rows are no piece of memory."""
    eights = _eights(at)
    if eights is None:
        return False
    threshold, bias, v_min = (_flat(at, name) for name in ("threshold", "bias", "v_min"))
    made = lambda: If.of(threshold, threshold, bias, v_min, at.op.reset)  # noqa: E731
    rule = at.run.constants.of((at.number, "if"), made)
    for _, i, out in eights:
        neurons.if_steps(i, at.state("v"), out, rule)
    return True


def _lif_steps(at: At) -> bool:
    eights, op = _eights(at), at.op
    if eights is None:
        return False
    values: dict[str, Any] = {
        name: _flat(at, name) for name in ("threshold", "keep_v", "keep_u", "bias", "bias_u", "v_reset", "v_min")
    }
    rule = Lif(
        **values,
        fraction_bits=op.fraction_bits,
        reset=op.reset,
        refractory=op.refractory,
        limits=op.limits,
        reset_interval=op.reset_interval,
        reset_offset=op.reset_offset,
        inclusive=op.inclusive,
    )
    state = tuple(at.state(name) for name in ("u", "v", "wait", "pending"))
    for first, i, out in eights:
        neurons.lif_steps(i, state, out, rule, at.passes[first] - op.when.begin)
    return True


def _kept(x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """Return x keep / 2^16, truncated toward zero."""
    return x.sign() * ((x.to(torch.int64).abs() * keep) >> 16)


def _within(x: torch.Tensor, most: int) -> torch.Tensor:
    return x.clamp(-most, most)


def delay(at: At) -> None:
    """y = x of `steps` passes ago; pass t exchanges place (t - begin) % steps of the ring."""
    x, ring, steps = at.read("x"), at.state("ring"), at.op.steps
    first = (at.passes[0] - at.op.when.begin) % steps
    if len(x) == 1:
        at.put("y", ring[:, first].clone()[None])
        ring[:, first] = x[0]
        return
    past = ring.roll(-first, dims=1).movedim(1, 0)  # the oldest first
    line = torch.cat([past, x.to(past.dtype)])
    at.put("y", line[: len(x)])
    ring.copy_(line[-steps:].movedim(0, 1).roll((first + len(x)) % steps, dims=1))
