# SPDX-License-Identifier: Apache-2.0
"""The unit of each channel's int8 weights, and the exponents of projections that meet in a population."""

from collections.abc import Mapping

import numpy as np

from spikerun.converters.graph import Array
from spikerun.converters.layers import Layer
from spikerun.converters.maps import Term, evened
from spikerun.converters.quantise import SMALLEST, accumulator_scale

__all__ = ["reach", "rounded", "rounding_error"]

CURRENTS = 2.0**25  # of the 30 bits, that exponents may make currents take: at least 4 fractional bits are left
OUTLIER = 16.0  # times the usual: how many units what a channel must hold may be; more would cost all others bits


def rounded(layer: Layer, top: Array, most: float, events: Mapping[str, int]) -> tuple[tuple[Term, ...], Array]:
    """Return the terms of a layer in integers, and S (C,), what one is worth.

    top: the largest number that each channel must hold beside its sums, (C,), and `most` how many units that may be;
    events: the largest event of each source. Of the exponents that even terms out, the smallest that round no term more
    than others would, and leave room.
    """
    plain, *others = (_tried(layer, terms, top, most) for terms in evened(layer.terms))
    room = max(reach(plain[0], events, len(top)).max(), CURRENTS)
    fitting = [plain, *(found for found in others if reach(found[0], events, len(top)).max() <= room)]
    return min(fitting, key=lambda found: rounding_error(layer, *found))


def _tried(layer: Layer, terms: list[Term], top: Array, most: float) -> tuple[tuple[Term, ...], Array]:
    scale = accumulator_scale(layer, terms, np.zeros(len(top)))
    units = (top / scale)[(top > 0) & (scale > 2 * SMALLEST)]  # channels without weights are like the others
    usual = float(np.median(units)) if units.size else most
    scale = np.maximum(scale, top / min(OUTLIER * usual, most))
    return tuple(term.rounded(scale) for term in terms), scale


def reach(terms: tuple[Term, ...], events: Mapping[str, int], channels: int) -> Array:
    """Return the largest currents (C,) that integers can make."""
    total = np.zeros(channels)
    for term in terms:
        largest = term.map.connection().largest_sum(term.own, term.end - term.first)
        total[term.first : term.end] += largest * events[term.source] * 2.0**term.exponent
    return total


def rounding_error(layer: Layer, terms: tuple[Term, ...], scale: Array) -> float:
    """Return by how much the term that is rounded most is off, relative to its numbers."""
    errors = [0.0]
    for real, term in zip(layer.terms, terms, strict=True):
        found = term.scaled_out(scale).map.weight * 2.0**term.exponent
        size = float(np.linalg.norm(real.map.weight))
        errors += [float(np.linalg.norm(found - real.map.weight)) / size] if size else []
    return max(errors)
