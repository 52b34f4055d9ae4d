# SPDX-License-Identifier: Apache-2.0
"""The layers of a step in real numbers: as they were trained, or with the integer weights that they are given."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spikerun.converters.forward import spread
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, PoolLayer, RelayLayer
from spikerun.converters.maps import accumulate
from spikerun.converters.spiking.cell import Cell, State
from spikerun.converters.spiking.fixed_point import Fixed, Summed

__all__ = ["run_layers"]


def run_layers(
    layers: Sequence[InputLayer | PoolLayer | RelayLayer | Layer | Fixed | Summed],
    cells: Mapping[str, Cell],
    samples: Mapping[str, Array],
    steps: int,
    timed: frozenset[str] = frozenset(),
) -> Iterator[tuple[dict[str, Array], dict[str, State]]]:
    """Yield (events by layer, states by layer) after each step, for integer samples by input; states are float64.

    Events of step t reach a term with a delay in step t + delay. The same dicts are changed and yielded again.
    """
    batch = len(next(iter(samples.values())))
    states = {layer.name: cells[layer.name].initial(batch, layer.shape) for layer in layers if layer.name in cells}
    past: list[dict[str, Array]] = []
    delays = [term.delay for layer in layers for term in getattr(layer, "terms", ())]
    longest = max(delays, default=1)
    values: dict[str, Array] = {}
    for t in range(steps):
        values = {}
        for layer in layers:
            if isinstance(layer, InputLayer):
                given = samples[layer.name]
                values[layer.name] = (given[:, t] if layer.name in timed else given).astype(np.float64)
            elif isinstance(layer, PoolLayer | RelayLayer):
                values[layer.name] = layer.pooled(values)
            else:
                x = _currents(layer, values, past, batch)
                cell = cells.get(layer.name)
                values[layer.name] = x if cell is None else cell.step(states[layer.name], x)
        past = [values, *past[: longest - 1]]
        yield values, states


def _currents(
    layer: Layer | Fixed | Summed, values: dict[str, Array], past: list[dict[str, Array]], batch: int
) -> Array:
    total = np.zeros((batch, *layer.shape))
    for term in layer.terms:
        sent = values if term.delay == 0 else past[term.delay - 1] if len(past) >= term.delay else {}
        if term.source in sent:
            total += accumulate([term], {term.source: sent[term.source]}, layer.shape)
    if isinstance(layer, (Fixed, Summed)):
        total *= spread(layer.scale, layer.shape)
    return total + spread(layer.bias, layer.shape)
