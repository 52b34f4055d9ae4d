# SPDX-License-Identifier: Apache-2.0
"""From cells in real numbers to LIF neurons in fixed point, whose every number has room.

Of target channel o, S[o] is the real value of one unit of its int8 weights, and `unit = S gain` that of one unit of its
membrane before the F fractional bits: threshold = floor(th 2^F / unit), biases and the rest are rounded alike. F is the
largest at which neither the worst currents nor twice the largest states of the calibration leave the 30 bits.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from spikerun.converters.forward import spread
from spikerun.converters.graph import Array, Shape
from spikerun.converters.layers import Layer
from spikerun.converters.maps import Term
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.spiking.scales import rounded
from spikerun.errors import ConversionError
from spikerun.neurons import LIF, Readout
from spikerun.neurons.answer import shift
from spikerun.neurons.leaky import KEEP_ALL, MAX_FRACTION_BITS, WIDE_LIMIT

__all__ = [
    "OF_SPIKES",
    "Fixed",
    "Summed",
    "checked_cell",
    "compact",
    "fixed",
    "of_channels",
    "shown",
    "summed",
    "unbiased",
]

ROUNDING = 1e-12
OF_SPIKES = ("count", "first_spike")  # answers that tell of spikes, the others of membranes
POTENTIALS = ("threshold", "v_reset", "v_init", "v_min")
HELD = 2.0**22  # of the 30 bits, for thresholds and other constants: at least 5 fractional bits are left beside them


@dataclass(frozen=True, eq=False)
class Fixed:
    """A cell's layer in integers, its fractional bits still to be chosen.

    terms: in units of `scale`, which is S (C,); unit: the real value of one in the membrane at F = 0, (C,) or `shape`;
    share: of its spikes, what a result is.
    """

    name: str
    shape: Shape
    terms: tuple[Term, ...]
    scale: Array
    bias: Array  # real, of the currents, of `shape`
    cell: Cell
    unit: Array
    answer: str = "count"  # what a run reports, and how many steps it does
    steps: int = 1
    share: float = 1.0

    def neuron(self, f: int) -> LIF:
        """Return the neurons with F = `f`."""
        cell, unit = self.cell, self.unit / 2**f
        gain = spread(cell.gain, self.shape)
        bias_u = self.bias * gain + spread(cell.bias_u, self.shape)
        threshold = _whole(self._in_units(cell.threshold, unit), np.ceil if cell.inclusive else np.floor)
        real = {"bias": cell.bias, "v_reset": cell.v_reset, "v_init": cell.v_init, "v_min": cell.v_min}
        whole = {name: np.rint(self._in_units(value, unit)) for name, value in real.items()}
        whole |= {"threshold": threshold, "bias_u": np.rint(bias_u / spread(unit, self.shape))}
        whole |= {key: np.rint(getattr(cell, key) * KEEP_ALL) for key in ("keep_v", "keep_u")}
        most = {"v_min": 0}
        given: dict[str, Any] = {
            name: compact(np.clip(values, -WIDE_LIMIT, most.get(name, WIDE_LIMIT)).astype(np.int32), self.shape)
            for name, values in whole.items()
        }
        return LIF(
            **given, fraction_bits=f, reset=cell.reset, refractory=cell.refractory, inclusive=cell.inclusive,
            answer=self.answer, scale=self._scale(unit),
        )  # fmt: skip

    def _scale(self, unit: Array) -> Array:
        """Return what an integer of the answer is worth, float32."""
        if self.answer == "count":
            return (self.cell.factor * self.share).astype(np.float32)
        if self.answer == "first_spike":
            return np.ones((), np.float32)
        shifted = 2 ** shift(self.steps) / self.steps if self.answer == "mean" else 1.0
        return (unit * shifted).astype(np.float32)

    def bits(self, worst: int, peak: float) -> int:
        """Return F: worst is the largest |i|, peak the largest |u| or |v| that was seen, in units of the weights."""
        largest = max(self.needs() * 4, worst, 2 * peak, 1.0)
        room = int(np.floor(np.log2(WIDE_LIMIT / largest)))
        return min(max(room, 0), MAX_FRACTION_BITS)

    def needs(self) -> float:
        """Return the largest constant, which must fit a quarter of the range, in units at F = 0."""
        held = _held(self.cell, self.bias, self.shape)
        return max(float(np.max(self._in_units(values, self.unit))) for values in held)

    def _in_units(self, values: Array, unit: Array) -> Array:
        return spread(values, self.shape) / spread(unit, self.shape)


@dataclass(frozen=True, eq=False)
class Summed:
    """An output without neurons: its currents, added up over all `steps`."""

    name: str
    shape: Shape
    terms: tuple[Term, ...]
    scale: Array
    bias: Array  # real, of one step
    steps: int
    share: float = 1.0  # of the sum, what a result is

    def neuron(self) -> Readout:
        """Return the kind of its population."""
        bias = np.rint(self.bias * self.steps / spread(self.scale, self.shape))
        return Readout((self.scale * self.share).astype(np.float32), bias.astype(np.int32))


P = TypeVar("P", bound="Fixed | Summed")


def summed(layer: Layer, events: Mapping[str, int], steps: int, share: float = 1.0) -> Summed:
    """Return an output without neurons in integers; events: the largest event of each source."""
    terms, scale = rounded(layer, of_channels(layer.bias, layer.shape) * steps, 2.0**29, events)
    return Summed(layer.name, layer.shape, terms, scale, layer.bias, steps, share)


def fixed(
    layer: Layer,
    cell: Cell,
    events: Mapping[str, int],
    answer: str = "count",
    steps: int = 1,
    share: float = 1.0,
) -> Fixed:
    """Return a layer of cells in integers, of which a run of `steps` steps reports the `answer`.

    events: the largest event of each source. Raises ConversionError for cells that no integers can stand for.
    """
    cell = cell if answer in OF_SPIKES else shown(cell, layer.shape)
    gain = checked_cell(cell, layer.shape, answer)
    held = _held(cell, layer.bias, layer.shape)
    top = np.max([of_channels(spread(values, layer.shape) / gain, layer.shape) for values in held], axis=0)
    terms, scale = rounded(layer, top, HELD, events)
    unit = scale if np.ndim(cell.gain) == 0 else spread(scale, layer.shape)
    return Fixed(layer.name, layer.shape, terms, scale, layer.bias, cell, unit * cell.gain, answer, steps, share)


def checked_cell(cell: Cell, shape: Shape, answer: str) -> Array:
    """Return the gain of a cell, to be spread over `shape`. Raises ConversionError where it has no integers."""
    if answer in OF_SPIKES and (cell.factor <= 0).any():
        raise ConversionError(f"'{cell.name}' sends spikes of {cell.factor.min():.4g}; those of a result are positive")
    threshold = cell.threshold
    if (threshold < 0).any() or (cell.reset in ("subtract", "subtract_after_leak") and (threshold == 0).any()):
        raise ConversionError(
            f"'{cell.name}' has thresholds down to {threshold.min():.4g}: below zero, or at zero with a reset by "
            "subtraction, it fires for ever. Clamp its threshold in training"
        )
    gain = spread(cell.gain, shape)
    if (gain <= 0).any():
        raise ConversionError(f"'{cell.name}' multiplies its currents by {gain.min():.4g}; that must be positive")
    return gain


def _held(cell: Cell, bias: Array, shape: Shape) -> list[Array]:
    """Return the finite magnitudes of what neurons must hold beside their currents; bias: of the currents, real."""
    bias_u = bias * spread(cell.gain, shape) + spread(cell.bias_u, shape)
    every = (cell.threshold, cell.bias, cell.v_reset, cell.v_init, bias_u)
    return [np.where(np.isfinite(values), np.abs(values), 0.0) for values in every]


def of_channels(values: Array, shape: Shape) -> Array:
    """Return the largest magnitude of each channel, (C,)."""
    whole = np.broadcast_to(spread(np.abs(values), shape), shape)
    largest: Array = whole.reshape(shape[0], -1).max(axis=1)
    return largest


def unbiased(part: P, layer: Layer, events: Mapping[str, Array]) -> P:
    """Return a layer in integers whose currents are on average those of the float layer.

    events: the mean of what each source sends in a step, of its shape. What rounded weights add up to is taken off the
    bias, one number for each channel.
    """
    error = _mean_currents(part.terms, events, part.shape[0]) * part.scale - _mean_currents(
        layer.terms, events, part.shape[0]
    )
    return replace(part, bias=part.bias - spread(error, part.shape))


def _mean_currents(terms: Iterable[Term], events: Mapping[str, Array], channels: int) -> Array:
    """Return the mean sum of each channel, (channels,), before any pool of sums."""
    total = np.zeros(channels)
    for term in terms:
        x = events[term.source].reshape(1, *term.shape)
        sums = term.map.sums(x).reshape(term.end - term.first, -1)
        total[term.first : term.end] += sums.mean(axis=1) * 2**term.exponent
    return total


def shown(cell: Cell, shape: Shape, whole: int = KEEP_ALL) -> Cell:
    """Return the cell with its framework's membrane, v + offset, in place of v: the same spikes.

    whole: the integer that stands for keeping all.
    """
    if not cell.offset.any():
        return cell
    at = {name: spread(getattr(cell, name), shape) for name in (*POTENTIALS, "offset", "bias", "keep_v")}
    moved: dict[str, Any] = {name: at[name] + at["offset"] for name in POTENTIALS}
    if (cell.fires and cell.reset in ("subtract", "subtract_after_leak")) or (moved["v_min"] > 0).any():
        raise ConversionError(
            f"the membrane of '{cell.name}', which rests at {float(np.max(cell.offset)):.4g}, is read, and has a floor "
            "or a reset by subtraction: let it rest at 0 (v_leak), or read its spikes"
        )
    leak = 1 - np.rint(at["keep_v"] * whole) / whole  # that of the integers, so that it rests at the offset
    return replace(cell, **moved, bias=at["bias"] + leak * at["offset"], offset=np.zeros(()))


def _whole(values: Array, otherwise: Callable[[Array], Array]) -> Array:
    """Return integers: the nearest where the values are integers but for float64's rounding, else by `otherwise`."""
    with np.errstate(invalid="ignore"):  # infinite thresholds stay so
        nearest = np.rint(values)
        return np.where(np.abs(values - nearest) <= ROUNDING * np.abs(values), nearest, otherwise(values))


def compact(values: Array, shape: Shape) -> Array:
    """Return a parameter of the full shape as one number, or one for each channel, where that says the same."""
    values = np.broadcast_to(values, shape) if values.ndim != 1 or len(shape) == 1 else spread(values, shape)
    if (values == values.flat[0]).all():
        return values.flat[0]  # type: ignore[no-any-return]
    first = values.reshape(shape[0], -1)[:, 0]
    return first if (values == spread(first, shape)).all() else values
