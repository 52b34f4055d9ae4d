# SPDX-License-Identifier: Apache-2.0
"""Weights rounded together: what one is rounded by, later ones make good, as far as their inputs come together.

The method is GPTQ (Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers", ICLR 2023), after Optimal Brain Surgeon, with a scale for each channel that is given.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from spikerun.converters.graph import Array
from spikerun.converters.layers import Layer
from spikerun.converters.maps import WEIGHT_LIMIT, Term
from spikerun.converters.spiking.fixed_point import Fixed, Summed

__all__ = ["fitted", "together"]

DAMPING = 0.01  # of the mean moment: inputs that were hardly seen are not relied on

P = TypeVar("P", bound=Fixed | Summed)


def fitted(part: P, layer: Layer, moments: Mapping[tuple[str, int], Array]) -> P:
    """Return a layer in integers whose weights were rounded together, where moments of their inputs are known."""
    terms = tuple(
        _fitted(term, real, moments[layer.name, k], part.scale) if (layer.name, k) in moments else term
        for k, (term, real) in enumerate(zip(part.terms, layer.terms, strict=True))
    )
    return replace(part, terms=terms)


def _fitted(term: Term, real: Term, moments: Array, scale: Array) -> Term:
    unit = scale[term.first : term.end] * 2.0**term.exponent
    rows = real.map.weight.reshape(len(unit), -1) / unit[:, None]
    whole = [together(part, each) for part, each in zip(np.split(rows, len(moments)), moments, strict=True)]
    weight = np.concatenate(whole).reshape(real.map.weight.shape).astype(np.int8)
    return replace(term, map=replace(term.map, weight=weight))


def together(weight: Array, moments: Array) -> Array:
    """Return integers (out, n) near `weight` whose sums differ least for inputs of these second moments (n, n).

    Each row is at least as near, so measured, as when each number is rounded by itself.
    """
    nearest = np.clip(np.rint(weight), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    seen = np.diag(moments)
    if not seen.any():
        return nearest
    order = np.argsort(-seen, kind="stable")  # what is seen most is rounded first, and made good by all others
    damped = moments[np.ix_(order, order)] + DAMPING * seen.mean() * np.eye(len(seen))
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    left, found = weight[:, order].copy(), np.empty_like(weight)
    for i, column in enumerate(order):
        found[:, column] = np.clip(np.rint(left[:, i]), -WEIGHT_LIMIT, WEIGHT_LIMIT)
        error = (left[:, i] - found[:, column]) / upper[i, i]
        left[:, i + 1 :] -= np.outer(error, upper[i, i + 1 :])
    better = _error(found - weight, moments) < _error(nearest - weight, moments)
    return np.where(better[:, None], found, nearest)


def _error(difference: Array, moments: Array) -> Array:
    total: Array = ((difference @ moments) * difference).sum(axis=1)
    return total
