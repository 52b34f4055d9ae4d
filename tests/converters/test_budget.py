# SPDX-License-Identifier: Apache-2.0
"""The budget: the cheapest network that keeps it, chosen on other samples than those of the report, by any metric."""

import re
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from searches import labelled
from torch import nn

from spikerun.converters import budget, convert
from spikerun.converters.accuracy import Accuracy, drop_bounds
from spikerun.converters.budget import Aim, BudgetMissed, chain, search, sweep
from spikerun.converters.evaluate import paired
from spikerun.converters.found import Choice, Found, Price
from spikerun.converters.journal import Journal
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.validation import Judgement, Validation, confidence_of_look
from spikerun.errors import CheckFailed, DataError, UsageError
from spikerun.memory import memory_of_all
from spikerun.session import Session


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 10))


@pytest.fixture(scope="module")
def converter(model: nn.Module) -> Converter:
    return Converter(TorchSource(model), labelled(model, 60, 2)[0])


@pytest.fixture(scope="module")
def validation(model: nn.Module, converter: Converter) -> Validation:
    return Validation(converter, *labelled(model, 400, 1))


def found(converter: Converter, validation: Validation, max_drop: float, **aims: Any) -> Found:
    """Return what a search found, its budget kept or not."""
    try:
        conversion = search(converter, Aim(max_drop, **aims), validation)
    except BudgetMissed as missed:
        conversion = missed.conversion
    assert conversion.report.search is not None
    return conversion.report.search


@pytest.mark.parametrize("max_drop", [30, 10, 4])
def test_the_cheapest_that_was_measured_to_keep_the_budget_is_taken(
    max_drop: float, converter: Converter, validation: Validation
) -> None:
    record = found(converter, validation, max_drop)
    kept = [place for place, one in enumerate(record.frontier) if one.upper is not None and one.upper <= max_drop]
    assert record.kept and record.chosen == min(kept, key=lambda place: record.frontier[place].cost or 0)
    beyond = [one for one in record.frontier if one.upper is not None and one.upper > max_drop]
    taken = record.frontier[record.chosen].cost or 0
    assert any((one.cost or 0) < taken for one in beyond)  # cheaper ones were tried


def test_a_search_finds_nothing_dearer_than_the_same_bits_for_all(converter: Converter) -> None:
    """However wrong the prices of populations alone are."""

    class Only:
        looks, count = 1, 100

        def judged(self, network: Any, max_drop: float, confidence: float, done: Any) -> Judgement:
            bits = {network.sender_of(name).bits for name in ("m0", "m2")}
            keeps = len(bits) == 1 and min(bits) >= 4
            return Judgement(Accuracy(100, 90, 90, 99, 0.1), 0, 0.0 if keeps else 99.0, 0, sum(bits))

    table = [Price(name, Choice(bits, "bits"), 1 / bits, k + bits) for k, name in enumerate(("m0", "m2"))
             for bits in range(1, 9)]  # fmt: skip
    judge = budget._Judge(converter, Aim(1.0), cast(Validation, Only()), Journal(None, ""))
    found, place = judge.cheapest(table, 0.0)
    assert place is not None and {choice.bits for choice in found[place].choices.values()} == {4}


def test_a_smaller_budget_costs_more(converter: Converter, validation: Validation) -> None:
    costs = [record.frontier[record.chosen].synops for record in (found(converter, validation, d) for d in (40, 10, 4))]
    assert costs == sorted(costs, key=lambda cost: cost or 0) and costs[0] < costs[-1]  # type: ignore[operator]


def test_layers_get_bits_of_their_own_and_the_network_has_them(converter: Converter, validation: Validation) -> None:
    conversion = search(converter, Aim(10.0), validation)
    record = conversion.report.search
    assert record is not None
    one = record.frontier[record.chosen]
    words = {name: conversion.network.sender_of(name) for name in one.choices}
    assert {name: (word.bits, word.code) for name, word in words.items() if word} == {
        name: (choice.bits, choice.code) for name, choice in one.choices.items()
    }
    assert len(set(one.choices.values())) > 1
    assert conversion.network.window == 8  # that of the samples: ttfs is taken only where it takes no step more
    activity = Session(conversion.network).run(validation.samples).activity
    assert one.synops == pytest.approx(activity.synops_per_sample) and one.cost == one.synops


@pytest.mark.parametrize("code", ["bits", "ttfs", "graded"])
def test_a_code_that_is_asked_for_is_that_of_all_words(code: str, converter: Converter, validation: Validation) -> None:
    record = found(converter, validation, 20, code=code)
    assert {choice.code for one in record.frontier for choice in one.choices.values()} == {code}


