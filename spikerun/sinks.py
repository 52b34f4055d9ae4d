# SPDX-License-Identifier: Apache-2.0
"""Where the outputs of a stream go: lines of text, or events again.

CSV has the columns `step,t_us,population,kind,index,value`; t_us is when the step began. A row of kind `spike` is a
spike of the neuron `index`; a reading is a row of kind `class`, with the place of the largest logit and the logit, and
one of kind `logit` for each.
"""

from collections.abc import Iterable
from typing import IO

import numpy as np

from spikerun.errors import UsageError
from spikerun.events import EVENT, EventArray
from spikerun.network import Network
from spikerun.outputs import Outputs, Reading, Spike

__all__ = ["CsvSink", "SpikesAsEvents", "class_of"]

HEADER = "step,t_us,population,kind,index,value\n"


def class_of(reading: Reading) -> int:
    """Return the place of the largest logit, the first of equals."""
    return int(np.argmax(reading.logits))


class CsvSink:
    """Writes outputs as lines; a file that ends its lines at once can be followed while it grows."""

    def __init__(self, file: IO[str], step_ns: int) -> None:
        self._file, self._step_ns = file, step_ns
        file.write(HEADER)

    def write(self, outputs: Iterable[Spike | Reading]) -> None:
        """Write what a stream sent."""
        for item in outputs:
            begin = f"{item.step},{_microseconds(item.step * self._step_ns)},{item.population}"
            if isinstance(item, Spike):
                self._file.write(f"{begin},spike,{item.index},{item.value}\n")
                continue
            logits = item.logits.ravel()
            best = class_of(item)
            rows = [("class", best, logits[best]), *(("logit", k, logit) for k, logit in enumerate(logits))]
            self._file.write("".join(f"{begin},{kind},{k},{value:.9g}\n" for kind, k, value in rows))


def _microseconds(ns: int) -> str:
    """Return nanoseconds as microseconds, with as many places as are needed."""
    whole, rest = divmod(ns, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)


class SpikesAsEvents:
    """Makes events of the spikes of an output: t when the step began, x, y and p from the place in (C, H, W).

    Raises UsageError where not one output sends spikes, or an event has no room for their places.
    """

    def __init__(self, net: Network, step_ns: int) -> None:
        self._step_ns = step_ns
        self._shapes = {
            name: (1,) * (3 - len(net.populations[name].shape)) + net.populations[name].shape
            for name in net.outputs
            if not net.populations[name].neuron.reported
        }
        if len(self._shapes) != 1:
            raise UsageError(
                f"events are made of the spikes of one output, and {len(self._shapes)} outputs of this network send "
                "spikes: write CSV"
            )
        ((self._name, shape),) = self._shapes.items()
        if shape[0] > 256 or max(shape[1:]) > 65536:
            raise UsageError(
                f"an event holds 256 channels and 65536 rows and columns, output '{self._name}' has {shape}"
            )

    def of(self, outputs: Outputs) -> EventArray:
        """Return the events, in order of time; those of spikes alone."""
        spikes = outputs.spikes[self._name]
        found = np.zeros(len(spikes), EVENT)
        found["t"] = spikes["step"] * self._step_ns // 1000
        found["p"], found["y"], found["x"] = np.unravel_index(spikes["index"], self._shapes[self._name])
        return found
