# SPDX-License-Identifier: Apache-2.0
"""Recurrent networks on a GPU: all passes in one kernel that stays (`cuda/recurrent.cu`), spike by spike.

`takes` says whether a program is one of them, `Recurrent` is its executor. Currents under way, membranes and spikes are
those of the reference, bit for bit: sums are of integers, in whatever order they are made.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import UnsupportedError
from spikerun.kernels.executor import Capture, Choice
from spikerun.kernels.gpu.circuit import NotACircuit, circuit
from spikerun.kernels.gpu.drives import Tables, drives, on_device
from spikerun.kernels.gpu.machine import Machine
from spikerun.kernels.gpu.ongoing import Ongoing
from spikerun.kernels.gpu.printed import all_drives, own_values, sizes, source
from spikerun.kernels.gpu.segments import Segments, segments
from spikerun.kernels.operations import Map
from spikerun.kernels.program import Program

__all__ = ["Recurrent", "takes"]

Array = npt.NDArray[Any]


def takes(program: Program) -> str | None:
    """Return why the kernel of recurrent networks cannot execute a program, or None where it can."""
    try:
        circuit(program)
    except NotACircuit as reason:
        return str(reason)
    return None


class Recurrent:
    """A program compiled for the kernel of recurrent networks (`spikerun.kernels.executor.Executor`)."""

    def __init__(self, program: Program, machine: Machine) -> None:
        """Compile a program that `takes` accepts. Raises UnsupportedError where it is too large."""
        self.program, self.machine = program, machine
        self.circuit = circuit(program)
        self.size = size = sizes(self.circuit, machine.processors, machine.shared)
        if size.per * size.round > 2**16 or size.per * size.slots >= 2**24:
            raise UnsupportedError(
                f"{self.circuit.neurons:,} neurons, with delays of up to {size.slots - 1} steps, are too many for one "
                f"GPU of {machine.processors} processors"
            )
        self.kernels = machine.compile(source(self.circuit, size))
        self.tables = Tables(machine.device)
        which, made = drives(all_drives(self.circuit), self.circuit.neurons, size.drives, self.tables)
        self.constants = {
            "drive": on_device(which, machine.device),
            "drives": on_device(made, machine.device),
            "values": on_device(own_values(self.circuit), machine.device),
        }

    @cached_property
    def synapses(self) -> Segments:
        """Return the synapses, which are made when they are first asked for."""
        return segments(self.circuit, self.size, self.kernels, self.tables, self.machine.processors)

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> tuple[dict[str, Array], Array]:
        """Refuse: what goes on without end has no runs."""
        raise UnsupportedError("the kernel of recurrent networks goes on step by step: open a stream")

    def workspace(self, watch: Sequence[str] = (), capture: Sequence[Capture] = ()) -> Ongoing:
        """Return a new sample at rest."""
        return Ongoing(self, watch, capture)

    def choices(self) -> list[Choice]:
        """Return that all maps are event-driven."""
        reason = f"recurrent: all passes in one kernel, {self.size.blocks} blocks of {self.size.per} neurons"
        found = []
        for place, operation in enumerate(self.program.operations):
            for _, value in operation.numbers():
                if isinstance(value, Map):
                    n_in = int(np.prod(value.source))
                    found.append(Choice(place, "event-driven", reason, n_in, n_in))
        return found
