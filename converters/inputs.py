# SPDX-License-Identifier: Apache-2.0
"""How the samples of a data set enter a network that `spikerun convert` reads, by their range and by what is said."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikerun import real
from spikerun.converters.encoding import Encoding
from spikerun.converters.fitting import fitted, notes_on
from spikerun.datasets import Dataset
from spikerun.datasets.lazy import Lazy

__all__ = ["alike", "entering_as"]


def alike(first: Dataset, second: Dataset) -> tuple[Dataset, Dataset]:
    """Return two splits as they are, or both as real numbers where one of them holds such."""
    if first.whole == second.whole or isinstance(first.samples, Lazy) or isinstance(second.samples, Lazy):
        return first, second
    return replace(first, samples=first.real(), scale=1.0), replace(second, samples=second.real(), scale=1.0)


def entering_as(
    given: Encoding, data: Sequence[Dataset], chosen: Any, bits: int | None, said: bool, scale: float | None
) -> tuple[Encoding, list[str]]:
    """Return the encoding of data sets, the one that calibrates first, and what is to be said of it.

    given: its mean, std and code. chosen: places of the samples that calibrate. bits: None: those that the samples
    need. said: whether scale, mean or std were given; scale: None: that of the data.
    """
    first = data[0]
    if not first.whole:
        if said:
            unit = 1 / 255 if scale is None else scale
            exact = real.integers(np.asarray(first.samples[chosen]), unit, given.mean, given.std)
            signed = bool(exact.min() < -0.5)
            return replace(given, scale=unit, signed=signed, rounds=True), []
        samples = first.samples[chosen]
        found = fitted(samples, bits, given.code)
        return found, notes_on({"input": found}, {"input": samples})
    scaled = replace(given, scale=first.scale if scale is None else scale)
    whole = [one.samples for one in data if not isinstance(one.samples, Lazy) and one.whole]
    low = min((int(samples.min()) for samples in whole), default=0)
    high = max((int(samples.max()) for samples in whole), default=0)
    signed = low < 0
    needed = max((-low - 1).bit_length(), high.bit_length()) + 1 if signed else high.bit_length()
    return replace(scaled, bits=bits or max(needed, 8), signed=signed), []