def test_the_frontier_is_cheaper_for_more_divergence(converter: Converter, validation: Validation) -> None:
    record = found(converter, validation, 20)
    frontier = [one for one in record.frontier if one.choices in [on.choices for on in chain(record.prices)]]
    pairs = [(one.expected, one.divergence) for one in frontier]
    assert len(pairs) > 8 and pairs == sorted(pairs, key=lambda pair: -pair[0]) == sorted(pairs, key=lambda p: p[1])


def test_the_chain_has_the_best_of_all_settings_for_any_price_of_divergence() -> None:
    rng = np.random.default_rng(0)
    table = [Price(name, Choice(bits, "bits"), *rng.random(2).tolist()) for name in ("a", "b") for bits in range(1, 7)]
    found = [(one.divergence, one.expected) for one in chain(table)]
    every = [(p.divergence + q.divergence, p.cost + q.cost) for p in table[:6] for q in table[6:]]
    for price in np.geomspace(1e-3, 1e3, 50):
        assert min(d + price * c for d, c in found) == pytest.approx(min(d + price * c for d, c in every))


def test_a_search_for_latency_takes_the_shortest_window_then_the_fewest_operations(model: nn.Module) -> None:
    from spikerun.converters import Encoding

    converter = Converter(TorchSource(model), labelled(model, 60, 2)[0], Encoding(code="graded"))
    validation = Validation(converter, *labelled(model, 1000, 1))
    record = found(converter, validation, 10, objective="latency", code="bits")
    longest = max(choice.bits for choice in record.frontier[record.chosen].choices.values())
    drops = {}
    for bits in range(2, 9):
        network = converter.network(Settings(bits))
        drops[bits] = validation.judged(network, 10, 0.95, lambda n: None).upper
    assert record.kept and longest == min(bits for bits, upper in drops.items() if upper <= 10)
    assert record.frontier[record.chosen].cost == longest * 3  # one window for each of three layers


def test_by_memory_all_that_a_deployed_network_needs_counts(converter: Converter, validation: Validation) -> None:
    conversion = search(converter, Aim(20, "memory"), validation)
    record = conversion.report.search
    assert record is not None
    one, memory = record.frontier[record.chosen], memory_of_all(conversion.network)
    assert one.cost == memory.total == memory.weights + memory.parameters + memory.state + memory.words
    assert memory.weights == 12 * 32 + 32 * 24 + 24 * 10 and memory.state >= 4 * (32 + 24 + 10)
    assert one.expected == pytest.approx(one.cost, rel=0.02)


def test_by_memory_tables_of_levels_count() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 10)).eval()
    converter = Converter(TorchSource(model), labelled(model, 60, 2)[0])
    record = found(converter, Validation(converter, *labelled(model, 400, 1)), 30, objective="memory")
    one = record.frontier[record.chosen]
    few, many = (memory_of_all(converter.network(Settings(bits))).parameters for bits in (2, 8))
    assert many - few >= 32 * 4 * (2**8 - 2**2)  # a level for each word and channel
    assert max(choice.bits for choice in one.choices.values()) < 8 and one.expected == pytest.approx(one.cost, rel=0.02)


def test_what_is_expected_has_the_spikes_of_the_input_in_it(converter: Converter, validation: Validation) -> None:
    record = found(converter, validation, 10)
    for one in record.frontier:
        assert one.cost is None or one.expected == pytest.approx(one.cost, rel=0.05)


DRAWS: dict[str, tuple[Any, float]] = {  # what 2,048 samples lose by chance, and a budget that is just too small
    "fractions": (lambda rng: rng.normal(0.0101, 0.3, 2048), 1.0),
    "right or wrong": (lambda rng: rng.choice([1.0, -1.0, 0.0], 2048, p=[0.0301, 0.02, 0.9499]), 1.0),
    "right or wrong, never better": (lambda rng: rng.choice([1.0, 0.0], 2048, p=[0.00301, 0.99699]), 0.3),
}


class Lucky:
    """Held-out samples by which each look at a network sees differences of chance, of a drop just beyond the budget."""

    def __init__(self, seed: int, looks: int, draw: Any) -> None:
        self.rng, self.looks, self.count, self.draw = np.random.default_rng(seed), looks, 2048, draw

    def judged(self, network: Any, max_drop: float, confidence: float, done: Any) -> Judgement:
        """Return the best of so many looks."""
        sure = [confidence_of_look(confidence, self.looks, last=k == self.looks - 1) for k in range(self.looks)]
        upper = min(drop_bounds(self.draw(self.rng), np.zeros(2048), each)[1] for each in sure)
        return Judgement(Accuracy(2048, 90, 90, 99, 0.1), 0, upper, 0, 0)


