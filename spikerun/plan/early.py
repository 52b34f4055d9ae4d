# SPDX-License-Identifier: Apache-2.0
"""Early exit: after which steps the class of a sample can change no more, by what may still arrive.

A readout that sums up words or spikes: in the steps that are left of its window, each neuron of its source sends at
most so much, so an output k can gain on another, b, at most the sum of max(0, weight to k - weight to b) over all
neurons, times that, and what b can lose. A population whose spikes are counted: as many as there are steps left; that
answers by its first spike: no output that is silent can come before one that has fired. Where outputs have scales of
their own, all this is in logits, with room for the rounding of float32.
"""

from collections.abc import Iterator
from numbers import Real
from typing import Literal

import numpy as np
import numpy.typing as npt

from spikerun.codes import Word
from spikerun.errors import UnsupportedError, UsageError
from spikerun.kernels.operations import Decide, Operation, When, shape_text
from spikerun.kernels.program import Register
from spikerun.network import Link, Network
from spikerun.plan.common import of

__all__ = ["STEPS", "EarlyExit", "check_early_exit", "check_lead", "decide", "steps_register"]

EarlyExit = float | Literal["exact"] | None
STEPS = ":steps"  # the label of the passes that a sample took
UNKNOWN = 2**31 - 1
MAX_CLASSES = 128  # up to which each output is compared with each other one
MAX_INPUTS = 4096  # of a projection whose weights are looked at one by one
MAX_ENTRIES = 2**22  # of a table of bounds
FINEST = 2**28  # parts of the largest bound, where bounds are real numbers

Int64Array = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


def check_lead(given: object) -> None:
    """Refuse what is no choice of early exit, for any network."""
    if not ((isinstance(given, str) and given == "exact") or _is_lead(given)):
        raise UsageError(f"early_exit is 'exact', or by how much the largest logit is to lead, got {_shown(given)}")


def check_early_exit(net: Network, given: EarlyExit) -> None:
    """Refuse networks that have no class, or one that nothing bounds."""
    if len(net.outputs) != 1:
        raise UnsupportedError(
            f"early_exit stops where the class is known, and this network has the outputs {', '.join(net.outputs)}: it "
            "needs one"
        )
    name = net.outputs[0]
    population = net.populations[name]
    several = sum(n > 1 for n in population.shape) > 1
    if population.size < 2 or several:
        why = f"a class for each place of {shape_text(population.shape)}" if several else "one neuron"
        raise UnsupportedError(f"early_exit stops where the class is known, and the output '{name}' has {why}")
    if given == "exact":
        _bounds(net, name)


def _is_lead(given: object) -> bool:
    if not isinstance(given, Real) or isinstance(given, bool):
        return False
    try:
        return 0 < float(given) < np.inf
    except OverflowError:  # an integer beyond all floats
        return False


def _shown(given: object) -> str:
    try:
        return f"{given!r:.80}"
    except ValueError:  # Python prints no integer of thousands of digits
        return "an integer of too many digits"


def steps_register(net: Network) -> Register:
    """Return the register of the passes that a sample took."""
    return Register(of(net.outputs[0], "steps"), "int32", (1,), "passes done")


def decide(net: Network, early_exit: EarlyExit) -> Operation:
    """Return what ends the run of a sample whose class is known; the output's result must be that of each step."""
    name, w = net.outputs[0], net.window
    own, size = net.latency[name] * w, net.populations[name].size
    if early_exit == "exact":
        rule, bounds = _bounds(net, name)
    else:
        assert early_exit is not None
        lead = float(early_exit)
        if _one(net, name):
            lead /= float(_scale(net, name)[0])  # infinite beyond all floats
        rule, bounds = "lead", np.full((w, size, 1), lead, np.float64)
    scale: tuple[float, ...] = ()
    if not _one(net, name):
        bounds = bounds + _rounding(net, name)
        unit = bounds.max() / FINEST
        bounds, scale = bounds / unit, tuple((_scale(net, name) / unit).tolist())
    bounds[-1] = 0  # nothing follows
    table = np.minimum(np.ceil(bounds), UNKNOWN).astype(np.int32).reshape(w * size, -1)
    result = of(name, "result")
    return Decide(result, of(name, "steps"), table, rule, scale, When(begin=own, end=own + w))


def _one(net: Network, name: str) -> bool:
    return net.populations[name].one_scale


def _scale(net: Network, name: str) -> Reals:
    """Return what an integer of each output is worth."""
    population = net.populations[name]
    return np.asarray(population.spread(population.neuron.real_scale).ravel().astype(np.float64))


