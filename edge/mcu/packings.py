# SPDX-License-Identifier: Apache-2.0
"""Packings of weights of which many are 0: which one a map takes, and its table.

Rows are what a kernel walks when one neuron is active: of a dense or sparse map the weights of an input, of a
convolution those of a source channel that reach a run of membranes. `delta` has two bytes for each weight that is not
0, `bitmap` one, and a bit for each place; both have one or two for each row, which say how many there are.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from spikerun.edge.mcu import maps
from spikerun.edge.mcu.table import Array, Table
from spikerun.kernels.operations import Map

__all__ = ["KINDS", "WISHES", "Cost", "costs", "name_of", "packed", "weights_of"]

WISHES = ("auto", "small", "dense", "delta", "bitmap")
MAX_GAP = 255


@dataclass(frozen=True, eq=False)
class Rows:
    """The weights that are not 0, by row and place: int64 (entries,) of both, int8 (entries,) of weights.

    count: how many rows there are; width: how many places a row has; numbers: the fields of the table;
    plain: the bytes of the weights as they are; per_channel: of a convolution, the rows of each source channel.
    """

    row: Array
    place: Array
    weights: Array
    count: int
    width: int
    numbers: Mapping[str, int | str]
    plain: int
    per_channel: int = 0


def _dense(plain: Table) -> Rows:
    n = {key: int(value) for key, value in plain.numbers.items()}
    weights = plain.arrays["weights"]
    row, column = _nonzero(weights)
    place = column // n["channels"] * n["pitch"] + n["offset"] + column % n["channels"]
    numbers = {"inputs": n["inputs"]}
    return Rows(row, place, weights[row, column], n["inputs"], n["pixels"] * n["pitch"], numbers, _bytes_of(plain))


def _nonzero(matrix: Array) -> tuple[Array, Array]:
    """Return where a matrix is not 0: in one dimension that takes a fifth of the time."""
    row, column = np.divmod(np.flatnonzero(matrix.ravel() != 0), max(matrix.shape[1], 1))
    return row, column


def _sparse(plain: Table) -> Rows:
    starts, inputs = plain.arrays["starts"].astype(np.int64), len(plain.arrays["starts"]) - 1
    weights = plain.arrays["weights"][: starts[-1]]
    targets = next(plain.arrays[key] for key in ("targets", "wide_targets") if key in plain.arrays)
    place, row = targets[: starts[-1]].astype(np.int64), np.repeat(np.arange(inputs), np.diff(starts))
    order = np.lexsort((place, row))
    order = order[weights[order] != 0]
    width = int(place.max(initial=0)) + 1
    return Rows(row[order], place[order], weights[order], inputs, width, {"inputs": inputs}, _bytes_of(plain))


def _conv(plain: Table) -> Rows:
    n, weights = plain.numbers, plain.arrays["weights"]
    run = n["stride_x"] == n["dilation_x"] == 1 and n["channels"] == n["pitch"]  # as the kernel asks
    rows = weights.reshape(-1, weights.shape[4] * (weights.shape[3] if run else 1))
    row, place = _nonzero(rows)
    per_channel = len(rows) // (weights.shape[0] * weights.shape[1])
    return Rows(row, place, rows[row, place], len(rows), rows.shape[1], n, _bytes_of(plain), per_channel)


@dataclass(frozen=True)
class Plain:
    """The weights of a kind of map as they are.

    name: of this packing; key: of the parameter that holds them; table, rows: what makes these; bytes, instructions: of
    a weight that is stored; scan: instructions of an input; slides: whether they are used at each pixel.
    """

    name: str
    key: str
    table: Callable[[Map], Table]
    rows: Callable[[Table], Rows]
    bytes: int
    instructions: float
    scan: float
    slides: bool = False


# pooled_conv is lowered to conv, window to a pool; diagonal and sum_pool have gains instead of weights; no board draws
# what is random
PLAIN: Mapping[str, Plain] = {
    "dense": Plain("dense", "weight", maps.dense, _dense, 1, 1.8, 15),
    "sparse": Plain("list", "data", maps.sparse, _sparse, 3, 8, 15),
    "conv": Plain("dense", "weight", maps.conv, _conv, 1, 2.2, 0, slides=True),
}
# instructions of a Cortex-M4, as QEMU counts them: of an entry, of a byte of a mask, of a row; True: of convolutions
COSTS: Mapping[tuple[str, bool], tuple[float, float, float]] = {
    ("delta", False): (8, 0, 15),
    ("bitmap", False): (4, 20, 15),
    ("delta", True): (9, 0, 40),
    ("bitmap", True): (4, 26, 40),
}


def _rows(m: Map) -> Rows:
    plain = PLAIN[m.kind]
    return plain.rows(plain.table(m))


# --- tables ---------------------------------------------------------------------------------------------------------


def _delta(rows: Rows) -> Table | None:
    first = np.diff(rows.row, prepend=-1) != 0
    gaps = rows.place - np.where(first, 0, np.roll(rows.place, 1))
    bridges = np.maximum(gaps - 1, 0) // MAX_GAP
    ends = np.cumsum(bridges + 1) - 1
    size = int(ends[-1]) + 1 if len(ends) else 0
    marks, weights = np.full(size, MAX_GAP, np.uint8), np.zeros(size, np.int8)
    marks[ends], weights[ends] = gaps - MAX_GAP * bridges, rows.weights
    return _table("delta", rows, np.bincount(rows.row, bridges + 1, rows.count).astype(np.int64), marks, weights)


def _bitmap(rows: Rows) -> Table | None:
    mask_bytes = -(-rows.width // 8)
    twice = (np.diff(rows.row) == 0) & (np.diff(rows.place) == 0)  # which a bit cannot say
    if rows.count * mask_bytes > rows.plain or twice.any():
        return None
    marks = np.zeros(rows.count * mask_bytes, np.uint8)
    np.bitwise_or.at(marks, rows.row * mask_bytes + rows.place // 8, (1 << rows.place % 8).astype(np.uint8))
    return _table("bitmap", rows, np.bincount(rows.row, minlength=rows.count), marks, rows.weights, mask_bytes)


def _table(packing: str, rows: Rows, counts: Array, marks: Array, weights: Array, mask_bytes: int = 0) -> Table | None:
    most = counts.max(initial=0)
    if most > np.iinfo(np.uint16).max:
        return None
    narrow = most <= np.iinfo(np.uint8).max
    arrays = {"marks": maps.filled(marks), "weights": maps.filled(weights)}
    arrays["counts" if narrow else "wide_counts"] = counts.astype(np.uint8 if narrow else np.uint16)
    numbers: dict[str, int | str] = {"wide_counts" if narrow else "counts": "NULL", **rows.numbers}
    if rows.per_channel:
        ends = np.cumsum(counts.reshape(-1, rows.per_channel).sum(axis=1))
        narrow = len(weights) <= np.iinfo(np.uint16).max
        starts = np.concatenate([[0], ends[:-1]]).astype(np.uint16 if narrow else np.uint32)
        arrays["starts" if narrow else "wide_starts"] = starts
        numbers["wide_starts" if narrow else "starts"] = "NULL"
    return Table(f"spikerun_{_kind(packing, rows)}", {**numbers, "mask_bytes": mask_bytes}, arrays)


def _kind(packing: str, rows: Rows) -> str:
    return f"conv_{packing}" if rows.per_channel else packing


PACKINGS: Mapping[str, Callable[[Rows], Table | None]] = {"delta": _delta, "bitmap": _bitmap}
KINDS = frozenset(
    {"depthwise", "dot", "pairs", *(prefix + packing for prefix in ("", "conv_") for packing in PACKINGS)}
)


def packed(packing: str) -> Callable[[Map], Table]:
    """Return what makes the table of a map that can have this packing."""

    def pack(m: Map) -> Table:
        table = PACKINGS[packing](_rows(m))
        assert table is not None
        return table

    return pack


# --- the choice -----------------------------------------------------------------------------------------------------


def weights_of(operation: Any) -> Array:
    """Return the weights of an operation as the network has them; none where there are gains alone, or no map."""
    plain = PLAIN.get(operation.map.kind) if operation.name == "apply" else None
    return np.asarray(operation.map[plain.key]) if plain else np.zeros(0, np.int8)


class Cost(NamedTuple):
    """What a kernel takes with a table: bytes of the table in flash, and instructions if all neurons are active."""

    bytes: int
    instructions: float


def costs(m: Map, wish: str) -> dict[str, Cost]:
    """Return the kinds of kernels that a map can have, and so the packings of its weights, the plain one first.

    wish: a packing, then it is the only one, where the map can have it; `dense`, weights as they are; else all.
    """
    plain = PLAIN.get(m.kind)
    if plain is None:
        return {m.kind: Cost(0, 0)}
    stored, pixels = np.asarray(m[plain.key]), math.prod(m.source[1:]) if plain.slides else 1
    share = pixels / math.prod(m["stride"]) if plain.slides else 1.0
    instructions = plain.instructions * stored.size * share + plain.scan * math.prod(m.source)
    entries = int(np.count_nonzero(stored))
    least = entries + min(entries, stored.size // 8)
    if wish == "dense" or (wish not in PACKINGS and least >= plain.bytes * stored.size):
        return {m.kind: Cost(plain.bytes * stored.size, instructions)}  # before large arrays are made
    rows = _rows(m)
    found = {}
    for packing, make in PACKINGS.items():
        table = make(rows) if wish not in PACKINGS or wish == packing else None
        if table is not None:
            entry, mark, row = COSTS[packing, bool(rows.per_channel)]
            walked = (entry * len(rows.row) + mark * rows.count * rows.width / 8) * share
            found[_kind(packing, rows)] = Cost(_bytes_of(table), walked + row * rows.count * pixels)
    return found if found and wish in PACKINGS else {m.kind: Cost(rows.plain, instructions), **found}


def _bytes_of(table: Table) -> int:
    """Return the bytes of a table in flash: its arrays, their rows in the list of all, and its fields."""
    arrays = sum(-(-array.nbytes // 4) * 4 + 8 for array in table.arrays.values())
    return arrays + 4 * (len(table.numbers) + len(table.arrays))


def name_of(kind: str) -> str:
    """Return what the packing of a kind of kernel is called."""
    return (
        PLAIN[kind].name if kind in PLAIN else "dense" if kind in ("depthwise", "dot") else kind.removeprefix("conv_")
    )
