# SPDX-License-Identifier: Apache-2.0
"""Hand-made networks that random ones seldom are: edges of ranges, shapes and times. A new one is a function here."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spikerun.codes import word_range
from spikerun.connections import Connection, Conv, Dense, Diagonal, PooledConv, Sparse, SumPool, Window
from spikerun.inputs import sample_shape
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, V_LIMIT, FewSpikes, Input, MaxPool, Neuron, Readout

Array = np.ndarray[Any, Any]
Make = Callable[[], Network]
NETWORKS: dict[str, Make] = {}
Link = tuple[Any, ...]  # the arguments of a Projection


def awkward(make: Make) -> Make:
    """Put a network into the table, by the name of its function."""
    NETWORKS[make.__name__] = make
    return make


def samples(net: Network, seed: int = 0) -> dict[str, Array]:
    """Return, for each input, silence, its largest and smallest values, and random ones: (7, ...)."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in net.inputs:
        neuron = net.populations[name].neuron
        assert isinstance(neuron, Input)
        low, high = word_range(neuron.bits, neuron.signed)
        shape = sample_shape(net, name)
        density = np.array([0.1, 0.5, 1, 1]).reshape(-1, *[1] * len(shape))
        random = np.where(rng.random((4, *shape)) < density, rng.integers(low, high + 1, (4, *shape)), 0)
        extremes = np.stack([np.zeros(shape, np.int64), np.full(shape, high), np.full(shape, low)])
        found[name] = np.concatenate([extremes, random])
    return found


def weights(seed: int, *shape: int) -> Array:
    """Return int8 weights, the extremes among them."""
    drawn = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    drawn.flat[0], drawn.flat[-1] = -128, 127
    return drawn


def network(
    populations: dict[str, tuple[Any, Neuron]], links: Sequence[Link], outputs: Sequence[str], window: int = 8
) -> Network:
    """Return a network of (shape, neuron) by name and projections as tuples."""
    return Network(
        {name: Population(shape, neuron) for name, (shape, neuron) in populations.items()},
        [Projection(*link) for link in links],
        outputs,
        window,
    )


def chain(source: tuple[Any, Input], *layers: tuple[Any, Neuron, Connection], window: int = 8) -> Network:
    """Return populations `in`, `p0`, `p1`, ..., each behind the one before; the last one is the output."""
    names = ["in", *(f"p{k}" for k in range(len(layers)))]
    populations: dict[str, tuple[Any, Neuron]] = {"in": source}
    populations |= {name: (shape, neuron) for name, (shape, neuron, _) in zip(names[1:], layers, strict=True)}
    links = [(a, b, layer[2]) for a, b, layer in zip(names, names[1:], layers, strict=False)]
    return network(populations, links, names[-1:], window)


def ints(*values: int) -> Array:
    """Return an int32 array; one value is for all neurons."""
    return np.array(values[0] if len(values) == 1 else values, np.int32)


# --- sizes -----------------------------------------------------------------------------------------------------------


@awkward
def one_neuron() -> Network:
    one = Dense(np.ones((1, 1), np.int8))
    return chain((1, Input()), (1, FewSpikes(8, ints(1)), one), (1, Readout(), Dense(-one.weight)))


@awkward
def one_pixel() -> Network:
    neuron = FewSpikes(3, ints(9), ints(-4))
    return chain(
        (((1, 1, 1)), Input(4)),
        ((1, 1, 1), neuron, Conv(weights(1, 1, 1, 1, 1))),
        (2, Readout(), Dense(weights(2, 1, 2))),
    )


@awkward
def one_step_windows() -> Network:
    neuron = FewSpikes(1, ints(3), ints(1))
    return chain((5, Input(1)), (4, neuron, Dense(weights(1, 5, 4))), (3, neuron, Dense(weights(2, 4, 3))), window=1)


@awkward
def one_step_windows_of_spiking_neurons() -> Network:
    return chain(
        (5, Input(1, "spikes")),
        (4, IF(ints(30)), Dense(weights(1, 5, 4))),
        (3, LIF.loihi(ints(2), dv=ints(900)), Dense(weights(2, 4, 3))),
        window=1,
    )


@awkward
def windows_much_longer_than_their_words() -> Network:
    neuron = FewSpikes(2, ints(40), signed=True)
    return chain(
        (3, Input(1)), (4, neuron, Dense(weights(1, 3, 4))), (2, Readout(), Dense(weights(2, 4, 2))), window=17
    )


