# SPDX-License-Identifier: Apache-2.0
"""What is converted: a source, with its float graph and its own results; importers open them by what they read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from spikerun.converters.graph import Array, Graph, Shape

__all__ = ["Importer", "Opener", "Source"]


@runtime_checkable
class Source(Protocol):
    """A trained network, whatever framework it is of. `name` says where it is from."""

    @property
    def name(self) -> str:
        """Return what it was read from, such as `torch`."""

    def graph(self, shapes: Mapping[str, Shape]) -> Graph:
        """Return the float graph for samples of these shapes, without the batch, by the names of the inputs."""

    def logits(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Return its own results (batch, ...) float64 by name, for real samples (batch, *shape) float64 by name.

        Names of inputs and outputs are those of the graph.
        """


class Opener(Protocol):
    """What an importer's module offers."""

    def __call__(self, where: str, weights: Path | None) -> Source:
        """Return the source that `where` names, with trained weights from another file where they are given."""


@dataclass(frozen=True)
class Importer:
    """A row of the table of importers.

    suffix: of the files that it reads; reads: the form in which a user names them; opener: dotted path, `module:name`,
    of an `Opener`, imported when it is needed; hint: how to install what it needs.
    """

    suffix: str
    reads: str
    summary: str
    opener: str
    hint: str
