# SPDX-License-Identifier: Apache-2.0
"""One layer of a conversion as a torch module: its accumulator and its words."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikerun.codes import MAX_BITS
from spikerun.converters.activations import Readout
from spikerun.converters.curved import Curved
from spikerun.converters.layers import Layer, Layers, PoolLayer
from spikerun.converters.maps import WEIGHT_LIMIT, ConvMap, DenseMap, PoolMap, Term
from spikerun.converters.quantise import BIAS_ROOM, SMALLEST, THRESHOLD_ROOM, WIDE_BIAS, QLayer
from spikerun.converters.sparse_map import SparseMap
from spikerun.converters.tuning.relay import Value
from spikerun.converters.tuning.rounding import fired, rounded, spread, taken

__all__ = ["Summing", "placed"]

CURVE_POINTS, CURVE_POINTS_EACH = 2**16, 2**12  # of a table, of one for each channel
CURVE_REACH = 4.0  # times the largest sum that calibrated
GAIN_LIMIT = 2.0**30


def placed(current: Tensor, term: Term, shape: tuple[int, ...]) -> Tensor:
    """Return currents into some channels as currents into all of them."""
    before, behind = term.first, shape[0] - term.end
    return F.pad(current, (0, 0) * (len(shape) - 1) + (before, behind)) if before or behind else current


class _Term(nn.Module):
    """A term: its numbers for words of the source's steps, in units of the accumulator, and what they make of words."""

    def __init__(self, term: Term) -> None:
        super().__init__()
        self.term = term
        base = np.asarray(term.map.weight, np.float64)
        self.register_buffer("base", torch.tensor(base, dtype=torch.float32))
        if isinstance(term.map, SparseMap):
            self.register_buffer("index", torch.tensor(np.asarray(term.map.index, np.int64)))

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
            return (y[:, :, 0] if x.ndim == 3 else y) * spread(whole, x.ndim - 1)
        return x * spread(whole, x.ndim - 1)


class _Curve(nn.Module):
    """A function of one value by straight lines between many of its values."""

    def __init__(self, activation: Curved, channels: int, reach: float) -> None:
        super().__init__()
        count = 1 if activation.curve.alike else channels
        self.points = CURVE_POINTS if count == 1 else CURVE_POINTS_EACH
        self.reach = reach
        x = np.linspace(-reach, reach, self.points)
        table = np.nan_to_num(activation.real(np.repeat(x[:, None], count, axis=1))).T
        self.register_buffer("table", torch.tensor(np.ascontiguousarray(table), dtype=torch.float32))
        self.register_buffer("rows", torch.arange(count) * self.points, persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        table = self.get_buffer("table")
        place = (z + self.reach) * ((self.points - 1) / (2 * self.reach))
        low = place.detach().floor().clamp(0, self.points - 2)
        index = low.long()
        if len(table) > 1:
            index = index + spread(self.get_buffer("rows"), z.ndim - 1)
        flat = table.reshape(-1)
        first, second = flat[index], flat[index + 1]
        return first + (second - first) * (place - low)


class Summing(nn.Module):
    """A layer of sums. Its weights and its bias are given: they belong to the tensors of the source."""

    def __init__(self, layers: Layers, layer: Layer, start: QLayer, z: float, biased: bool) -> None:
        super().__init__()
        self.layer, self.bits = layer, start.bits
        self.terms = nn.ModuleList(map(_Term, layer.terms))
        wide = max([MAX_BITS, *(layers.input_bits(term.source) for term in layer.terms)]) - MAX_BITS
        self.wide = wide
        alike = len(layer.terms) == 1 and not layer.bias.any() and bool((layer.terms[0].map.weight > 0).all())
        self.counts = alike and layer.activation.counts and not biased
        self.register_buffer("bias", torch.tensor(np.asarray(layer.bias), dtype=torch.float32))
        self.low, self.high = (0, 0) if not layer.activation.fires else layer.activation.word_range(start.bits)
        step = start.grid.step[:1] if layer.together else start.grid.step
        self.log_step = nn.Parameter(torch.tensor(np.log(step), dtype=torch.float32))
        self.register_buffer("zero", torch.tensor(start.grid.zero))
        self.shifted = bool(start.grid.zero.any())
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

    @property
    def parts(self) -> list["_Term"]:
        """Return its terms."""
        return [one for one in self.terms if isinstance(one, _Term)]

    def steps(self) -> Tensor:
        """Return the steps that are trained, (C,)."""
        bound = self.layer.activation.bound / max(self.high, 1)
        return self.log_step.exp().clamp_max(bound).expand(self.layer.shape[0])

    def _scale(self, absorbed: list[Tensor], bias: Tensor) -> Tensor:
        """Return what 1 in the accumulator stands for, (C,): see `quantise.accumulator_scale`."""
        layer, channels = self.layer, self.layer.shape[0]

        def covering(small: bool) -> Tensor:
            found = bias.new_zeros(channels)
            for one, numbers in zip(self.parts, absorbed, strict=True):
                term = one.term
                if term.map.small or not small:
                    part = one.largest(numbers) / WEIGHT_LIMIT
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
        for one in self.parts:
            term = one.term
            current = one.current(one.get_buffer("base"), values[term.source])
            current = current.reshape(len(current), term.end - term.first, *layer.shape[1:])
            z = z + placed(current, term, layer.shape)
        if self.curve is not None:
            found: Tensor = self.curve(z)
            return found
        activation = layer.activation
        return z if activation.signed or not activation.fires else z.clamp(0, activation.bound)

    def forward(
        self, values: Mapping[str, Value], weights: list[Tensor], bias: Tensor, pool: PoolLayer | None = None
    ) -> tuple[Tensor, Value | None]:
        """Return its accumulators in real numbers, and what it sends.

        pool: of its words, which is then taken of accumulators: the same words, of which there are fewer to compute.
        """
        layer, shape = self.layer, self.layer.shape
        axes = len(shape)
        absorbed = [
            one.absorbed(weight, values[one.term.source].step) for one, weight in zip(self.parts, weights, strict=True)
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
        for one, numbers in zip(self.parts, absorbed, strict=True):
            term, limit = one.term, WEIGHT_LIMIT if one.term.map.small else GAIN_LIMIT
            unit = scale[term.first : term.end].reshape(-1, *(1,) * (numbers.ndim - 1))
            whole = rounded(numbers / unit)
            whole = taken(whole.detach().clamp(-limit, limit), whole)
            current = one.current(whole, values[term.source].q)
            current = placed(current.reshape(len(current), term.end - term.first, *shape[1:]), term, shape)
            v = current if v is None else v + current
        assert v is not None, "a layer has terms"
        v = v + rounded(bias / scale.reshape(-1, *(1,) * (bias.ndim - 1))).reshape(shape)
        if pool is not None:
            v = F.max_pool2d(v, pool.kernel, pool.stride, pool.padding, pool.dilation)
        if not self.fires:
            return v * spread(scale, axes), None
        zero = self.get_buffer("zero")
        if threshold is None:
            assert self.curve is not None
            step = self.steps()
            u = self.curve(v * spread(scale, axes)) / spread(step, axes) + spread(zero, axes)
            q = taken(u.detach().round().clamp_(self.low, self.high), u.clamp(self.low, self.high))
        else:
            step = threshold * scale
            th = threshold.reshape(1, -1, *(1,) * (axes - 1))
            q, u = fired(v, th, self.low, self.high)
        if self.shifted:
            q = q - spread(zero, axes)
        return v, Value(q, u, step, zero, self.bits, layer.activation.signed, self.shifted)