@awkward
def odd_numbers_of_neurons() -> Network:
    """More than a vector register holds, and no multiple of one."""
    neuron = FewSpikes(5, np.arange(1, 132, dtype=np.int32) * 7, np.arange(131, dtype=np.int32) - 60)
    return chain((67, Input()), (131, neuron, Dense(weights(1, 67, 131))), (33, Readout(), Dense(weights(2, 131, 33))))


# --- ranges ----------------------------------------------------------------------------------------------------------


@awkward
def largest_thresholds() -> Network:
    bits = (8, 1, 3)
    layers = [FewSpikes(b, ints((2**31 - 1) >> b), ints(2**30)) for b in bits]
    return chain((4, Input()), *((4, neuron, Dense(weights(k, 4, 4))) for k, neuron in enumerate(layers)))


@awkward
def smallest_thresholds() -> Network:
    return chain(
        (4, Input()), *((4, FewSpikes(8, ints(1), signed=bool(k % 2)), Dense(weights(k, 4, 4))) for k in range(3))
    )


@awkward
def largest_thresholds_of_spiking_neurons() -> Network:
    integrate = IF(ints(V_LIMIT), ints(V_LIMIT // 5), v_init=ints(V_LIMIT - 1))
    leaky = LIF.loihi(ints(2**17 - 1), ints(V_LIMIT), du=ints(0), dv=ints(1), reset="subtract")
    return chain(
        (4, Input(1, "spikes")), (4, integrate, Dense(weights(1, 4, 4))), (4, leaky, Dense(weights(2, 4, 4))), window=11
    )


@awkward
def membranes_that_saturate() -> Network:
    down = IF(ints(V_LIMIT), ints(-(2**22)), ints(-V_LIMIT), ints(-V_LIMIT))
    up = IF(ints(1), ints(2**23), reset="zero")
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": (2, Input(8, "current", signed=True)),
        "down": (3, down),
        "up": (3, up),
    }
    links = [
        ("in", "down", Dense(weights(1, 2, 3))),
        ("in", "up", Dense(weights(2, 2, 3))),
        ("up", "down", Diagonal(ints(2**30)), 1),
    ]
    return network(populations, links, ["down", "up"], 9)


@awkward
def currents_that_wrap_24_bits() -> Network:
    leaky = LIF.loihi(ints(2**16), du=ints(0), dv=ints(0), reset="zero")
    return chain((3, Input(8, "current")), (3, leaky, Diagonal(ints(500, -500, 131071))), window=13)


@awkward
def accumulators_near_int32() -> Network:
    neuron = FewSpikes(8, ints(2**22), ints(-(2**30), 2**30 - 1, 0))
    return chain(
        (3, Input(1)),
        (3, neuron, Diagonal(ints(2**30 - 1, -(2**30), 2**31 - 1))),
        (3, Readout(), Diagonal(ints(8_000_000))),
    )


@awkward
def silent_layers() -> Network:
    neuron = FewSpikes(4, ints(5))
    return chain(
        (6, Input()),
        (5, neuron, Dense(np.zeros((6, 5), np.int8))),
        (3, Readout(bias=ints(1, -2, 3)), Dense(weights(1, 5, 3))),
    )


@awkward
def neurons_that_always_fire() -> Network:
    return chain(
        (3, Input()),
        (5, FewSpikes(5, ints(2), ints(10**6)), Dense(weights(1, 3, 5))),
        (3, Readout(), Dense(weights(2, 5, 3))),
    )


# --- codes -----------------------------------------------------------------------------------------------------------


@awkward
def signed_words() -> Network:
    layers = [FewSpikes(bits, ints(th), ints(-bits), signed=True) for bits, th in ((8, 90), (2, 900), (5, 40))]
    return chain((6, Input(8, signed=True)), *((6, neuron, Dense(weights(k, 6, 6))) for k, neuron in enumerate(layers)))


@awkward
def signed_words_of_few_spikes() -> Network:
    layers = [FewSpikes(6, ints(60), signed=True, max_spikes=k) for k in (1, 2, 3)]
    return chain(
        (6, Input(7, "graded", signed=True)), *((6, neuron, Dense(weights(k, 6, 6))) for k, neuron in enumerate(layers))
    )


@awkward
def one_spike_a_word() -> Network:
    return chain(
        (6, Input()),
        (9, FewSpikes(8, ints(70), max_spikes=1), Dense(weights(1, 6, 9))),
        (4, Readout(), Dense(weights(2, 9, 4))),
    )


@awkward
def timed_spikes() -> Network:
    layers = [FewSpikes(bits, ints(200), ints(99), code="ttfs") for bits in (4, 1, 3)]
    return chain(
        (5, Input(4, "ttfs")), *((5, neuron, Dense(weights(k, 5, 5))) for k, neuron in enumerate(layers)), window=15
    )


@awkward
def every_code_after_every_other() -> Network:
    codes = ("bits", "graded", "ttfs", "graded", "bits", "ttfs", "bits")
    return chain(
        (5, Input(3)),
        *((5, FewSpikes(3, ints(70 + k), code=code), Dense(weights(k, 5, 5))) for k, code in enumerate(codes)),
    )


@awkward
def graded_into_if() -> Network:
    graded = FewSpikes(6, ints(90), signed=True, code="graded")
    return chain(
        (4, Input()),
        (4, graded, Dense(weights(1, 4, 4))),
        (5, IF(ints(700), v_min=ints(-99)), Dense(weights(2, 4, 5))),
        (3, LIF.loihi(ints(20)), Dense(weights(3, 5, 3))),
    )


@awkward
def current_into_lif() -> Network:
    leaky = LIF.loihi(ints(700), ints(-300), ints(400), ints(100), "subtract_after_leak", refractory=1)
    return chain(
        (4, Input(8, "current", signed=True)),
        (5, leaky, Dense(weights(1, 4, 5))),
        (2, Readout(), Dense(weights(2, 5, 2))),
        window=20,
    )


@awkward
def payloads_that_change_at_each_step() -> Network:
    """They go to every kind that integrates, one of them a window later, and through a pool."""
    populations: dict[str, tuple[Any, Neuron]] = {
        "sound": (4, Input(8, "frames", signed=True)), "counts": ((2, 4, 4), Input(3, "frames")),
        "most": ((2, 2, 2), MaxPool()), "a": (5, LIF(ints(700), ints(60_000), reset="subtract")),
        "words": (4, FewSpikes(4, ints(900))), "out": (3, Readout()),
    }  # fmt: skip
    links = [
        ("sound", "a", Dense(weights(1, 4, 5))),
        ("counts", "most", Window(2, 2)),
        ("most", "a", Dense(weights(2, 8, 5)), 1),
        ("counts", "words", Dense(weights(3, 32, 4))),
        ("words", "out", Dense(weights(4, 4, 3))),
        ("sound", "out", Dense(weights(5, 4, 3))),
    ]
    return network(populations, links, ["out", "a"], 6)


# --- time ------------------------------------------------------------------------------------------------------------


@awkward
def a_cycle_of_spiking_neurons() -> Network:
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": (3, Input(1, "spikes")),
        "a": (5, IF(ints(90))),
        "b": (4, LIF.loihi(ints(3), dv=ints(64))),
    }
    links = [
        ("in", "a", Dense(weights(1, 3, 5))),
        ("a", "b", Dense(weights(2, 5, 4))),
        ("b", "a", Dense(weights(3, 4, 5)), 1),
        ("b", "b", Dense(weights(4, 4, 4)), 5),
    ]
    return network(populations, links, ["b"], 7)


