# SPDX-License-Identifier: Apache-2.0
"""What kernels cost on a core: instructions for each of the things that they do, in the table [costs] of its file.

`benchmarks/mcu/costs.py` measures small layers in emulation and prints that table. A kernel is a line of it: what it
counts, as `COUNTED` names it, and how many instructions each of these takes. Costs are fits, a few percent off.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from spikerun.edge.mcu.maps import slides
from spikerun.kernels.operations import Map

__all__ = ["COUNTED", "Costs", "counted", "of_map", "of_neurons", "read"]

Costs = Mapping[str, Mapping[str, float]]  # kernel -> what it counts -> instructions
Counts = dict[str, float]
NEURONS = ("neuron", "active")  # of what goes over all neurons once: each of them, and each that is active one more


def _rows(m: Map) -> tuple[int, int, float]:
    """Return target pixels, MACs of all words active but for those at the edges, and how often a word is looked at."""
    pixels = math.prod(m.target[1:])
    if not slides(m):
        return 1, math.prod(m["weight"].shape), 1.0
    channels, inputs, rows, columns = m["weight"].shape
    looks = min(float(rows), rows * m.target[1] / max(1, m.source[1]))
    return pixels, pixels * channels * inputs * rows * columns, looks


def _events(m: Map, share: float, spikes: bool) -> Counts:
    pixels, products, looks = _rows(m)
    words = math.prod(m.source) * looks
    targets = pixels * (m.channels[1] - m.channels[0])
    if not slides(m):
        targets = math.prod(m.target)
    summed = "spike" if spikes else "event"
    found = {"word": words, "active": share * words, summed: share * products, "target": targets, "pixel": pixels}
    return {**found, "row": m.target[1]} if slides(m) else found


def _depthwise(m: Map, share: float, spikes: bool) -> Counts:
    del spikes
    pixels, products, _ = _rows(m)
    fours = 1 - (1 - share) ** 4  # of four channels one at least is active
    return {"tap": products / 4, "four": products / 4 * fours, "target": math.prod(m.target), "pixel": pixels}


def _dot(m: Map, share: float, spikes: bool) -> Counts:
    """Count what takes sixteen words: of six targets, and of the pixel itself."""
    del share, spikes
    if not slides(m):
        pixels, rows, inputs, channels = 1, 0, math.prod(m.source), math.prod(m.target)
    else:
        channels, *window = m["weight"].shape
        pixels, rows, inputs = math.prod(m.target[1:]), window[1] if window[1] > 1 else 0, math.prod(window)
    blocks, vectors = pixels * -(-channels // 6), -(-inputs // 16)
    return {"six": blocks * vectors, "block": blocks, "vector": pixels * vectors, "row": pixels * rows, "pixel": pixels}


def _pairs(m: Map, share: float, spikes: bool) -> Counts:
    """Count pairs of words: those of two targets at four pixels, those of two at one, and those that are laid out."""
    del share, spikes
    channels, inputs, rows, columns = m["weight"].shape
    height, width = m.target[1:]
    blocks, pairs = -(-channels // 2), rows * -(-inputs * columns // 2)
    fours, ones = height * (width // 4), height * (width % 4)
    kept = {"four": fours * blocks * pairs, "one": ones * blocks * pairs, "block": (fours + ones) * blocks}
    return {**kept, "pair": height * width * pairs, "row": height * width * rows, "pixel": height * width}


# without costs: clear, copy, encode, latch, send, weigh, accumulate, add_shifted, delay, if_step, lif_step, collect,
# max_pool, max_pool_step, max_pool_sums; apply is its maps; no board executes count, decide, poisson, scatter, arrive
COUNTED: Mapping[str, tuple[tuple[str, ...], Callable[[Map, float, bool], Counts] | None]] = {
    "conv": (("word", "active", "spike", "event", "target", "pixel", "row"), _events),
    "dense": (("word", "active", "spike", "event", "target", "pixel"), _events),
    "depthwise": (("tap", "four", "target", "pixel"), _depthwise),
    "dot": (("six", "block", "vector", "row", "pixel"), _dot),
    "pairs": (("four", "one", "block", "pair", "row", "pixel"), _pairs),
    "fill": (("neuron",), None),
    "fire": (NEURONS, None),
    "fire_levels": (NEURONS, None),
}


def read(values: Mapping[str, Any]) -> Costs:
    """Return the table [costs] of a core's file. Raises ValueError that says what is wrong with it."""
    for kind, costs in values.items():
        if kind not in COUNTED or not isinstance(costs, dict):
            raise ValueError(f"[costs] has no table for '{kind}'; known are {', '.join(COUNTED)}")
        for key, cost in costs.items():
            if key not in COUNTED[kind][0] or type(cost) not in (int, float) or not cost >= 0:
                raise ValueError(
                    f"[costs.{kind}]: '{key}' = {cost!r} must be a number of {', '.join(COUNTED[kind][0])}"
                )
    return {kind: {key: float(cost) for key, cost in costs.items()} for kind, costs in values.items()}


def counted(kind: str, m: Map, share: float, spikes: bool) -> Counts | None:
    """Return how often a kernel does what it counts; None of one that no cost is known of.

    share: of the words of the source that are active; spikes: whether all of these are 1.
    """
    found = COUNTED[kind][1] if kind in COUNTED else None
    return None if found is None else found(m, share, spikes)


def of_map(costs: Costs, kind: str, m: Map, share: float, spikes: bool) -> float | None:
    """Return the instructions of a kernel for a map; None where no cost is known. See `counted`."""
    counts = counted(kind, m, share, spikes)
    if counts is None or kind not in costs or not counts.keys() <= costs[kind].keys():
        return None
    return sum(costs[kind][key] * count for key, count in counts.items())


def of_neurons(costs: Costs, kind: str, shape: tuple[int, ...], share: float = 0.0) -> float | None:
    """Return the instructions of `fill`, `fire` or `fire_levels` for a population; share: of it that becomes active."""
    if kind not in costs:
        return None
    return math.prod(shape) * (costs[kind].get("neuron", 0.0) + share * costs[kind].get("active", 0.0))
