# SPDX-License-Identifier: Apache-2.0
"""Convolutions and pools at the edges of their geometry."""

from typing import Any

import numpy as np
from conformance.awkward.make import awkward, chain, ints, network, weights

from spikerun.connections import Conv, Dense, Diagonal, PooledConv, SumPool, Window
from spikerun.network import Network
from spikerun.neurons import IF, LIF, FewSpikes, Input, MaxPool, Neuron, Readout


def convolution(conv: Conv, source: tuple[int, int, int], neuron: Neuron | None = None) -> Network:
    """Return an image, a convolution of it, and a readout of that."""
    target = conv.target_shape(source)
    size = int(np.prod(target))
    layer = (target, neuron or FewSpikes(4, ints(300), ints(200)), conv)
    return chain((source, Input()), layer, (3, Readout(), Dense(weights(9, size, 3))))


@awkward
def padding_larger_than_stride_and_kernel() -> Network:
    return convolution(Conv(weights(1, 3, 2, 2, 1), 1, (3, 4)), (2, 4, 3))


@awkward
def strides_that_skip_pixels() -> Network:
    return convolution(Conv(weights(1, 3, 2, 2, 2), (3, 5)), (2, 9, 11))


@awkward
def strides_that_leave_a_margin() -> Network:
    return convolution(Conv(weights(1, 3, 2, 3, 3), (2, 3), (1, 0)), (2, 8, 10))


@awkward
def dilated_kernels() -> Network:
    return convolution(Conv(weights(1, 2, 1, 3, 2), (1, 2), (2, 3), (2, 5)), (1, 7, 9))


@awkward
def kernels_as_large_as_the_image() -> Network:
    return convolution(Conv(weights(1, 5, 2, 4, 5)), (2, 4, 5))


@awkward
def one_row_of_pixels() -> Network:
    return convolution(Conv(weights(1, 4, 2, 1, 5), (1, 2), (0, 2)), (2, 1, 23))


@awkward
def depthwise_convolution() -> Network:
    return convolution(Conv(weights(1, 17, 1, 3, 3), 1, 1, groups=17), (17, 5, 5))


@awkward
def grouped_convolution() -> Network:
    return convolution(Conv(weights(1, 6, 2, 3, 3), 2, 1, groups=3), (6, 5, 5))


@awkward
def many_channels() -> Network:
    return convolution(Conv(weights(1, 70, 33, 1, 1)), (33, 3, 2), FewSpikes(5, ints(4000), signed=True))


@awkward
def convolution_of_spikes() -> Network:
    conv = Conv(weights(1, 4, 2, 3, 3), 2, 2)
    return chain(
        ((2, 6, 5), Input(1, "spikes")),
        ((4, 4, 4), IF(ints(90), v_min=ints(-50)), conv),
        (2, LIF.loihi(ints(40)), Dense(weights(2, 64, 2))),
        window=6,
    )


@awkward
def sums_that_overlap() -> Network:
    pool = SumPool((3, 2), (1, 3), (1, 1), ints(-7, 9))
    target = pool.target_shape((2, 5, 7))
    return chain(
        ((2, 5, 7), Input()),
        (target, FewSpikes(5, ints(60), signed=True), pool),
        ((2, 1, 1), Readout(), SumPool(target[1:], 1)),
    )


@awkward
def pools_of_pools() -> Network:
    windows = [Window(2, 1), Window((3, 2), (2, 1), (1, 0)), Window(2, 2)]
    shapes = [(2, 9, 8)]
    for window in windows:
        shapes.append(window.target_shape(shapes[-1]))
    pools = [(shape, MaxPool(), window) for shape, window in zip(shapes[1:], windows, strict=True)]
    size = int(np.prod(shapes[-1]))
    return chain((shapes[0], Input(6, signed=True)), *pools, (3, Readout(), Dense(weights(1, size, 3))))