@awkward
def a_cycle_of_words() -> Network:
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": (3, Input(4)),
        "a": (5, FewSpikes(4, ints(90), code="ttfs")),
        "b": (4, FewSpikes(3, ints(90), signed=True)),
    }
    links = [
        ("in", "a", Dense(weights(1, 3, 5))),
        ("a", "b", Dense(weights(2, 5, 4))),
        ("b", "a", Dense(weights(3, 4, 5)), 45),
        ("b", "b", Dense(weights(4, 4, 4)), 60),
    ]
    return network(populations, links, ["b"], 15)


@awkward
def words_that_are_delayed() -> Network:
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": (3, Input(5)),
        "a": (5, FewSpikes(4, ints(90))),
        "out": (2, Readout()),
    }
    links = [
        ("in", "a", Dense(weights(1, 3, 5)), 10),
        ("in", "a", Dense(weights(2, 3, 5))),
        ("a", "out", Dense(weights(3, 5, 2)), 15),
    ]
    return network(populations, links, ["out"], 5)


@awkward
def delays_longer_than_the_frame() -> Network:
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": (3, Input(1, "spikes")),
        "a": (5, IF(ints(60))),
        "out": (2, Readout()),
    }
    links = [
        ("in", "a", Dense(weights(1, 3, 5)), 9),
        ("in", "a", Dense(weights(2, 3, 5))),
        ("a", "out", Dense(weights(3, 5, 2)), 40),
    ]
    return network(populations, links, ["out"], 4)


