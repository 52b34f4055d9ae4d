# SPDX-License-Identifier: Apache-2.0
"""From cells in real numbers to the arithmetic of a chip, in one step: weights, thresholds and biases of few bits.

A population has one threshold of x units, so those of its channels are evened out by what a unit of their currents is
worth: S[o] = theta[o] / (gain[o] x), and w = W / (2^e S). x is the largest integer at which all weights fit 8 bits, all
currents and biases have room, and states have twice that of the calibration. What never fires is free of x: its unit is
that of its largest weights. Where synapses are listed one by one, larger exponents e are tried.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from spikerun.chip import Chip
from spikerun.converters.forward import spread
from spikerun.converters.graph import Array, Shape
from spikerun.converters.layers import InputLayer, Layer, PoolLayer
from spikerun.converters.maps import WEIGHT_LIMIT, PooledConvMap, Term
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.spiking.fixed_point import Fixed, Summed, checked_cell, compact, of_channels, shown
from spikerun.converters.spiking.report import ChipLayer
from spikerun.converters.spiking.scales import reach, rounding_error
from spikerun.errors import ConversionError
from spikerun.neurons import LIF
from spikerun.timing import largest_event

__all__ = ["Limited", "check_passive", "chip_layers", "limited", "limited_sum", "within"]

SLACK = 31 / 32  # of the room for currents: weights that are rounded together may add up to a little more
GAINED = 0.9  # a larger exponent must leave less than so much of the rounding error
ALIKE = 1e-9
NOTHING = 1e-300
SMALLEST = 2.0**-30  # of x, where it is no integer: no weight is left there

Events = Mapping[str, int]
P = TypeVar("P", bound=Fixed | Summed)


@dataclass(frozen=True, eq=False)
class Limited(Fixed):
    """A cell's layer in the arithmetic of a chip. x: its threshold, in units of the currents; du, dv: its decays."""

    chip: Chip = None  # type: ignore[assignment]  # a default, for those of the base have one; always given
    x: int = 0
    du: int = 0
    dv: int = 0

    def bits(self, worst: int, peak: float) -> int:
        return self.chip.fraction_bits

    def neuron(self, f: int) -> LIF:
        cell, chip = self.cell, self.chip
        unit = self.unit / 2**chip.fraction_bits
        # currents that are kept have no bias but what rounded weights are off, which comes in as its steady state
        into_u = (self.bias * spread(cell.gain, self.shape) + spread(cell.bias_u, self.shape)) * 2**chip.decay / self.du
        bias = chip.nearest_bias((spread(cell.bias, self.shape) + into_u) / spread(unit, self.shape))
        # v >= x is v > x - 1 where membranes have no fraction; where they have, or lose x by a spike, v > x is nearer
        whole = (self.du, self.dv) == (2**chip.decay, 0) and not (bias % 2**chip.fraction_bits).any()
        below = int(cell.inclusive and cell.fires and whole and cell.reset == "value")
        reset = "zero" if cell.reset in ("value", "none") else cell.reset
        neuron = LIF.loihi(self.x - below, compact(bias.astype(np.int32), self.shape), self.du, self.dv, reset)
        return replace(neuron, answer=self.answer, scale=self._scale(unit))


def check_passive(layer: InputLayer | PoolLayer, chip: Chip) -> None:
    """Refuse inputs and pools that a chip cannot have."""
    if isinstance(layer, PoolLayer):
        raise ConversionError(f"'{layer.name}' {_no_max(chip)}")
    bits = largest_event(layer.neuron().word).bit_length()
    if not chip.carries(bits):
        raise ConversionError(
            f"'{layer.name}' sends integers of {bits} bits, and {chip.name} has no graded spikes: make spikes of the "
            "samples (--input rate or latency, --bins binary), or take --limits loihi2"
        )


def limited(
    layer: Layer, cell: Cell, events: Events, chip: Chip, answer: str, steps: int, share: float, seen: Array
) -> Limited:
    """Return a layer of cells in a chip's arithmetic; events: the largest event of each source.

    seen: the largest states, as real currents (C,), for twice of which there must be room. Raises ConversionError for
    what the chip cannot do.
    """
    _check_terms(layer, chip)
    cell = shown(cell, layer.shape, 2**chip.decay) if cell.reset in ("value", "none") else cell
    gain = checked_cell(cell, layer.shape, answer)
    for why in _complaints(layer, cell, chip):
        raise ConversionError(f"'{cell.name}' {why}")
    bias = np.abs(spread(cell.bias + cell.bias_u, layer.shape) + layer.bias * gain) / gain
    held = of_channels(bias, layer.shape) * 2**chip.fraction_bits / chip.largest_bias
    per = _ratio(cell, layer.shape)[:, 0] if cell.fires else _free(layer, events, chip, held)
    terms, x = _fitting(layer, per, held, seen, events, chip, whole=cell.fires)
    unit = (per / x if np.ndim(cell.gain) == 0 else spread(per / x, layer.shape)) * cell.gain
    return Limited(
        layer.name, layer.shape, terms, per / x, layer.bias, cell, unit, answer, steps, share,
        chip=chip, x=int(x) if cell.fires else chip.threshold, du=max(_decay(cell.keep_u, chip), 1),
        dv=min(_decay(cell.keep_v, chip), 2**chip.decay - 1),
    )  # fmt: skip


