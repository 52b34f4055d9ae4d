# SPDX-License-Identifier: Apache-2.0
"""Linear maps of every kind and any integers, in torch's operators; sums are modulo 2^32.

Products are summed up as float64: integers below 2^53, which it holds exactly in whatever order.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch

from spikerun.errors import UnsupportedError
from spikerun.kernels.gpu.counting import add_scaled
from spikerun.kernels.gpu.layers import sums
from spikerun.kernels.gpu.layout import on_device
from spikerun.kernels.gpu.matrices import matrix, part, synapses
from spikerun.kernels.gpu.pools import places, taps
from spikerun.kernels.gpu.rows import At
from spikerun.kernels.operations import Map

__all__ = ["BY_SYNAPSE", "MOST", "apply", "check"]

SCALED = frozenset({"diagonal"})  # kinds that multiply each neuron's words by a gain
MOST = 2**26  # elements of what is gathered at a time


def apply(at: At) -> None:
    """acc += C(x). Passes that add to one row are summed up first: the map is linear."""
    if at.run.fast and (sums(at) or _scaled(at)):
        return
    x, groups = at.whole("x"), at.groups("acc")
    if len(groups) < len(x):
        x = torch.stack([x[places[0] : places[-1] + 1].sum(dim=0, dtype=torch.int32) for _, places in groups])
    added = _MAPS[at.op.map.kind](at, x)
    whole = at.run.registers[at.op.acc]
    first, rows = groups[0][0], [row for row, _ in groups]
    c0, c1 = at.op.map.channels
    if rows == list(range(first, first + len(rows))):
        whole[first : first + len(rows), ..., c0:c1] += added
        return
    index = at.run.constants.tensor(("rows", tuple(rows)), lambda: np.array(rows, np.int64))
    whole[..., c0:c1].index_add_(0, index, added)


def _scaled(at: At) -> bool:
    """Add words times a gain by one kernel; return False, having done nothing, where it is another map, or no piece."""
    m, x, acc = at.op.map, at.view("x"), at.view("acc")
    if m.kind not in SCALED or x is None or acc is None or m.channels != (0, m.target[0]):
        return False
    add_scaled(x, at.constant("scale", lambda: m["gain"].reshape(-1)), acc)
    return True


def check(map_: Map) -> None:
    """Refuse a map that has no kernel."""
    if map_.kind not in _MAPS:
        raise UnsupportedError(f"no GPU kernel for a connection of kind '{map_.kind}'; spikerun.reference runs it")


def _wrapped(sums: torch.Tensor) -> torch.Tensor:
    return sums.to(torch.int64).to(torch.int32)


def _dense(at: At, x: torch.Tensor) -> torch.Tensor:
    weight = at.constant("weight", lambda: matrix(at.op.map).astype(np.float64))
    sums = x.flatten(2).to(torch.float64) @ weight
    return _wrapped(sums).reshape(*x.shape[:2], *on_device(part(at.op.map)))


def _sparse(at: At, x: torch.Tensor) -> torch.Tensor:
    m = at.op.map
    made = at.run.constants.of((at.number, "places"), lambda: [at.run.constants.put(p) for p in synapses(m)[:3]])
    sources, targets, weights = made
    flat = x.flatten(0, 1).flatten(1)
    sums = torch.zeros(len(flat), math.prod(m.target), dtype=torch.int32, device=x.device)
    each = max(1, MOST // max(1, len(sources)))
    for first in range(0, len(flat) if len(sources) else 0, each):
        values = (flat[first : first + each].index_select(1, sources).to(torch.int64) * weights).to(torch.int32)
        sums[first : first + each].index_add_(1, targets, values)
    c0, c1 = m.channels
    return sums.reshape(*x.shape[:2], *on_device(m.target))[..., c0:c1]


def _diagonal(at: At, x: torch.Tensor) -> torch.Tensor:
    return x * at.constant("gain", lambda: at.op.map["gain"])


def _conv(at: At, x: torch.Tensor) -> torch.Tensor:
    m, groups = at.op.map, at.op.map["groups"]
    weight = at.constant("weight", lambda: _by_tap(m).astype(np.float64))
    seen = at.constant("places", lambda: _windows(m, m["weight"].shape[2:], m["dilation"]))
    height, width = m.target[1:]
    images = x.flatten(0, 1)
    sums = torch.zeros(len(images), groups, height * width, weight.shape[-1], dtype=torch.float64, device=x.device)
    for tap, pixels in zip(weight, taps(images, seen, 0), strict=True):
        grouped = pixels.to(torch.float64).reshape(*pixels.shape[:2], groups, -1)
        sums += grouped.transpose(1, 2) @ tap  # (N, G, Ho Wo, Cin / G) by (G, Cin / G, Cout / G)
    return _wrapped(sums).transpose(1, 2).reshape(*x.shape[:2], height, width, -1)


def _by_tap(m: Map) -> npt.NDArray[np.int8]:
    """Return the weights of a convolution as (kh * kw, groups, Cin / groups, Cout / groups)."""
    weight = m["weight"]
    grouped = weight.reshape(m["groups"], -1, *weight.shape[1:])
    return np.ascontiguousarray(grouped.transpose(3, 4, 0, 2, 1)).reshape(-1, m["groups"], *grouped.shape[2:0:-1])


def _windows(m: Map, kernel: tuple[int, int], dilation: tuple[int, int]) -> npt.NDArray[np.int64]:
    return places(m.source, m.target, kernel, m["stride"], m["padding"], dilation)


def _sum_pool(at: At, x: torch.Tensor) -> torch.Tensor:
    m = at.op.map
    outside = m.source[1] * m.source[2]
    made = _windows(m, m["kernel"], (1, 1))
    seen = at.constant("places", lambda: made[(made != outside).any(axis=1)])
    gain = at.constant("gain", lambda: m["gain"])
    images = x.flatten(0, 1)
    sums = sum(taps(images, seen, 0), torch.zeros((), dtype=torch.int32, device=x.device)) * gain
    return sums.reshape(*x.shape[:2], *on_device(part(m)))


# window and pooled_conv are no linear maps: what compares is an operation of its own.
_MAPS: Mapping[str, Callable[[At, torch.Tensor], torch.Tensor]] = {
    "dense": _dense,
    "sparse": _sparse,
    "random": _sparse,
    "diagonal": _diagonal,
    "conv": _conv,
    "sum_pool": _sum_pool,
}
BY_SYNAPSE = frozenset(kind for kind, function in _MAPS.items() if function is _sparse)
