# SPDX-License-Identifier: Apache-2.0
"""When each population runs: on the chip every synapse takes a step, in a network it takes none.

Each population has a level, the steps by which it is behind its own time; events of a projection that arrive `lag`
steps later then need a delay of `lag + level(target) - level(source) - 1` steps, which must not be negative. Inputs
have level 0, others the smallest that there can be.
"""

from collections.abc import Mapping

from spikerun.errors import UnsupportedError
from spikerun.network import Network

__all__ = ["levels"]


def levels(net: Network) -> Mapping[str, int]:
    """Return the level of each population. Raises UnsupportedError where a cycle has fewer steps than synapses."""
    found = dict.fromkeys(net.populations, 0)
    for _ in range(len(found) + 1):
        changed = False
        for link in net.links:
            least = found[link.source] + 1 - link.lag
            if not net.populations[link.target].neuron.is_input and found[link.target] < least:
                found[link.target], changed = least, True
        if not changed:
            return found
    raise UnsupportedError(f"{_cycle(net, found)}; on Loihi each synapse takes a step: give the cycle longer delays")


def _cycle(net: Network, found: Mapping[str, int]) -> str:
    """Return which cycle is too short for its synapses."""
    before = {k.target: k for k in net.links if found[k.target] < found[k.source] + 1 - k.lag or k.lag < 1}
    for start in before:
        path, at = [start], start
        while at in before and len(path) <= len(found):
            at = before[at].source
            if at in path:
                round_ = [*path[path.index(at) :], at]
                links = [before[name] for name in round_[:-1]]
                total = sum(link.lag for link in links)
                if total < len(links):
                    path_of = " -> ".join(reversed(round_))
                    return f"the cycle {path_of} has {len(links)} synapses and {total} steps of delay"
            path.append(at)
    return "a cycle has more synapses than steps of delay"
