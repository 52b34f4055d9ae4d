# SPDX-License-Identifier: Apache-2.0
"""What became of a trained spiking network: spikes beside those of the float network, and results beside its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikerun.converters.forward import spread
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, PoolLayer, RelayLayer
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.spiking.fixed_point import Fixed
from spikerun.converters.spiking.network import Part
from spikerun.converters.spiking.report import CellReport
from spikerun.converters.spiking.simulate import run_layers
from spikerun.converters.spiking.step import Step, membranes, read_out
from spikerun.network import Network

__all__ = ["compared"]

Samples = Mapping[str, Array]
Layers = Sequence[InputLayer | PoolLayer | RelayLayer | Layer]


@dataclass
class _Tally:
    """What a population's spikes come to over all steps and samples.

    model, state: spikes of either, and of both, beside the float network and beside a float state; counts: of each
    neuron; peak: the largest magnitude of a membrane.
    """

    counts: Array
    model: Array = field(default_factory=lambda: np.zeros(2, np.int64))
    state: Array = field(default_factory=lambda: np.zeros(2, np.int64))
    peak: int = 0

    def add(self, own: Array, model: Array, state: Array, membranes: Array) -> None:
        """Add one step: spikes (batch, *shape), and membranes."""
        self.counts += own.sum(axis=0)
        self.model += (own | model).sum(), (own & model).sum()
        self.state += (own | state).sum(), (own & state).sum()
        self.peak = max(self.peak, int(np.abs(membranes.astype(np.int64)).max()))


def compared(
    network: Network,
    layers: Layers,
    parts: Sequence[Part],
    cells: Mapping[str, Cell],
    samples: Samples,
    step: Step,
    outputs: Mapping[str, str],
) -> tuple[tuple[CellReport, ...], dict[str, Array]]:
    """Return what became of each cell, and the results (batch, K) of the float network; outputs: the layer of each.

    Spikes are compared step by step with those of the float network, and of a float state; no record of them is kept.
    """
    shapes = {layer.name: layer.shape for layer in layers}
    tallies = {name: _Tally(np.zeros(shapes[name], np.int64)) for name in cells}
    seen = membranes(step.graph)
    kept: dict[str, list[Array]] = {name: [] for name in outputs}
    runs = (run_layers(each, cells, samples, network.window, step.timed) for each in (layers, parts))
    for (values, states), (rounded, _), own in zip(*runs, _integers(network, samples, list(cells)), strict=True):
        for name, tally in tallies.items():
            spikes, potentials = own[name]
            tally.add(spikes != 0, values[name] != 0, rounded[name] != 0, potentials)
        for name, layer in outputs.items():
            kept[name].append(_result(values[layer], states.get(layer), cells.get(layer), name in seen, shapes[layer]))
    trials = network.window * len(next(iter(samples.values())))
    fixed = [part for part in parts if isinstance(part, Fixed)]
    reports = tuple(_report(network, part, tallies[part.name], trials) for part in fixed)
    return reports, {name: read_out(step.readouts[name], np.stack(found)) for name, found in kept.items()}


def _result(spikes: Array, state: Any, cell: Cell | None, membrane: bool, shape: tuple[int, ...]) -> Array:
    """Return what a readout takes of a layer in one step."""
    if cell is None:
        return spikes
    return state["v"] + spread(cell.offset, shape) if membrane else spikes * spread(cell.factor, shape)


def _report(network: Network, part: Fixed, tally: _Tally, trials: int) -> CellReport:
    neuron: Any = network.populations[part.name].neuron
    return CellReport(
        name=part.name, shape=part.shape, fraction_bits=neuron.fraction_bits,
        threshold=(int(neuron.threshold.min()), int(neuron.threshold.max())),
        keep=(float(np.min(part.cell.keep_v)), float(np.max(part.cell.keep_v))), reset=part.cell.reset,
        spikes=float(tally.counts.sum() * network.window / trials),
        same_as_model=_share(tally.model), same_as_float_state=_share(tally.state),
        peak=100 * tally.peak / neuron.state_range("v")[1], silent=100 * float((tally.counts == 0).mean()),
        always=100 * float((tally.counts == trials).mean()),
    )  # fmt: skip


def _share(pair: Array) -> float:
    either, both = pair
    return 100.0 if either == 0 else float(100 * both / either)


def _integers(network: Network, samples: Samples, names: list[str]) -> Iterator[dict[str, tuple[Array, Array]]]:
    """Yield after each step the spikes and the membranes (batch, *shape) of populations."""
    from spikerun.session import Session

    session = Session(network, threads=1)
    streams = [session.stream() for _ in range(len(next(iter(samples.values()))))]
    stepwise = {name for name in samples if (word := network.sender_of(name)) is not None and word.stepwise}
    for t in range(network.window):
        for k, stream in enumerate(streams):
            stream.step({name: values[k, t] if name in stepwise else values[k] for name, values in samples.items()})
        yield {
            name: (np.stack([s.spikes(name) for s in streams]), np.stack([s.membrane(name) for s in streams]))
            for name in names
        }
