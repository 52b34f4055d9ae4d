# SPDX-License-Identifier: Apache-2.0
"""From linear maps to the tables of their kernels, weights as they are."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from spikerun.edge.mcu.table import Array, Shape, Table, channels_last, pairs, shape_of
from spikerun.kernels.operations import Map

__all__ = [
    "conv",
    "conv_rows",
    "dense",
    "depthwise",
    "diagonal",
    "dot",
    "dot_numbers",
    "filled",
    "is_depthwise",
    "pairs_of",
    "pairs_of_conv",
    "rows",
    "slides",
    "sparse",
    "suits_pairs",
    "sum_pool",
    "without_empty_taps",
]


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


def rows(weights: Array, more: int = 128) -> Array:
    """Return int8 weights (..., n) as rows of `runtime/spikerun_rows.h`: uint32 (..., n / 4 rounded up), flat.

    Each word has four weights + `more`, the first in the lowest bits; a row ends with weights of 0.

    >>> [hex(word) for word in rows(np.array([[-128, 0, 1, 2, 127]]))]
    ['0x82818000', '0x808080ff']
    """
    missing = -weights.shape[-1] % 4
    padded = np.pad(weights, [(0, 0)] * (weights.ndim - 1) + [(0, missing)])
    places = padded.astype(np.int8).view(np.uint8) + np.uint8(more)  # modulo 256
    return np.ascontiguousarray(places).reshape(-1).view("<u4").astype(np.uint32)


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
    numbers, grouped = _conv(m)
    weights = grouped.transpose(0, 2, 3, 4, 1)[:, :, :, ::-1]
    return Table("spikerun_conv", numbers, {"weights": np.ascontiguousarray(weights)})


def conv_rows(m: Map) -> Table:
    """Return rows of weights[group][column][row][source channel], each with the target channels of the group."""
    numbers, grouped = _conv(m)
    return Table("spikerun_conv", numbers, {"weights": rows(grouped.transpose(0, 4, 3, 2, 1))})


def dot_numbers(m: Map) -> dict[str, int | str] | None:
    """Return the numbers of `dot` alone; None of a map that the kernel cannot take."""
    found = DOT[m.kind](m) if m.kind in DOT else None
    return None if found is None else found[0]


def dot(m: Map) -> Table | None:
    """Return bytes [six targets][sixteen words][target][word], + 128; None of a map that the kernel cannot take."""
    found = DOT[m.kind](m) if m.kind in DOT else None
    if found is None:
        return None
    numbers, weights = found
    targets = weights.reshape(len(weights), -1)
    padded = np.pad(targets, ((0, -len(targets) % 6), (0, -targets.shape[1] % 16)))
    return Table(
        "spikerun_dot", numbers, {"weights": rows(padded.reshape(-1, 6, padded.shape[1] // 16, 16).swapaxes(1, 2))}
    )


Dot = tuple[dict[str, int | str], Array]


def _dot_of_dense(m: Map) -> Dot | None:
    plain = dense(m)
    n = plain.numbers
    if n["pixels"] != 1:
        return None
    one = pairs(source=(1, 1), target=(1, 1), kernel=(1, 1), stride=(1, 1), padding=(0, 0))
    ends = {"pitch": n["pitch"], "offset": n["offset"]}
    numbers = {"source_channels": n["inputs"], "channels": n["channels"], **one, "dilation_y": 1, **ends}
    return numbers, plain.arrays["weights"].T


def _dot_of_conv(m: Map) -> Dot | None:
    numbers, grouped = _conv(m)
    if numbers.pop("groups") != 1 or numbers.pop("dilation_x") != 1:
        return None
    return numbers, grouped[0].transpose(0, 2, 3, 1)


DOT: Mapping[str, Callable[[Map], Dot | None]] = {"dense": _dot_of_dense, "conv": _dot_of_conv}


def suits_pairs(m: Map) -> bool:
    """Return whether `pairs` can take a map: what a pixel sees must lie together in each row."""
    return slides(m) and bool(m["groups"] == 1 and m["dilation"][1] == 1)


def pairs_of_conv(m: Map) -> Table | None:
    """Return rows of weights of two target channels, word by word in pairs; None of a map that `pairs` cannot take."""
    if not suits_pairs(m):
        return None
    numbers, grouped = _conv(m)
    del numbers["groups"], numbers["dilation_x"]
    channels, inputs, height, width = grouped[0].shape
    length = inputs * width
    places = pairs_of(length)
    flat = np.zeros((channels + channels % 2, height, length + 1), np.int8)  # the last is 0
    flat[:channels, :, :length] = grouped[0].transpose(0, 2, 3, 1).reshape(channels, height, length)
    chosen = flat[:, :, places].reshape(-1, 2, height, len(places), 2)  # [block][target][row][pair][word]
    return Table("spikerun_pairs", numbers, {"weights": rows(chosen.transpose(0, 2, 3, 4, 1).reshape(-1, 4), 0)})


def pairs_of(length: int) -> Array:
    """Return which words of a kernel row stand together, (pairs, 2); `length` is the number of none of them.

    >>> pairs_of(7).tolist()
    [[0, 2], [1, 3], [4, 6], [5, 7]]
    >>> pairs_of(5).tolist()
    [[0, 2], [1, 3], [4, 5]]
    """
    fours, rest = divmod(length, 4)
    found = [pair for k in range(fours) for pair in ((4 * k, 4 * k + 2), (4 * k + 1, 4 * k + 3))]
    last = 4 * fours
    if rest in (1, 2):
        found.append((last, last + 1))
    elif rest == 3:
        found += [(last, last + 2), (last + 1, length)]
    return np.array(found, np.int64).reshape(-1, 2)


def slides(m: Map) -> bool:
    """Return whether a map moves a kernel of weights over an image."""
    return np.ndim(dict(m.parameters).get("weight", 0)) == 4


def is_depthwise(m: Map) -> bool:
    """Return whether a convolution is one of each channel with itself alone."""
    return bool(m["groups"] == m.source[0] == m["weight"].shape[0])


def depthwise(m: Map) -> Table:
    """Return weights as [row][column][channel], four in a word."""
    numbers, grouped = _conv(m)
    numbers["channels"] = numbers.pop("groups")
    del numbers["source_channels"]
    return Table("spikerun_depthwise", numbers, {"weights": rows(grouped[:, 0, 0].transpose(1, 2, 0), 0)})


def without_empty_taps(m: Map) -> Map:
    """Return the same map, a convolution without rows and columns of zeros at the ends of its kernel.

    Such are there where an image has more padding at one end: a longer kernel has the same padding at both.
    """
    if not slides(m):
        return m
    weight, padding = np.asarray(m["weight"]), list(m["padding"])
    within = [slice(None), slice(None)]
    for axis, rate in enumerate(m["dilation"]):
        held = np.flatnonzero(weight.any(axis=tuple(k for k in range(4) if k != axis + 2)))
        first, last = (int(held[0]), int(held[-1])) if held.size else (0, 0)
        first = min(first, padding[axis] // rate)
        padding[axis] -= first * rate
        within.append(slice(first, last + 1))
    changed = {"weight": np.ascontiguousarray(weight[tuple(within)]), "padding": tuple(padding)}
    return replace(m, parameters=tuple((name, changed.get(name, value)) for name, value in m.parameters))


def _conv(m: Map) -> tuple[dict[str, int | str], Array]:
    """Return the numbers of a convolution, and its weights[group][target channel][source channel][row][column]."""
    weight, groups = m["weight"], m["groups"]
    per_group = weight.shape[0] // groups
    numbers: dict[str, int | str] = {
        "groups": groups,
        "source_channels": weight.shape[1],
        "channels": per_group,
        **pairs(source=(m.source[1], m.source[2]), target=(m.target[1], m.target[2]), kernel=weight.shape[2:]),
        **pairs(stride=m["stride"], padding=m["padding"], dilation=m["dilation"]),
        **_target(m),
    }
    return numbers, weight.reshape(groups, per_group, *weight.shape[1:])


def _gains(gain: Array) -> tuple[int, Array]:
    return int(gain.ndim and gain.size > 1), gain.reshape(-1)


def diagonal(m: Map) -> Table:
    """Return one gain, or one for each channel."""
    step, gains = _gains(m["gain"])
    image = shape_of(m.source)
    width = m.source[2] if len(m.source) == 3 else 1
    numbers = {"gain_step": step, "channels": image["channels"], "target_width": width, **_target(m)}
    return Table("spikerun_diagonal", numbers, {"gains": gains})


def sum_pool(m: Map) -> Table:
    """Return one gain, or one for each channel."""
    step, gains = _gains(m["gain"])
    ends = pairs(source=(m.source[1], m.source[2]), target=(m.target[1], m.target[2]), kernel=m["kernel"])
    rest = pairs(stride=m["stride"], padding=m["padding"])
    numbers = {"gain_step": step, "channels": m.source[0], **ends, **rest, **_target(m)}
    return Table("spikerun_sum_pool", numbers, {"gains": gains})
