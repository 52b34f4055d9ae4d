# SPDX-License-Identifier: Apache-2.0
"""Weights fitted anew to what spikes really bring: ridge regression of an ANN's sums on the rates that lead to them."""

from dataclasses import replace

import numpy as np

from spikerun.converters import forward
from spikerun.converters.graph import Array, Conv, Linear

__all__ = ["refitted"]

ROWS = 1 << 15  # equations at most of one regression
VALUES = 1 << 25  # of the matrix of one regression
MOST_INPUTS = 2560  # of a sum, whose weights are fitted; of larger ones the bias alone
RIDGES = (1e-3, 1e-2, 0.1, 1.0, 10.0)  # of the mean second moment, tried on the held-out rows
ROUNDS = 4  # in which sums below zero, wanted and had, count as met
HELD_OUT = 4  # one row of so many, at the end, chooses the ridge


def refitted(op: Conv | Linear, x: Array, y: Array, rectified: bool) -> Conv | Linear:
    """Return the operator with weights and a bias by which `x` (N, *in) leads to sums nearest to `y` (N, *out).

    Least squares of the sums, with a ridge towards the weights that are there; what ridge, is chosen on held-out
    samples. rectified: of the sums only what is above zero counts.
    """
    groups = op.groups if isinstance(op, Conv) else 1
    weight, bias = op.weight.reshape(len(op.weight), -1).astype(np.float64), op.bias.astype(np.float64)
    found_weight, found_bias = weight.copy(), bias.copy()
    for k, (rows, wanted) in enumerate(_equations(op, x, y)):
        part = slice(k * len(bias) // groups, (k + 1) * len(bias) // groups)
        found_weight[part], found_bias[part] = _solved(weight[part], bias[part], rows, wanted, rectified)
    return replace(op, weight=found_weight.reshape(op.weight.shape), bias=found_bias)


def _equations(op: Conv | Linear, x: Array, y: Array) -> list[tuple[Array, Array]]:
    """Return (what a sum is made of (rows, inputs), what it should be (rows, outputs)) for each group of channels."""
    if isinstance(op, Linear):
        return [(x.reshape(len(x), -1), y.reshape(len(y), -1))]
    inputs = op.weight[0].size * op.groups
    places = max(1, min(ROWS, VALUES // inputs) // len(x))
    rng, chosen, wanted = np.random.default_rng(0), [], []
    for first in range(0, len(x), 64):
        seen = forward.unfold(x[first : first + 64], op.weight.shape[2:], op.stride, op.padding, op.dilation)
        at = rng.choice(seen.shape[2], min(places, seen.shape[2]), replace=False)
        chosen.append(seen[:, :, at].transpose(0, 2, 1).reshape(-1, inputs))
        sums = y[first : first + 64].reshape(len(seen), y.shape[1], -1)
        wanted.append(sums[:, :, at].transpose(0, 2, 1).reshape(-1, y.shape[1]))
    rows, targets = np.concatenate(chosen), np.concatenate(wanted)
    return list(zip(np.split(rows, op.groups, axis=1), np.split(targets, op.groups, axis=1), strict=True))


def _solved(weight: Array, bias: Array, rows: Array, wanted: Array, rectified: bool) -> tuple[Array, Array]:
    """Return weights (out, in) and biases (out,) near those that are given, by which `rows` lead to what is wanted."""
    cut = max(1, len(rows) - len(rows) // HELD_OUT)
    ridges = RIDGES if rows.shape[1] <= MOST_INPUTS and len(rows) > HELD_OUT else ()
    tried = _Ridge(weight, bias, rows[:cut], wanted[:cut], rectified)
    errors = {ridge: _error(*tried.solved(ridge), rows[cut:], wanted[cut:], rectified) for ridge in ridges}
    best = min(errors, key=errors.__getitem__, default=np.inf)
    if not errors or errors[best] >= _error(*tried.solved(np.inf), rows[cut:], wanted[cut:], rectified):
        best = np.inf
    return _Ridge(weight, bias, rows, wanted, rectified).solved(best)


class _Ridge:
    """One regression, its matrix taken apart once for all ridges."""

    def __init__(self, weight: Array, bias: Array, rows: Array, wanted: Array, rectified: bool) -> None:
        self.weight, self.bias, self.wanted, self.rectified = weight, bias, wanted.astype(np.float64), rectified
        self.middle = rows.mean(axis=0, dtype=np.float64)
        self.rows = (rows - self.middle).astype(np.float64)
        self.base = self.rows @ weight.T + (bias + weight @ self.middle)
        self.parts: tuple[Array, Array] | None = None

    def solved(self, ridge: float) -> tuple[Array, Array]:
        """Return weights and biases; an infinite ridge leaves the weights as they are."""
        change, moved, has = np.zeros_like(self.weight), np.zeros_like(self.bias), self.base
        for _ in range(ROUNDS if self.rectified else 1):
            wanted = np.where(self.wanted > 0, self.wanted, np.minimum(has, 0)) if self.rectified else self.wanted
            lack = wanted - self.base
            moved = lack.mean(axis=0)
            if np.isfinite(ridge):
                change = self._change(lack - moved, ridge)
            has = self.base + self.rows @ change.T + moved
        return self.weight + change, self.bias + moved - change @ self.middle

    def _change(self, lack: Array, ridge: float) -> Array:
        if self.parts is None:
            values, vectors = np.linalg.eigh(self.rows.T @ self.rows)
            self.parts = np.maximum(values, 0), vectors
        values, vectors = self.parts
        damped = values + ridge * values.mean() + np.finfo(np.float64).tiny
        found: Array = ((lack.T @ self.rows) @ vectors / damped) @ vectors.T
        return found


def _error(weight: Array, bias: Array, rows: Array, wanted: Array, rectified: bool) -> float:
    has = rows @ weight.T + bias
    low = 0.0 if rectified else -np.inf
    return float(np.square(np.maximum(has, low) - np.maximum(wanted, low)).mean()) if len(rows) else np.inf
