# SPDX-License-Identifier: Apache-2.0
"""Cycles, delays, and states that are cleared."""

from typing import Any

import numpy as np
from conformance.awkward.make import Link, awkward, chain, ints, network, weights

from spikerun.connections import Dense, Diagonal
from spikerun.network import Network
from spikerun.neurons import IF, LIF, FewSpikes, Input, Neuron, Readout


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
def long_refractory_periods() -> Network:
    return chain(
        (4, Input(1, "spikes")),
        (6, LIF.loihi(ints(1), ints(64), refractory=2**15 - 1), Dense(weights(1, 4, 6))),
        (3, LIF.loihi(ints(0), refractory=1), Dense(weights(2, 6, 3))),
        window=12,
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
def answers_of_the_first_spike() -> Network:
    """Early and late ones, in a later window, of neurons that fire again or stay silent."""
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": (4, Input(8, "frames", signed=True)),
        "words": (4, FewSpikes(3, ints(200), signed=True, code="graded")),
        "leaky": (4, LIF(ints(200, 0, 3000, (1 << 29) - 1), ints(60_000), answer="first_spike", refractory=2)),
        "plain": (4, IF(ints(300), answer="first_spike", scale=np.float32(0.25))),
        "late": (4, LIF(ints(90), reset="subtract_after_leak", answer="first_spike")),
    }
    links: list[Link] = [("in", name, Diagonal(ints(2))) for name in ("leaky", "plain")]
    links += [("in", "words", Dense(weights(1, 4, 4))), ("words", "late", Dense(weights(2, 4, 4)))]
    return network(populations, links, ["leaky", "plain", "late"], 17)
