# SPDX-License-Identifier: Apache-2.0
"""Event by event or densely: what a map takes on a core, by how many of its neurons are active.

Costs of the kernels are those of the cores' files (`costs`). A core that is not named here has no dense kernel that is
cheaper than the rows of active neurons, even where all are active.
"""

from collections.abc import Collection, Mapping
from functools import cache
from typing import NamedTuple

from spikerun.edge.mcu import board, costs, maps
from spikerun.kernels.operations import Map
from spikerun.kernels.program import Register

__all__ = ["Choice", "choice"]

ASSUMED = {True: 0.1, False: 0.5}  # the share of neurons that is active where nobody has measured; True: of spikes
# what a core must have, the dense kernel that is for it, and the core whose costs stand for all that have it
DENSE = (("mve", "dot", "cortex-m55"), ("dsp", "pairs", "cortex-m4"))


class Choice(NamedTuple):
    """The dense kernel that is taken, empty if none is, and why; share: of instructions by event, what it takes."""

    kind: str
    reason: str
    share: float = 1.0


@cache
def _costs(name: str) -> costs.Costs:
    return board.load_core(name).costs


def _takes(kind: str, m: Map, x: Register) -> bool:
    """Return whether a dense kernel can compute the map."""
    if kind == "dot":
        return x.dtype == "uint8" and maps.dot_numbers(m) is not None
    return x.dtype in ("uint8", "int8") and maps.suits_pairs(m)


def choice(m: Map, x: Register, activity: Mapping[str, float], features: Collection[str]) -> Choice | None:
    """Return the choice for a map that reads register `x`; None where there is none.

    activity: the share of active neurons of registers, where it was measured.
    """
    found = next(((kind, name) for feature, kind, name in DENSE if feature in features), None)
    if found is None or not _takes(found[0], m, x):
        return None
    kind, name = found
    spikes = x.largest == 1
    share, said = activity.get(x.name, ASSUMED[spikes]), "measured" if x.name in activity else "assumed"
    dense = costs.of_map(_costs(name), kind, m, share, spikes)
    events = costs.of_map(_costs(name), m.kind, m, share, spikes)
    if dense is None or events is None:
        return None
    text = f"{share:.0%} of '{x.name}' {said} active: densely {dense:,.0f} instructions, by event {events:,.0f}"
    return Choice(kind if dense < events else "", text, dense / events)
