# SPDX-License-Identifier: Apache-2.0
"""How many synapses a spike reaches, beside what the emulator does with one."""

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from networks import seeds

from spikerun.edge.loihi.graph import Shape, Synapses
from spikerun.edge.loihi.synapses import compiled, fan_out

SMALL = st.integers(1, 3)
PAIR = st.tuples(SMALL, SMALL)


def counted(synapses: Synapses, source: Shape, target: Shape) -> Any:
    """Return how many neurons one event of each source reaches; all weights are 2."""
    found = np.zeros(source, np.int64)
    for place in np.ndindex(source):
        event = np.zeros(source, np.int64)
        event[place] = 1
        incoming = compiled(synapses, source, target)
        for _ in range(synapses.largest_delay + 1):
            incoming.take(event)
            found[place] += int(incoming.sent().sum()) // 2
            event = np.zeros(source, np.int64)
    return found


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Synapses, Shape, Shape]:
    """Draw a convolution of any geometry, of one group or several."""
    groups, inputs, outputs = draw(SMALL), draw(SMALL), draw(SMALL)
    kernel, stride, dilation = draw(PAIR), draw(PAIR), draw(PAIR)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    out = draw(PAIR)
    image = tuple(  # as large as `out` needs, and what a stride leaves over
        max(1, (o - 1) * s + d * (k - 1) + 1 - 2 * p + draw(st.integers(0, s - 1)))
        for o, s, d, k, p in zip(out, stride, dilation, kernel, padding, strict=True)
    )
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(image, padding, dilation, kernel, stride, strict=True)]  # fmt: skip
    weight = np.full((groups * outputs, *kernel, inputs), 2, np.int32)
    made = Synapses("a", "b", "conv", weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return made, (image[0], image[1], groups * inputs), (size[0], size[1], groups * outputs)


@given(convolutions())
def test_a_spike_reaches_what_its_place_group_and_padding_let_it(drawn: tuple[Synapses, Shape, Shape]) -> None:
    np.testing.assert_array_equal(fan_out(*drawn), counted(*drawn))


@given(seeds, st.booleans())
def test_a_spike_reaches_what_is_listed(seed: int, late: bool) -> None:
    rng = np.random.default_rng(seed)
    source, target = (2, 3, 2), (5,)
    mask = rng.random((math.prod(target), math.prod(source))) < 0.4
    full = Synapses("a", "b", "dense", np.full(mask.shape, 2, np.int32), delay=3 * late)
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    count, indices = int(mask.sum()), np.nonzero(mask)[1].astype(np.int32)
    delay = rng.integers(0, 3, count).astype(np.int32) if late else 0
    listed = Synapses("a", "b", "sparse", np.full(count, 2, np.int32), indices=indices, indptr=indptr, delay=delay)
    for synapses in (full, listed):
        np.testing.assert_array_equal(fan_out(synapses, source, target), counted(synapses, source, target))