def limited_sum(layer: Layer, events: Events, chip: Chip, steps: int, share: float, seen: Array) -> Summed:
    """Return an output without neurons in a chip's arithmetic: a membrane that never fires holds its sums.

    Its bias is added where it is read. Otherwise as `limited`.
    """
    _check_terms(layer, chip)
    held = np.zeros(layer.shape[0])
    per = _free(layer, events, chip, held)
    terms, x = _fitting(layer, per, held, seen, events, chip, whole=False)
    return Summed(layer.name, layer.shape, terms, per / x, layer.bias, steps, share)


def within(fitted: P, plain: P, events: Events, chip: Chip) -> P:
    """Return a layer whose weights were rounded together, unless currents could be too large then."""
    inside = reach(fitted.terms, events, fitted.shape[0]).max() <= chip.current
    return fitted if inside else plain


def chip_layers(parts: Iterable[object], layers: Iterable[object]) -> tuple[ChipLayer, ...]:
    """Return what the report says of layers."""
    pairs = zip(parts, layers, strict=True)
    return tuple(_told(p, r) for p, r in pairs if isinstance(p, (Fixed, Summed)) and isinstance(r, Layer))


def _told(part: Fixed | Summed, layer: Layer) -> ChipLayer:
    error = 100 * rounding_error(layer, part.terms, part.scale)
    exponents = tuple(term.exponent for term in part.terms)
    if not isinstance(part, Limited):
        return ChipLayer(part.name, None, None, None, exponents, error)
    vth = int(part.neuron(0).threshold.flat[0]) >> part.chip.fraction_bits
    return ChipLayer(part.name, vth, part.du, part.dv, exponents, error)


# --- what a chip cannot do -------------------------------------------------------------------------------------------


def _no_max(chip: Chip) -> str:
    return f"is a max pool, which {chip.name} cannot do: train with average pools or strided convolutions instead"


def _check_terms(layer: Layer, chip: Chip) -> None:
    for term in layer.terms:
        if isinstance(term.map, PooledConvMap):
            raise ConversionError(f"what leads from '{term.source}' to '{layer.name}' {_no_max(chip)}")
        if term.delay > chip.delay:
            raise ConversionError(
                f"the spikes of '{term.source}' reach '{layer.name}' after {term.delay} steps, and {chip.name} holds "
                f"them back for at most {chip.delay}: train with shorter delays"
            )


def _complaints(layer: Layer, cell: Cell, chip: Chip) -> Iterator[str]:
    """Yield why a chip cannot have these neurons, and what to do."""
    for key, what in (("keep_v", "membranes"), ("keep_u", "synaptic currents")):
        keep = getattr(cell, key)
        if np.ptp(keep) * 2**chip.decay > 1:
            yield (
                f"keeps {keep.min():.4g}..{keep.max():.4g} of its {what} in a step, and on {chip.name} the neurons of "
                "a population share one decay: train with one for each layer"
            )
    if (cell.keep_u == 1).any():
        yield f"keeps its synaptic currents for ever, and on {chip.name} they always leak: train with a decay of them"
    if (cell.keep_u > 0).any() and (np.any(layer.bias) or np.any(cell.bias_u)):
        yield (
            f"has a bias into its synaptic currents, and {chip.name} has none there: train the layer before it with "
            "bias=False, and on samples without a mean"
        )
    if np.isfinite(cell.v_min).any():
        yield (
            f"has a floor of {float(np.max(cell.v_min)):.4g}, and {chip.name} has none: train without it (in sinabs "
            "min_v_mem=None), or read a .nir file with another --nir-writer"
        )
    for key, what in (("v_init", "starts at"), ("v_reset", "is reset to")):
        value = getattr(cell, key)
        if np.any(value) and (key == "v_init" or cell.reset == "value"):
            yield f"{what} {float(np.abs(value).max()):.4g} (magnitude), and on {chip.name} it is 0: train with 0"
    if cell.refractory:
        yield f"is refractory for {cell.refractory} steps, which is not converted for {chip.name}: train without"
    if not cell.fires:
        return
    if cell.reset == "none":
        yield f"sends spikes without a reset, and {chip.name} always resets: train with a reset"
    theta = _ratio(cell, layer.shape)
    if not (np.isfinite(theta).all() and theta.min() > 0):
        yield f"has thresholds of 0, or infinite beside others, and {chip.name} cannot even them out: train with one"
    elif (np.ptp(theta, axis=1) > ALIKE * theta.max(axis=1)).any():
        yield "has thresholds that differ within a channel, and weights cannot even them out: train with one a channel"


