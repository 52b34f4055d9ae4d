# SPDX-License-Identifier: Apache-2.0
"""Samples as people have them: real numbers, signals without a height, words of more than 8 bits."""

import logging
from typing import Any

import numpy as np
import pytest

from spikerun import reference
from spikerun.connections import Conv, Dense
from spikerun.errors import DataError, NetworkError, UsageError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import Input, Readout
from spikerun.session import Session

WEIGHT = np.array([[3, -2], [5, 7], [-1, 4]], np.int8)
META: dict[str, str | int | float] = {"in_scale": 0.5, "in_mean": "1 0 -1", "in_std": "1 2 1"}
READOUT = Readout(np.float32(1), np.int32(0))


def vector(bits: int = 8, signed: bool = False, code: str = "bits", meta: Any = META) -> Network:
    """Return three inputs and two readouts."""
    populations = {"in": Population((3,), Input(bits, code, signed)), "out": Population((2,), READOUT)}
    return Network(populations, [Projection("in", "out", Dense(WEIGHT))], "out", max(bits, 8), meta)


def signal() -> Network:
    """Return a signal of two channels and a readout of each place."""
    conv = Conv(np.ones((1, 2, 1, 3), np.int8), (1, 1), (0, 1), (1, 1), 1)
    populations = {"in": Population((2, 1, 5), Input()), "out": Population((1, 1, 5), READOUT)}
    return Network(populations, [Projection("in", "out", conv)], "out", 8, {"in_scale": 1.0})


def test_real_samples_become_the_nearest_integers() -> None:
    # (x * std + mean) / scale
    real = np.array([[0.0, 0.13, 1.0], [3.1, 2.0, 4.9]], np.float32)
    np.testing.assert_array_equal(vector().encode(real), [[2, 1, 0], [8, 8, 8]])


def test_integers_are_of_the_smallest_type_that_holds_the_words() -> None:
    real = np.zeros((1, 3))
    types = [vector(bits, signed).encode(real).dtype for bits in (8, 12, 16) for signed in (False, True)]
    assert types == [np.uint8, np.int8, np.uint16, np.int16, np.uint16, np.int16]


@pytest.mark.parametrize(("signed", "expected"), [(False, [0, 0, 255]), (True, [-128, -2, 127])])
def test_what_lies_beyond_the_range_is_cut_and_said(
    signed: bool, expected: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = vector(signed=signed, meta={"in_scale": 0.5}).encode(np.array([[-1e6, -1.0, 1e6]]))
    np.testing.assert_array_equal(found[0], expected)
    assert "are cut" in caplog.text


def test_a_few_values_at_the_ends_are_not_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        vector(meta={"in_scale": 0.5}).encode(np.array([[300.0, 0, 0]] + [[1.0, 1, 1]] * 99))
    assert not caplog.text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(DataError, match="input 'in': 1 values are NaN or infinite"):
        vector().encode(np.array([[0.0, value, 0.0]]))


def test_a_session_runs_real_samples_as_the_integers_that_they_encode() -> None:
    net, real = vector(), np.random.default_rng(0).uniform(0, 50, (9, 3))
    np.testing.assert_array_equal(
        Session(net).run(real).outputs["out"], Session(net).run(net.encode(real)).outputs["out"]
    )


def test_a_stream_takes_a_real_frame() -> None:
    net, real = vector(), np.array([1.0, 2.0, 3.0])
    (reading,) = Session(net).stream().push_frame(real)
    np.testing.assert_array_equal(reading.logits, Session(net).run(real[None]).logits[0])  # type: ignore[union-attr]


def test_a_network_that_does_not_say_what_integers_stand_for_takes_no_real_samples() -> None:
    with pytest.raises(
        DataError, match=r"integers of 0\.\.255, got float64: give raw values, unscaled; .*no 'in_scale'"
    ):
        Session(vector(meta={})).run(np.zeros((1, 3)))


@pytest.mark.parametrize(
    "meta", [{"in_scale": "much"}, {"in_scale": 0}, {"in_scale": 1, "in_std": "1 2"}, {"in_scale": 1, "in_mean": "nan"}]
)
def test_meta_that_is_no_encoding_is_refused(meta: Any) -> None:
    with pytest.raises(DataError, match="the network's meta on its input 'in': "):
        vector(meta=meta).encode(np.zeros((1, 3)))


def test_encode_names_the_inputs_that_there_are() -> None:
    with pytest.raises(UsageError, match="inn"):
        vector().encode(np.zeros((1, 3)), "inn")
    with pytest.raises(DataError, match="int64 are no real numbers"):
        vector().encode(np.zeros((1, 3), np.int64))


def test_of_several_inputs_one_is_named() -> None:
    populations = {"a": Population((1,), Input()), "b": Population((2,), Input()), "out": Population((2,), READOUT)}
    ways = [Projection("a", "out", Dense(WEIGHT[:1])), Projection("b", "out", Dense(WEIGHT[1:]))]
    net = Network(populations, ways, "out", 8, {"b_scale": 2.0})
    np.testing.assert_array_equal(net.encode([[4.0, 5.0]], "b"), [[2, 2]])
    with pytest.raises(UsageError, match="the inputs a, b: name one"):
        net.encode([[4.0, 5.0]])


def test_a_signal_needs_no_height() -> None:
    net, samples = signal(), np.arange(20, dtype=np.uint8).reshape(2, 2, 5)
    expected = Session(net).run(samples[:, :, None]).outputs["out"]
    np.testing.assert_array_equal(Session(net).run(samples).outputs["out"], expected)
    np.testing.assert_array_equal(Session(net).run(samples.astype(float)).outputs["out"], expected)
    np.testing.assert_array_equal(net.encode(samples.astype(float)), samples[:, :, None])


def test_a_frame_of_a_signal_needs_no_height() -> None:
    net, frame = signal(), np.arange(10, dtype=np.uint8).reshape(2, 5)
    (reading,) = Session(net).stream().push_frame(frame)
    np.testing.assert_array_equal(reading.logits, Session(net).run(frame[None]).outputs["out"][0])  # type: ignore[union-attr]


@pytest.mark.parametrize("shape", [(2, 5), (3, 1, 2, 5), (2, 5, 2), (10, 2)])
def test_other_shapes_of_a_signal_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"takes values of shape \(B, 2, 1, 5\)"):
        Session(signal()).run(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("code", ["bits", "graded"])
@pytest.mark.parametrize(("bits", "signed"), [(9, False), (12, True), (15, False), (16, False), (16, True)])
@pytest.mark.parametrize("schedule", ["blocked", "stepped"])
def test_the_extremes_of_wide_words_are_exact(bits: int, signed: bool, code: str, schedule: str) -> None:
    net = vector(bits, signed, code)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    samples = np.array([[low, high, low], [high, low, 1], [high, high, high], [2 ** (bits - 2), low, high // 3]])
    result = Session(net, schedule=schedule).run(samples)
    np.testing.assert_array_equal(result.outputs["out"], samples @ WEIGHT.astype(np.int64))
    spikes = sum(reference.blocked(net, {"in": sample})["in"].spikes for sample in samples)
    assert result.activity.populations["in"].spikes == spikes


def test_wide_words_that_one_spike_times_are_refused() -> None:
    with pytest.raises(NetworkError, match=r"9 bits in code 'ttfs' would take 511 steps; .* 'bits' or 'graded'"):
        Input(9, "ttfs")
    with pytest.raises(NetworkError, match="bits"):
        Input(17)