@awkward
def pools_of_negative_words() -> Network:
    """What lies outside the image never wins, not even against negative words only."""
    few = FewSpikes(4, ints(30), ints(-(10**6), -200), signed=True)
    pool = Window(3, 2, 1, 1)
    return chain(
        ((2, 5, 5), Input(4, signed=True)),
        ((2, 5, 5), few, Diagonal(ints(20))),
        (pool.target_shape((2, 5, 5)), MaxPool(), pool),
        (2, Readout(), Dense(weights(1, 18, 2))),
    )


@awkward
def pools_of_timed_and_graded_words() -> Network:
    populations: dict[str, tuple[Any, Neuron]] = {
        "a": ((1, 4, 4), Input(3, "ttfs")), "b": ((1, 4, 4), Input(5, "graded", signed=True)),
        "pa": ((1, 2, 2), MaxPool()), "pb": ((1, 3, 3), MaxPool()), "out": (3, FewSpikes(4, ints(100), code="ttfs")),
    }  # fmt: skip
    links = [
        ("a", "pa", Window(2, 2)),
        ("b", "pb", Window(2, 1)),
        ("pa", "out", Dense(weights(1, 4, 3))),
        ("pb", "out", Dense(weights(2, 9, 3))),
    ]
    return network(populations, links, ["out", "pa"], 15)


@awkward
def dilated_pools() -> Network:
    pool = Window((2, 3), (1, 2), dilation=(3, 2))
    return chain(((3, 7, 9), Input(5)), (pool.target_shape((3, 7, 9)), MaxPool(), pool))


@awkward
def pools_of_spikes() -> Network:
    """Of events, of what neurons send, and of another pool; one is held back by less than a window."""
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": ((2, 6, 5), Input(1, "spikes")), "a": ((2, 3, 4), MaxPool()), "b": ((2, 3, 4), LIF(ints(150))),
        "c": ((2, 2, 2), MaxPool()), "d": ((2, 1, 2), MaxPool()), "out": (3, IF(ints(90))),
    }  # fmt: skip
    links = [
        ("in", "a", Window((2, 2), (2, 1))),
        ("a", "b", Conv(weights(1, 2, 2, 3, 3), 1, 1)),
        ("b", "c", Window(3, (2, 2), 1), 3),
        ("c", "d", Window((2, 1), 1)),
        ("d", "out", Dense(weights(2, 4, 3))),
        ("c", "out", Dense(weights(3, 8, 3)), 1),
    ]
    return network(populations, links, ["out", "d"])


@awkward
def pools_of_payloads_in_every_step() -> Network:
    """What lies outside the image never wins, not even against negative payloads only."""
    pool = Window(3, 2, 1)
    return chain(
        ((2, 4, 4), Input(5, "current", signed=True)),
        ((2, 2, 2), MaxPool(), pool),
        (3, LIF(ints(600), reset="subtract"), Dense(weights(1, 8, 3))),
    )


@awkward
def pools_of_currents() -> Network:
    """Windows that overlap, lie half outside, are dilated; sums that are all negative; a delay; groups."""
    down = -np.abs(weights(1, 3, 2, 3, 3).astype(np.int16)).clip(1, 128).astype(np.int8)
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": ((2, 7, 6), Input(4, "frames")), "a": ((3, 4, 3), IF(ints(40), ints(400), answer="max")),
        "b": ((6, 2, 1), LIF(ints(120), ints(50_000))), "c": ((2, 1, 1), LIF(ints(60), answer="last")),
    }  # fmt: skip
    links = [
        ("in", "a", PooledConv(down, 2, 2, padding=1, pool_padding=1, pool_dilation=2)),
        ("a", "b", PooledConv(weights(2, 6, 1, 2, 2), (1, 2), 1, groups=3, stride=(2, 1)), 5),
        ("b", "c", PooledConv(weights(3, 2, 6, 1, 1), (2, 1), 1)),
    ]
    return network(populations, links, ["a", "c"], 7)
