# SPDX-License-Identifier: Apache-2.0
"""What is on its way, as registers of a program hold it, and as the kernel of recurrent networks does.

A program keeps past events where all synapses of a map have one delay, and currents in a ring where they do not. The
kernel has one ring for all, and from past spikes only a history of bits. Here is what turns one into the other: for
snapshots, on the host.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError
from spikerun.kernels.gpu.circuit import Circuit, Group, Link, Past
from spikerun.kernels.gpu.drives import sent
from spikerun.kernels.gpu.printed import Sizes
from spikerun.kernels.gpu.segments import listed

__all__ = ["UnderWay"]

Array = npt.NDArray[np.int64]
History = npt.NDArray[np.uint64]  # (neurons,): bit b is the spike of the pass b + 1 ago


class UnderWay:
    """The registers of a circuit that hold past events, or currents under way."""

    def __init__(self, circuit: Circuit, size: Sizes, shapes: dict[str, tuple[int, ...]]) -> None:
        self._circuit, self._size, self._shapes = circuit, size, shapes
        self._groups = {group.register: group for group in circuit.groups}

    @cached_property
    def _links(self) -> list[tuple[Link, list[Array]]]:
        """Return the links that take past events, with source, target, weight and delay of their synapses."""
        return [(link, listed(link)) for link in self._circuit.links if link.past]

    def past(self, past: Past, history: History, t: int) -> Array:
        """Return a register of past events before pass t, (steps, *shape)."""
        return np.stack([self.sent(past.source, history, u - past.early, t) for u in _latest(past.steps, t)])

    def sent(self, register: str, history: History, u: int, t: int) -> Array:
        """Return what was sent at pass u, before pass t."""
        shape = self._shapes[register]
        if register in self._circuit.poisson:
            return sent(self._circuit.poisson[register], shape, u)
        if not 0 <= t - 1 - u < 64:
            return np.zeros(shape, np.int64)
        own = history[self._groups[register].span] >> np.uint64(t - 1 - u)
        return (own & np.uint64(1)).astype(np.int64).reshape(shape)

    def put(self, past: Past, values: Array, history: History, t: int) -> None:
        """Set a register of past events. Raises DataError where a Poisson source did not send them."""
        for place, u in enumerate(_latest(past.steps, t)):
            self.put_sent(past.source, values[place], history, u - past.early, t)

    def put_sent(self, register: str, values: Array, history: History, u: int, t: int) -> None:
        """Set what was sent at pass u, before pass t."""
        if register in self._circuit.poisson:
            if u >= 0 and (values != self.sent(register, history, u, t)).any():
                raise DataError(f"'{register}' did not send at step {u} what is told of it: seed and step decide that")
        elif u < t:
            bit = np.uint64(t - 1 - u)
            span = self._groups[register].span
            cleared = history[span] & ~(np.uint64(1) << bit)
            history[span] = cleared | (values.ravel() != 0).astype(np.uint64) << bit

    def from_past(self, history: History, t: int) -> Array:
        """Return the currents that past spikes will be, (slots, neurons), in the slots of the kernel."""
        found = np.zeros((self._size.slots, self._circuit.neurons), np.int64)
        for link, (source, target, weight, _) in self._links:
            for u in range(max(0, t - link.delay), t):
                words = self.sent(link.source.register, history, u, t).ravel()
                np.add.at(
                    found[(u + link.delay) % self._size.slots], target, weight * words[source - link.source.first]
                )
        return found

    def ring(self, group: Group, slots: int, currents: Array, t: int) -> Array:
        """Return a register of currents before pass t, (slots, *shape), of those in the slots of the kernel."""
        found = np.zeros((slots, group.size), np.int64)
        for late in range(min(slots, self._size.slots)):
            found[(t + late) % slots] = currents[(t + late) % self._size.slots, group.span]
        return found.reshape(slots, *group.shape)

    def put_ring(self, group: Group, values: Array, currents: Array, t: int) -> None:
        """Set the currents of a group in the slots of the kernel."""
        slots = len(values)
        for late in range(self._size.slots):
            own = values[(t + late) % slots].ravel() if late < slots else 0
            currents[(t + late) % self._size.slots, group.span] = own


def _latest(steps: int, t: int) -> list[int]:
    """Return for each place of a register of past events the latest pass before t that turned it there."""
    return [t - 1 - (t - 1 - place) % steps for place in range(steps)]
