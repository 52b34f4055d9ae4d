# SPDX-License-Identifier: Apache-2.0
"""Windows over images, in torch's operators: the largest of each."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
import triton

from spikerun.kernels.gpu.jit.pools import pool_kernel
from spikerun.kernels.gpu.rows import At
from spikerun.kernels.operations import Pair, Shape

__all__ = ["max_pool", "max_pool_step", "max_pool_sums", "places", "taps"]

BLOCK = 512  # outputs of a program


def places(
    source: Shape, target: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> npt.NDArray[np.int64]:
    """Return which pixel each tap of each output sees: (kh * kw, Ho * Wo), row by row; H * W stands for outside."""
    rows, columns = (
        np.arange(k)[:, None] * d + np.arange(o) * s - p
        for k, o, s, p, d in zip(kernel, target[1:], stride, padding, dilation, strict=True)
    )
    y, x = rows[:, None, :, None], columns[None, :, None, :]
    inside = (y >= 0) & (y < source[1]) & (x >= 0) & (x < source[2])
    found = np.where(inside, y * source[2] + x, source[1] * source[2])
    return found.reshape(kernel[0] * kernel[1], target[1] * target[2])


def taps(x: torch.Tensor, seen: torch.Tensor, outside: int) -> Iterator[torch.Tensor]:
    """Yield what each tap sees of images (N, H, W, C): (N, Ho * Wo, C); `outside` stands beyond the image."""
    pixels = x.flatten(1, 2)
    edge = torch.full_like(pixels[:, :1], outside)
    padded = torch.cat([pixels, edge], dim=1)
    for tap in seen:
        yield padded.index_select(1, tap)


def _seen(at: At) -> torch.Tensor:
    g = at.op.geometry
    key = ("places", g)
    made = lambda: places(g.source, g.target, g.kernel, g.stride, g.padding, g.dilation)  # noqa: E731
    return at.run.constants.tensor(key, made)


def max_pool(at: At) -> None:
    """y = the largest word or event of each window."""
    _largest(at, "x", "y")


def max_pool_sums(at: At) -> None:
    """acc = the largest sum of each window."""
    _largest(at, "sums", "acc")


def _pooled(at: At, source: str, target: str) -> bool:
    """Pool by one kernel; return False, having done nothing, where rows are no piece of memory."""
    x, y = at.bytes(source), at.bytes(target)
    spikes = x is not None and y is not None  # of several steps, of which the largest are all bits
    if not spikes:
        x, y = at.view(source), at.view(target)
    if x is None or y is None:
        return False
    g, n = at.op.geometry, y.numel()
    lowest = 0 if spikes else torch.iinfo(torch.int32).min
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = g.kernel, g.stride, g.padding, g.dilation
    pool_kernel[(triton.cdiv(n, BLOCK),)](
        x, y, n, *g.source[1:], *g.target[1:], g.source[0], lowest, KH=kh, KW=kw, SH=sh, SW=sw, PH=ph, PW=pw, DH=dh,
        DW=dw, OR=spikes, BLOCK=BLOCK,
    )  # fmt: skip
    return True


def _largest(at: At, source: str, target: str) -> None:
    if at.run.fast and _pooled(at, source, target):
        return
    x = at.read(source)
    best: torch.Tensor | None = None
    for seen in taps(x.flatten(0, 1), _seen(at), torch.iinfo(x.dtype).min):
        best = seen if best is None else torch.maximum(best, seen)
    assert best is not None
    at.put(target, best.reshape(*x.shape[:2], *at.shape(target)))


def max_pool_step(at: At) -> None:
    """The largest spike of the candidates of each window, of which those that differ are dropped."""
    op, alive, found = at.op, at.state("alive"), []
    n_out = alive.shape[2] * alive.shape[3]
    seen = _seen(at)
    inside = (seen < op.geometry.source[1] * op.geometry.source[2])[None, :, :, None]
    candidates = alive.reshape(len(alive), -1, n_out, alive.shape[-1])  # (B, taps, outputs, C), a view
    for x, t in zip(at.whole("x"), at.passes, strict=True):
        step = t % op.when.period
        if step == op.restart_at:
            candidates.fill_(1)
        values = torch.stack(list(taps(x, seen, 0)), dim=1)
        takes = (candidates != 0) & inside
        sign = -1 if step == op.sign_at else 1
        nothing = torch.iinfo(torch.int32).min
        best = torch.where(takes, values * sign, nothing).amax(dim=1)
        y = torch.where(best == nothing, 0, best * sign)
        candidates.copy_(takes & (values == y[:, None]))
        found.append(y.reshape(len(y), *at.shape("y")))
    at.put("y", torch.stack(found))
