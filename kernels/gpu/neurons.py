# SPDX-License-Identifier: Apache-2.0
"""Neurons of all steps in one pass: currents in, spikes or temporal bytes out, membranes in registers between steps.

A temporal byte holds the spikes of one neuron at up to 8 steps, bit t of step t. Tensors are contiguous, channels last:
currents (T, B, ...), state (B, ...), spikes uint8 (T, B, ...), temporal bytes uint8 (B, ...). The limit is memory: each
current is read once, 16 bytes a thread.
"""

import torch
import triton

from spikerun.kernels.gpu.jit.neurons import fire_kernel, if_kernel, lif_kernel, pack_kernel, unpack_kernel
from spikerun.kernels.gpu.rules import Fire, If, Lif

__all__ = ["fire", "if_steps", "lif_steps", "pack", "unpack"]

MOST_PACKED = 8
BLOCK = 1024
_RESETS = {"value": 0, "subtract": 1, "subtract_after_leak": 2, "none": 3}


def _rows(i: torch.Tensor, out: torch.Tensor) -> tuple[int, int, bool]:
    """Return the steps, the neurons of one step, and whether spikes leave as temporal bytes."""
    steps, packed = i.shape[0], out.shape == i.shape[1:]
    if not packed and out.shape != i.shape:
        raise ValueError(f"out: expected the shape {tuple(i.shape)} or {tuple(i.shape[1:])}, got {tuple(out.shape)}")
    if packed and not 1 <= steps <= MOST_PACKED:
        raise ValueError(f"i: temporal bytes hold 1 to {MOST_PACKED} steps, got {steps}")
    return steps, i[0].numel() if steps else 0, packed


def _grid(n: int, block: int = BLOCK) -> tuple[int]:
    return (triton.cdiv(n, block),)


def if_steps(i: torch.Tensor, v: torch.Tensor | None, out: torch.Tensor, rule: If) -> None:
    """Update IF neurons over all steps of i.

    i: int32, int16 or int8 (T, B, ...); v: int32 (B, ...), updated, or None: membranes begin at 0 and are not kept.
    out: uint8, spikes (T, B, ...) or temporal bytes (B, ...). `rule.fill` is not looked at.
    """
    steps, n, packed = _rows(i, out)
    if n == 0 or steps == 0:
        return
    if_kernel[_grid(n)](
        i, out if v is None else v, out, rule.threshold, rule.bias, rule.v_min, n, rule.threshold.numel(),
        rule.bias.numel(), rule.v_min.numel(), T=steps, PACKED=packed, STATE=v is not None,
        ZERO=rule.reset == "zero", WIDTH=int(rule.short), ONE_T=rule.threshold.numel() == 1,
        ONE_B=rule.bias.numel() == 1, ONE_M=rule.v_min.numel() == 1, BLOCK=BLOCK, num_warps=4,
    )  # fmt: skip


def lif_steps(
    i: torch.Tensor, state: tuple[torch.Tensor, ...] | None, out: torch.Tensor, rule: Lif, first: int = 0
) -> None:
    """Update LIF neurons over all steps of i.

    state: u, v, wait, int32 (B, ...), and pending, uint8 or int8 (B, ...), updated, or None: zeros that are not kept.
    first: passes from the begin of the operation to row 0 of i, which `reset_interval` counts. i, out: see `if_steps`.
    """
    steps, n, packed = _rows(i, out)
    if n == 0 or steps == 0:
        return
    values = (rule.threshold, rule.keep_v, rule.keep_u, rule.bias, rule.bias_u, rule.v_reset, rule.v_min)
    interval = rule.reset_interval
    lif_kernel[_grid(n)](
        i, *(state or (out, out, out, out)), out, *values, n, *(x.numel() for x in values),
        first % interval if interval else 0, interval, rule.reset_offset % interval if interval else 0,
        T=steps, PACKED=packed, STATE=state is not None, CLEARED=interval > 0,
        ONE=sum((x.numel() == 1) << k for k, x in enumerate(values)), DECAYS=rule.decays,
        FRACTION=rule.fraction_bits,
        RESET=_RESETS[rule.reset], REFRACTORY=rule.refractory, CHIP=rule.limits == "chip", INCLUSIVE=rule.inclusive,
        BLOCK=BLOCK, num_warps=4,
    )  # fmt: skip


def fire(v: torch.Tensor, out: torch.Tensor, rule: Fire) -> None:
    """Write the words of the integrated sums v, int32, of any shape; `rule.fill` is not looked at."""
    n = v.numel()
    if n:
        fire_kernel[_grid(n)](
            v, out, rule.threshold, n, rule.threshold.numel(), BITS=rule.bits, SIGNED=rule.signed,
            MOST=rule.max_spikes, ONE=rule.threshold.numel() == 1, BLOCK=BLOCK, num_warps=4,
        )  # fmt: skip


def pack(spikes: torch.Tensor, out: torch.Tensor) -> None:
    """Write the temporal bytes, uint8 (...), of what is not 0 in spikes, (T, ...) of 8-bit integers, T <= 8."""
    n = out.numel()
    if n:
        pack_kernel[_grid(n)](spikes, out, n, T=spikes.shape[0], BLOCK=BLOCK, num_warps=4)


def unpack(byte: torch.Tensor, out: torch.Tensor) -> None:
    """Write the spikes, 0 or 1 (T, ...), that temporal bytes, uint8 (...), hold."""
    n = byte.numel()
    if n:
        unpack_kernel[_grid(n)](byte, out, n, T=out.shape[0], BLOCK=BLOCK, num_warps=4)
