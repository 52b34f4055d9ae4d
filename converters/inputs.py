# SPDX-License-Identifier: Apache-2.0
"""How the samples of a data set enter a network that `spikerun convert` reads, by their range and by what is said."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikerun import real
from spikerun.codes import MAX_INPUT_BITS, word_range
from spikerun.converters.encoding import NEAR, Encoding
from spikerun.converters.fitting import fitted, notes_on
from spikerun.datasets import Dataset
from spikerun.datasets.lazy import Lazy
from spikerun.errors import UsageError

__all__ = ["alike", "entering_as"]

BITS = 8


def alike(first: Dataset, second: Dataset) -> tuple[Dataset, Dataset]:
    """Return two splits as they are, or both as real numbers where one of them holds such."""
    if first.whole == second.whole or isinstance(first.samples, Lazy) or isinstance(second.samples, Lazy):
        return first, second
    return replace(first, samples=first.real(), scale=1.0), replace(second, samples=second.real(), scale=1.0)


def entering_as(
    given: Encoding, data: Sequence[Dataset], chosen: Any, bits: int | None, said: bool, scale: float | None,
    name: str = "input",
) -> tuple[Encoding, list[str]]:  # fmt: skip
    """Return the encoding of data sets for an input, the one that calibrates first, and what is to be said of it.

    given: its mean, std and code. chosen: places of the samples that calibrate. bits: None: those that the samples
    need. said: whether scale, mean or std were given; scale: None: that of the data.
    """
    first = data[0]
    if not first.whole:
        if said:
            return _of_reals(replace(given, scale=1 / 255 if scale is None else scale), first, chosen, bits, name)
        samples = first.samples[chosen]
        found = fitted(samples, bits, given.code)
        return found, notes_on({name: found}, {name: samples})
    scaled = replace(given, scale=first.scale if scale is None else scale)
    whole = [one.samples for one in data if not isinstance(one.samples, Lazy) and one.whole]
    low = min((int(samples.min()) for samples in whole), default=0)
    high = max((int(samples.max()) for samples in whole), default=0)
    return replace(scaled, bits=bits or max(_needed(low, high), BITS), signed=low < 0), []


def _of_reals(given: Encoding, data: Dataset, chosen: Any, bits: int | None, name: str) -> tuple[Encoding, list[str]]:
    """Return the encoding of real numbers whose scale, mean and std are given, and what rounding does to them."""
    exact = real.integers(np.asarray(data.samples[chosen]), given.scale, given.mean, given.std)
    whole = np.rint(exact)
    low, high = int(whole.min()), int(whole.max())
    if bits is None and _needed(low, high) > MAX_INPUT_BITS:
        raise UsageError(
            f"the samples for '{name}' would be integers from {low} to {high} by --scale {given.scale:.6g}, which take "
            f"{_needed(low, high)} bits, and inputs have {MAX_INPUT_BITS}: give a scale that is so many times as large"
        )
    found = replace(given, bits=bits or max(_needed(low, high), BITS), signed=low < 0, rounds=True)
    ends = word_range(found.bits, found.signed)
    cut = float(np.mean((whole < ends[0]) | (whole > ends[1])))
    gap = float(np.abs(exact - np.clip(whole, *ends)).max())
    if gap <= NEAR:
        return found, []
    said = (
        f"the samples that calibrate for '{name}' are not (integer * scale - mean) / std for --scale "
        f"{given.scale:.6g}, and are rounded to such, each at most {gap * given.scale:.2g} beside what it was before "
        "mean and std"
    )
    if cut:
        said += f"; {cut:.2%} of their values lie beyond {found.bits} bits, and are cut: give more --input-bits or a "
        said += "larger --scale"
    return found, [f"{said}."]


def _needed(low: int, high: int) -> int:
    """Return the bits of integers from `low` to `high`, in two's complement where `low` is negative."""
    return max((-low - 1).bit_length(), high.bit_length()) + 1 if low < 0 else high.bit_length()
