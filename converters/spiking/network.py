# SPDX-License-Identifier: Apache-2.0
"""The layers of a step become a network: fractional bits are chosen, outputs are read as they were trained to be."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from spikerun.connections import Dense
from spikerun.converters.layers import InputLayer, PoolLayer
from spikerun.converters.spiking.fixed_point import Fixed, Summed
from spikerun.converters.spiking.step import Readout
from spikerun.errors import ConversionError, NetworkError
from spikerun.network import Network
from spikerun.neurons import Readout as ReadoutNeuron
from spikerun.population import Population, Projection

__all__ = ["Part", "build_spiking", "ends"]

Part = InputLayer | PoolLayer | Fixed | Summed


def build_spiking(
    parts: Sequence[Part],
    outputs: Mapping[str, str],
    readouts: Mapping[str, Readout],
    steps: int,
    peaks: Mapping[str, float],
    meta: Mapping[str, str | int | float],
    exponent: int = 0,
) -> Network:
    """Return the network of the layers; outputs: the population of each; peaks: the largest states that were
    seen, by layer, in units of the weights; exponent: of the projections that add groups of spikes.

    Raises ConversionError where currents leave no room.
    """
    probe = _network(parts, outputs, readouts, steps, {part.name: 0 for part in parts}, {}, exponent)
    bits = {
        part.name: part.bits(probe.bounds[part.name], peaks[part.name]) for part in parts if isinstance(part, Fixed)
    }
    return _network(parts, outputs, readouts, steps, bits, meta, exponent)


def _network(
    parts: Sequence[Part],
    outputs: Mapping[str, str],
    readouts: Mapping[str, Readout],
    steps: int,
    bits: Mapping[str, int],
    meta: Mapping[str, str | int | float],
    exponent: int,
) -> Network:
    populations: dict[str, Population] = {}
    projections: list[Projection] = []
    for part in parts:
        populations[part.name], into = _population(part, bits)
        projections += into
    results = ends(parts, outputs, readouts)
    for name, source in outputs.items():
        groups, end = readouts[name].groups, results[name]
        if end in populations:
            continue
        scale = populations[source].neuron.real_scale
        if (scale != scale.flat[0]).any():
            raise ConversionError(f"the spikes of '{source}' differ in what they count, so groups cannot add them")
        members: Any = np.repeat(np.eye(groups, dtype=np.int8), populations[source].size // groups, axis=0)
        populations[end] = Population((groups,), ReadoutNeuron(np.asarray(scale.flat[0] / 2**exponent)))
        projections.append(Projection(source, end, Dense(members), exponent=exponent))
    try:
        return Network(populations, projections, tuple(dict.fromkeys(results.values())), steps, dict(meta))
    except NetworkError as error:
        raise ConversionError(f"the converted network breaks the arithmetic contract: {error}") from error


def _population(part: Part, bits: Mapping[str, int]) -> tuple[Population, Sequence[Projection]]:
    """Return the population of a layer, and the projections into it. Raises ConversionError where it can be none."""
    try:
        neuron = part.neuron(bits[part.name]) if isinstance(part, Fixed) else part.neuron()
        if isinstance(part, (Fixed, Summed)):
            into = [term.projection(part.name, part.shape) for term in part.terms]
        else:
            into = part.projections()
        return Population(part.shape, neuron), into
    except NetworkError as error:
        raise ConversionError(f"'{part.name}' breaks the arithmetic contract: {error}") from error


def ends(parts: Sequence[Part], outputs: Mapping[str, str], readouts: Mapping[str, Readout]) -> dict[str, str]:
    """Return the population that reports each result: that of its neurons, or one of their groups."""
    made: dict[tuple[str, int], str] = {}
    taken = {part.name for part in parts}
    for name, source in outputs.items():
        groups = readouts[name].groups
        if (source, groups) not in made:
            made[source, groups] = source if groups == 1 else _unique(f"{source}_classes", taken)
            taken.add(made[source, groups])
    return {name: made[source, readouts[name].groups] for name, source in outputs.items()}


def _unique(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name
