# SPDX-License-Identifier: Apache-2.0
"""When each population runs: on the chip every synapse takes a step, in a network it takes none.

Each population has a level, the steps by which it is behind its own time; events of a projection that arrive `lag`
steps later then need a delay of `lag + level(target) - level(source) - 1` steps, which must not be negative. Inputs
have level 0, others the smallest that there can be.
"""

from collections.abc import Mapping

from spikerun.errors import UnsupportedError
from spikerun.network import Link, Network
from spikerun.text import plural

__all__ = ["levels"]


def levels(net: Network) -> Mapping[str, int]:
    """Return the level of each population. Raises UnsupportedError where a cycle has fewer steps than synapses."""
    found = dict.fromkeys(net.populations, 0)
    by: dict[str, Link] = {}  # what has raised each population last
    for _ in range(len(found) + 1):
        raised = ""
        for link in net.links:
            least = found[link.source] + 1 - link.lag
            if found[link.target] < least:
                found[link.target], by[link.target], raised = least, link, link.target
        if not raised:
            return found
    raise UnsupportedError(f"{_cycle(by, raised)}: on Loihi each synapse takes a step, so give it longer delays")


def _cycle(by: Mapping[str, Link], name: str) -> str:
    """Return which cycle raises itself for ever; `name` is behind it, or on it."""
    for _ in by:
        name = by[name].source
    links = [by[name]]
    while links[0].source != name:
        links.insert(0, by[links[0].source])
    path, steps = " -> ".join([name, *(link.target for link in links)]), sum(link.lag for link in links)
    return f"the cycle {path} has {plural(len(links), 'synapse')} and {plural(steps, 'step')} of delay"