@pytest.mark.parametrize("looks", [1, 3])
@pytest.mark.parametrize("draw", DRAWS)
def test_however_often_samples_are_looked_at_luck_keeps_a_budget_no_more_often_than_the_confidence_says(
    draw: str, looks: int, converter: Converter, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = converter.network(Settings(4))
    monkeypatch.setattr(Converter, "network", lambda self, settings: network)
    table = [Price("m0", Choice(bits, "bits", 1 + k / 8), -bits + k / 8, bits - k / 8) for bits in range(1, 9)
             for k in range(8)]  # fmt: skip
    drawn, budget_of = DRAWS[draw]
    kept = {
        objective: sum(
            budget._Judge(
                converter, Aim(budget_of, objective), cast(Validation, Lucky(seed, looks, drawn)), Journal(None, "")
            ).cheapest(table, 0.0)[1] is not None
            for seed in range(200)
        )
        for objective in ("synops", "latency")
    }  # fmt: skip
    assert all(times <= 0.05 * 200 for times in kept.values()), kept
    assert draw != "fractions" or all(kept.values())  # by the normal bound nearly as often as is allowed


@pytest.mark.parametrize("looks", [1, 2, 6])
def test_the_doubts_of_all_looks_are_that_of_the_confidence(looks: int) -> None:
    sure = [confidence_of_look(0.95, looks, last=k == looks - 1) for k in range(looks)]
    assert sum(1 - each for each in sure) == pytest.approx(0.05) and sure[-1] == min(sure)


def test_bits_are_chosen_on_other_samples_than_those_of_the_report(model: nn.Module) -> None:
    calibration, (samples, labels) = labelled(model, 60, 2)[0], labelled(model, 50, 3)
    wrong = (labels + 1) % 10  # on these samples, the ANN is never right: no drop, whatever the bits
    validation = labelled(model, 100, 1)
    report = convert(model, calibration, validation=validation, evaluation=(samples, wrong), max_drop=20).report
    assert report.search is not None
    measured = [one.accuracy for one in report.search.frontier if one.accuracy is not None]
    assert report.bits > 2 and {accuracy.samples for accuracy in measured} == {100}
    assert report.accuracy is not None and (report.accuracy.samples, report.accuracy.ann) == (50, 0)


def test_a_budget_that_nothing_keeps_is_a_failed_check_with_the_nearest_network(model: nn.Module) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (20, 12))
    exact = TorchSource(model).logits({"input": samples / 255})["output"]

    def same(logits: Any, labels: Any) -> Any:
        return np.isclose(logits, labels, rtol=1e-12).all(axis=1)

    with pytest.raises(CheckFailed, match="Allow a larger drop") as caught:
        convert(model, samples, validation=(samples, exact), max_drop=80, metric=same)
    assert isinstance(caught.value, BudgetMissed) and caught.value.exit_code == 1
    report = caught.value.conversion.report
    assert report.search is not None and not report.search.kept and "does not keep the budget" in report.text()
    assert set(report.search.frontier[report.search.chosen].choices.values()) == {Choice(8, "bits")}


def test_few_samples_prove_little_and_how_many_could_is_said(model: nn.Module) -> None:
    samples, labels = labelled(model, 30, 1)
    with pytest.raises(
        CheckFailed, match=r"no drop below (.*), were not one of them to differ: about (\d+) could"
    ) as said:
        convert(model, samples, validation=(samples, labels), max_drop=0.5)
    least, needed = re.findall(r"below ([\d.]+), .* about (\d+) could prove 0\.5", str(said.value))[0]
    assert (1 - float(least) / 100) ** 30 == pytest.approx((1 - 0.005) ** int(needed), rel=0.02)


def test_of_fractions_nothing_is_said_of_how_many_could_prove_a_budget(model: nn.Module) -> None:
    samples, labels = labelled(model, 30, 1)

    def odd(logits: Any, labels: Any) -> Any:
        return np.abs(logits).max(axis=1) * 1e3 % 1

    with pytest.raises(CheckFailed) as said:
        convert(model, samples, validation=(samples, labels), max_drop=0.01, metric=odd)
    assert "could prove" not in str(said.value)


@pytest.mark.parametrize("count", [1, 2, 19])
def test_a_budget_of_ranges_by_too_few_samples_is_refused(count: int, model: nn.Module) -> None:
    samples, labels = labelled(model, 400, 1)
    with pytest.raises(UsageError, match=f"at least 20 samples that calibrate, got {count}: .* in {count + 1} "):
        convert(model, samples[:count], validation=(samples, labels), max_drop=50)


def test_less_confidence_asks_for_less_proof(converter: Converter, validation: Validation) -> None:
    record = found(converter, validation, 5, confidence=0.5)
    sure = found(converter, validation, 5)
    assert (record.frontier[record.chosen].synops or 0) < (sure.frontier[sure.chosen].synops or 0)