@awkward
def a_short_way_and_a_long_one() -> Network:
    few = FewSpikes(4, ints(60))
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": (3, Input()),
        "a": (4, few),
        "b": (4, few),
        "c": (4, few),
        "out": (2, Readout()),
    }
    links = [
        ("in", "a", Dense(weights(1, 3, 4))),
        ("a", "b", Dense(weights(2, 4, 4))),
        ("b", "c", Dense(weights(3, 4, 4))),
        ("a", "c", Diagonal(ints(90))),
        ("in", "out", Dense(weights(4, 3, 2))),
        ("c", "out", Dense(weights(5, 4, 2))),
    ]
    return network(populations, links, ["out", "a"])


@awkward
def states_that_are_cleared() -> Network:
    resets = [
        LIF.loihi(ints(9), ints(700), ints(200), ints(30), reset, 2, 5, offset)
        for reset, offset in (("zero", 0), ("subtract", 4), ("subtract_after_leak", 13))
    ]
    return chain(
        (4, Input(1, "spikes")), *((4, neuron, Dense(weights(k, 4, 4))) for k, neuron in enumerate(resets)), window=23
    )


@awkward
def states_that_are_cleared_in_every_step() -> Network:
    return chain(
        (4, Input(1, "spikes")),
        (4, LIF.loihi(ints(1), reset_interval=1, reset="subtract_after_leak"), Dense(weights(1, 4, 4))),
    )


@awkward
def membranes_at_the_threshold() -> Network:
    """Currents and thresholds of few values: most spikes of the second layer are those that only >= sees."""
    at, above = (LIF(ints(0, 1, 2, 3), reset="subtract", inclusive=inclusive) for inclusive in (True, False))
    one = Diagonal(ints(1))
    return chain((4, Input(1, "spikes")), (4, at, one), (4, at, one), (4, above, one), window=9)


@awkward
def answers_of_membranes() -> Network:
    """Of every kind, near the limits of what int32 holds, negative ones, cleared ones, and in a later window."""
    most = (1 << 29) - 1
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": (4, Input(8, "frames", signed=True)),
        "words": (4, FewSpikes(3, ints(200), signed=True, code="graded")),
        "last": (4, LIF(ints(400), ints(60_000), ints(65_000), reset="none", answer="last", scale=np.float32(0.5))),
        "max": (4, LIF(ints(most), bias=ints(-(1 << 26), 1 << 27, -9, 5), reset="none", answer="max", inclusive=True)),
        "mean": (4, LIF(ints(most), bias=ints(-most, most, -9, 5), reset="none", answer="mean", inclusive=True)),
        "cleared": (4, LIF(ints(90), reset="subtract", answer="mean", reset_interval=7, reset_offset=3)),
        "late": (4, LIF(ints(90), answer="max")),
        "spikes": (4, IF(ints(300), answer="mean", v_min=ints(-50))),
    }  # fmt: skip
    names = ["last", "max", "mean", "cleared", "spikes"]
    links: list[Link] = [("in", name, Diagonal(ints(k - 2 or 7))) for k, name in enumerate(names)]
    links += [("in", "words", Dense(weights(1, 4, 4))), ("words", "late", Dense(weights(2, 4, 4)))]
    links += [("cleared", "late", Diagonal(ints(9)))]
    return network(populations, links, [*names, "late"], 17)


@awkward
def long_refractory_periods() -> Network:
    return chain(
        (4, Input(1, "spikes")),
        (6, LIF.loihi(ints(1), ints(64), refractory=2**15 - 1), Dense(weights(1, 4, 6))),
        (3, LIF.loihi(ints(0), refractory=1), Dense(weights(2, 6, 3))),
        window=12,
    )


# --- wiring ----------------------------------------------------------------------------------------------------------


