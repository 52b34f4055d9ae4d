# SPDX-License-Identifier: Apache-2.0
"""A NIR file as a source of spiking networks: its step, and its results in floating point."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spikerun.atomic import PathLike
from spikerun.converters.graph import Array, Input, Shape
from spikerun.converters.nir.read import read_nir
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.spiking.step import Step, outputs
from spikerun.errors import DataError, UsageError

__all__ = ["NirSource", "open_source"]


class NirSource(StepSource):
    """The network of a file, with what `read_nir` takes: the time step, the writer, the reset, the floor."""

    name = "nir"

    def __init__(
        self,
        path: PathLike,
        dt: float | None = None,
        writer: str | None = None,
        reset: str | None = None,
        floor: bool = True,
    ) -> None:
        self.read = read_nir(path, dt, writer, reset, floor)

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.read.graph.inputs

    def step(self, shapes: Mapping[str, Shape], steps: int | None) -> Step:
        """Return the step of the file, for samples of the shapes of its inputs."""
        graph = self.read.graph
        own = {node.op.name: node.shape for node in graph.nodes.values() if isinstance(node.op, Input)}
        for name, shape in shapes.items():
            if shape != own.get(name):
                raise DataError(f"samples have the shape {shape}, the input '{name}' of the file {own.get(name)}")
        return replace(self.read, timed=frozenset())

    def results(self, batch: Mapping[str, Array], steps: int, asked: Step) -> dict[str, Array]:
        """Return what the step gives in floating point."""
        return outputs(replace(self.read, readouts=asked.readouts, timed=asked.timed), batch, steps)


def open_source(
    where: str, weights: Path | None = None, dt: float | None = None, writer: str | None = None,
    reset: str | None = None, floor: bool = True,
) -> NirSource:  # fmt: skip
    """Return the source of a .nir file."""
    if weights is not None:
        raise UsageError("a .nir file has its weights in it: leave --weights out")
    return NirSource(where, dt, writer, reset, floor)
