# SPDX-License-Identifier: Apache-2.0
"""Event-driven linear layers: one kernel of CUDA C++ lists the active inputs, adds up their weights, and steps neurons.

It takes up to 16 rows, samples times steps: where there are more, hardly an input is silent in all of them, and the
weights of all are better read once by a dense product (`linear.py`).
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikerun.kernels.gpu.conv import Counts
from spikerun.kernels.gpu.machine import Kernels, Machine
from spikerun.kernels.gpu.rules import Fire, If, Sums

__all__ = ["COLUMNS", "ROWS", "event_linear", "fits"]

ROWS = 16  # of the tensor cores' products
COLUMNS = 128  # rows of weights are padded to a multiple, of bytes
LARGEST = 2**16  # inputs
WIDE_FROM = 8192  # outputs from which on blocks of more columns are faster (`benchmarks/gpu/kernels.py`)
ALL = 2**31 - 1
NONE = np.uint64(0)  # no address
FILES = ("device.cuh", "mma.cuh", "neurons.cuh", "linear.cu")
RULES = {"SUMS": 0, "FIRE": 1, "IF": 2}
FOLDER = Path(__file__).with_name("cuda")


def fits(machine: Machine, n_in: int, samples: int, steps: int) -> bool:
    """Return whether there is a kernel for so many inputs, samples and steps (0: words)."""
    rows = samples * max(steps, 1)
    return 0 < n_in <= LARGEST and 0 < rows <= ROWS and _shared(n_in, samples, rows, COLUMNS) <= machine.shared


def event_linear(
    machine: Machine,
    x: torch.Tensor,
    weight: torch.Tensor,
    out: torch.Tensor,
    rule: Sums | Fire | If,
    *,
    active: torch.Tensor,
    seen: torch.Tensor,
    steps: int = 0,
    v: torch.Tensor | None = None,
    cut: int = ALL,
    counts: Counts | None = None,
) -> None:
    """Fill `out` with what becomes of the sums over the active inputs; do nothing where more than `cut` are.

    x: (B, n_in), words uint8 or int8, or with `steps` temporal bytes, bit t the spike of step t. weight: int8 (n_in,
    n_out rounded up to COLUMNS), zeros behind n_out. out: int32 (B, n_out), or (steps, B, n_out), of `Sums`; words
    (B, n_out) of `Fire`, temporal bytes of `If`. v: membranes int32 (B, n_out) that are kept, of `If`; None: they begin
    at 0. active: int32 (1,), how many inputs are. seen: int64 (3,), += 1, 1 where it did something, and the active
    inputs. counts: of the words that are sent.
    """
    samples, n_in = x.shape
    n_out, rows = out.shape[-1], samples * max(steps, 1)
    if not n_out:
        active.zero_()
        return
    wide, threads = (2, 256) if n_out >= WIDE_FROM else (1, 512)
    given: dict[str, int | str] = {
        "N_IN": n_in, "N_OUT": n_out, "STRIDE": weight.shape[1], "SAMPLES": samples, "STEPS": steps,
        "SIGNED": int(x.dtype == torch.int8), "THREADS": threads, "WIDE": wide,
        "COUNTED": counts.bits if counts and counts.mode == "popcount" else 0,
        "N_FAN_OUT": counts.fan_out.numel() if counts else 1,
    }  # fmt: skip
    parameters = _parameters(rule, given)
    _compiled(machine, tuple(given.items())).launch(
        "event_linear",
        -(-n_out // (32 * wide)),
        threads,
        _shared(n_in, samples, rows, 32 * wide),
        x, weight, active, *parameters, NONE if v is None else v, out, np.uint32(cut),
        *((NONE, NONE) if counts is None else (counts.fan_out, counts.out)), seen,
    )  # fmt: skip


def _parameters(rule: Sums | Fire | If, given: dict[str, int | str]) -> list[Any]:
    """Add what a rule defines, and return its tensors: fill, thresholds, biases and floors, addresses of 0 for none."""
    named: dict[str, torch.Tensor | None] = {"FILL": rule.fill}
    match rule:
        case Sums():
            given["RULE"] = "SUMS"
        case Fire():
            half = 1 << (rule.bits - 1)
            low, high = (-half, half - 1) if rule.signed else (0, 2 * half - 1)
            given |= {"RULE": "FIRE", "LOW": low, "HIGH": high, "BITS": rule.bits, "MAX_SPIKES": rule.max_spikes}
            named["THRESHOLD"] = rule.threshold
        case If():
            given |= {"RULE": "IF", "ZERO": int(rule.reset == "zero")}
            named |= {"THRESHOLD": rule.threshold, "BIAS": rule.bias, "V_MIN": rule.v_min}
    found: list[Any] = []
    for name in ("FILL", "THRESHOLD", "BIAS", "V_MIN"):
        values = named.get(name)
        given[f"N_{name}"] = 1 if values is None else values.numel()
        found.append(NONE if values is None else values)
    return found


def _shared(n_in: int, samples: int, rows: int, columns: int) -> int:
    """Return the bytes of a block: a counter, the sums, and of each active input its words and its number."""
    capacity = -(-n_in // 32) * 32
    return 16 + 4 * rows * columns + capacity * (samples + 2)


@cache
def _compiled(machine: Machine, given: tuple[tuple[str, int | str], ...]) -> Kernels:
    text = [(FOLDER / name).read_text(encoding="utf-8") for name in FILES]
    defined = [f"#define {name} {value}\n" for name, value in (*RULES.items(), *given)]
    return machine.compile("".join([*defined, *text]).replace("#pragma once\n", ""))
