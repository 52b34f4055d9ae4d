# SPDX-License-Identifier: Apache-2.0
"""The synapses of a circuit, made on the device: listed ones are sent there, those of a rule are drawn there.

They lie by source neuron and block of the target (`cuda/recurrent.cu`). All are counted first, then put in place.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikerun.errors import UnsupportedError
from spikerun.kernels.gpu.circuit import Circuit, Link
from spikerun.kernels.gpu.device import free
from spikerun.kernels.gpu.drives import Tables, on_device
from spikerun.kernels.gpu.machine import Kernels
from spikerun.kernels.gpu.printed import Sizes
from spikerun.kernels.operations import Map
from spikerun.kernels.synapses import expanded

__all__ = ["Segments", "listed", "segments"]

WORDS = 4  # rows are whole numbers of 16 bytes
BLOCK = 256
MOST_PARTS = 64  # synapses of 8 bits that make one of a gain
RULE = np.dtype(
    [("seed", "<u8"), ("synapses", "<u8"), ("weight_thresholds", "<u8"), ("delay_thresholds", "<u8"),
     ("weights", "<u8"), ("delays", "<u8"), ("weight_guide", "<u8"), ("delay_guide", "<u8"), ("sources", "<u4"),
     ("targets", "<u4"), ("first_source", "<u4"), ("first_target", "<u4"), ("delay", "<i4"), ("pad", "<u4")]
)  # fmt: skip
PLACE = np.dtype([("counts", "<u8"), ("rows", "<u8"), ("table", "<u8")])

log = logging.getLogger("spikerun")


@dataclass(frozen=True)
class Segments:
    """rows: the synapses; table: (per, 2), where the rows of each local neuron begin, and how long they are."""

    rows: torch.Tensor
    table: torch.Tensor
    synapses: int

    @property
    def bytes(self) -> int:
        """Return the memory that they take."""
        return 4 * self.rows.numel() + 4 * self.table.numel()


def segments(circuit: Circuit, size: Sizes, kernels: Kernels, tables: Tables, processors: int) -> Segments:
    """Return all synapses of a circuit. Raises UnsupportedError where a number leaves its bits."""
    device = tables.device
    calls = [_MADE[link.map.kind](link, tables) for link in circuit.links]
    grid = max(1, 8 * processors)
    blocks2 = size.blocks**2
    counts = torch.zeros(size.per * blocks2, dtype=torch.int32, device=device)
    nothing = torch.zeros(1, dtype=torch.int32, device=device)

    def launch(table: torch.Tensor, rows: torch.Tensor | None) -> None:
        place = np.zeros(1, PLACE)
        place["counts"], place["table"] = counts.data_ptr(), table.data_ptr()
        place["rows"] = 0 if rows is None else rows.data_ptr()
        where = on_device(place, device)
        for name, arguments, _ in calls:
            kernels.launch(name, grid, BLOCK, 0, *arguments, where)

    launch(nothing, None)
    per_row = counts.view(size.per, blocks2)
    total = int(per_row.sum(dtype=torch.int64))
    longest = (per_row.amax(1).to(torch.int64) + WORDS - 1) // WORDS
    begins = torch.cumsum(longest, 0) * blocks2 - longest * blocks2
    words = int(longest.sum()) * blocks2 * WORDS
    if words // WORDS >= 2**32 or 4 * words > free(device):
        raise UnsupportedError(
            f"{total:,} synapses take {4 * words / 1e9:,.2f} GB of the GPU's memory, and {free(device) / 1e9:,.2f} GB "
            "are free: use a smaller network"
        )
    log.info("%s synapses take %.3f GB of the GPU's memory", f"{total:,}", 4 * words / 1e9)
    wide = torch.stack([begins, longest * WORDS], 1).cpu().numpy().astype(np.uint32)
    table = on_device(wide, device)
    rows = torch.zeros(max(words, WORDS), dtype=torch.int32, device=device)
    counts.zero_()
    launch(table, rows)
    return Segments(rows, table, total)


Column = npt.NDArray[np.int64]
Call = tuple[str, tuple[Any, ...], list[torch.Tensor]]  # a kernel, what it is given, and what has to stay


def _sent(link: Link, tables: Tables) -> Call:
    columns = zip(listed(link), (np.uint32, np.uint32, np.int8, np.int32), strict=True)
    given = [on_device(column.astype(dtype), tables.device) for column, dtype in columns]
    return "listed_synapses", (*given, np.uint64(len(given[0]))), given


def _drawn(link: Link, tables: Tables) -> Call:
    p = dict(link.map.parameters)
    kept = [on_device(p["weight"], tables.device), on_device(p["delays"], tables.device)]
    rule = np.zeros(1, RULE)
    rule["weights"], rule["delays"] = (tensor.data_ptr() for tensor in kept)
    for name in ("weight", "delay"):
        rule[f"{name}_thresholds"], rule[f"{name}_guide"] = tables(p[f"{name}_thresholds"]).addresses
    rule["seed"], rule["synapses"], rule["delay"] = p["seed"], p["synapses"], link.delay
    rule["sources"], rule["targets"] = link.source.size, p["size"]
    rule["first_source"], rule["first_target"] = link.source.first, link.first_target
    there = on_device(rule, tables.device)
    return "drawn_synapses", (there,), [*kept, there]


def listed(link: Link) -> list[Column]:
    """Return source, target, weight and delay of each synapse of a link; a gain beyond 8 bits is several."""
    source, target, left, delay = (column.astype(np.int64) for column in _LISTED[link.map.kind](link.map))
    target, delay = target + link.first_target, delay + link.delay
    parts = [np.zeros((4, 0), np.int64)]
    for _ in range(MOST_PARTS):
        part = np.clip(left, -128, 127)
        some = part != 0
        parts.append(np.stack([source[some] + link.source.first, target[some], part[some], delay[some]]))
        left = left - part
    if left.any():
        raise UnsupportedError(f"a gain of {128 * MOST_PARTS:,} and more has no kernel for recurrent networks on a GPU")
    return list(np.concatenate(parts, axis=1))


def _places(m: Map) -> tuple[npt.NDArray[Any], ...]:
    n = np.arange(math.prod(m.source))
    return n, n, np.broadcast_to(m["gain"], m.source[:1]).repeat(len(n) // m.source[0]), np.zeros(len(n))


def _expanded(m: Map) -> tuple[npt.NDArray[Any], ...]:
    made = expanded(m.kind, dict(m.parameters))
    return np.repeat(np.arange(math.prod(m.source)), np.diff(made.indptr)), made.target, made.weight, made.delay


# All others are in no circuit.
_MADE: Mapping[str, Callable[[Link, Tables], Call]] = {
    "diagonal": _sent,
    "sparse": _sent,
    "dense": _sent,
    "random": _drawn,
}
_LISTED: Mapping[str, Callable[[Map], tuple[npt.NDArray[Any], ...]]] = {
    "diagonal": _places,
    "sparse": _expanded,
    "dense": _expanded,
    "random": _expanded,
}  # all others are in none
