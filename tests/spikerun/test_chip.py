# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of a chip: what it can hold, and that each rule that a network breaks is named."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikerun import IF, LIF, Conv, Dense, Diagonal, Input, MaxPool, Network, Population, Projection, Readout, Window
from spikerun.chip import CHIPS, check_chip, chip_named
from spikerun.edge.loihi import limits
from spikerun.errors import UsageError

LOIHI1, LOIHI2 = CHIPS["loihi1"], CHIPS["loihi2"]
WEIGHT = np.array([[127, -128], [3, 0]], np.int8)


def network(neuron: Any = None, bits: int = 1, weight: Any = WEIGHT, readout: Any = None, **projection: Any) -> Network:
    """Return input -> neuron -> readout, of two neurons each."""
    populations = {
        "in": Population((2,), Input(bits, "current")),
        "mid": Population((2,), LIF.loihi(200, bias=-4096 << 7) if neuron is None else neuron),
        "out": Population((2,), Readout() if readout is None else readout),
    }
    first = Projection("in", "mid", Dense(weight), **{"exponent": 1} | projection)
    return Network(populations, [first, Projection("mid", "out", Dense(WEIGHT), exponent=8)], "out", 8)


def images(connection: Any, exponent: int, target: Any = None) -> Network:
    """Return input -> connection -> neuron, of images."""
    shape = (1, 4, 4) if connection.kind != "window" else (1, 2, 2)
    populations = {
        "in": Population((1, 4, 4), Input(1, "current")),
        "mid": Population(shape, target or LIF.loihi(200)),
    }
    return Network(populations, [Projection("in", "mid", connection, exponent=exponent)], "mid", 8)


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_what_loihi_builds_is_inside(chip: Any) -> None:
    assert check_chip(network(), chip) == []
    assert check_chip(images(Conv(np.ones((1, 1, 3, 3), np.int8), 1, 1), 1), chip) == []


def test_payloads_have_at_most_so_many_bits() -> None:
    assert [LOIHI1.carries(bits) for bits in (1, 2)] == [True, False]
    assert [LOIHI2.carries(bits) for bits in (1, 32, 33)] == [True, True, False]


def test_graded_spikes_are_for_the_second_generation() -> None:
    assert check_chip(network(bits=8), LOIHI2) == []
    (said,) = check_chip(network(bits=8), LOIHI1)
    assert said.startswith("population 'in': its events are of 8 bits, and loihi1 has no graded spikes")


CHIP = LIF.loihi(200, 64, 409, 100)


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (IF(np.array(5)), "loihi2 has no if neurons"),
        (LIF(np.array(64)), "limits must be 'chip' and fraction_bits 6"),
        (replace(CHIP, threshold=np.array([64, 128])), "threshold must be one number for all neurons, got 64..128"),
        (replace(CHIP, threshold=np.array(65)), r"threshold must be 64 times an integer in 0\.\.131071, got 65"),
        (replace(CHIP, keep_v=np.array([16, 32])), r"keep_v must be one number for all neurons, got 16\.\.32"),
        (replace(CHIP, keep_v=np.array(65535)), r"keep_v must be 16 times an integer in 1\.\.4096, got 65535"),
        (replace(CHIP, keep_v=np.array(0)), r"keep_v must be 16 times an integer in 1\.\.4096, got 0"),
        (replace(CHIP, keep_u=np.array(65536)), r"keep_u must be 16 times an integer in 0\.\.4095, got 65536"),
        (replace(CHIP, bias=np.array([0, 4097])), "bias must be a mantissa of 13 bits shifted left by"),
        (replace(CHIP, bias=np.array(4096 << 7)), "bias must be a mantissa of 13 bits shifted left by"),
        (replace(CHIP, bias_u=np.array(1)), "bias_u must be 0"),
        (replace(CHIP, v_reset=np.array(-1)), "v_reset must be 0"),
        (replace(CHIP, v_init=np.array([0, 1])), "v_init must be 0"),
        (replace(CHIP, v_min=np.array(-64)), "v_min must not be above -8388607"),
        (replace(CHIP, refractory=1), "refractory must be 0"),
        (replace(CHIP, reset_interval=8), "reset_interval must be 0"),
        (replace(CHIP, inclusive=True), "inclusive must be 0"),
        (replace(CHIP, reset="none"), "reset must be 'value' or a subtraction"),
    ],
)
def test_each_rule_of_neurons_that_is_broken_is_named(neuron: Any, message: str) -> None:
    (said,) = check_chip(network(neuron), LOIHI2)
    assert said.startswith("population 'mid': ")
    assert re.search(message, said), said


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (network(exponent=0), r"projection in -> mid: exponent must be in 1\.\.8, .* got 0"),
        (network(exponent=9), r"exponent must be in 1\.\.8, .* got 9"),
        (network(delay=63), "projection in -> mid: delay must be at most 62 steps, got 63"),
        (images(Conv(np.ones((1, 1, 3, 3), np.int8), 1, 1), 2), "exponent must be 1, .* got 2"),
        (images(Diagonal(np.array(128)), 1), r"gain must be in -128\.\.127, got 128\.\.128"),
        (network(bits=8, exponent=2), "'mid': its currents can reach 132600 in a step"),
        (images(Window((2, 2), (2, 2)), 0, MaxPool()), "loihi2 cannot compare what a window compares"),
    ],
)
def test_each_rule_of_projections_that_is_broken_is_named(net: Network, message: str) -> None:
    said = "; ".join(check_chip(net, LOIHI2))
    assert re.search(message, said), said


