# SPDX-License-Identifier: Apache-2.0
"""Spiking neurons in real numbers: the one equation that importers bring the neurons of all frameworks to."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from spikerun.converters.forward import spread
from spikerun.converters.graph import Array, Op, Shape

__all__ = ["RESETS", "Cell", "Membrane", "Previous", "State"]

RESETS = ("value", "subtract", "subtract_after_leak", "none")
State = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Cell(Op):
    """A population of spiking neurons, updated once a step; `name` is its own in the graph.

    `u <- keep_u u + gain x + bias_u`; where it does not wait:
    `v <- max(keep_v v + u + bias - threshold pending, v_min)`, `s = v > threshold` (`>=` if inclusive), then the reset,
    as `spikerun.LIF` has it. Parameters are float64 of shape (), (C,) or the population's. offset: the framework's
    membrane is v + offset. factor: what its readers take a spike for. looks_back: the membrane before the step tells
    whether a reset is due, so that one left above the threshold by `subtract` is compared with twice the threshold.
    sinks: far below zero its membrane may stop falling, for nothing brings it back.
    """

    name: str
    threshold: Array
    keep_v: Array
    keep_u: Array
    gain: Array
    bias: Array
    bias_u: Array
    v_reset: Array
    v_init: Array
    v_min: Array
    offset: Array
    factor: Array
    reset: str = "value"
    refractory: int = 0
    inclusive: bool = False
    looks_back: bool = False
    sinks: bool = False

    @classmethod
    def of(
        cls,
        name: str,
        *,
        reset: str,
        refractory: int = 0,
        inclusive: bool = False,
        looks_back: bool = False,
        sinks: bool = False,
        **given: Any,
    ) -> "Cell":
        """Return a cell with what is given, and otherwise no leak, no synaptic state, and nothing added.

        Raises ValueError where a number is not finite (v_min may be minus infinity), or has no meaning.
        """
        usual = {"keep_v": 1.0, "gain": 1.0, "factor": 1.0, "v_min": -np.inf, "threshold": np.inf}
        names = [f.name for f in fields(cls) if f.type in (Array, "Array")]
        values = {key: np.asarray(given.pop(key, usual.get(key, 0.0)), np.float64) for key in names}
        if given:
            raise TypeError(f"a cell has no {', '.join(given)}")
        for key, value in values.items():
            if np.isnan(value).any() or (key not in ("v_min", "threshold") and np.isinf(value).any()):
                raise ValueError(f"{key} is not finite")
        for key in ("keep_v", "keep_u"):
            if (values[key] < 0).any() or (values[key] > 1).any():
                low, high = values[key].min(), values[key].max()
                raise ValueError(f"{key}, the share of the state that a step keeps, must be in 0..1, got {low}..{high}")
        if reset not in RESETS:
            raise ValueError(f"reset must be one of {', '.join(RESETS)}, got '{reset}'")
        return cls(
            name, **values, reset=reset, refractory=refractory, inclusive=inclusive, looks_back=looks_back, sinks=sinks
        )

    @property
    def fires(self) -> bool:
        """Return whether it can send a spike at all."""
        return bool(np.isfinite(self.threshold).any())

    def initial(self, batch: int, shape: Shape) -> State:
        """Return the state of a batch before the first step."""
        state = {key: np.zeros((batch, *shape)) for key in ("u", "v", "pending", "wait")}
        state["v"] += spread(self.v_init, shape)
        return state

    def above(self, v: Array) -> Array:
        """Return whether membranes (batch, *shape) after a step were left above the threshold, where that tells."""
        if not self.looks_back or self.reset != "subtract":
            return np.zeros(v.shape, bool)
        return v > spread(self.threshold, v.shape[1:])

    def step(self, state: State, x: Array) -> Array:
        """Update `state` by the currents `x` (batch, *shape) of one step; return the spikes, 0 or 1."""
        shape = x.shape[1:]
        at = {f.name: spread(v, shape) for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}
        state["u"] = at["keep_u"] * state["u"] + at["gain"] * x + at["bias_u"]
        awake = state["wait"] <= 0
        v = at["keep_v"] * state["v"] + state["u"] + at["bias"]
        v = np.maximum(v - np.where(state["pending"] > 0, at["threshold"], 0), at["v_min"])
        threshold = at["threshold"] * (1 + self.above(state["v"]))
        reached = v >= threshold if self.inclusive else v > threshold
        s: Array = (reached & awake).astype(np.float64)
        if self.reset == "value":
            v = np.where(s > 0, at["v_reset"], v)
        elif self.reset == "subtract":
            v = np.where(s > 0, v - at["threshold"], v)
        elif self.reset == "subtract_after_leak":
            state["pending"] = np.where(awake, s, state["pending"])
        state["v"] = np.where(awake, v, state["v"])
        state["wait"] = np.where(s > 0, self.refractory, np.maximum(state["wait"] - 1, 0))
        return s


@dataclass(frozen=True)
class Previous(Op):
    """The spikes of the cell `cell` so many `steps` before; none before the first. Without inputs, it closes cycles."""

    cell: str
    steps: int = 1


@dataclass(frozen=True)
class Membrane(Op):
    """The membrane of a cell after the step, as its framework shows it: its only input is the cell's node."""