# --- units and weights -----------------------------------------------------------------------------------------------


def _decay(keep: Array, chip: Chip) -> int:
    return int(np.rint((1 - np.mean(keep)) * 2**chip.decay))


def _ratio(cell: Cell, shape: Shape) -> Array:
    """Return the currents that reach the threshold at once, (C, neurons of each channel)."""
    theta = spread(cell.threshold, shape) / spread(cell.gain, shape)
    return np.broadcast_to(theta, shape).reshape(shape[0], -1)


def _largest(layer: Layer) -> Array:
    """Return the largest weight of each channel, (C,)."""
    found = np.zeros(layer.shape[0])
    for term in layer.terms:
        np.maximum(part := found[term.first : term.end], term.map.largest(), out=part)
    return found


def _worst(layer: Layer, events: Events) -> Array:
    """Return about the largest currents (C,), in real numbers."""
    largest = _largest(layer)
    unit = np.where(largest > 0, largest, 1.0) / WEIGHT_LIMIT
    found: Array = reach(tuple(term.rounded(unit) for term in layer.terms), events, len(unit)) * unit
    return found


def _free(layer: Layer, events: Events, chip: Chip, held: Array) -> Array:
    """Return what a unit is worth (C,) where each channel may choose: as little as weights and all else have room."""
    full = WEIGHT_LIMIT * 2.0**chip.shared_exponent
    room = np.maximum(held, _worst(layer, events) / (chip.current * SLACK))
    per = np.maximum(_largest(layer), room * full) / full
    return np.where(per > 0, per, per.max() or 1.0)


def _fitting(
    layer: Layer, per: Array, held: Array, seen: Array, events: Events, chip: Chip, whole: bool
) -> tuple[tuple[Term, ...], float]:
    """Return the terms in integers, and the largest x for which all have room.

    per: what x units are worth, (C,); held: what must be at most a unit; whole: x is an integer, and a threshold.
    """
    worst = _worst(layer, events) / (chip.current * SLACK)
    rooms = np.concatenate([held / per, worst / per, 2 * seen / chip.current / per])
    most = min(1 / max(float(rooms.max()), NOTHING), chip.threshold if whole else np.inf)
    best: tuple[float, tuple[Term, ...], float] = (np.inf, (), 0.0)
    last = 0.0
    for largest in range(chip.exponents[0], chip.exponents[1] + 1):
        x = min(most, *(_allowed(term, per, chip, largest) for term in layer.terms))
        terms, x = _rounded(layer, per, x, events, chip, whole)
        if x <= last:
            break
        error, last = rounding_error(layer, terms, per / x), x
        if error < GAINED * best[0] or not best[1]:
            best = error, terms, x
    _, terms, x = best
    pairs = zip(layer.terms, terms, strict=bool(terms))
    if not terms or any(real.map.weight.any() and not term.map.weight.any() for real, term in pairs):
        sources = ", ".join(f"'{term.source}'" for term in layer.terms)
        raise ConversionError(
            f"'{layer.name}': currents, biases or states are so large beside its weights from {sources} that nothing "
            f"is left of some of these on {chip.name}: give it fewer or smaller inputs (--input rate), or train with "
            "smaller biases, or a leak"
        )
    return terms, x


def _allowed(term: Term, per: Array, chip: Chip, largest: int) -> float:
    """Return the largest x at which the weights of a term fit, with exponents up to `largest`."""
    exponent = chip.shared_exponent if term.map.image else largest
    size = float((term.map.largest() / per[term.first : term.end]).max())
    return WEIGHT_LIMIT * 2.0**exponent / max(size, NOTHING)


def _rounded(
    layer: Layer, per: Array, x: float, events: Events, chip: Chip, whole: bool
) -> tuple[tuple[Term, ...], float]:
    """Return the terms in integers, each with the smallest exponent, and x, smaller where rounded currents need it."""
    while (x := float(np.floor(x)) if whole else x) > SMALLEST:
        scale, terms = per / x, []
        for term in layer.terms:
            size = float((term.map.largest() / scale[term.first : term.end]).max()) * (1 - ALIKE)
            needed = int(np.ceil(np.log2(max(size / WEIGHT_LIMIT, NOTHING))))
            exponent = chip.shared_exponent if term.map.image else max(needed, chip.exponents[0])
            terms.append(replace(term.rounded(scale * 2.0**exponent), exponent=exponent))
        if reach(tuple(terms), events, len(per)).max() <= chip.current:
            return tuple(terms), x
        x *= SLACK
    return (), 0.0
