# SPDX-License-Identifier: Apache-2.0
"""Two networks on the same samples, beside plain formulas."""

from typing import Any

import numpy as np
import pytest

import spikerun as sr
from spikerun.errors import DataError, UsageError
from spikerun.memory import memory_of_all


def network(threshold: int = 40, outputs: int = 3, bits: int = 4, name: str = "hidden", seed: int = 0) -> sr.Network:
    rng = np.random.default_rng(seed)
    populations = {
        "in": sr.Population((6,), sr.Input(4)),
        name: sr.Population((8,), sr.FewSpikes(bits, threshold)),
        "out": sr.Population((outputs,), sr.Readout(np.float32(0.25))),
    }
    weights = [rng.integers(-20, 30, shape).astype(np.int8) for shape in ((6, 8), (8, outputs))]
    projections = [sr.Projection("in", name, sr.Dense(weights[0])), sr.Projection(name, "out", sr.Dense(weights[1]))]
    return sr.Network(populations, projections, ["out"], window=max(4, bits))


SAMPLES = np.random.default_rng(1).integers(0, 16, (50, 6))
LABELS = np.random.default_rng(2).integers(0, 3, 50)


def test_a_network_is_identical_to_itself() -> None:
    found = sr.compare(network(), network(), SAMPLES, LABELS)
    assert found.identical and (found.difference, found.same_class) == (0, 100) and found.a == found.b
    assert found.accuracy is not None and found.accuracy.bounds == (0, 0)


def test_the_difference_is_paired() -> None:
    nets = network(), network(90)
    found = sr.compare(*nets, SAMPLES, LABELS)
    right = [sr.Session(net).run(SAMPLES).classes == LABELS for net in nets]
    gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    assert gained + lost > 0 and found.accuracy is not None and not found.identical
    assert found.accuracy.difference == pytest.approx(100 * (gained - lost) / 50)
    variance = (gained + lost) / 50 - ((gained - lost) / 50) ** 2
    half = 196 * np.sqrt(variance / 50)
    assert found.accuracy.bounds == pytest.approx((found.accuracy.difference - half, found.accuracy.difference + half))


def test_answers_are_compared_in_real_numbers_and_by_class() -> None:
    nets = network(), network(90)
    found, results = sr.compare(*nets, SAMPLES), [sr.Session(net).run(SAMPLES) for net in nets]
    assert found.accuracy is None
    assert found.same_class == pytest.approx(100 * np.mean(results[0].classes == results[1].classes))
    assert found.difference == pytest.approx(np.sqrt(np.mean((results[0].logits - results[1].logits) ** 2)), rel=1e-6)


def test_costs_are_those_of_the_runs() -> None:
    nets = network(), network(bits=6)
    found = sr.compare(*nets, SAMPLES)
    for net, cost in zip(nets, (found.a, found.b), strict=True):
        activity = sr.Session(net).run(SAMPLES).activity
        assert cost.synops == activity.synops_per_sample and cost.spikes_per_neuron == activity.spikes_per_neuron
        assert cost.layers["hidden"].spikes == activity.populations["hidden"].spikes / 50
        assert cost.memory == memory_of_all(net) and cost.macs == net.macs
    assert (found.a.window, found.a.latency, found.b.window, found.b.latency) == (4, 8, 6, 12)
    assert (found.a.layers["hidden"].bits, found.b.layers["hidden"].bits) == (4, 6)


def test_layers_are_matched_by_name() -> None:
    assert sr.compare(network(), network(name="other"), SAMPLES).shared == ["in", "out"]


def test_one_value_has_no_class() -> None:
    assert sr.compare(network(outputs=1), network(50, outputs=1), SAMPLES).same_class is None


@pytest.mark.parametrize(
    ("other", "labels", "said"),
    [
        (network(outputs=4), LABELS, "A answers with 3 values and B with 4"),
        (network(), LABELS[:9], r"int64 of the shape \(9,\), .* give integers of the shape \(50,\)"),
        (network(), LABELS / 2, "labels are float64"),
    ],
)
def test_what_does_not_belong_together_is_refused(other: sr.Network, labels: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        sr.compare(network(), other, SAMPLES, labels)


def test_what_is_no_network_and_no_samples_is_refused() -> None:
    with pytest.raises(UsageError, match="compare takes two networks"):
        sr.compare(network(), "b.snn", SAMPLES)
    with pytest.raises(DataError, match="one at least"):
        sr.compare(network(), network(), SAMPLES[:0])
