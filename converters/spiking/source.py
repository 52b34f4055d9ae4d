# SPDX-License-Identifier: Apache-2.0
"""What importers of trained spiking networks return."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from spikerun.converters.graph import Array, Graph, Shape
from spikerun.converters.source import Source
from spikerun.converters.spiking.step import Step
from spikerun.errors import UsageError

__all__ = ["StepSource"]


@runtime_checkable
class StepSource(Source, Protocol):
    """A trained network with a time loop of its own; sources of this kind derive from it."""

    time_loop: bool = True

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of its inputs."""
        return ("input",)

    def step(self, shapes: Mapping[str, Shape], steps: int | None) -> Step:
        """Return one step, for samples of these shapes by input, without the batch.

        steps: as many as the caller wants; None leaves it to the network's own loop.
        """

    def results(self, batch: Mapping[str, Array], steps: int, asked: Step) -> dict[str, Array] | None:
        """Return its own results (batch, K) float64 by output after so many steps; None where there is nothing to run.

        batch: real samples (batch, *shape) by input, timed ones (batch, steps, *shape). asked: its step, with the
        readouts by which results are wanted.
        """

    def graph(self, shapes: Mapping[str, Shape]) -> Graph:
        """Refuse: there is no graph without time."""
        raise UsageError(f"this network ({self.name}) has a time loop of its own: it has a step, and no graph")

    def logits(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Refuse: results depend on the number of steps."""
        raise UsageError(f"this network ({self.name}) has a time loop of its own: ask for its results after some steps")
