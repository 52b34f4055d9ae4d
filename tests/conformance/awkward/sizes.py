# SPDX-License-Identifier: Apache-2.0
"""Extremes of sizes, and of the ranges of parameters and membranes."""

from typing import Any

import numpy as np
from conformance.awkward.make import awkward, chain, ints, network, weights

from spikerun.connections import Conv, Dense, Diagonal
from spikerun.network import Network
from spikerun.neurons import IF, LIF, V_LIMIT, FewSpikes, Input, Levels, Neuron, Readout
from spikerun.neurons.leaky import WIDE_LIMIT


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


def pruned(seed: int, n_in: int, n_out: int) -> Dense:
    """Return weights of which one block of 16 outputs in four is kept, and whole rows are zero."""
    keep = np.random.default_rng(seed).random((n_in, -(-n_out // 16))) < 0.25
    keep[::5] = False
    weight = np.where(np.repeat(keep, 16, axis=1)[:, :n_out], weights(seed, n_in, n_out), 0).astype(np.int8)
    weight[1, [0, -1]] = -128, 127
    return Dense(weight)


@awkward
def weights_that_are_mostly_zero() -> Network:
    """From an image into an image, and into a number of neurons that is no multiple of a block."""
    neuron = FewSpikes(5, ints(90), ints(60))
    layers = [
        ((4, 3, 5), neuron, pruned(1, 48, 60)),
        (37, neuron, pruned(2, 60, 37)),
        (18, Readout(), pruned(3, 37, 18)),
    ]
    return chain(((3, 4, 4), Input()), *layers)


@awkward
def zeros_behind_words_of_16_bits() -> Network:
    neuron = FewSpikes(8, ints(9000))
    layers = [(40, neuron, pruned(1, 30, 40)), (21, Readout(), pruned(2, 40, 21))]
    return chain((30, Input(16)), *layers, window=16)


@awkward
def odd_numbers_of_neurons() -> Network:
    """More than a vector register holds, and no multiple of one."""
    neuron = FewSpikes(5, np.arange(1, 132, dtype=np.int32) * 7, np.arange(131, dtype=np.int32) - 60)
    return chain((67, Input()), (131, neuron, Dense(weights(1, 67, 131))), (33, Readout(), Dense(weights(2, 131, 33))))


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
def levels_at_the_ends_of_int32() -> Network:
    """Membranes that reach them: the highest level is one that the largest int32 has reached."""
    ends = ints(-(2**31), -(2**31) + 1, -1, 0, 2**31 - 2, 2**31 - 1)
    neuron = Levels(3, ends, ints(7, 1, 2, 3, 4, 5, 6), ints(0, -1, 1))
    largest = Diagonal(ints(2**31 - 1, -(2**31) + 2, 2**31 - 2))
    return chain((3, Input(1)), (3, neuron, largest), (3, Readout(), Diagonal(ints(1, 10, 100))))


@awkward
def as_many_levels_as_there_may_be() -> Network:
    rng = np.random.default_rng(4)
    table = rng.integers(0, 256, (131, 1024))
    neuron = Levels(8, np.sort(rng.integers(-20_000, 20_000, 1023)), table)
    return chain((67, Input()), (131, neuron, Dense(weights(1, 67, 131))), (3, Readout(), Dense(weights(2, 131, 3))))


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


def _wide(reset: str, **parameters: Any) -> LIF:
    """Return neurons whose every sum reaches the limits of a wide state."""
    largest = {name: ints(WIDE_LIMIT) for name in ("bias", "bias_u", "v_reset", "v_init")}
    keep = {"keep_v": ints(2**16), "keep_u": ints(2**16 - 1)}
    return LIF(**{"threshold": ints(WIDE_LIMIT - 1), **largest, **keep, "reset": reset, **parameters})


@awkward
def membranes_at_the_upper_end_of_a_wide_state() -> Network:
    return _three_resets(_wide("value"), _wide("subtract"), _wide("subtract_after_leak"))


@awkward
def membranes_at_the_lower_end_of_a_wide_state() -> Network:
    low: dict[str, Any] = {
        "threshold": ints(0),
        "bias": ints(1),
        "v_reset": ints(-WIDE_LIMIT),
        "v_init": ints(-WIDE_LIMIT),
    }
    sunk = _wide("value", **{**low, "bias_u": ints(1 - WIDE_LIMIT), "bias": ints(WIDE_LIMIT), "keep_v": ints(0)})
    return _three_resets(_wide("value", **low), _wide("value", **{**low, "v_min": ints(0)}), sunk)


@awkward
def all_fractional_bits_and_none() -> Network:
    fine = LIF(ints(9 << 12), ints(61_000), ints(40_000), ints(-300), ints(77), fraction_bits=12, reset="subtract")
    coarse = LIF(ints(9), ints(61_000), ints(40_000), ints(-1), ints(1), ints(-3), ints(2), ints(-9), refractory=1)
    return _three_resets(fine, coarse, LIF(ints(0), ints(0), reset="none"))


def _three_resets(*neurons: LIF) -> Network:
    return chain(
        (3, Input(2, "current", signed=True)),
        *((3, neuron, Dense(weights(k, 3, 3))) for k, neuron in enumerate(neurons)),
        window=9,
    )
