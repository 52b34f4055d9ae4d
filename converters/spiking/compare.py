# SPDX-License-Identifier: Apache-2.0
"""What became of a trained spiking network: spikes beside those of the float network, and results beside its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spikerun.converters.forward import spread
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, PoolLayer
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.spiking.fixed_point import Fixed
from spikerun.converters.spiking.network import Part
from spikerun.converters.spiking.report import CellReport
from spikerun.converters.spiking.simulate import run_layers
from spikerun.converters.spiking.step import Step, membranes, read_out
from spikerun.network import Network
from spikerun.neurons.leaky import WIDE_LIMIT

__all__ = ["compared", "float_results"]

Samples = Mapping[str, Array]
Layers = Sequence[InputLayer | PoolLayer | Layer]


def compared(
    network: Network,
    layers: Layers,
    parts: Sequence[Part],
    cells: Mapping[str, Cell],
    samples: Samples,
    timed: frozenset[str],
) -> Iterator[CellReport]:
    """Yield what became of each cell: its spikes beside those of the float network, and of a float state."""
    model, state = (_spikes(each, cells, samples, network.window, timed) for each in (layers, parts))
    own, peaks = _integer_spikes(network, samples, list(cells))
    for part in parts:
        if isinstance(part, Fixed):
            neuron: Any = network.populations[part.name].neuron
            spikes = own[part.name]
            rate = spikes.mean(axis=(0, 1))
            yield CellReport(
                part.name, part.shape, neuron.fraction_bits,
                (int(neuron.threshold.min()), int(neuron.threshold.max())),
                (float(np.min(part.cell.keep_v)), float(np.max(part.cell.keep_v))), part.cell.reset,
                float(spikes.sum() / spikes.shape[1]), _same(spikes, model[part.name]),
                _same(spikes, state[part.name]), 100 * peaks[part.name] / WIDE_LIMIT,
                100 * float((rate == 0).mean()), 100 * float((rate == 1).mean()),
            )  # fmt: skip


def float_results(
    layers: Layers, cells: Mapping[str, Cell], samples: Samples, steps: int, step: Step, outputs: Mapping[str, str]
) -> dict[str, Array]:
    """Return the results (batch, K) of the float network by output; outputs: the layer of each."""
    seen, shapes = membranes(step.graph), {layer.name: layer.shape for layer in layers}
    kept: dict[str, list[Array]] = {name: [] for name in outputs}
    for values, states in run_layers(layers, cells, samples, steps, step.timed):
        for name, layer in outputs.items():
            cell = cells.get(layer)
            if cell is None:
                kept[name].append(values[layer])
            elif name in seen:
                kept[name].append(states[layer]["v"] + spread(cell.offset, shapes[layer]))
            else:
                kept[name].append(values[layer] * spread(cell.factor, shapes[layer]))
    return {name: read_out(step.readouts[name], np.stack(found)) for name, found in kept.items()}


def _spikes(layers: Any, cells: Mapping[str, Cell], samples: Samples, steps: int, timed: frozenset[str]) -> Samples:
    """Return the spikes (steps, batch, *shape) of all cells."""
    found: dict[str, list[Array]] = {name: [] for name in cells}
    for values, _ in run_layers(layers, cells, samples, steps, timed):
        for name in cells:
            found[name].append(values[name] != 0)
    return {name: np.stack(spikes) for name, spikes in found.items()}


def _integer_spikes(
    network: Network, samples: Mapping[str, Array], names: list[str]
) -> tuple[dict[str, Array], dict[str, int]]:
    """Return the spikes (steps, batch, *shape) of populations, and the largest magnitude of their membranes."""
    from spikerun.session import Session

    session = Session(network, threads=1)
    spikes: dict[str, list[Array]] = {name: [] for name in names}
    peaks = dict.fromkeys(names, 0)
    for k in range(len(next(iter(samples.values())))):
        stream = session.stream()
        sent: dict[str, list[Array]] = {name: [] for name in names}
        for t in range(network.window):
            given = {}
            for name, values in samples.items():
                word = network.sender_of(name)
                given[name] = values[k, t] if word is not None and word.stepwise else values[k]
            stream.step(given)
            for name in names:
                sent[name].append(stream.spikes(name) != 0)
                peaks[name] = max(peaks[name], int(np.abs(stream.membrane(name).astype(np.int64)).max()))
        for name in names:
            spikes[name].append(np.stack(sent[name]))
    return {name: np.stack(found, axis=1) for name, found in spikes.items()}, peaks


def _same(ours: Array, theirs: Array) -> float:
    """Return the percentage of the spikes of either that both have."""
    either = int((ours | theirs).sum())
    return 100.0 if either == 0 else 100 * int((ours & theirs).sum()) / either
