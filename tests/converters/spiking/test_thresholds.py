# SPDX-License-Identifier: Apache-2.0
"""Thresholds of rates: what cells send, which threshold is taken, and what a spike is worth."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikerun.converters.graph import AvgPool, Linear, Relu
from spikerun.converters.spiking import thresholds
from spikerun.converters.spiking.thresholds import Firing, chosen, evened, largest, spikes, worth

Array = npt.NDArray[Any]
STEPS = 16


def sent(currents: Array, bias: float, firing: Firing) -> list[int]:
    """Return what one cell sends, step by step."""
    u, v, found = 0.0, 0.0, []
    for x in currents.tolist():
        u = firing.keep * u + (1 - firing.keep) * x
        v += u + bias
        found.append(int(v > 1))
        v = (0.0 if firing.reset == "value" else v - 1) if v > 1 else v
    return found


@given(st.lists(st.integers(-16, 40), min_size=1, max_size=20), st.sampled_from(["value", "subtract"]), st.data())
def test_spikes_are_those_of_a_cell_one_by_one(eighths: list[int], reset: str, data: st.DataObject) -> None:
    """In eighths and keeps of 2^-k nothing is rounded, and thresholds are met exactly."""
    firing = Firing(reset, data.draw(st.sampled_from([0.0, 0.5])))
    bias = data.draw(st.integers(-4, 4)) / 8
    currents = np.array(eighths, np.float32) / 8
    found = [bool(s[0]) for s in spikes(iter(currents[:, None].copy()), np.float32(bias), firing)]  # type: ignore[arg-type]
    assert found == sent(currents.astype(float), bias, firing)


def test_the_largest_activation_is_a_percentile_of_its_channel_and_not_far_below_the_usual_one() -> None:
    values = np.zeros((1000, 3, 4))
    values[:, 0] = np.linspace(0, 1, 4000).reshape(1000, 4)
    values[:, 1] = 2 * values[:, 0]
    values[0, 1, 0] = 1e6  # one outlier
    top = largest(values)
    np.testing.assert_allclose(top, [0.999, 1.998, 0.3 * (0.999 + 1.998) / 2], rtol=1e-3)
    np.testing.assert_allclose(largest(np.zeros((10, 2, 4))), 0.3)


def test_gains_are_lowered_where_weights_would_be_much_larger_than_the_usual_ones() -> None:
    weight = np.array([[1.0, -2.0], [0.5, 2.0], [1.0, -50.0], [0.0, 0.0]])
    found = evened(np.array([1.0, 4.0, 1.0, 7.0]), Linear(weight, np.zeros(4)), np.zeros(4), 4.0)
    np.testing.assert_allclose(found, [1, 4, 3 * 8 / 50, 7])  # the usual weight beside its threshold is 8
    assert evened(np.ones(4), Relu(), np.zeros(4), 4.0).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("room", "most"), [(0.25, 3.0), (5.0, 5.0)])
def test_gains_are_lowered_where_biases_take_more_than_their_room(room: float, most: float) -> None:
    found = evened(np.ones(3), Relu(), np.array([-1.0, 1.0, -20.0]), room)
    np.testing.assert_allclose(found, [1, 1, most / 20])
    rare = evened(np.ones(4), Relu(), np.array([0.0, 0.0, 0.0, -20.0]), room)
    np.testing.assert_allclose(rare, [1, 1, 1, room / 20])  # the usual channel has none


def left(currents: list[Array], bias: Array, target: Array, gain: Array, shift: Array, firing: Firing) -> Array:
    """Return the variance of the target (n, C) that no multiple of the counts explains, times n."""
    given_ = (x * gain.astype(np.float32) for x in currents)
    counts = sum(s.astype(float) for s in spikes(given_, (bias * gain + shift).astype(np.float32), firing))
    found = []
    for n, a in zip(np.transpose(counts), target.T, strict=True):
        n, a = n - n.mean(), a - a.mean()
        factor = n @ a / (n @ n) if n.any() else 0.0
        found.append(float(np.square(a - factor * n).sum()))
    return np.array(found)


@pytest.mark.parametrize("firing", [Firing("value"), Firing("subtract", 0.75)], ids=str)
def test_the_threshold_then_the_shift_with_least_noise_is_taken_by_channel(firing: Firing) -> None:
    rng = np.random.default_rng(1)
    target = np.maximum(rng.normal(0.3, 0.5, (200, 3)), 0).astype(np.float32) * [0.1, 1, 10]
    bias, top = np.array([0.01, 0.0, -1.0]), largest(target)
    currents = [(target - bias + 0.3 * top * rng.normal(size=target.shape)).astype(np.float32) for _ in range(STEPS)]
    error, gain, shift = chosen(currents, bias, target, top, firing, None)

    def tried(ratio: Any, add: Any) -> Array:
        return left(currents, bias, target, 1 / (top * ratio), np.broadcast_to(add, 3) / STEPS, firing)

    first = np.array([tried(ratio, thresholds.SHIFTS[0]) for ratio in thresholds.THRESHOLDS])
    ratios = np.array(thresholds.THRESHOLDS)[first.argmin(axis=0)]
    then = np.array([tried(ratios, add) for add in thresholds.SHIFTS])
    np.testing.assert_allclose(1 / (gain * top), ratios)
    np.testing.assert_allclose(shift * STEPS, np.array(thresholds.SHIFTS)[then.argmin(axis=0)])
    assert error == pytest.approx(then.min(axis=0).sum(), rel=1e-3)
    assert len(set(ratios.tolist())) > 1 or (then.argmin(axis=0) > 0).any()  # the first are not the best of all


def test_what_is_averaged_is_compared_behind_the_average() -> None:
    rng = np.random.default_rng(0)
    target = rng.random((50, 2, 4, 4)).astype(np.float32)
    pool, still = AvgPool((2, 2), (2, 2), (0, 0), 4.0), [target] * STEPS
    errors = [chosen(still, np.zeros(2), target, largest(target), Firing("value"), p)[0] for p in (None, pool)]
    assert errors[1] < errors[0] / 8  # a quarter of the values, of a quarter of the noise


def test_a_spike_is_worth_what_makes_counts_nearest_to_the_activations() -> None:
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 9, (40, 3, 5)).astype(np.float32)
    counts[:, 2] = 0
    target = counts * np.array([0.5, 2.0, 0.0])[:, None]
    factor, quality = worth(counts, target, 8)
    np.testing.assert_allclose(factor, [4, 16, 10])  # what never fires: as the usual channel
    assert quality == 200
    noisy = target + rng.normal(0, 0.1, target.shape)
    noisy[:, 2] = 0
    factor, quality = worth(counts, noisy, 8)
    best = [8 * float((noisy[:, c] * counts[:, c]).sum() / (counts[:, c] ** 2).sum()) for c in (0, 1)]
    np.testing.assert_allclose(factor[:2], best)
    noise = sum(float(np.square(noisy[:, c] - counts[:, c] * best[c] / 8).sum()) for c in (0, 1))
    assert quality == pytest.approx(10 * np.log10(np.square(noisy).sum() / noise))
    assert worth(np.zeros((4, 2, 3)), np.zeros((4, 2, 3)), 8)[0].tolist() == [8, 8]
