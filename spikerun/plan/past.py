# SPDX-License-Identifier: Apache-2.0
"""The past of a projection that lags: the events of its source in the last steps, which a ring holds back."""

from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.kernels.executor import Workspace
from spikerun.network import Link, Network
from spikerun.plan.common import of

__all__ = ["delayed", "past", "read_past", "ring_steps", "write_past"]


def past(link: Link) -> str:
    """Return the name of the ring that holds back the events of a projection."""
    return of(f"projection{link.number}", "past")


def delayed(link: Link) -> str:
    """Return the name of the register of the events that a projection that lags takes in this step."""
    return of(f"projection{link.number}", "delayed")


def ring_steps(net: Network, link: Link) -> int:
    """Return how many steps the ring of a projection that lags holds.

    Rings turn at the beginning of a step, when the spikes of inputs are those of this step, all others of the last.
    """
    return link.held - (0 if net.populations[link.source].neuron.is_input else 1)


def read_past(net: Network, link: Link, work: Workspace) -> npt.NDArray[Any]:
    """Return the events of the last `lag` steps, oldest first: (lag, *shape of the source)."""
    events = np.zeros((0, *net.populations[link.source].shape), np.int16)
    ring = ring_steps(net, link)
    if ring:
        events = np.roll(work.read(past(link)), -(work.t % ring), axis=0)
    return events if ring == link.held else np.concatenate([events, work.read(link.source)[None]])


def write_past(net: Network, link: Link, work: Workspace, events: npt.NDArray[Any], t: int) -> None:
    """Put the events of the last `lag` steps, oldest first, where step t looks for them."""
    ring = ring_steps(net, link)
    if ring:
        work.write(past(link), np.roll(events[:ring], t % ring, axis=0))
    if ring < link.held:
        work.write(link.source, events[-1])
