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
import torch.nn.functional as F
from torch import Tensor, nn

from spikerun.codes import MAX_BITS, word_range
from spikerun.converters.activations import Grid, Readout
from spikerun.converters.calibrate import of_zeros
from spikerun.converters.curved import Curved
from spikerun.converters.forward import spread as spread_array
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer, RelayLayer
from spikerun.converters.maps import WEIGHT_LIMIT, ChannelMap, ConvMap, DenseMap, PoolMap, Term
from spikerun.converters.quantise import BIAS_ROOM, SMALLEST, THRESHOLD_ROOM, WIDE_BIAS, QLayer, Quantised
from spikerun.converters.sparse_map import SparseMap
from spikerun.converters.tuning.links import Link, Links
from spikerun.converters.tuning.rounding import counted, fired, limited, rounded, taken
from spikerun.errors import UnsupportedError

__all__ = ["Passed", "TunedLayers"]

CURVE_POINTS = 2**16
CURVE_REACH = 4.0  # times the largest sum that calibrated
GAIN_LIMIT = 2.0**30
STEP_RATE = 4 / 3  # of logarithms of steps, beside that of weights
BIAS_SHARE = 1 / 3  # of the range of words: a unit of training of a bias


@dataclass(frozen=True)
class Value:
    """What a population sends for a batch. q: words less the word of 0, (B, *shape); u: membranes in steps, likewise;
    None of inputs. step, zero: (C,) what a word stands for, and the word of 0.
    """

    q: Tensor
    u: Tensor | None
    step: Tensor
    zero: Tensor
    bits: int
    signed: bool


@dataclass(frozen=True)
class Passed:
    """Results of a batch: real logits by output, (B, *shape); spikes and events of each population, (B,) each, times
    what was asked to weigh them by.
    """

    logits: dict[str, Tensor]
    spikes: dict[str, Tensor]
    events: dict[str, Tensor]


def _spread(values: Tensor, axes: int) -> Tensor:
    """Return values of shape (), (C,) or all `axes` such that they broadcast over a batch."""
    return values.reshape(-1, *(1,) * (axes - 1)) if values.ndim == 1 else values


def _placed(current: Tensor, term: Term, shape: tuple[int, ...]) -> Tensor:
    """Return currents into some channels as currents into all of them."""
    before, behind = term.first, shape[0] - term.end
    return F.pad(current, (0, 0) * (len(shape) - 1) + (before, behind)) if before or behind else current