@pytest.mark.parametrize("make", [lambda bias: Readout(bias=bias), lambda bias: LIF.loihi(9, bias)], ids=["sum", "lif"])
@pytest.mark.parametrize("bias", [[0, 0], [0, 4095 << 7], [-(4096 << 7), 4095 << 7]])
@pytest.mark.parametrize("channel", [0, 1])
def test_the_currents_of_a_step_are_judged_without_biases_and_of_each_channel(
    make: Any, bias: Any, channel: int
) -> None:
    def said(last: int) -> list[str]:
        weight = np.zeros((6, 2), np.int8)
        weight[:, channel] = 127, -127, 127, 127, 2, last
        populations = {"in": Population((6,), Input(1, "current")), "out": Population((2,), make(np.array(bias)))}
        ways = [Projection("in", "out", Dense(part), exponent=8) for part in (weight[:, :1], weight[:, 1:])]
        ways = [replace(p, target_channels=(k, k + 1)) for k, p in enumerate(ways)]
        return check_chip(Network(populations, ways, "out", 8), LOIHI2)

    assert said(1) == []
    assert said(-2) == ["population 'out': its currents can reach 131072 in a step, and beyond 131071 they wrap: "
                        "use smaller weights"]  # fmt: skip


@pytest.mark.parametrize("name", CHIPS)
def test_a_target_of_the_same_name_has_the_same_limits(name: str) -> None:
    here, there = CHIPS[name], limits.chip(name).limits
    most = 2 ** (here.mantissa - 1)
    ranges = {
        "payload_bits": (0, here.payload),
        "weight_bits": (1, int(np.ptp(here.weight)).bit_length()),
        "threshold": (0, here.threshold),
        "bias_mantissa": (-most, most - 1),
        "bias_exponent": (0, here.shift),
        "current_decay": (0, 2**here.decay - 1),
        "membrane_decay": (0, 2**here.decay - 1),
        "delay": (0, here.delay),
        "state_bits": 2 * ((here.current << here.fraction_bits).bit_length() + 1,),
    }
    assert {key: (there[key].least, there[key].most) for key in ranges} == ranges
    exponent = there["weight_exponent"]  # of even weights, which are twice those of a network
    assert exponent.least <= here.exponents[0] - 1 and here.exponents[1] - 1 == exponent.most


@given(st.floats(-(2.0**19), 2.0**19 - 128))
def test_no_bias_is_nearer_than_the_nearest(value: float) -> None:
    found = int(LOIHI2.nearest_bias(np.array(value)))
    mantissas = [
        (bits, around) for bits in range(8) for around in (np.floor(value / 2**bits), np.ceil(value / 2**bits))
    ]
    others = [int(m) << bits for bits, m in mantissas if -4096 <= m <= 4095]
    assert found in others
    assert abs(found - value) == min(abs(other - value) for other in others)


@given(st.integers(-4096, 4095), st.integers(0, 7))
def test_what_a_chip_holds_stays_what_it_is(mantissa: int, bits: int) -> None:
    assert LOIHI2.nearest_bias(np.array(mantissa << bits)) == mantissa << bits


def test_an_unknown_chip_is_named_beside_those_that_are_known() -> None:
    with pytest.raises(UsageError, match=r"unknown chip 'loihi3'.*Known: loihi1, loihi2"):
        chip_named("loihi3")