def test_without_labels_the_network_is_held_to_the_ann(converter: Converter, model: nn.Module) -> None:
    samples, labels = labelled(model, 200, 1)  # of which the ANN is always right
    with_labels, without = (found(converter, Validation(converter, samples, given), 20) for given in (labels, None))
    assert replace(with_labels, metric="") == replace(without, metric="")


def test_real_results_are_searched_by_their_error(model: nn.Module) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (300, 12))
    targets = TorchSource(model).logits({"input": samples / 255})["output"]
    report = convert(model, samples[:60], validation=(samples, targets), max_drop=1, metric="mse").report
    assert report.search is not None and report.search.kept and report.search.metric == "mse"
    one = report.search.frontier[report.search.chosen].accuracy
    assert one is not None and one.ann == pytest.approx(100) and 0 < one.drop <= 1


def test_a_sweep_measures_every_number_of_bits(converter: Converter, model: nn.Module) -> None:
    rows = sweep(converter, Settings(), converter.evaluation(*labelled(model, 100, 1)))
    assert [row.bits for row in rows] == list(range(2, 9)) and rows[0].accuracy.drop > rows[-1].accuracy.drop


def test_samples_are_taken_until_they_decide(model: nn.Module, converter: Converter) -> None:
    validation = Validation(converter, *labelled(model, 5000, 1))
    coarse, fine = (converter.network(Settings(bits)) for bits in (2, 8))
    counts = [validation.judged(net, 2, 0.95, lambda n: None).accuracy.samples for net in (coarse, fine)]
    assert counts == [2048, 2048]
    undecided = validation.judged(
        fine, validation.judged(fine, 0, 0.95, lambda n: None).accuracy.drop, 0.95, lambda n: None
    )
    assert undecided.accuracy.samples == 5000


def test_a_metric_of_real_values_is_reported(model: nn.Module) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (20, 12))
    exact = TorchSource(model).logits({"input": samples / 255})["output"]

    def near(logits: Any, targets: Any) -> Any:
        return np.exp(-np.abs(logits - targets).mean(axis=1))

    accuracy = convert(model, samples, bits=8, evaluation=(samples, exact), metric=near).report.accuracy
    assert accuracy is not None and accuracy.ann == pytest.approx(100) and 90 < accuracy.snn < 100


def test_a_metric_gives_a_score_for_each_sample(model: nn.Module) -> None:
    samples, labels = labelled(model, 20, 0)
    with pytest.raises(DataError, match="20 scores"):
        convert(model, samples, evaluation=(samples, labels), metric=lambda logits, labels: 0.5)


def test_the_standard_error_is_that_of_paired_differences() -> None:
    ann, snn = np.array([1.0, 1, 1, 0, 1, 1, 0, 1]), np.array([1.0, 0, 1, 1, 0, 1, 0, 1])
    accuracy = paired(ann, snn, ann == snn)
    assert accuracy.drop == pytest.approx(12.5) and accuracy.agreement == 62.5
    assert accuracy.standard_error == pytest.approx(100 * np.sqrt((3 / 8 - 1 / 64) / 8))


@pytest.mark.parametrize("budget", [-1, 101, float("nan"), "1", True])
def test_a_budget_that_is_none_is_refused_before_the_work(budget: Any, model: nn.Module) -> None:
    with pytest.raises(UsageError, match="max_drop is in points"):
        convert(model, np.zeros((0,)), max_drop=budget)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "energy"}, "unknown objective 'energy'"),
        ({"confidence": 95}, "confidence is a share"),
        ({"overrides": {"m0": 4}}, "leave out overrides"),
        ({"metric": "top2", "validation": (np.ones((4, 12), int), np.ones(4, int))}, "unknown metric 'top2'"),
    ],
)
def test_what_a_search_cannot_be_is_refused(options: dict[str, Any], words: str, model: nn.Module) -> None:
    with pytest.raises(UsageError, match=words):
        convert(model, np.ones((4, 12), int), max_drop=1, **options)


def test_a_budget_needs_samples_to_choose_by(model: nn.Module) -> None:
    with pytest.raises(UsageError, match="validation="):
        convert(model, np.ones((4, 12), int), max_drop=1)


@pytest.mark.parametrize("option", ["evaluation", "validation"])
def test_what_is_no_pair_of_samples_and_labels_is_refused(option: str, model: nn.Module) -> None:
    samples: dict[str, Any] = {option: np.ones((4, 12), int)}
    with pytest.raises(UsageError, match=rf"{option} is a pair of \(samples, labels\), got ndarray"):
        convert(model, np.ones((4, 12), int), **samples)
