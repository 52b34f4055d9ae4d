# SPDX-License-Identifier: Apache-2.0
"""What importers of trained spiking networks return."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from spikerun.converters.graph import Array, Shape
from spikerun.converters.source import Trained
from spikerun.converters.spiking.step import Step

if TYPE_CHECKING:
    from spikerun.converters.spiking.report import SpikingReport

__all__ = ["StepSource"]


@runtime_checkable
class StepSource(Trained, Protocol):
    """A trained network with a time loop of its own; sources of this kind derive from it."""

    time_loop: bool = True
    approximate: bool = False  # whether its results are but what its step comes near to
    macs: int | None = None  # of an ANN that it takes the place of, once its step is known

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of its inputs."""
        return ("input",)

    def step(self, shapes: Mapping[str, Shape], steps: int | None) -> Step:
        """Return one step, for samples of these shapes by input, without the batch.

        steps: as many as the caller wants; None leaves it to the network's own loop.
        """

    def told(self, report: "SpikingReport") -> "SpikingReport":
        """Return a report of its conversion with what it has to add."""
        return report

    def results(self, batch: Mapping[str, Array], steps: int, asked: Step) -> dict[str, Array] | None:
        """Return its own results (batch, K) float64 by output after so many steps; None where there is nothing to run.

        batch: real samples (batch, *shape) by input, timed ones (batch, steps, *shape). asked: its step, with the
        readouts by which results are wanted.
        """
