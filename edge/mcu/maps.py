# SPDX-License-Identifier: Apache-2.0
"""From linear maps to the tables of their kernels, weights as they are."""

import math

import numpy as np

from spikerun.edge.mcu.table import Array, Shape, Table, channels_last, pairs, shape_of
from spikerun.kernels.operations import Map

__all__ = ["conv", "dense", "diagonal", "filled", "sparse", "sum_pool"]


def _target(m: Map) -> dict[str, int | str]:
    """Return where in the channels of the target a map adds: `pitch`, the channels that it has, and `offset`."""
    return {"pitch": shape_of(m.target)["channels"], "offset": m.channels[0]}


def _part(m: Map) -> Shape:
    return (m.channels[1] - m.channels[0], *m.target[1:])


def dense(m: Map) -> Table:
    """Return weights as [input][pixel][channel]."""
    part, source = _part(m), math.prod(m.source)
    rows = channels_last(np.arange(source), m.source)
    columns = channels_last(np.arange(math.prod(part)), part)
    weights = np.asarray(m["weight"])
    if (np.diff(rows) != 1).any() or (np.diff(columns) != 1).any():  # else they lie as they must
        weights = weights[rows[:, None], columns]
    weights = np.ascontiguousarray(weights)
    numbers: dict[str, int | str] = {"inputs": source, **shape_of(part), **_target(m)}
    if numbers["channels"] == numbers["pitch"]:  # all of the target, in one run
        numbers |= {"channels": len(columns), "pixels": 1, "pitch": len(columns)}
    return Table("spikerun_dense", numbers, {"weights": weights})


def sparse(m: Map) -> Table:
    """Return synapses in rows, one for each input."""
    order = channels_last(np.arange(math.prod(m.source)), m.source)
    begin, counts = m["indptr"][:-1][order], np.diff(m["indptr"])[order]
    starts = np.concatenate([[0], np.cumsum(counts)])
    entry = np.repeat(begin - starts[:-1], counts) + np.arange(starts[-1])
    inner, target = math.prod(m.target[1:]), m["indices"][entry].astype(np.int64)
    places = target % inner * m.target[0] + m.channels[0] + target // inner
    narrow = math.prod(m.target) <= 2**16
    arrays = {
        "starts": starts.astype(np.uint32),
        "targets" if narrow else "wide_targets": filled(places.astype(np.uint16 if narrow else np.uint32)),
        "weights": filled(m["data"][entry]),
    }
    missing = "wide_targets" if narrow else "targets"
    return Table("spikerun_sparse", {missing: "NULL", "inputs": len(order)}, arrays)


def filled(array: Array) -> Array:
    """Return the array, or one zero instead of none: C has no empty arrays."""
    return array if array.size else np.zeros(1, array.dtype)


def conv(m: Map) -> Table:
    """Return weights as [group][source channel][row][column, reversed][target channel of the group]."""
    weight, groups = m["weight"], m["groups"]
    per_group = weight.shape[0] // groups
    grouped = weight.reshape(groups, per_group, *weight.shape[1:])
    weights = grouped.transpose(0, 2, 3, 4, 1)[:, :, :, ::-1]
    numbers = {
        "groups": groups,
        "source_channels": weight.shape[1],
        "channels": per_group,
        **pairs(source=(m.source[1], m.source[2]), target=(m.target[1], m.target[2]), kernel=weight.shape[2:]),
        **pairs(stride=m["stride"], padding=m["padding"], dilation=m["dilation"]),
        **_target(m),
    }
    return Table("spikerun_conv", numbers, {"weights": np.ascontiguousarray(weights)})


def _gains(gain: Array) -> tuple[int, Array]:
    return int(gain.ndim and gain.size > 1), gain.reshape(-1)


def diagonal(m: Map) -> Table:
    """Return one gain, or one for each channel."""
    step, gains = _gains(m["gain"])
    return Table("spikerun_diagonal", {"gain_step": step, **shape_of(m.source), **_target(m)}, {"gains": gains})


def sum_pool(m: Map) -> Table:
    """Return one gain, or one for each channel."""
    step, gains = _gains(m["gain"])
    ends = pairs(source=(m.source[1], m.source[2]), target=(m.target[1], m.target[2]), kernel=m["kernel"])
    rest = pairs(stride=m["stride"], padding=m["padding"])
    numbers = {"gain_step": step, "channels": m.source[0], **ends, **rest, **_target(m)}
    return Table("spikerun_sum_pool", numbers, {"gains": gains})
