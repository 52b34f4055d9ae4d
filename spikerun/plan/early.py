# SPDX-License-Identifier: Apache-2.0
"""Early exit: after which steps the class of a sample can change no more, by what may still arrive.

A readout that sums up words or spikes: in the steps that are left of its window, each neuron of its source sends at
most so much, so an output k can gain on another, b, at most the sum of max(0, weight to k - weight to b) over all
neurons, times that, and what b can lose. A population whose spikes are counted: as many as there are steps left; that
answers by its first spike: no output that is silent can come before one that has fired.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from spikerun.codes import Word
from spikerun.errors import UnsupportedError, UsageError
from spikerun.kernels.operations import Decide, Operation, When, shape_text
from spikerun.kernels.program import Register
from spikerun.network import Link, Network
from spikerun.plan.common import of

__all__ = ["STEPS", "EarlyExit", "check_early_exit", "decide", "steps_register"]

EarlyExit = int | Literal["exact"] | None
STEPS = ":steps"  # the label of the passes that a sample took
UNKNOWN = 2**31 - 1
MAX_CLASSES = 128  # up to which each output is compared with each other one
MAX_INPUTS = 4096  # of a projection whose weights are looked at one by one
MAX_ENTRIES = 2**22  # of a table of bounds

Int64Array = npt.NDArray[np.int64]


def check_early_exit(net: Network, given: EarlyExit) -> None:
    """Refuse what is no choice, and networks that have no class, or one that nothing bounds."""
    if isinstance(given, bool) or not (given == "exact" or (isinstance(given, int) and 1 <= given < UNKNOWN)):
        raise UsageError(
            f"early_exit is 'exact', or by how much the largest output must lead, from 1 on, got {given!r:.80}"
        )
    if len(net.outputs) != 1:
        raise UnsupportedError(
            f"early_exit stops where the class is known, and this network has the outputs {', '.join(net.outputs)}: it "
            "needs one"
        )
    name = net.outputs[0]
    population = net.populations[name]
    several = sum(n > 1 for n in population.shape) > 1
    why = (
        "has one neuron" if population.size < 2
        else f"has a class for each place of {shape_text(population.shape)}" if several
        else "has several scales, so that its integers do not compare" if not population.one_scale
        else ""
    )  # fmt: skip
    if why:
        raise UnsupportedError(f"early_exit stops where the class is known, and the output '{name}' {why}")
    if given == "exact":
        _bounds(net, name)


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
        rule, bounds = "lead", np.full((w, size, 1), early_exit, np.int64)
        bounds[-1] = 0  # nothing follows
    table = np.minimum(bounds, UNKNOWN).astype(np.int32).reshape(w * size, -1)
    result = of(name, "result")
    return Decide(result, of(name, "steps"), table, rule, When(begin=own, end=own + w))


def _bounds(net: Network, name: str) -> tuple[str, Int64Array]:
    """Return the rule of `Decide`, and for each step of the window what each output can still gain on each, or any."""
    neuron, w = net.populations[name].neuron, net.window
    size = net.populations[name].size
    if not neuron.reported:  # it is what it sends that counts
        spans = [_left(net.sender_of(name), net.significance(name), r) for r in range(w)]
        return "gain", np.array([np.full((size, 1), high - low) for low, high in spans], np.int64)
    if neuron.integrates == "window":
        return "gain", _of_weights(net, name)
    if neuron.rule == "first_spike":
        return "reach", np.array([np.full((size, 1), w - 1 - r) for r in range(w)], np.int64)
    raise UnsupportedError(
        f"early_exit='exact': nothing bounds how the answer '{neuron.rule}' of population '{name}' may still change; "
        "counts of spikes, first spikes and readouts have bounds, and a margin, such as early_exit=100, needs none"
    )


def _left(word: Word | None, significance: Int64Array, r: int) -> tuple[int, int]:
    """Return the least and the largest sum that one neuron can still send after step r of a window."""
    low, high = (0, 1) if word is None else word.event_range
    g = significance[r + 1 :]
    least, largest = (np.stack([g * low, g * high, 0 * g]) for _ in range(2))
    if word is not None and word.code == "ttfs":  # one spike
        return 0, int(largest.max(initial=0))
    return int(least.min(axis=0).sum()), int(largest.max(axis=0).sum())


def _of_weights(net: Network, name: str) -> Int64Array:
    """Return what outputs can gain by the projections into a readout."""
    w, size = net.window, net.populations[name].size
    shapes = [net.populations[link.source].shape for link in net.into(name)]
    few = all(np.prod(shape) <= MAX_INPUTS for shape in shapes) and w * size * size <= MAX_ENTRIES
    columns = size if few and size <= MAX_CLASSES else 1
    total = np.zeros((w, size, columns), np.int64)
    for link in net.into(name):
        gains = _gains(net, link, size) if columns > 1 else None
        for r in range(w):
            low, high = _left(net.sender_of(link.source), link.significance, r)
            added = high * gains - low * gains.T if gains is not None else _gain_on_any(net, link, size, low, high)
            total[r] += added << link.projection.exponent
    return total


def _gains(net: Network, link: Link, size: int) -> Int64Array:
    """Return (size, size): what output k gains on output b where each neuron that favours it sends 1."""
    shape = net.populations[link.source].shape
    weights = np.zeros((int(np.prod(shape)), size), np.int64)
    each = size // net.populations[link.target].shape[0]
    columns = slice(link.channels[0] * each, link.channels[1] * each)
    for row, unit in zip(weights, _units(shape), strict=True):
        row[columns] = link.connection.apply(unit).ravel()
    return np.stack([np.maximum(weights - weights[:, b : b + 1], 0).sum(axis=0) for b in range(size)], axis=1)


def _units(shape: tuple[int, ...]) -> Iterator[Int64Array]:
    for k in range(int(np.prod(shape))):
        unit = np.zeros(shape, np.int64)
        unit.flat[k] = 1
        yield unit


def _gain_on_any(net: Network, link: Link, size: int, low: int, high: int) -> Int64Array:
    """Return (size, 1): what each output gains, and what the others lose at most."""
    source, target = net.populations[link.source].shape, net.populations[link.target].shape
    first, end = link.channels
    lows, highs = (np.full(source[0], float(value)) for value in (low, high))
    least, largest = link.connection.spans(source, end - first, lows, highs)
    gained, lost = np.zeros((2, target[0]))
    gained[first:end], lost[first:end] = largest, least
    each = np.repeat(gained - lost.min(), size // target[0])
    gains: Int64Array = np.ceil(each).astype(np.int64)[:, None]
    return gains
