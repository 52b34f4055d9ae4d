# SPDX-License-Identifier: Apache-2.0
"""Ways to send a number, one after another."""

from typing import Any

import numpy as np
from conformance.awkward.make import awkward, chain, ints, network, weights

from spikerun.connections import Conv, Dense, PooledConv, Window
from spikerun.network import Network
from spikerun.neurons import IF, LIF, FewSpikes, Input, Levels, MaxPool, Neuron, Readout


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
def words_that_are_looked_up() -> Network:
    """Tables that rise and fall, of signed words, of few set bits, of more levels than words; each code after each."""
    bump, signed = np.array([0, 1, 4, 7, 5, 2, 0, 0]), np.array([[0, -1, -4, -3, 0, 3], [3, 3, 1, 0, -2, -4]])
    few_bits = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128])[np.arange(257) * 9 // 257]
    layers = (
        Levels(3, ints(-900, -300, -100, 0, 100, 300, 900)),
        Levels(3, ints(-300, -200, -100, 0, 90, 200, 300), bump, code="ttfs"),
        Levels(3, ints(-70, -30, 0, 9, 50), np.tile(signed, (3, 1))[:5], signed=True),
        Levels(8, np.arange(-1280, 1280, 10), few_bits),
        Levels(1, [1000], np.array([1, 0]), code="graded"),
        Levels(2, np.sort(weights(9, 5, 3).astype(np.int32)), bias=ints(7, 0, -7, 40, -40), signed=True, code="graded"),
    )
    rest = ((5, neuron, Dense(weights(k, 5, 5))) for k, neuron in enumerate(layers))
    return chain((5, Input(3)), *rest, (2, Readout(), Dense(weights(7, 5, 2))))


@awkward
def words_of_an_image_that_are_looked_up() -> Network:
    """Levels and a table of each channel, or of all: channels lie elsewhere in memory than here."""
    rng = np.random.default_rng(8)
    own, table = np.sort(rng.integers(-9000, 9000, (3, 6))), rng.integers(0, 16, (3, 7))
    kinds = (Levels(4, own, table), Levels(4, own[0], table), Levels(4, own, table[1]), Levels(4, own[2], table[2]))
    convolutions = [Conv(weights(k, 3, 3, 3, 3), padding=(1, 1)) for k in range(len(kinds))]
    rest = (((3, 5, 4), neuron, conv) for neuron, conv in zip(kinds, convolutions, strict=True))
    return chain(((3, 5, 4), Input(4)), *rest)


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
def weights_of_very_different_sizes() -> Network:
    """Exponents of recurrent spikes beside pixels, of words into words and into a readout, of slices of channels."""
    few, link = FewSpikes(4, ints(9000)), Dense(weights(3, 6, 6))
    populations: dict[str, tuple[Any, Neuron]] = {
        "image": (6, Input(8, "current")), "a": (6, LIF(ints(90_000), ints(50_000), reset="subtract")),
        "words": (6, few), "more": (9, few), "out": (4, Readout()), "out2": (6, IF(ints(300))),
    }  # fmt: skip
    links: list[Any] = [
        ("image", "a", Dense(weights(1, 6, 6))),
        ("a", "a", Dense(weights(2, 6, 6)), 1, None, 9),
        ("a", "words", link, 0, None, 5),
        ("image", "words", Dense(weights(4, 6, 6))),
        ("words", "more", Dense(weights(5, 6, 4)), 0, (5, 9), 3),
        ("image", "more", Dense(weights(6, 6, 9)), 0, None, 1),
        ("more", "out", Dense(weights(7, 9, 4)), 0, None, 6),
        ("a", "out2", Dense(weights(8, 6, 6)), 0, None, 20),
    ]
    return network(populations, links, ["out", "out2"], 8)


@awkward
def exponents_of_whole_words() -> Network:
    links: list[Any] = [
        ("in", "a", Dense(weights(1, 5, 7)), 0, None, 3),
        ("a", "out", Dense(weights(2, 7, 3)), 0, None, 7),
        ("in", "out", Dense(weights(3, 5, 3))),
    ]
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": (5, Input(4)), "a": (7, FewSpikes(4, ints(2000))), "out": (3, Readout()),
    }  # fmt: skip
    return network(populations, links, ["out"], 4)


@awkward
def currents_that_stay_beside_others() -> Network:
    """What is the same in every step meets recurrent spikes, a delay, payloads that change, and a pool of sums."""
    leaky = LIF(ints(900), ints(50_000), reset="subtract")
    populations: dict[str, tuple[Any, Neuron]] = {
        "image": ((1, 4, 4), Input(8, "current")), "sound": (3, Input(4, "frames", signed=True)),
        "a": (5, leaky), "b": ((2, 1, 1), leaky), "c": (4, leaky), "out": (3, IF(ints(200))),
    }  # fmt: skip
    links = [
        ("image", "a", Dense(weights(1, 16, 5))),
        ("a", "a", Dense(weights(2, 5, 5)), 1),
        ("sound", "a", Dense(weights(3, 3, 5))),
        ("image", "b", PooledConv(weights(4, 2, 1, 3, 3), 2, 2)),
        ("image", "c", Dense(weights(5, 16, 4)), 3),
        ("image", "c", Dense(weights(6, 16, 4))),
        ("a", "out", Dense(weights(7, 5, 3))),
        ("b", "out", Dense(weights(8, 2, 3))),
        ("c", "out", Dense(weights(9, 4, 3))),
    ]
    return network(populations, links, ["out", "c"], 6)


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


def _wide(code: str, bits: int, signed: bool) -> Network:
    """Words of more than 8 bits go through a pool, to neurons at once and later, and out as they are."""
    window = max(bits if code == "bits" else 1, 4)
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": ((2, 4, 4), Input(bits, code, signed)), "most": ((2, 2, 2), MaxPool()),
        "a": (5, FewSpikes(4, ints(2**bits * 40), ints(2**bits * 9))), "out": (3, Readout()),
    }  # fmt: skip
    links: list[Any] = [
        ("in", "most", Window(2, 2)),
        ("most", "a", Dense(weights(1, 8, 5))),
        ("in", "a", Dense(weights(2, 32, 5))),
        ("a", "out", Dense(weights(3, 5, 3))),
        ("most", "out", Dense(weights(4, 8, 3))),
    ]
    return network(populations, links, ("out", "in", "most"), window)


@awkward
def wide_words() -> Network:
    return _wide("bits", 12, False)


@awkward
def wide_signed_words() -> Network:
    return _wide("bits", 16, True)


@awkward
def widest_words() -> Network:
    return _wide("bits", 16, False)


@awkward
def widest_payloads() -> Network:
    return _wide("graded", 16, False)


@awkward
def wide_signed_payloads() -> Network:
    return _wide("graded", 16, True)


@awkward
def wide_currents_of_each_step() -> Network:
    """To neurons that integrate step by step, at once and some steps later."""
    populations: dict[str, tuple[Any, Neuron]] = {
        "sound": ((1, 2, 2), Input(16, "frames")), "level": (3, Input(12, "current", signed=True)),
        "most": ((1, 1, 1), MaxPool()), "a": (5, IF(ints(400_000))), "b": (4, LIF(ints(90_000), ints(60_000))),
    }  # fmt: skip
    links = [
        ("sound", "most", Window(2, 2)),
        ("sound", "a", Dense(weights(1, 4, 5))),
        ("level", "a", Dense(weights(2, 3, 5))),
        ("most", "b", Dense(weights(3, 1, 4)), 2),
        ("level", "b", Dense(weights(4, 3, 4)), 1),
    ]
    return network(populations, links, ("a", "b", "most"), window=6)
