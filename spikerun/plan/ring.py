# SPDX-License-Identifier: Apache-2.0
"""Currents under way to a population whose synapses have delays of their own: a ring, with a place for each step."""

from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.kernels.executor import Workspace
from spikerun.kernels.operations import Scatter
from spikerun.network import Link, Network
from spikerun.plan.common import mapping, of

__all__ = ["read_ring", "ring", "scatter", "slots", "write_ring"]


def ring(name: str) -> str:
    """Return the name of the register of the currents under way to a population."""
    return of(name, "ring")


def slots(net: Network, name: str) -> int:
    """Return how many steps it holds: a power of two, and more than the largest delay."""
    return 1 << net.under_way(name).bit_length()


def scatter(net: Network, link: Link) -> Scatter:
    """Return what sends the events of a projection on their way."""
    delay = link.lag - link.connection.delay_range[0]
    where = ring(link.target), mapping(net, link), delay, link.projection.exponent, slots(net, link.target)
    return Scatter(link.source, *where)


def read_ring(net: Network, name: str, work: Workspace) -> npt.NDArray[Any]:
    """Return what arrives in the next steps, (steps, *shape of the population)."""
    places = work.read(ring(name))
    return np.roll(places, -(work.t % len(places)), axis=0)[: net.under_way(name)]


def write_ring(net: Network, name: str, work: Workspace, currents: npt.NDArray[Any], t: int) -> None:
    """Put what arrives in the next steps where step t, and those after it, look for it."""
    places = np.zeros((slots(net, name), *currents.shape[1:]), np.int32)
    places[: len(currents)] = currents
    work.write(ring(name), np.roll(places, t % len(places), axis=0))
