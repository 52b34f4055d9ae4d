# SPDX-License-Identifier: Apache-2.0
"""What a dense network of int8 takes, as CMSIS-NN computes it: the table [int8] of a core's file.

A kind of layer has instructions for each multiplication and for each result. They are fits to what QEMU counted of
whole layers, compiled by gcc -O3; `benchmarks/mcu/int8.py` makes them, and says how far the worst is off.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spikerun.kernels.operations import Map

__all__ = ["KINDS", "LAYERS", "Int8", "read"]

KINDS = ("linear", "conv", "pointwise", "depthwise", "add")
TERMS = ("mac", "output")


@dataclass(frozen=True)
class Int8:
    """Instructions by the kind of layer, for each multiplication (`mac`) and each result (`output`); their source."""

    layers: Mapping[str, Mapping[str, float]]
    source: str

    def of_map(self, m: Map) -> float | None:
        """Return the instructions of a dense layer of a map's shape, with what makes int8 of its results."""
        if m.kind not in LAYERS:
            return self.of_add(math.prod(m.target))
        kind, products = LAYERS[m.kind](m)
        return None if kind not in self.layers else self._of(kind, products, math.prod(m.target))

    def of_add(self, results: int) -> float:
        """Return the instructions of adding two layers."""
        return self._of("add", 0, results) if "add" in self.layers else 0.0

    def _of(self, kind: str, products: int, results: int) -> float:
        return self.layers[kind].get("mac", 0.0) * products + self.layers[kind].get("output", 0.0) * results


def _conv(m: Map) -> tuple[str, int]:
    channels, inputs, *kernel = m["weight"].shape
    products = channels * inputs * math.prod(kernel) * math.prod(m.target[1:])
    depthwise = m["groups"] == m.source[0] > 1
    return "depthwise" if depthwise else "pointwise" if math.prod(kernel) == 1 else "conv", products


def _linear(m: Map) -> tuple[str, int]:
    return "linear", math.prod(m.source) * math.prod(m.target)


# of each kind of map that has weights, which layer it is and its multiplications, those with 0 as well;
# all others are pools and sums
LAYERS: Mapping[str, Callable[[Map], tuple[str, int]]] = {"dense": _linear, "sparse": _linear, "conv": _conv}


def read(values: Mapping[str, Any]) -> Int8:
    """Return the table [int8] of a core's file. Raises ValueError that says what is wrong with it."""
    source = values.get("source")
    if not isinstance(source, str) or not source:
        raise ValueError("[int8] lacks its 'source'")
    layers: dict[str, dict[str, float]] = {}
    for kind, terms in values.items():
        if kind == "source":
            continue
        if kind not in KINDS or not isinstance(terms, dict) or not terms.keys() <= set(TERMS):
            raise ValueError(f"[int8]: '{kind}' is no layer with {' and '.join(TERMS)}; layers are {', '.join(KINDS)}")
        wrong = [cost for cost in terms.values() if isinstance(cost, bool) or not isinstance(cost, int | float)]
        if wrong or min(terms.values(), default=0) < 0:
            raise ValueError(f"[int8]: '{kind}' must have numbers, 0 or more, got {terms!r}")
        layers[kind] = {term: float(cost) for term, cost in terms.items()}
    return Int8(layers, source)
