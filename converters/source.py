# SPDX-License-Identifier: Apache-2.0
"""What is converted: a source, with its float graph and its own results; importers open them by what they read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from spikerun.converters.graph import Array, Graph, Shape
from spikerun.errors import UsageError

__all__ = ["Importer", "Opener", "Source", "Trained", "check_bits"]


@runtime_checkable
class Trained(Protocol):
    """A trained network, whatever framework it is of: a `Source`, or a `StepSource` of `spiking/source.py`.

    time_loop: whether it runs over time steps of its own, as trained spiking networks do: then no bits are chosen.
    """

    time_loop: bool = False

    @property
    def name(self) -> str:
        """Return what it was read from, such as `torch`; several with commas between."""


@runtime_checkable
class Source(Trained, Protocol):
    """A network that computes its results of a sample at once; sources of this kind derive from it."""

    def expected(self) -> Mapping[str, tuple[int | None, ...] | None]:
        """Return its inputs by name, with the axes of a sample, None where free; None: it says nothing of them."""
        return {"input": None}

    def choice(self) -> str:
        """Return how a user keeps one of several results."""
        return "return only that one from forward"

    def graph(self, shapes: Mapping[str, Shape]) -> Graph:
        """Return the float graph for samples of these shapes, without the batch, by the names of the inputs."""

    def logits(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Return its own results (batch, ...) float64 by name, for real samples (batch, *shape) float64 by name.

        Names of inputs and outputs are those of the graph.
        """

    def runner(self, batch: Mapping[str, Array], threads: int) -> Callable[[int, int], object]:
        """Return what computes its results for the samples first..end of a real batch, to be timed on so many threads.

        Frameworks convert the batch beforehand; this one does not.
        """
        return lambda first, end: self.logits({name: values[first:end] for name, values in batch.items()})


def check_bits(source: Trained, *asked: object) -> None:
    """Refuse whatever is asked for that chooses bits, where the network has a time loop of its own."""
    if source.time_loop and any(one is not None for one in asked):
        raise UsageError(
            f"this network ({source.name}) has a time loop of its own, so there are no --bits (or --steps) to choose: "
            "how many time steps it runs is its --duration"
        )


class Opener(Protocol):
    """What an importer's module offers."""

    def __call__(self, where: str, weights: Path | None, **options: Any) -> Trained:
        """Return the source that `where` names, with trained weights from another file where they are given.

        options: those of the importer's row that were given.
        """


@dataclass(frozen=True)
class Importer:
    """A row of the table of importers.

    suffix: of the files that it reads; reads: the form in which a user names them; opener: dotted path, `module:name`,
    of an `Opener`, imported when it is needed; hint: how to install what it needs; options: names of keyword arguments
    that its opener takes besides; sources: the names that its sources may have.
    """

    suffix: str
    reads: str
    summary: str
    opener: str
    hint: str
    options: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
