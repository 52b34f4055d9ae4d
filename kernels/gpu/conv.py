# SPDX-License-Identifier: Apache-2.0
"""Convolutions with their neurons in one kernel: int8 tensor cores on words, or on temporal bytes, all steps at once.

The product is implicit: rows are output positions (with max-pool, those of a window follow each other), columns output
channels, and weights lie K-major, [groups, N, kh * kw * C]. Of temporal bytes, each step has sums of its own, and
weights are fetched once for all. Bit t of a byte is taken by one mask for four bytes, so that step t counts 2^t for a
spike, and sums are divided again, exactly, when they are complete.

With little work, the product is split over K (`scratch`): sums are added up in memory, by integers and therefore the
same in any order, and the last of those that share a tile has its neurons.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from spikerun.kernels.gpu.jit.conv import conv_kernel, conv_rows_kernel
from spikerun.kernels.gpu.jit.finish import FIRE, IF, SUMS
from spikerun.kernels.gpu.neurons import MOST_PACKED
from spikerun.kernels.gpu.rules import Fire, If, Sums

__all__ = ["Conv", "Counts", "Tile", "conv", "scratch_size", "tile_for"]

Pair = tuple[int, int]
MOST_PRODUCTS = 2**17 - 1  # of a sum: those of bytes stay within 32 bits, beyond which tensor cores saturate
ENOUGH = 100  # tiles, from which on a GPU of about as many processors is busy
BUSY = 128  # tiles that K is divided for
DEEP = 16  # blocks of K from which on it is divided
PAD = 128  # K is filled up with zeros to a multiple of the deepest tile


@dataclass(frozen=True)
class Counts:
    """Where spikes are counted: out, int64 [2], += (spikes, spikes times fan_out), as `Count` says.

    Neuron j of a sample, channels last, has fan_out j % len; shared: the fan_out of its position, j // C % len. None is
    more than `largest`.
    """

    fan_out: torch.Tensor
    out: torch.Tensor
    mode: str = "popcount"
    bits: int = 8
    shared: bool = False
    largest: int = 2**31 - 1

    @staticmethod
    def of(fan_out: npt.NDArray[np.int32], out: torch.Tensor, mode: str = "popcount", bits: int = 8) -> "Counts":
        """Prepare fan_out, channels last, of 1 value, (C,), or all neurons: channels of a place mostly share one."""
        rows = fan_out.reshape(-1, fan_out.shape[-1] if fan_out.ndim else 1)
        shared = bool((rows == rows[:, :1]).all())
        values = rows[:, 0] if shared else rows.reshape(-1)
        there = torch.from_numpy(np.array(values, np.int32)).to(out.device)
        return Counts(there, out, mode, bits, shared, int(values.max(initial=0)))


@dataclass(frozen=True)
class Conv:
    """A convolution, prepared: weight int8 [groups, N, K] with K = kh kw C / groups filled up, and 128 times its sums.

    source, target: (H, W, C).
    """

    weight: torch.Tensor
    sums: torch.Tensor
    source: tuple[int, int, int]
    target: tuple[int, int, int]
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    @staticmethod
    def of(
        weight: npt.NDArray[np.int8], source: tuple[int, int, int], target: tuple[int, int, int], stride: Pair,
        padding: Pair, dilation: Pair, groups: int, device: torch.device | str,
    ) -> "Conv":  # fmt: skip
        """Prepare weight (cout, cin / groups, kh, kw) for images source -> target, both (C, H, W)."""
        cout, cin, kh, kw = weight.shape
        if kh * kw * cin > MOST_PRODUCTS:
            raise ValueError(
                f"weight: sums of {kh * kw * cin} products do not fit tensor cores, at most {MOST_PRODUCTS}"
            )
        flat = np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(groups, cout // groups, kh * kw * cin)
        filled = np.zeros((*flat.shape[:2], -(-flat.shape[2] // PAD) * PAD), np.int8)
        filled[:, :, : flat.shape[2]] = flat
        sums = 128 * flat.sum(axis=2, dtype=np.int32).reshape(-1)
        return Conv(
            torch.from_numpy(filled).to(device), torch.from_numpy(sums).to(device), (*source[1:], source[0]),
            (*target[1:], target[0]), (kh, kw), stride, padding, dilation, groups,
        )  # fmt: skip

    @property
    def depth(self) -> int:
        """Return the products of one sum."""
        return self.kernel[0] * self.kernel[1] * self.source[2] // self.groups


@dataclass(frozen=True)
class Tile:
    """Rows, columns (channels) and depth of a tile, warps, stages.

    Rows are output positions, each with sums of all steps; or, `interleaved`, positions times steps, for few positions:
    then K may be divided among `split` blocks, a number that divides the blocks of `depth` of K (`split_of`).
    """

    rows: int
    columns: int
    depth: int
    warps: int = 4
    stages: int = 3
    split: int = 1
    interleaved: bool = False


def tile_for(weights: Conv, batch: int, steps: int, constant: bool = False) -> Tile:
    """Return the tile for a batch, as measured on an H200 (`benchmarks/gpu/kernels.py`); steps: 0 for words."""
    m, n = batch * weights.target[0] * weights.target[1], weights.target[2] // weights.groups
    columns = 64 if n > 32 else 32 if n > 16 else 16
    if -(-m // 64) * -(-n // columns) * weights.groups < ENOUGH:
        return _few(weights, m, 0 if constant else steps, constant)
    depth = 32 if weights.depth <= 32 else 128 if weights.source[2] // weights.groups % 128 == 0 else 64
    if constant:
        return Tile(256 if steps <= 4 else 64, columns, depth, 8 if steps <= 4 else 4, 3)
    if steps:
        return Tile(64, columns, depth)
    if n >= 128 and m * n * weights.groups >= ENOUGH * 128 * 128:
        return Tile(128, 128, depth, 8, 3) if n >= 256 else Tile(128, 128, min(depth, 64), 8, 4)
    return Tile(128, columns, 32 if columns < 64 else min(depth, 64), 4, 4)


def _few(weights: Conv, m: int, steps: int, constant: bool) -> Tile:
    """Return the tile where few are all there are: the sooner the first weights are there, the better."""
    n, deep = weights.target[2] // weights.groups, weights.source[2] // weights.groups % 128 == 0
    if constant or weights.depth <= 32:
        return Tile(32, 16, 32, 4, 2)
    at_once = _steps_of_rows(steps)
    rows = max(16, 4 * at_once)  # a window that is pooled is whole
    tiles = -(-m * at_once // rows) * -(-n // 64) * weights.groups
    blocks = -(-weights.depth // 128)
    if deep and n >= 64 and blocks >= (DEEP if steps else 2 * DEEP) and (steps or tiles <= DEEP):
        return Tile(rows, 64, 128, 4, 4, split_of(weights, 128, max(3, BUSY // tiles)), interleaved=True)
    if not steps:
        return Tile(rows, 16, 128 if deep else 64, 2, 5, interleaved=True)
    columns = 32 if n > 16 else 16
    return Tile(rows if deep else max(rows, 32), columns, 128 if deep else 64, 4, 5, interleaved=True)


def split_of(weights: Conv, depth: int, most: int) -> int:
    """Return the largest number up to `most` that divides the blocks of K."""
    blocks = -(-weights.depth // depth)
    return max(k for k in range(1, blocks + 1) if blocks % k == 0 and k <= max(1, most))


def scratch_size(weights: Conv, batch: int, steps: int, tile: Tile) -> int:
    """Return the int32 numbers, all 0, that `scratch` needs where the tile is split: sums, and arrivals."""
    if tile.split == 1:
        return 0
    h, w, c = weights.target
    sums = max(1, steps) * batch * h * w * c
    rows = batch * h * w * _steps_of_rows(steps)
    return sums + -(-rows // tile.rows) * _columns(weights, tile)


def _steps_of_rows(steps: int) -> int:
    return 1 if steps == 0 else 1 << (steps - 1).bit_length()


def _columns(weights: Conv, tile: Tile) -> int:
    return weights.groups * -(-weights.target[2] // weights.groups // tile.columns)


def _whole(values: torch.Tensor, n: int) -> torch.Tensor:
    """Return a value for each channel."""
    if values.numel() == n:
        return values
    if values.numel() != 1:
        raise ValueError(f"a fused convolution takes 1 or {n} values of each parameter, got {values.numel()}")
    return values.expand(n).contiguous()


def prepared(weights: Conv, rule: Sums | Fire | If, unsigned: bool) -> Sums | Fire | If:
    """Return the rule with a value for each channel, and for unsigned words with what x - 128 takes from the sums."""
    n = weights.target[2]
    fill = _whole(rule.fill, n) + (weights.sums if unsigned else 0)
    if isinstance(rule, Sums):
        return Sums(fill)
    if isinstance(rule, Fire):
        return Fire(fill, _whole(rule.threshold, n), rule.bits, rule.signed, rule.max_spikes)
    threshold, bias, v_min = (_whole(x, n) for x in (rule.threshold, rule.bias, rule.v_min))
    return replace(rule, fill=fill, threshold=threshold, bias=bias, v_min=v_min)


def conv(
    x: torch.Tensor,
    weights: Conv,
    out: torch.Tensor,
    rule: Sums | Fire | If,
    *,
    steps: int = 0,
    constant: bool = False,
    acc: torch.Tensor | None = None,
    v: torch.Tensor | None = None,
    pool: bool = False,
    counts: tuple[Counts, Counts] | tuple[Counts] | None = None,
    active: torch.Tensor | None = None,
    cut: int = 0,
    scratch: torch.Tensor | None = None,
    tile: Tile | None = None,
) -> None:
    """Convolve x, (B, H, W, C), and write what `rule` makes of the sums to out, (B, OH, OW, cout).

    x: words, uint8 or int8; with `steps` temporal bytes of so many steps, of which sums are int32 (steps, B, OH, OW,
    cout) and neurons give temporal bytes; `constant`: words whose sums are the current of an IF neuron at each step.
    rule: `prepared`. acc: int32, of the shape of the sums, is added to them. v: int32 (B, OH, OW, cout), membranes that
    are kept, or None: they begin at 0. pool: out is the largest of windows of 2x2 of an even image, (B, OH/2, OW/2,
    cout). counts: of spikes before, and with `pool` after it. active, cut: nothing is done where active, int32 [1], is
    not more than cut: then another kernel has done it. scratch: `scratch_size` zeros, zeros again
    afterwards, for a tile that is split.
    """
    (h, w, c), (oh, ow, n) = weights.source, weights.target
    batch = x.shape[0]
    if x.shape != (batch, h, w, c):
        raise ValueError(f"x: expected the shape {(batch, h, w, c)}, got {tuple(x.shape)}")
    if steps > MOST_PACKED or (constant and not steps):
        raise ValueError(f"steps: expected 1 to {MOST_PACKED}, got {steps}")
    if pool and (oh % 2 or ow % 2 or isinstance(rule, Sums)):
        raise ValueError("pool: expected an even image of neurons")
    m = batch * oh * ow
    if m == 0:
        return
    tile = tile or tile_for(weights, batch, steps, constant)
    if tile.split != split_of(weights, tile.depth, tile.split) or (tile.split > 1 and scratch is None):
        raise ValueError(f"tile: a split into {tile.split} asks for scratch, and must divide the blocks of K")
    unsigned = x.dtype == torch.uint8 and (steps == 0 or constant)
    threshold = rule.threshold if isinstance(rule, Fire | If) else rule.fill
    bias, v_min = (rule.bias, rule.v_min) if isinstance(rule, If) else (rule.fill, rule.fill)
    one = counts[0] if counts else Counts(rule.fill, rule.fill)
    two = counts[1] if counts and len(counts) > 1 else one
    kh, kw = weights.kernel
    arguments = (
        x.view(torch.int8), weights.weight, out, out if acc is None else acc, out if v is None else v, rule.fill,
        threshold, bias, v_min, one.out, one.fan_out, one.fan_out.numel(), two.out, two.fan_out,
        two.fan_out.numel(), rule.fill if active is None else active, cut, m, h, w, oh, ow,
    )  # fmt: skip
    tp = 1 if constant else _steps_of_rows(steps)
    if pool and tile.rows < 4 * (tp if tile.interleaved or tile.split > 1 else 1):
        raise ValueError(f"tile: {tile.rows} rows hold no window of four positions with {steps} steps each")
    width = 0
    if isinstance(rule, If):
        largest = 1 if steps and not constant else 255 if unsigned else 128
        width = rule.width(steps, weights.depth * 128 * largest) if v is None and acc is None else int(rule.short)
    fired = rule if isinstance(rule, Fire) else None
    constants = dict(
        C=c, CG=c // weights.groups, NG=n // weights.groups, NC=n, KH=kh, KW=kw, SH=weights.stride[0],
        SW=weights.stride[1], PH=weights.padding[0], PW=weights.padding[1], DH=weights.dilation[0],
        DW=weights.dilation[1], KP=weights.weight.shape[2], T=steps, UNSIGNED=unsigned, CONSTANT=constant,
        LIMITED=active is not None, ACC=acc is not None, STATE=v is not None,
        RULE=(IF if isinstance(rule, If) else FIRE if fired else SUMS).value,
        ZERO=isinstance(rule, If) and rule.reset == "zero", WIDTH=width,
        FIRE_BITS=fired.bits if fired else 8, SIGNED=fired is not None and fired.signed,
        MOST=fired.max_spikes if fired else 8, POOL=pool, COUNT=counts is not None, SHARED=one.shared,
        POOL_SHARED=two.shared, NARROW=max(one.largest, two.largest) * 8 * tile.rows * tile.columns < 2**31,
        BITS=one.bits, NONZERO=one.mode == "nonzero", BM=tile.rows, BN=tile.columns, BK=tile.depth,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    if tile.interleaved or tile.split > 1:
        grid = (_columns(weights, tile), -(-m * tp // tile.rows), tile.split)
        places = (out, out) if scratch is None else (scratch, scratch[max(1, steps) * m * n :])
        conv_rows_kernel[grid](*arguments, *places, **constants, TP=tp, SPLIT=tile.split)
    else:
        wide = max(x.numel(), m * n * max(1, steps)) >= 2**31
        conv_kernel[_columns(weights, tile), -(-m // tile.rows)](*arguments, **constants, WIDE=wide)
