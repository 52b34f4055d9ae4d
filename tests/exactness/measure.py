# SPDX-License-Identifier: Apache-2.0
"""How much of a neuron of a framework its cell and its integers keep, and what a first difference comes from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from steps import Given

from exactness.cases import NEURONS, SCALE, STEPS, Array, Case, Numbers, samples
from spikerun.converters.encoding import Encoding
from spikerun.converters.forward import spread
from spikerun.converters.spiking.cell import State
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.spiking.fixed_point import Fixed
from spikerun.converters.spiking.simulate import run_layers
from spikerun.converters.spiking.step import Readout
from spikerun.converters.torch.spiking import read_step
from spikerun.neurons import LIF
from spikerun.neurons.leaky import KEEP_ALL
from spikerun.population import Population
from spikerun.reference import stepped

__all__ = ["Row", "measured"]

FLOAT64 = 1e-6  # of the last fraction bit: what sums in float64 may be off


@dataclass(frozen=True)
class Row:
    """A neuron beside the package, 200 steps of 64 neurons with weights of 1.

    spikes: of the package. cell, integers: which share of the spikes of either both have, in %. distance: of the first
    spikes that the integers have otherwise, how far the membrane in real numbers is from the threshold, at most, in
    units of the last fraction bit; room: how far it may be there by the roundings of the integers; near: whether each
    is within its own. Of neurons that show their membrane, distance is the largest of it from the package's.
    """

    case: Case
    spikes: int
    fraction_bits: int
    cell: float
    integers: float
    distance: float = 0
    room: float = 0
    near: bool = True


def measured(case: Case, dyadic: bool, fraction_bits: int | None = None) -> Row:
    """Return the row of a case whose parameters integers hold, or do not; with as many fraction bits, if any."""
    torch.set_default_dtype(torch.float64)  # Norse begins with it
    try:
        module = case.make(Numbers(dyadic)).eval()
        x = samples(case)
        with torch.no_grad():
            sent = module(torch.from_numpy(x[0] * SCALE)[:, None])[:, 0].double().numpy()
        step = read_step(case.make(Numbers(dyadic)).eval(), {"x": (NEURONS,)}, None, {"dtype": torch.float64})
    finally:
        torch.set_default_dtype(torch.float32)
    encoding = Encoding(scale=SCALE, signed=True, code="frames")
    readout = Readout("last" if case.shows else "count")
    converter = StepConverter(Given(step), {"x": x}, {"x": encoding}, STEPS, readout)
    network = converter.convert({}).network
    (name,) = converter.cells
    (part,) = (part for part in converter.parts if isinstance(part, Fixed))
    if fraction_bits is not None:
        few = Population(part.shape, part.neuron(fraction_bits))
        network = replace(network, populations={**network.populations, name: few})
    neuron = network.populations[name].neuron
    assert isinstance(neuron, LIF)
    unit = spread(part.unit, part.shape) / 2**neuron.fraction_bits
    turn = stepped(network, {"x": x[0]})[name]
    rest = spread(converter.cells[name].offset - part.cell.offset, part.shape)  # of the membrane that is shown
    steps = list(_steps(converter, part, rest))
    compared = list(_compared(part, neuron, unit, steps, rest))
    if case.shows:
        assert turn.membrane is not None
        real = np.stack([state["v"] for _, state in steps])
        ours, bound = turn.membrane * unit, np.array([errors for _, errors in compared])
        off = np.abs(ours - real) / unit
        exact = 100 * float(np.isclose(real, sent, rtol=0, atol=1e-8).mean())
        near = bool((off <= bound).all())
        return Row(case, 0, neuron.fraction_bits, exact, exact, float(off.max()), float(bound.max()), near)
    floats = np.stack([spikes for spikes, _ in steps])
    ours = turn.events != 0
    row = Row(case, int(np.count_nonzero(sent)), neuron.fraction_bits, _same(floats, sent), _same(ours, sent))
    return _explained(row, ours != floats, part, compared)


def _same(ours: Array, theirs: Array) -> float:
    either = np.count_nonzero((ours != 0) | (theirs != 0))
    return 100 * float(np.count_nonzero((ours != 0) & (theirs != 0)) / either)


def _steps(converter: StepConverter, part: Fixed, rest: Array) -> Iterator[tuple[Array, State]]:
    """Yield the spikes and the state after each step in real numbers, of the membrane that the integers are of."""
    name = part.name
    for values, states in run_layers(converter.layers, converter.cells, converter.samples, STEPS, frozenset({"x"})):
        state = {key: value[0].copy() for key, value in states[name].items()}
        yield values[name][0].copy(), {**state, "v": state["v"] + rest}


def _compared(
    part: Fixed, neuron: LIF, unit: Array, steps: list[tuple[Array, State]], rest: Array
) -> Iterator[tuple[Array, Array]]:
    """Yield, of each step, how far the membrane is from the threshold, and how far the integers may be from it.

    Both in units of the last fraction bit. A product with a share that a step keeps is truncated by less than one; a
    share, a bias and what a reset takes off or writes are rounded. Thresholds are rounded such that the comparison of
    integers stays the same. rest: the part of the membrane that does not leak.
    """
    cell = part.cell

    def real(values: Array) -> Array:
        return spread(values, part.shape)

    def off(ours: Any, theirs: Array) -> Array:
        return np.abs(real(np.asarray(ours, np.float64)) - real(theirs) / unit)

    at = {key: real(getattr(cell, key)) for key in ("keep_u", "keep_v", "bias", "threshold", "v_min")}
    bias_u = real(part.bias) * real(cell.gain) + real(cell.bias_u)
    kept = {key: real(np.asarray(getattr(neuron, key), np.float64)) / KEEP_ALL for key in ("keep_u", "keep_v")}
    firing = np.isfinite(at["threshold"])
    threshold = np.where(firing, off(neuron.threshold, np.where(firing, at["threshold"], 0)), 0)
    before = {key: values[0] for key, values in cell.initial(1, part.shape).items()}
    e_u, e_v = np.zeros(part.shape), off(neuron.v_init, cell.v_init) + FLOAT64
    for spikes, state in steps:
        e_u = _kept(e_u, before["u"] / unit, kept["keep_u"], at["keep_u"]) + off(neuron.bias_u, bias_u)
        e = (
            _kept(e_v, (before["v"] - rest) / unit, kept["keep_v"], at["keep_v"])
            + e_u
            + off(neuron.bias, cell.bias)
            + FLOAT64
        )
        e += threshold * (before["pending"] > 0)
        v = at["keep_v"] * before["v"] + state["u"] + at["bias"] - np.where(before["pending"] > 0, at["threshold"], 0)
        v = np.maximum(v, at["v_min"])
        e_v = np.where(before["wait"] > 0, e_v, e)
        yield np.abs(v - at["threshold"]) / unit, e_v
        if cell.reset == "value":
            e_v = np.where(spikes != 0, off(neuron.v_reset, cell.v_reset) + FLOAT64, e_v)
        elif cell.reset == "subtract":
            e_v = e_v + threshold * (spikes != 0)
        before = state


def _kept(error: Array, x: Array, ours: Array, theirs: Array) -> Array:
    """Return how far what a step keeps of `x` may be off, if `x` was by `error`."""
    truncated = (ours > 0) & (ours < 1)
    found: Array = ours * error + np.abs(ours - theirs) * np.abs(x) + truncated
    return found


def _explained(row: Row, differing: Array, part: Fixed, compared: list[tuple[Array, Array]]) -> Row:
    """Return the row with its first differences, of each neuron, or of all where they hear each other."""
    first = np.where(differing.any(axis=0), differing.argmax(axis=0), STEPS)
    if any(term.source == part.name for term in part.terms):
        first = np.where(first == first.min(), first, STEPS)
    at = [(step, neuron) for neuron, step in enumerate(first) if step < STEPS]
    if not at:
        return row
    distance, room = (np.array([compared[step][k][neuron] for step, neuron in at]) for k in (0, 1))
    worst = int(distance.argmax())
    near = bool((distance <= room).all())
    return replace(row, distance=float(distance[worst]), room=float(room[worst]), near=near)
