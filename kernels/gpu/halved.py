# SPDX-License-Identifier: Apache-2.0
"""Weights of which two of each four inputs are zero (2:4): the sparse tensor cores, through cuSPARSELt.

Sums are int32 of 8-bit integers, the same as those of all weights. It pays where tensor cores are what there is too
little of, not memory: from 4,096 rows, samples times steps, on.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["LEAST_ROWS", "Halved", "halved", "is_halved", "multiply", "pays", "why_not"]

LEAST_ROWS = 4096
ALIGNED = 32  # cuSPARSELt takes multiples of so many rows, inputs and outputs


@dataclass(frozen=True)
class Halved:
    """Weights, compressed: two of each four, and which they are."""

    compressed: torch.Tensor
    inputs: int
    outputs: int


def is_halved(weight: npt.NDArray[np.int8]) -> bool:
    """Return whether each four weights (n_in, n_out) of an output that follow each other have two zeros."""
    inputs, outputs = weight.shape
    return inputs % 4 == 0 and bool((np.count_nonzero(weight.reshape(-1, 4, outputs), axis=1) <= 2).all())


def why_not(weight: npt.NDArray[np.int8], rows: int) -> str | None:
    """Return why the sparse tensor cores do not take weights (n_in, n_out) at so many rows, or None."""
    if not is_halved(weight):
        return "not two of each four weights are zero"
    if any(n % ALIGNED or not n for n in (*weight.shape, rows)):
        return f"inputs, outputs and rows are no multiples of {ALIGNED}"
    return None if rows >= LEAST_ROWS else f"2:4 does not pay below {LEAST_ROWS} rows (samples times steps)"


def pays(weight: npt.NDArray[np.int8], rows: int) -> bool:
    """Return whether so many rows are faster than with all weights."""
    return why_not(weight, rows) is None


def halved(weight: npt.NDArray[np.int8], device: torch.device | str) -> Halved:
    """Compress weight (n_in, n_out), of which `is_halved` holds; the device is a GPU."""
    inputs, outputs = weight.shape
    there = torch.from_numpy(np.ascontiguousarray(weight.T)).to(device)
    return Halved(torch._cslt_compress(there), inputs, outputs)


def multiply(x: torch.Tensor, weights: Halved) -> torch.Tensor:
    """Return the sums int32 (R, n_out) of words or spikes x, int8 (R, n_in); of unsigned words, those up to 127."""
    return torch._cslt_sparse_mm(weights.compressed, x.t(), out_dtype=torch.int32, transpose_result=True)
