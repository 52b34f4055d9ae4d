# SPDX-License-Identifier: Apache-2.0
"""What synapses demand of the core that holds a block of their target: input axons, and bits of memory.

A block is a range of pixels and one of channels, (first, end) each. A population (W, H, C) has W H pixels of C
channels, x before y; one of shape (N,) has N pixels of one channel.

Assumed: a source that reaches the block takes one axon for each of several synapses. Dense synapses hold all weights,
zeros too; sparse ones hold an index with each weight; a convolution holds the part of its kernel that leads to the
channels of the block once, for all pixels. Delays are held with each weight.
"""

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spikerun.edge.loihi.graph import IntArray, Shape, Synapses
from spikerun.edge.loihi.limits import Chip

__all__ = ["Demand", "Range", "grid", "list_bits"]

Range = tuple[int, int]
Mask = npt.NDArray[np.bool_]


def grid(shape: Shape) -> tuple[int, int]:
    """Return the pixels and the channels of a population."""
    return (shape[0] * shape[1], shape[2]) if len(shape) == 3 else (math.prod(shape), 1)


def list_bits(chip: Chip, counts: IntArray, weight_bits: int) -> IntArray:
    """Return the bits of lists of so many weights."""
    memory = chip.memory
    whole, rest = np.divmod(counts, memory.list_weights)
    full, last = (
        -(-(n * weight_bits + memory.head_bits) // memory.word_bits) * memory.word_bits
        for n in (memory.list_weights, rest)
    )
    bits: IntArray = whole * full + np.where(rest > 0, last, 0)
    return bits


class Demand:
    """The demand of one group of synapses, for any block of their target."""

    def __init__(self, synapses: Synapses, source: Shape, target: Shape, chip: Chip) -> None:
        self.synapses, self.source, self.target, self.chip = synapses, source, target, chip
        delay_bits = chip.most("delay").bit_length() if synapses.largest_delay else 0
        index_bits = chip.memory.index_bits if synapses.form == "sparse" else 0
        self.weight_bits = synapses.weight_bits + delay_bits + index_bits

    def reached_by(self, pixels: Range, channels: Range) -> tuple[Mask, Mask]:
        """Return which pixels and which channels of the source reach a block: all pairs of them do.

        The source of sparse synapses is taken as pixels of one channel.
        """
        if self.synapses.form == "sparse":
            mask = np.zeros(math.prod(self.source), bool)
            mask[self._sources(pixels, channels)] = True
            return mask, np.ones(1, bool)
        rows, columns = (np.zeros(n, bool) for n in grid(self.source))
        if self.synapses.form == "dense":
            rows[:], columns[:] = True, True
            return rows, columns
        seen = self._seen[pixels[0] : pixels[1]]
        rows[seen[seen >= 0]] = True
        first, end, _ = self._groups(channels)
        inputs = self.synapses.weight.shape[3]
        columns[first * inputs : end * inputs] = True
        return rows, columns

    def axons(self, pixels: Range, channels: Range) -> int:
        """Return the input axons that a block takes."""
        rows, columns = self.reached_by(pixels, channels)
        return int(np.count_nonzero(rows)) * int(np.count_nonzero(columns))

    def bits(self, pixels: Range, channels: Range) -> int:
        """Return the bits of memory that a block takes."""
        size = (pixels[1] - pixels[0]) * (channels[1] - channels[0])
        if self.synapses.form == "dense":
            lists, counts = math.prod(self.source), np.array([size])
        elif self.synapses.form == "sparse":
            lists, counts = 1, np.bincount(self._sources(pixels, channels))
        else:
            _, kx, ky, inputs = self.synapses.weight.shape
            lists, counts = kx * ky * inputs, self._groups(channels)[2]
        return lists * int(list_bits(self.chip, counts.astype(np.int64), self.weight_bits).sum())

    def _sources(self, pixels: Range, channels: Range) -> IntArray:
        """Return the source of each sparse synapse of a block."""
        first, end = self.synapses.indptr[:-1].reshape(grid(self.target)), self.synapses.indptr[1:]
        block = (slice(*pixels), slice(*channels))
        begins, ends = first[block].ravel(), end.reshape(first.shape)[block].ravel()
        counts = ends - begins
        places = np.arange(counts.sum()) + np.repeat(begins - np.cumsum(counts) + counts, counts)
        sources: IntArray = self.synapses.indices[places].astype(np.int64)
        return sources

    def _groups(self, channels: Range) -> tuple[int, int, IntArray]:
        """Return the first and the end of the groups of a convolution in a block, and how many channels of each."""
        outputs = self.target[2] // self.synapses.groups
        groups, counts = np.unique(np.arange(*channels) // outputs, return_counts=True)
        return int(groups[0]), int(groups[-1]) + 1, counts

    @cached_property
    def _seen(self) -> IntArray:
        """Return the pixels of the source that each pixel of the target of a convolution sees, -1: padding."""
        s, (width, height, _) = self.synapses, self.source
        x, y = (
            np.arange(out)[:, None] * step - pad + np.arange(kernel)[None] * apart
            for out, kernel, step, pad, apart in zip(
                self.target, s.weight.shape[1:3], s.stride, s.padding, s.dilation, strict=False
            )
        )
        inside = ((x >= 0) & (x < width))[:, None, :, None] & ((y >= 0) & (y < height))[None, :, None, :]
        seen = np.where(inside, x[:, None, :, None] * height + y[None, :, None, :], -1)
        return seen.reshape(x.shape[0] * y.shape[0], -1)
