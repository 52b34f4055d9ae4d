# SPDX-License-Identifier: Apache-2.0
"""What the float network does on the calibration samples: the figures by which integers are chosen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikerun.converters.forward import spread
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, PoolLayer, RelayLayer
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.spiking.fixed_point import Fixed, Summed
from spikerun.converters.spiking.network import Part
from spikerun.converters.spiking.simulate import run_layers
from spikerun.errors import ConversionError

__all__ = ["Observed", "observe"]

Layers = Sequence[InputLayer | PoolLayer | RelayLayer | Layer]
MOST_INPUTS = 2560  # of a sum, whose second moments are kept: a matrix of 52 MB
SUMS = 2048  # of a step and a batch at most, which make moments
SAMPLED = 8  # samples of a batch at most, where each makes many sums


@dataclass(frozen=True, eq=False)
class Observed:
    """Figures of the calibration samples.

    peaks: the largest current or membrane of each cell, and the largest sum of each output without cells, in units of
    its weights. events: the mean of what each layer
    sends in a step, of its shape. moments: for a layer and one of its terms by number, the second moments of what its
    sums are made of (groups, inputs, inputs), not normalised; terms of too many inputs have none.
    """

    peaks: Mapping[str, float]
    events: Mapping[str, Array]
    moments: Mapping[tuple[str, int], Array]


def observe(
    layers: Layers,
    parts: Sequence[Part],
    cells: Mapping[str, Cell],
    batches: Iterable[Mapping[str, Array]],
    steps: int,
    timed: frozenset[str],
) -> Observed:
    """Run the float network. Raises ConversionError where what it reaches cannot be had in integers."""
    sums = {part.name: spread(part.scale, part.shape) for part in parts if isinstance(part, Summed)}
    peaks = dict.fromkeys([*cells, *sums], 0.0)
    events: dict[str, Array] = {layer.name: np.zeros(layer.shape) for layer in layers}
    moments: dict[tuple[str, int], Array] = {}
    units = {part.name: spread(part.unit, part.shape) for part in parts if isinstance(part, Fixed)}
    constant = {layer.name for layer in layers if isinstance(layer, InputLayer)} - timed
    rng, seen = np.random.default_rng(0), 0
    for batch in batches:
        seen += len(next(iter(batch.values())))
        totals: dict[str, Array] = {}
        for t, (values, states) in enumerate(run_layers(layers, cells, batch, steps, timed)):
            for name, sent in values.items():
                events[name] += sent.sum(axis=0)
            for name, state in states.items():
                peaks[name] = float(np.maximum(peaks[name], _largest(cells[name], state, units[name])))
            for name, scale in sums.items():
                totals[name] = totals.get(name, 0.0) + values[name]
                peaks[name] = float(np.maximum(peaks[name], (np.abs(totals[name]) / scale).max()))
            _add_moments(moments, layers, values, constant if t else set(), rng)
    if not all(np.isfinite(list(peaks.values()))):
        raise ConversionError("the trained network itself reaches infinity on these samples: check its weights")
    return Observed(peaks, {name: total / max(seen * steps, 1) for name, total in events.items()}, moments)


def _largest(cell: Cell, state: Mapping[str, Array], unit: Array) -> float:
    if cell.above(state["v"]).any():
        raise ConversionError(
            f"'{cell.name}' passes twice its threshold in one step on these samples, and compares with twice then, "
            "which integers do not: leave its reset_delay=True, or raise its threshold, and train again"
        )
    v = np.maximum(state["v"], 0) if cell.sinks else np.abs(state["v"])
    return float(np.max([(seen.max(axis=0) / unit).max() for seen in (np.abs(state["u"]), v)]))  # NaN stays NaN


def _add_moments(
    moments: dict[tuple[str, int], Array],
    layers: Layers,
    values: Mapping[str, Array],
    known: set[str],
    rng: np.random.Generator,
) -> None:
    """Add what the sums of a step are made of; known: sources that send what they sent in the step before."""
    for layer in layers:
        for k, term in enumerate(layer.terms if isinstance(layer, Layer) else ()):
            if term.source in known or not term.map.small or term.map.inputs > MOST_INPUTS:
                continue
            x = values[term.source]
            few = x[:: -(-len(x) // SAMPLED)] if term.map.image else x
            patches = term.map.patches(few.reshape(len(few), *term.shape))
            if patches is None:
                continue
            if patches.shape[1] > SUMS:
                patches = patches[:, rng.choice(patches.shape[1], SUMS, replace=False)]
            found = np.matmul(patches.transpose(0, 2, 1), patches)
            key = (layer.name, k)
            moments[key] = moments[key] + found if key in moments else found