@awkward
def several_inputs() -> Network:
    populations: dict[str, tuple[Any, Neuron]] = {
        "a": (3, Input(8)),
        "b": ((2, 3, 3), Input(3, "ttfs")),
        "c": (4, Input(1, "spikes")),
        "d": (2, Input(5, "graded", signed=True)),
        "out": (5, FewSpikes(6, ints(300), signed=True)),
    }
    sizes = {"a": 3, "b": 18, "c": 4, "d": 2}
    return network(populations, [(name, "out", Dense(weights(n, n, 5))) for name, n in sizes.items()], ["out"])


@awkward
def slices_and_sums() -> Network:
    few = FewSpikes(4, np.arange(100, 700, 100, dtype=np.int32))
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": ((2, 4, 4), Input()),
        "joined": ((6, 4, 4), few),
        "out": (3, Readout()),
    }
    links = [
        ("in", "joined", Conv(weights(1, 2, 2, 3, 3), padding=1), 0, (0, 2)),
        ("in", "joined", Diagonal(ints(70, -70)), 0, (4, 6)),
        ("in", "joined", Dense(weights(2, 32, 48)), 0, (1, 4)),
        ("in", "joined", SumPool(1, 1, gain=ints(9)), 0, (3, 5)),
        ("joined", "out", Dense(weights(3, 96, 1)), 0, (2, 3)),
        ("joined", "out", Dense(weights(4, 96, 2)), 0, (0, 2)),
    ]
    return network(populations, links, ["out", "joined"])


@awkward
def the_same_projection_twice() -> Network:
    populations: dict[str, tuple[Any, Neuron]] = {"in": (3, Input()), "a": (4, FewSpikes(5, ints(50)))}
    dense = Dense(weights(1, 3, 4))
    return network(populations, [("in", "a", dense), ("in", "a", dense)], ["a"])


@awkward
def outputs_in_the_middle() -> Network:
    few = FewSpikes(5, ints(90))
    populations: dict[str, tuple[Any, Neuron]] = {"in": (3, Input()), "a": (4, few), "b": (4, few), "r": (2, Readout())}
    links = [
        ("in", "a", Dense(weights(1, 3, 4))),
        ("a", "b", Dense(weights(2, 4, 4))),
        ("a", "r", Dense(weights(3, 4, 2))),
    ]
    return network(populations, links, ["a", "r", "b", "in"])


@awkward
def names_inside_names() -> Network:
    few = FewSpikes(4, ints(60))
    populations: dict[str, tuple[Any, Neuron]] = {
        "h": (3, Input()),
        "h.v": (4, few),
        "h.v.v": (4, few),
        "H": (4, few),
        "h_v": (2, Readout()),
    }
    links = [
        ("h", "h.v", Dense(weights(1, 3, 4))),
        ("h.v", "h.v.v", Dense(weights(2, 4, 4))),
        ("h", "H", Dense(weights(3, 3, 4))),
        ("H", "h_v", Dense(weights(4, 4, 2))),
        ("h.v.v", "h_v", Dense(weights(5, 4, 2))),
    ]
    return network(populations, links, ["h_v"])


@awkward
def rows_without_entries() -> Network:
    some = Sparse(np.array([0, 0, 2, 2, 2, 3], np.int64), ints(3, 0, 3), np.array([-128, 127, 5], np.int8), 4)
    none = Sparse(np.zeros(5, np.int64), ints(), np.zeros(0, np.int8), 3)
    return chain(
        (5, Input()),
        (4, FewSpikes(4, ints(80)), some),
        (3, FewSpikes(3, ints(2), ints(5, -5, 30)), none),
        (2, Readout(), Dense(weights(1, 3, 2))),
    )


@awkward
def entries_that_repeat() -> Network:
    """Two synapses of one neuron with the same target add up."""
    twice = Sparse(np.array([0, 3, 4], np.int64), ints(1, 1, 0, 1), np.array([100, 27, -128, -1], np.int8), 2)
    return chain((2, Input()), (2, FewSpikes(6, ints(300)), twice))


# --- images ----------------------------------------------------------------------------------------------------------


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
def dilated_pools() -> Network:
    pool = Window((2, 3), (1, 2), dilation=(3, 2))
    return chain(((3, 7, 9), Input(5)), (pool.target_shape((3, 7, 9)), MaxPool(), pool))
