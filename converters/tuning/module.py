# SPDX-License-Identifier: Apache-2.0
"""The layers of a conversion as a torch module that computes what the spiking network will: the same words.

Weights and biases are real, and rounded on their way as the converter rounds them; steps are trained by their
logarithms. Accumulators hold whole numbers in float32, exact below 2^24. Gradients pass rounding as if it were not
there, and stop where words are at their limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikerun.converters.activations import Grid
from spikerun.converters.calibrate import of_zeros
from spikerun.converters.forward import spread as spread_array
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer, RelayLayer
from spikerun.converters.quantise import QLayer, Quantised
from spikerun.converters.tuning.layer import Summing, placed
from spikerun.converters.tuning.links import Link, Links
from spikerun.converters.tuning.relay import Relaying, Value, largest, pooled
from spikerun.converters.tuning.rounding import counted, spread
from spikerun.converters.tuning.units import sizes_of, units_of

__all__ = ["Passed", "TunedLayers"]

STEP_RATE = 4 / 3  # of logarithms of steps, beside that of weights


@dataclass(frozen=True)
class Passed:
    """Results of a batch: real logits by output, (B, *shape); spikes and events of each population, (B,) each, times
    what was asked to weigh them by.
    """

    logits: dict[str, Tensor]
    spikes: dict[str, Tensor]
    events: dict[str, Tensor]


class TunedLayers(nn.Module):
    """A whole network of layers, from integers to real logits, with its spikes counted.

    start: the same layers as the converter quantises them, whose steps and biases training begins with. links: what is
    trained. weigh: by what each spike of a population counts, (*shape) by name: its fan-out, say; what is not there is
    not counted. reach: the largest magnitude of the sums of each layer.
    """

    def __init__(
        self,
        layers: Layers,
        start: Quantised,
        links: Links,
        weigh: Mapping[str, Array],
        reach: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.layers, self.links = layers, links
        made = {one.name: one for one in start.layers if isinstance(one, QLayer)}
        self.sums = nn.ModuleDict(
            {
                _key(one.name): Summing(layers, one, made[one.name], reach[one.name], one.name in links.biases)
                for one in layers.sums
            }
        )
        channels = {one.name: one.shape[0] for one in layers.every}
        relays = [one for one in layers.every if isinstance(one, RelayLayer)]
        self.relays = nn.ModuleDict({_key(one.name): Relaying(one, channels) for one in relays})
        for one in layers.inputs:
            self.register_buffer(_key(f"step.{one.name}"), torch.ones(one.shape[0]), persistent=False)
            self.register_buffer(_key(f"zero.{one.name}"), torch.zeros(one.shape[0]), persistent=False)
        # each tensor by how far it has moved, in units of the layer that reads it first
        self.moved = nn.ParameterList(nn.Parameter(torch.zeros(count)) for count in links.sizes.values())
        self._place = {name: k for k, name in enumerate(links.sizes)}
        self.units = units_of(links, sizes_of(layers, made))
        for (layer, place), link in links.weights.items():
            self._register(f"weight.{layer}.{place}", link)
        for (layer, place), offset in links.offsets.items():
            own = next(one for one in layers.sums if one.name == layer).terms[place].own
            image = torch.tensor(spread_array(offset, own), dtype=torch.float32).expand(1, *own)
            self.register_buffer(_key(f"offset.{layer}.{place}"), image.clone())
        for layer, link in links.biases.items():
            self._register(f"bias.{layer}", link)
        for name, counts in weigh.items():
            self.register_buffer(_key(f"weigh.{name}"), torch.tensor(np.asarray(counts), dtype=torch.float32))
        self.weighed = tuple(weigh)
        self.layers_by_name = {one.name: one for one in layers.every}
        self.early = {pool.source: pool for pool in _only_readers(layers) if pool.source not in self.weighed}
        self._begin(made)

    def _register(self, name: str, link: Link) -> None:
        """Keep the places and gains of numbers that are not those of a tensor as it lies."""
        unit, place, gain = self.units[link.tensor], link.place, link.gain
        used = place >= 0
        ratio = np.where(used, gain / np.where(used, unit[place], 1.0), 0.0)
        self.register_buffer(_key(f"{name}.ratio"), torch.tensor(ratio, dtype=torch.float32))
        if len(place) != len(unit) or not bool(((place == np.arange(len(place))) | ~used).all()):
            self.register_buffer(_key(f"{name}.place"), torch.tensor(np.maximum(place, 0)))

    def _moved(self, name: str, tensor: str) -> Tensor:
        """Return how far the numbers of a layer have moved, flat."""
        moved = self.moved[self._place[tensor]]
        place = self._buffers.get(_key(f"{name}.place"))
        found: Tensor = (moved if place is None else moved[place]) * self.get_buffer(_key(f"{name}.ratio"))
        return found

    def _begin(self, made: Mapping[str, QLayer]) -> None:
        """Begin with the biases that the converter has corrected."""
        grids: dict[str, Grid] = {}
        for one in self.layers.every:
            if isinstance(one, Layer):
                grids[one.name] = made[one.name].grid
            else:
                grids[one.name] = Grid.of(np.ones(one.shape[0])) if isinstance(one, InputLayer) else one.grid(grids)
        for name, link in self.links.biases.items():
            layer, start = self.layers_by_name[name], made[name]
            assert isinstance(layer, Layer)
            whole = spread_array(start.bias, layer.shape) + of_zeros(start.terms, grids, layer.shape)
            half = start.activation.rounding(start.scale, start.grid)
            bias = (whole - spread_array(half, layer.shape)) * spread_array(start.scale, layer.shape)
            less = (bias - layer.bias).reshape(layer.shape[0], -1).mean(axis=1)
            unit, used = self.units[link.tensor], link.place >= 0
            moved = self.moved[self._place[link.tensor]]
            ratio = link.gain[used] / unit[link.place[used]]
            with torch.no_grad():
                moved[torch.tensor(link.place[used])] = torch.tensor(less[used] / ratio, dtype=torch.float32)

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Return the parameters for an optimiser, at this highest rate; none decays, for they say what has moved."""
        steps = [one.log_step for one in self.sums.values() if isinstance(one, Summing) and one.log_step.requires_grad]
        alike = {"weight_decay": 0.0}
        return [{"params": list(self.moved), "lr": rate, **alike}, {"params": steps, "lr": STEP_RATE * rate, **alike}]

    def weights_of(self, name: str) -> list[Tensor]:
        """Return the real numbers of the terms of a layer as they are now."""
        module = self._sum(name)
        found = []
        for place, one in enumerate(module.terms):
            base = one.get_buffer("base")
            link = self.links.weights.get((name, place))
            if link is not None:
                base = base + self._moved(f"weight.{name}.{place}", link.tensor).reshape(base.shape)
            found.append(base)
        return found

    def moved_of(self, tensor: str) -> Array | None:
        """Return how far the numbers of a tensor have moved, float64 (count,); None: it is not trained."""
        if tensor not in self._place:
            return None
        found: Array = self.moved[self._place[tensor]].detach().double().cpu().numpy() / self.units[tensor]
        return found

    def bias_of(self, name: str) -> Tensor:
        """Return the real bias of a layer as it is now, of its shape."""
        bias = self.bias_by_weights(name)
        link = self.links.biases.get(name)
        return bias if link is None else bias + spread(self._moved(f"bias.{name}", link.tensor), bias.ndim)

    def bias_by_weights(self, name: str) -> Tensor:
        """Return the bias of a layer as its weights alone move it, in which offsets of sources count."""
        module = self._sum(name)
        bias = module.get_buffer("bias")
        for place, one in enumerate(module.terms):
            offset = self._buffers.get(_key(f"offset.{name}.{place}"))
            if offset is None:
                continue
            term, moved = (
                module.layer.terms[place],
                self._moved(f"weight.{name}.{place}", self.links.weights[name, place].tensor),
            )
            current: Tensor = one.current(moved.reshape(one.get_buffer("base").shape), offset)  # type: ignore[operator]
            current = current.reshape(1, term.end - term.first, *bias.shape[1:])
            bias = bias + placed(current, term, tuple(bias.shape))[0]
        return bias

    def forward(self, samples: Mapping[str, Tensor], events: bool | None = None) -> Passed:
        """Return logits and counts for integers (B, *shape) by input: of spikes, or events, with their price; None:
        of both, without.
        """
        values: dict[str, Value] = {}
        logits: dict[str, Tensor] = {}
        spikes: dict[str, Tensor] = {}
        fired: dict[str, Tensor] = {}
        for layer in self.layers.every:
            if isinstance(layer, InputLayer):
                x = samples[layer.name]
                x = x.reshape(len(x), *layer.shape)
                step, zero = (self.get_buffer(_key(f"{what}.{layer.name}")) for what in ("step", "zero"))
                value: Value | None = Value(x, None, step, zero, layer.encoding.bits, layer.encoding.signed)
            elif isinstance(layer, PoolLayer):
                value = values[layer.source]
                value = value if layer.source in self.early else pooled(layer, value)
            elif isinstance(layer, RelayLayer):
                value = self._relay(layer.name)(values)
            else:
                numbers = self.weights_of(layer.name), self.bias_of(layer.name)
                v, value = self._sum(layer.name)(values, *numbers, self.early.get(layer.name))
                if value is None:
                    logits[layer.name] = v
            if value is not None:
                values[layer.name] = value
                if layer.name in self.weighed:
                    if events is not True:
                        spikes[layer.name] = self._counts(layer.name, value, False)
                    if events is not False:
                        fired[layer.name] = self._counts(layer.name, value, True)
        return Passed(logits, spikes, fired)

    def _counts(self, name: str, value: Value, events: bool) -> Tensor:
        """Return the spikes, or events, of a population times what each counts, (B,)."""
        words = value.q.detach()
        if value.shifted:
            words = words + spread(value.zero, words.ndim - 1)
        u = words if value.u is None else value.u
        each = counted(u, words, value.bits, value.signed, events).flatten(1)
        return each @ self.get_buffer(_key(f"weigh.{name}")).flatten()

    @torch.no_grad()
    def real(self, samples: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the logits of the trained network itself: nothing is rounded, and nothing has moved."""
        values: dict[str, Tensor] = {}
        for layer in self.layers.every:
            if isinstance(layer, InputLayer):
                x = samples[layer.name]
                values[layer.name] = x.reshape(len(x), *layer.shape)
            elif isinstance(layer, PoolLayer):
                values[layer.name] = largest(layer, values[layer.source])[0]
            elif isinstance(layer, RelayLayer):
                relay = self._relay(layer.name)
                values[layer.name] = relay.least(relay.copies(values), -torch.inf)
            else:
                values[layer.name] = self._sum(layer.name).real(values)
        return {layer.name: values[layer.name] for layer in self.layers.outputs}

    def _sum(self, name: str) -> Summing:
        found = self.sums[_key(name)]
        assert isinstance(found, Summing)
        return found

    def _relay(self, name: str) -> Relaying:
        found = self.relays[_key(name)]
        assert isinstance(found, Relaying)
        return found

    def grids(self) -> dict[str, Grid]:
        """Return what words stand for, by layer, as they are trained."""
        found = {}
        for layer in self.layers.sums:
            module = self._sum(layer.name)
            if layer.activation.fires:
                step = module.steps().detach().double().cpu().numpy()
                found[layer.name] = Grid(step, module.get_buffer("zero").cpu().numpy())
        return found


def _only_readers(layers: Layers) -> list[PoolLayer]:
    """Return the pools of images that alone read layers whose words grow with their accumulators."""
    reads = [source for layer in layers.every for source in layer.sources]
    grow = {x.name for x in layers.sums if x.activation.fires and x.activation.divides and len(x.shape) == 3}
    pools = [layer for layer in layers.every if isinstance(layer, PoolLayer)]
    return [pool for pool in pools if pool.source in grow and reads.count(pool.source) == 1]


def _key(name: str) -> str:
    return name.replace(".", "\u00b7")  # names of modules and buffers hold no dots