def _units_of_bounds(net: Network, name: str) -> Reals:
    """Return the scales in which bounds are: real numbers, or integers where all have the same."""
    return np.ones(net.populations[name].size) if _one(net, name) else _scale(net, name)


def _rounding(net: Network, name: str) -> float:
    """Return by how much logits that are compared in float32 may be off: two roundings each, and some more."""
    word = net.sender_of(name)
    sent = (1 if word is None else max(map(abs, word.event_range))) * np.abs(net.significance(name)).sum()
    largest = net.bounds.get(name, 0) if net.populations[name].neuron.reported else 0
    return float(2.0**-21 * _scale(net, name).max() * max(largest, sent, net.window))


def _bounds(net: Network, name: str) -> tuple[str, Reals]:
    """Return the rule of `Decide`, and for each step of the window what each output can still gain on each, or any."""
    neuron, w, scale = net.populations[name].neuron, net.window, _units_of_bounds(net, name)[:, None]
    if not neuron.reported:  # it is what it sends that counts
        spans = [_left(net.sender_of(name), net.significance(name), r) for r in range(w)]
        return "gain", np.array([high * scale - low * scale.max() for low, high in spans])
    if neuron.integrates == "window":
        return "gain", _of_weights(net, name)
    if neuron.rule == "first_spike":
        return "reach", np.array([(w - 1 - r) * scale for r in range(w)])
    raise UnsupportedError(
        f"early_exit='exact': nothing bounds how the answer '{neuron.rule}' of population '{name}' may still change; "
        "counts of spikes, first spikes and readouts have bounds, and a lead, such as early_exit=1.5, needs none"
    )


def _left(word: Word | None, significance: Int64Array, r: int) -> tuple[int, int]:
    """Return the least and the largest sum that one neuron can still send after step r of a window."""
    low, high = (0, 1) if word is None else word.event_range
    g = significance[r + 1 :]
    each = np.stack([g * low, g * high, 0 * g])
    if word is not None and word.code == "ttfs":  # one spike
        return 0, int(each.max(initial=0))
    return int(each.min(axis=0).sum()), int(each.max(axis=0).sum())


def _of_weights(net: Network, name: str) -> Reals:
    """Return what outputs can gain by the projections into a readout."""
    if any(link.scattered for link in net.into(name)):
        raise UnsupportedError(
            f"early_exit='exact': nothing bounds what is under way to population '{name}', whose synapses have delays "
            "of their own; a lead, such as early_exit=1.5, needs no bounds"
        )
    w, scale = net.window, _units_of_bounds(net, name)
    size = len(scale)
    inputs = max(int(np.prod(net.populations[link.source].shape)) for link in net.into(name))
    single = inputs <= MAX_INPUTS and size <= MAX_CLASSES and w * size * size <= MAX_ENTRIES
    total = np.zeros((w, size, size if single else 1))
    for link in net.into(name):
        gains = _gains(net, link, scale) if single else None
        for r in range(w):
            low, high = _left(net.sender_of(link.source), link.significance, r)
            added = high * gains - low * gains.T if gains is not None else _gain_on_any(net, link, scale, low, high)
            total[r] += added * 2.0**link.projection.exponent
    return total


def _gains(net: Network, link: Link, scale: Reals) -> Reals:
    """Return (size, size): what output k gains on output b where each neuron that favours it sends 1."""
    shape = net.populations[link.source].shape
    weights = np.zeros((int(np.prod(shape)), len(scale)))
    each = len(scale) // net.populations[link.target].shape[0]
    columns = slice(link.channels[0] * each, link.channels[1] * each)
    for row, unit in zip(weights, _units(shape), strict=True):
        row[columns] = link.connection.apply(unit).ravel()
    weights *= scale
    return np.stack([np.maximum(weights - column[:, None], 0).sum(axis=0) for column in weights.T], axis=1)


def _units(shape: tuple[int, ...]) -> Iterator[Int64Array]:
    for k in range(int(np.prod(shape))):
        unit = np.zeros(shape, np.int64)
        unit.flat[k] = 1
        yield unit


def _gain_on_any(net: Network, link: Link, scale: Reals, low: int, high: int) -> Reals:
    """Return (size, 1): what each output gains, and what the others lose at most."""
    source, target = net.populations[link.source].shape, net.populations[link.target].shape
    first, end = link.channels
    lows, highs = (np.full(source[0], float(value)) for value in (low, high))
    least, largest = link.connection.spans(source, end - first, lows, highs)
    gained, lost = np.zeros((2, target[0]))
    gained[first:end], lost[first:end] = largest, least
    each = len(scale) // target[0]
    return np.asarray((np.repeat(gained, each) * scale - (np.repeat(lost, each) * scale).min())[:, None])
