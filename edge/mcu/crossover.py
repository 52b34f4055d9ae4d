# SPDX-License-Identifier: Apache-2.0
"""Event by event or densely: what a map takes on a core with Helium, by how many of its neurons are active.

On all other cores here no dense kernel is cheaper than the rows of active neurons, even where all are active. The costs
are instructions as QEMU counts them, `benchmarks/mcu/kernels.py`.
"""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from spikerun.edge.mcu import maps
from spikerun.kernels.operations import Map
from spikerun.kernels.program import Register

__all__ = ["Choice", "choice"]

ASSUMED = {True: 0.1, False: 0.5}  # the share of neurons that is active where nobody has measured; True: of spikes
SCAN, LIST = 7.0, 12.0  # instructions for each neuron, and for each active one more
ROW = {True: 0.35, False: 0.65}  # for each weight of an active neuron; True: of spikes
DOT, DOT_ROW, DOT_PIXEL = 10.0, 14.0, 60.0  # for 16 words and four targets, for their row, and for all of a pixel


class Choice(NamedTuple):
    """Whether the dense kernel is taken, and why."""

    dense: bool
    reason: str


def choice(m: Map, x: Register, activity: Mapping[str, float], features: Collection[str]) -> Choice | None:
    """Return the choice for a map that reads register `x`; None where there is none.

    activity: the share of active neurons of registers, where it was measured.
    """
    if "mve" not in features or x.dtype != "uint8":
        return None
    numbers = maps.dot_numbers(m)
    if numbers is None:
        return None
    n = {key: int(value) for key, value in numbers.items()}
    spikes = x.largest == 1
    share, said = activity.get(x.name, ASSUMED[spikes]), "measured" if x.name in activity else "assumed"
    pixels, blocks = n["target_height"] * n["target_width"], -(-n["channels"] // 4)
    length, rows = n["kernel_width"] * n["source_channels"], n["kernel_height"]
    dense = pixels * blocks * (rows * (-(-length // 16) * DOT + DOT_ROW) + DOT_PIXEL)
    listed = math.prod(m.source) * max(1.0, rows / n["stride_y"])
    events = listed * (SCAN + share * LIST)
    events += pixels * share * length * rows * n["channels"] * ROW[spikes]
    taken = dense < events
    text = f"{share:.0%} of '{x.name}' {said} active: densely {dense:,.0f} instructions, by event {events:,.0f}"
    return Choice(taken, text)