class _Term(nn.Module):
    """A term: its numbers for words of the source's steps, in units of the accumulator, and what they make of words."""

    def __init__(self, term: Term, channels: int) -> None:
        super().__init__()
        self.term = term
        base = np.asarray(term.map.weight, np.float64)
        self.register_buffer("base", torch.tensor(base, dtype=torch.float32))
        if isinstance(term.map, SparseMap):
            self.register_buffer("index", torch.tensor(np.asarray(term.map.index, np.int64)))
        self.inner = channels  # of the source

    def absorbed(self, weight: Tensor, step: Tensor) -> Tensor:
        """Return the numbers for words: `step` (C,) of the source is multiplied in."""
        map_ = self.term.map
        if isinstance(map_, DenseMap):
            return weight * step.repeat_interleave(weight.shape[1] // len(step))
        if isinstance(map_, ConvMap):
            out, inner = weight.shape[:2]
            split = weight.reshape(map_.groups, out // map_.groups, inner, -1) * step.reshape(-1, 1, inner, 1)
            return split.reshape(weight.shape)
        if isinstance(map_, SparseMap):
            return weight * step[self.get_buffer("index") // (map_.size // len(step))]
        return weight * step.repeat_interleave(len(weight) // len(step))

    def largest(self, absorbed: Tensor) -> Tensor:
        """Return the largest magnitude of the numbers of each target channel."""
        return absorbed.detach().abs().flatten(1).amax(1) if absorbed.ndim > 1 else absorbed.detach().abs()

    def current(self, whole: Tensor, q: Tensor) -> Tensor:
        """Return what integers `whole` make of words (B, *own), (B, channels, ...)."""
        map_, x = self.term.map, q.reshape(len(q), *self.term.shape)
        if isinstance(map_, DenseMap):
            return F.linear(x.flatten(1), whole)
        if isinstance(map_, ConvMap):
            image = x[:, :, None] if x.ndim == 3 else x
            y = F.conv2d(image, whole, None, map_.stride, map_.padding, map_.dilation, map_.groups)
            return y[:, :, 0] if x.ndim == 3 else y
        if isinstance(map_, SparseMap):
            index = self.get_buffer("index")
            return (x.flatten(1)[:, index] * whole).sum(-1)
        if isinstance(map_, PoolMap):
            image = x[:, :, None] if x.ndim == 3 else x
            y = F.avg_pool2d(image, map_.kernel, map_.stride, map_.padding, divisor_override=1)
            return (y[:, :, 0] if x.ndim == 3 else y) * _spread(whole, x.ndim - 1)
        return x * _spread(whole, x.ndim - 1)


class _Curve(nn.Module):
    """A function of one value by straight lines between many of its values."""

    def __init__(self, activation: Curved, channels: int, reach: float) -> None:
        super().__init__()
        count = 1 if activation.curve.alike else channels
        self.points = CURVE_POINTS if count == 1 else 2**12
        self.reach = reach
        x = np.linspace(-reach, reach, self.points)
        table = np.nan_to_num(activation.real(np.repeat(x[:, None], count, axis=1))).T
        self.register_buffer("table", torch.tensor(np.ascontiguousarray(table), dtype=torch.float32))

    def forward(self, z: Tensor) -> Tensor:
        table = self.get_buffer("table")
        place = (z + self.reach) * ((self.points - 1) / (2 * self.reach))
        low = place.detach().floor().clamp(0, self.points - 2)
        index = low.long()
        if len(table) > 1:
            index = index + _spread(torch.arange(len(table), device=z.device) * self.points, z.ndim - 1)
        flat = table.reshape(-1)
        first, second = flat[index], flat[index + 1]
        return first + (second - first) * (place - low)


class _Layer(nn.Module):
    """A layer of sums. Its weights and its bias are given: they belong to the tensors of the source."""

    def __init__(self, layers: Layers, layer: Layer, start: QLayer, z: float, biased: bool) -> None:
        super().__init__()
        self.layer, self.bits = layer, start.bits
        shapes = {one.name: one.shape for one in layers.every}
        self.terms = nn.ModuleList(_Term(term, shapes[term.source][0]) for term in layer.terms)
        wide = max([MAX_BITS, *(layers.input_bits(term.source) for term in layer.terms)]) - MAX_BITS
        self.wide = wide
        alike = len(layer.terms) == 1 and not layer.bias.any() and bool((layer.terms[0].map.weight > 0).all())
        self.counts = alike and layer.activation.counts and not biased
        self.register_buffer("bias", torch.tensor(np.asarray(layer.bias), dtype=torch.float32))
        self.low, self.high = (0, 0) if not layer.activation.fires else layer.activation.word_range(start.bits)
        step = start.grid.step[:1] if layer.together else start.grid.step
        self.log_step = nn.Parameter(torch.tensor(np.log(step), dtype=torch.float32))
        self.register_buffer("zero", torch.tensor(start.grid.zero))
        self.curve = None
        activation = layer.activation
        if isinstance(activation, Curved):
            self.curve = _Curve(activation, layer.shape[0], max(z * CURVE_REACH, 1.0))
            if activation.curve.given is not None:
                self.log_step.requires_grad_(False)
        if isinstance(activation, Readout):
            self.log_step.requires_grad_(False)

    @property
    def fires(self) -> bool:
        return self.layer.activation.fires

    def steps(self) -> Tensor:
        """Return the steps that are trained, (C,)."""
        bound = self.layer.activation.bound / max(self.high, 1)
        return self.log_step.exp().clamp_max(bound).expand(self.layer.shape[0])

    def _scale(self, absorbed: list[Tensor], bias: Tensor) -> Tensor:
        """Return what 1 in the accumulator stands for, (C,): see `quantise.accumulator_scale`."""
        layer, channels = self.layer, self.layer.shape[0]

        def covering(small: bool) -> Tensor:
            found = bias.new_zeros(channels)
            for one, numbers in zip(self.terms, absorbed, strict=True):
                term = one.term
                if term.map.small or not small:
                    part = one.largest(numbers) / WEIGHT_LIMIT  # type: ignore[operator]
                    found[term.first : term.end] = torch.maximum(found[term.first : term.end], part)
            return found

        with torch.no_grad():
            any_small = any(term.map.small for term in layer.terms)
            scale = covering(any_small)
            if self.counts:
                scale = scale * WEIGHT_LIMIT
            floor = bias.detach().abs().reshape(channels, -1).amax(1) / BIAS_ROOM / 2 ** min(self.wide, WIDE_BIAS)
            if layer.activation.divides and self.fires:
                floor = torch.maximum(floor, self.steps() * self.high / THRESHOLD_ROOM / 2**self.wide)
            scale = torch.maximum(scale, floor)
            if any_small:
                scale = torch.where(scale > 0, scale, covering(False))
            return scale.clamp_min(SMALLEST)

    def real(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return what the trained network computes of real values, (B, *shape)."""
        layer, z = self.layer, self.get_buffer("bias")[None]
        for one in self.terms:
            term = one.term
            current = one.current(one.get_buffer("base"), values[term.source])  # type: ignore[operator]
            current = current.reshape(len(current), term.end - term.first, *layer.shape[1:])
            z = z + _placed(current, term, layer.shape)
        if self.curve is not None:
            found: Tensor = self.curve(z)
            return found
        activation = layer.activation
        return z if activation.signed or not activation.fires else z.clamp(0, activation.bound)

    def forward(self, values: Mapping[str, Value], weights: list[Tensor], bias: Tensor) -> tuple[Tensor, Value | None]:
        """Return its accumulators in real numbers, and what it sends."""
        layer, shape = self.layer, self.layer.shape
        axes = len(shape)
        absorbed = [
            one.absorbed(weight, values[one.term.source].step)  # type: ignore[operator]
            for one, weight in zip(self.terms, weights, strict=True)
        ]
        scale = self._scale(absorbed, bias)
        threshold = None
        if self.fires and layer.activation.divides:
            exact = self.steps() / scale
            room = float((2**31 - 1) >> self.bits)
            if layer.together:
                threshold = taken(exact.detach().floor().clamp(1, THRESHOLD_ROOM), exact)
                with torch.no_grad():
                    scale = self.steps() / threshold
            else:
                threshold = taken(exact.detach().round().clamp(1, room), exact)
        v: Tensor | None = None
        for one, numbers in zip(self.terms, absorbed, strict=True):
            term, limit = one.term, WEIGHT_LIMIT if one.term.map.small else GAIN_LIMIT
            unit = scale[term.first : term.end].reshape(-1, *(1,) * (numbers.ndim - 1))
            whole = rounded(numbers / unit)
            whole = taken(whole.detach().clamp(-limit, limit), whole)
            current = one.current(whole, values[term.source].q)  # type: ignore[operator]
            current = _placed(current.reshape(len(current), term.end - term.first, *shape[1:]), term, shape)
            v = current if v is None else v + current
        assert v is not None, "a layer has terms"
        v = v + rounded(bias / scale.reshape(-1, *(1,) * (bias.ndim - 1))).reshape(shape)
        if not self.fires:
            return v * _spread(scale, axes), None
        zero = self.get_buffer("zero")
        if threshold is None:
            assert self.curve is not None
            step = self.steps()
            u = self.curve(v * _spread(scale, axes)) / _spread(step, axes) + _spread(zero, axes)
            q = limited(u.detach().round().clamp_(self.low, self.high), u, self.low, self.high)
        else:
            step = threshold * scale
            th = threshold.reshape(1, -1, *(1,) * (axes - 1))
            q, u = fired(v, th, self.low, self.high)
        if zero.any():
            q = q - _spread(zero, axes)
        return v, Value(q, u, step, zero, self.bits, layer.activation.signed)


class TunedLayers(nn.Module):
    """A whole network of layers, from integers to real logits, with its spikes counted.

    start: the same layers as the converter quantises them, whose steps and biases training begins with. links: what is
    trained. weigh: by what each spike of a population counts, (*shape) by name: its fan-out, say; what is not there is
    not counted. reach: the largest magnitude of the sums of each layer.
    """

    def __init__(
        self, layers: Layers, start: Quantised, links: Links, weigh: Mapping[str, np.ndarray], reach: Mapping[str, float]
    ) -> None:
        super().__init__()
        self.layers, self.links = layers, links
        made = {one.name: one for one in start.layers if isinstance(one, QLayer)}
        self.sums = nn.ModuleDict(
            {_key(one.name): _Layer(layers, one, made[one.name], reach[one.name], one.name in links.biases) for one in layers.sums}
        )
        # each tensor by how far it has moved, in units of the layer that reads it first
        self.moved = nn.ParameterList(nn.Parameter(torch.zeros(count)) for count in links.sizes.values())
        self._place = {name: k for k, name in enumerate(links.sizes)}
        self.units = units_of(links, _sizes(layers, made))
        for (layer, place), link in links.weights.items():
            self._register(f"weight.{layer}.{place}", link)
        for layer, link in links.biases.items():
            self._register(f"bias.{layer}", link)
        for name, counts in weigh.items():
            self.register_buffer(_key(f"weigh.{name}"), torch.tensor(np.asarray(counts), dtype=torch.float32))
        self.weighed = tuple(weigh)
        self.layers_by_name = {one.name: one for one in layers.every}
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
        return (moved if place is None else moved[place]) * self.get_buffer(_key(f"{name}.ratio"))

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
        steps = [layer.log_step for layer in self.sums.values() if layer.log_step.requires_grad]  # type: ignore[union-attr]
        alike = {"weight_decay": 0.0}
        return [{"params": list(self.moved), "lr": rate, **alike}, {"params": steps, "lr": STEP_RATE * rate, **alike}]

    def weights_of(self, name: str) -> list[Tensor]:
        """Return the real numbers of the terms of a layer as they are now."""
        module = self.sums[_key(name)]
        found = []
        for place, one in enumerate(module.terms):  # type: ignore[arg-type]
            base = one.get_buffer("base")
            link = self.links.weights.get((name, place))
            if link is not None:
                base = base + self._moved(f"weight.{name}.{place}", link.tensor).reshape(base.shape)
            found.append(base)
        return found

    def moved_of(self, tensor: str) -> np.ndarray | None:
        """Return how far the numbers of a tensor have moved, float64 (count,); None: it is not trained."""
        if tensor not in self._place:
            return None
        found: np.ndarray = self.moved[self._place[tensor]].detach().double().cpu().numpy() / self.units[tensor]
        return found

    def bias_of(self, name: str) -> Tensor:
        """Return the real bias of a layer as it is now, of its shape."""
        bias = self.sums[_key(name)].get_buffer("bias")
        link = self.links.biases.get(name)
        return bias if link is None else bias + _spread(self._moved(f"bias.{name}", link.tensor), bias.ndim)

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
                ones = torch.ones(layer.shape[0], device=x.device)
                value: Value | None = Value(x, None, ones, torch.zeros_like(ones), layer.encoding.bits, layer.encoding.signed)
            elif isinstance(layer, PoolLayer):
                value = _pooled(layer, values[layer.source])
            elif isinstance(layer, RelayLayer):
                value = _relayed(layer, values)
            else:
                v, value = self.sums[_key(layer.name)](values, self.weights_of(layer.name), self.bias_of(layer.name))
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
        if value.zero.any():
            words = words + _spread(value.zero, words.ndim - 1)
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
                whole = Value(values[layer.source], None, self._ones(layer.name), self._ones(layer.name), 0, False)
                values[layer.name] = _pooled(layer, whole).q
            elif isinstance(layer, RelayLayer):
                sources = {t.source: Value(values[t.source], None, self._ones(t.source), self._ones(t.source, 0), 1, False) for t in layer.terms}
                values[layer.name] = _relayed(layer, sources, -torch.inf).q
            else:
                values[layer.name] = self.sums[_key(layer.name)].real(values)
        return {layer.name: values[layer.name] for layer in self.layers.outputs}

    def _ones(self, name: str, value: float = 1.0) -> Tensor:
        return torch.full((self.layers_by_name[name].shape[0],), value, device=self.moved[0].device)

    def grids(self) -> dict[str, Grid]:
        """Return what words stand for, by layer, as they are trained."""
        found = {}
        for layer in self.layers.sums:
            module = self.sums[_key(layer.name)]
            if layer.activation.fires:
                step = module.steps().detach().double().cpu().numpy()  # type: ignore[operator]
                found[layer.name] = Grid(step, module.get_buffer("zero").cpu().numpy())
        return found


def units_of(links: Links, sizes: Mapping[tuple[str, int] | str, float]) -> dict[str, np.ndarray]:
    """Return, for each tensor, by how much a place moves the number of its layer that reads it first, a unit of it.

    sizes: that unit, by layer and term, and by layer of its bias. So a step of training is one of the size of weights,
    whatever scale a network has.
    """
    found = {name: np.zeros(count) for name, count in links.sizes.items()}
    for key, link in (*links.weights.items(), *links.biases.items()):
        unit, used = found[link.tensor], link.place >= 0
        places = link.place[used]
        unit[places] = np.where(unit[places] == 0, np.abs(link.gain[used]) / sizes[key], unit[places])
    return {name: np.where(unit == 0, 1.0, unit) for name, unit in found.items()}


def _sizes(layers: Layers, made: Mapping[str, QLayer]) -> dict[tuple[str, int] | str, float]:
    """Return the mean norm of the weights of a sum, of each term, and a share of the range of each layer's words."""
    found: dict[tuple[str, int] | str, float] = {}
    for layer in layers.sums:
        sizes = [_norm(term.map.weight) for term in layer.terms]
        found |= {(layer.name, place): size for place, size in enumerate(sizes)}
        start = made[layer.name]
        if layer.activation.fires:
            reach = start.grid.step * max(map(abs, layer.activation.word_range(start.bits)))
            found[layer.name] = BIAS_SHARE * float(np.sqrt(np.square(reach).mean()))
        else:
            found[layer.name] = max(sizes)
    return found


def _norm(weight: np.ndarray) -> float:
    """Return the root mean square norm of the weights of one sum; of nothing but zeros, 1."""
    squares = np.square(weight.reshape(len(weight), -1)).sum(axis=1)
    return float(np.sqrt(squares[squares > 0].mean())) if squares.any() else 1.0


def _key(name: str) -> str:
    return name.replace(".", "\u00b7")  # names of modules and buffers hold no dots


def _pooled(layer: PoolLayer, value: Value) -> Value:
    """Return the largest word of each window, and the membrane that it comes from."""
    x = value.q
    flat = x[:, :, None] if x.ndim == 3 else x
    q, index = F.max_pool2d(
        flat, layer.kernel, layer.stride, layer.padding, layer.dilation, return_indices=True
    )
    u = None
    if value.u is not None:
        u = value.u.flatten(2).gather(2, index.flatten(2)).reshape(len(x), *layer.shape)
    return Value(q.reshape(len(x), *layer.shape), u, value.step, value.zero, value.bits, value.signed)


def _relayed(layer: RelayLayer, values: Mapping[str, Value], least: float | None = None) -> Value:
    """Return copies of words at other places; least: what stands where a max pool looks beyond its image."""
    first = values[layer.terms[0].source]
    device, batch = first.q.device, len(first.q)
    bits = max(values[term.source].bits for term in layer.terms)
    lows = word_range(bits, layer.signed)[0]
    q = first.q.new_zeros(batch, *layer.shape)
    u = first.q.new_zeros(batch, *layer.shape)
    step, zero = torch.zeros(layer.shape[0], device=device), torch.zeros(layer.shape[0], device=device)
    for term in layer.terms:
        value, map_ = values[term.source], term.map
        assert isinstance(map_, SparseMap)
        index = torch.tensor(np.asarray(map_.index[..., 0], np.int64), device=device)
        mask = torch.tensor(map_.weight[..., 0] != 0, device=device).to(first.q.dtype)
        part = slice(term.first, term.end)
        q[:, part] = q[:, part] + value.q.flatten(1)[:, index] * mask
        membrane = value.q if value.u is None else value.u
        u[:, part] = u[:, part] + membrane.flatten(1)[:, index] * mask
        used, source = map_.sources(len(value.step))
        reached = torch.tensor(used, device=device)
        places = torch.tensor(source, device=device)
        step = torch.cat([step[: term.first], torch.where(reached, value.step[places], step[part]), step[term.end :]])
        zeros = torch.where(reached, value.zero[places].to(zero.dtype), zero[part])
        zero = torch.cat([zero[: term.first], zeros, zero[term.end :]])
    if layer.lowest is not None:
        lowest = torch.tensor(layer.lowest, device=device)
        outside = lows - _spread(zero, len(layer.shape)) if least is None else q.new_tensor(least)
        q = torch.where(lowest, outside, q)
    return Value(q, u, step, zero, bits, layer.signed)
