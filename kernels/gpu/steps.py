# SPDX-License-Identifier: Apache-2.0
"""Operations that carry a state from pass to pass, in torch's operators: the loop over passes is within."""

import torch

from spikerun.kernels.gpu.rows import At

__all__ = ["delay", "if_step", "lif_step"]

V_LIMIT = 2**23 - 1
WIDE_LIMIT = 2**29 - 1


def if_step(at: At) -> None:
    """v = clip(v + i + bias, max(v_min, -(2^23 - 1)), 2^23 - 1); s = (v >= threshold); then the reset."""
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
