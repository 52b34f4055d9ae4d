# SPDX-License-Identifier: Apache-2.0
"""`tune`: fewer operations for the same knowledge, seeded and resumable, and clear where it cannot be."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from tuned_networks import figures, made

from spikerun import Session
from spikerun.converters import convert, tune
from spikerun.converters.resuming import Judged, Recipe
from spikerun.converters.tuning.stages import HARM, Aim, Stages
from spikerun.converters.tuning.tunable import Tunable
from spikerun.converters.tuning.tune import Missed, Tuning
from spikerun.errors import DataError, TrainingDiverged, UsageError

Bars = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
QUICK = Recipe(3, 0.01, batch=20, augment="none")


@pytest.fixture(scope="module")
def learnt() -> Mapping[str, torch.Tensor]:
    """Return the weights of a plain CNN that knows bars from squares."""
    bars = figures()
    model = made("plain").train()
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    x, y = torch.from_numpy(bars[0]) / 255, torch.from_numpy(bars[1])
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.state_dict()


@pytest.fixture
def known(learnt: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return that CNN."""
    model = made("plain")
    model.load_state_dict(learnt)
    return model


def operations(tuning: Tuning, bars: Bars) -> float:
    return Session(tuning.conversion.network).run(bars[0]).activity.synops_per_mac or 0


def test_a_tuned_network_costs_less_and_knows_as_much(bars: Bars, known: nn.Module) -> None:
    model = known
    tuning = tune(model, bars, price=1.0, recipe=Recipe(8, 0.01, batch=20, augment="none"), evaluation=bars)
    before, after = tuning.untuned.report, tuning.conversion.report
    assert before.accuracy is not None and after.accuracy is not None
    assert (after.synops_per_mac or 0) < 0.8 * (before.synops_per_mac or 0)
    assert after.accuracy.snn >= before.accuracy.snn - 3


def test_convert_takes_weights_and_words_and_makes_the_same_network(bars: Bars, known: nn.Module) -> None:
    model = known
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tuning = tune(model, bars, recipe=QUICK)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert tuning.state is not None
    model.load_state_dict(tuning.state)
    network = convert(model, bars[0][:100], encoding=tuning.tuned.encodings, tuned=tuning.tuned).network
    ours = Session(tuning.conversion.network).run(bars[0])
    np.testing.assert_array_equal(Session(network).run(bars[0]).logits, ours.logits)


def test_the_same_seed_gives_the_same_network_and_another_another(bars: Bars, known: nn.Module) -> None:
    model = known
    runs = [tune(model, bars, recipe=Recipe(1, 0.01, batch=20, seed=seed, augment="none")) for seed in (0, 0, 1)]
    first, again, other = (Session(one.conversion.network).run(bars[0]).logits for one in runs)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_an_interrupted_training_goes_on_to_the_same_network(bars: Bars, known: nn.Module, tmp_path: Path) -> None:
    model, journal = known, tmp_path / "w.pt"
    whole = tune(model, bars, price=(0.2, 0.4), recipe=QUICK)

    def stop(stage: str, done: int, total: int) -> None:
        if stage.startswith("epoch 2/3") and not stopped:
            stopped.append(stage)
            raise KeyboardInterrupt

    stopped: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        tune(model, bars, price=(0.2, 0.4), recipe=QUICK, journal=journal, on_progress=stop)
    again = tune(model, bars, price=(0.2, 0.4), recipe=QUICK, journal=journal)
    assert stopped and [p.cost for p in again.frontier] == [p.cost for p in whole.frontier]
    logits = [Session(one.conversion.network).run(bars[0]).logits for one in (whole, again)]
    np.testing.assert_array_equal(*logits)


def test_several_prices_are_points_of_a_frontier(bars: Bars, known: nn.Module) -> None:
    tuning = tune(known, bars, price=(0.1, 1.0), recipe=QUICK)
    assert [p.stage for p in tuning.frontier] == [0, 1, 2]
    assert tuning.frontier[2].cost < tuning.frontier[1].cost < tuning.frontier[0].cost
    assert [p.taken for p in tuning.frontier] == [False, False, True]


def test_the_cheapest_that_keeps_a_budget_is_taken(bars: Bars, known: nn.Module) -> None:
    tuning = tune(known, bars, max_drop=20.0, validation=bars, recipe=QUICK)
    taken = next(p for p in tuning.frontier if p.taken)
    assert tuning.kept and taken.drop <= 20
    assert all(p.drop > 20 or p.cost >= taken.cost for p in tuning.frontier[1:])


def test_a_budget_that_no_stage_keeps_is_an_error_that_holds_the_nearest(bars: Bars, known: nn.Module) -> None:
    with pytest.raises(Missed, match=r"no stage keeps the budget of 0 points.*--epochs") as caught:
        tune(known, bars, bits=1, price=50.0, max_drop=0.0, stages=1, validation=bars, recipe=QUICK)
    assert operations(caught.value.tuning, bars) > 0


def test_without_labels_it_learns_from_the_network_as_it_was(bars: Bars, known: nn.Module) -> None:
    tuning = tune(known, bars[0], recipe=QUICK)
    assert any("no labels" in note for note in tuning.notes)


def test_a_rate_at_which_it_diverges_is_an_error(bars: Bars, known: nn.Module) -> None:
    with pytest.raises(TrainingDiverged, match="rate"):
        tune(known, bars, recipe=Recipe(2, 1e30, batch=20, augment="none", clip=1e30))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bits": 9}, "bits"), ({"bits": 0}, "bits"), ({"input_bits": 9}, "input_bits"), ({"prices": ()}, "prices"),
        ({"prices": (-1.0,)}, "prices"), ({"max_drop": -1.0}, "max_drop"), ({"stages": 0}, "stages"),
        ({"max_drop": 1.0, "prices": (0.1, 0.2)}, "max_drop finds"),
        ({"max_drop": 1.0, "prices": (0.0,)}, "max_drop looks"),
    ],
)  # fmt: skip
def test_aims_that_make_no_sense_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Aim(**wrong)  # type: ignore[arg-type]


def test_a_budget_needs_samples_that_the_network_has_not_seen(bars: Bars, known: nn.Module) -> None:
    with pytest.raises(UsageError, match="validation"):
        tune(known, bars, max_drop=1.0, recipe=QUICK)


def test_a_journal_of_another_price_is_refused(bars: Bars, known: nn.Module, tmp_path: Path) -> None:
    recipe = Recipe(1, 0.01, batch=20, augment="none")
    tune(known, bars, price=0.1, recipe=recipe, journal=tmp_path / "w.pt")
    with pytest.raises(UsageError, match=r"w\.1\.pt"):
        tune(known, bars, price=0.2, recipe=recipe, journal=tmp_path / "w.pt")
    tune(known, bars, price=0.2, recipe=recipe, journal=tmp_path / "w.pt", force=True)


@pytest.mark.parametrize(
    ("count", "labels", "said"),
    [
        (240, np.full(240, 12), "go from 12 to 12, the model has 3 outputs"),
        (240, np.full(240, -1), "go from -1 to -1"),
        (240, np.zeros((240, 2)), r"targets of shape \(2,\)"),
        (1, np.zeros(1, np.int64), "three samples at least, got 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    count: int, labels: npt.NDArray[np.int64], said: str, bars: Bars, known: nn.Module
) -> None:
    with pytest.raises(DataError, match=said):
        tune(known, (bars[0][:count], labels), recipe=QUICK)


def test_real_targets_are_judged_by_what_is_explained_of_them(bars: Bars) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 1)).eval()
    with torch.no_grad():
        targets = model(torch.from_numpy(bars[0]) / 255).numpy()  # the model explains all of them
    tuning = tune(
        model,
        (bars[0], targets),
        price=5.0,
        bits=2,
        max_drop=100.0,
        validation=(bars[0], targets),
        stages=1,
        recipe=QUICK,
    )
    assert all(point.drop > 0.01 for point in tuning.frontier)
    assert any("variance" in note for note in tuning.notes)


def test_what_is_judged_has_room_too(bars: Bars, known: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikerun.converters.tuning.tune.AT_ONCE", 5000)
    seen: list[int] = []
    forward = Tunable.forward

    def noted(self: Tunable, x: Any) -> torch.Tensor:
        seen.append(len(next(iter(x.values()))))
        return forward(self, x)

    monkeypatch.setattr(Tunable, "forward", noted)
    tune(known, bars, recipe=QUICK)
    assert seen and max(seen) <= 7


def test_words_that_are_too_few_and_a_price_that_is_too_high_are_said(bars: Bars, known: nn.Module) -> None:
    tuning = tune(known, bars, bits=1, input_bits=1, recipe=Recipe(0), evaluation=bars)
    assert any("words of 1 bits lose" in note and "--bits" in note for note in tuning.notes)
    recipe = Recipe(6, 0.03, batch=20, augment="none")
    tuning = tune(known, bars, price=1000, recipe=recipe, evaluation=bars)
    assert any("training has lost" in note and "--price" in note for note in tuning.notes)


def test_a_rate_that_destroys_a_network_is_lowered_which_is_said(bars: Bars, known: nn.Module, tmp_path: Path) -> None:
    recipe, journal = Recipe(5, 3.0, batch=20, augment="none"), tmp_path / "bars.pt"
    tuning = tune(known, bars, price=0.1, recipe=recipe, journal=journal)
    assert any("points at a rate of 3: stage 1 began anew at a rate of 0.75" in note for note in tuning.notes)
    assert tuning.frontier[-1].drop < tuning.frontier[0].drop + HARM
    assert any(path.name.startswith("bars.1-") for path in tmp_path.iterdir())
    again = tune(known, bars, price=0.1, recipe=recipe, journal=journal)
    assert again.notes == tuning.notes and again.frontier == tuning.frontier


@pytest.mark.parametrize(("drops", "lowered"), [([50, 0, 50, 0, 0], 0), ([0, 50, 50, 0, 0], 0), ([50, 50], 1)])
def test_one_bad_epoch_and_later_ones_lower_no_rate(
    drops: list[float], lowered: int, bars: Bars, known: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, judge = iter([0.0, *drops, *[0.0] * 20]), Stages.judge

    def judged(self: Stages) -> Judged:
        found = judge(self)
        self.last = next(told), *self.last[1:]
        return found

    monkeypatch.setattr(Stages, "judge", judged)
    tuning = tune(known, bars, recipe=Recipe(5, 0.01, batch=20, augment="none"))
    assert sum("began anew" in note for note in tuning.notes) == lowered


def test_a_training_that_lower_rates_do_not_save_is_an_error(
    bars: Bars, known: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikerun.converters.tuning.stages.LOWER", 1)
    with pytest.raises(TrainingDiverged, match=r"early epochs lose[^\n]*\n[^\n]*destroys the network.*--rate below"):
        tune(known, bars, recipe=Recipe(1, 3.0, batch=20, augment="none"))


def test_a_rate_at_which_the_loss_is_no_number_early_on_is_lowered(
    bars: Bars, known: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = Stages.loss
    monkeypatch.setattr(
        Stages, "loss", lambda self, x, at: loss(self, x, at) * (np.nan if self.recipe.rate > 0.05 else 1)
    )
    notes = tune(known, bars, recipe=Recipe(3, 0.1, batch=20, augment="none")).notes
    assert any("diverged" in note and "stage 1 began anew at a rate of 0.025" in note for note in notes)


def test_a_journal_of_another_objective_is_refused(bars: Bars, known: nn.Module, tmp_path: Path) -> None:
    recipe = Recipe(1, 0.01, batch=20, augment="none")
    tune(known, bars, recipe=recipe, journal=tmp_path / "w.pt")
    with pytest.raises(UsageError, match=r"w\.1\.pt"):
        tune(known, bars, objective="events", recipe=recipe, journal=tmp_path / "w.pt")


def test_untuned_words_that_keep_a_budget_are_taken_before_those_that_miss_it(bars: Bars, known: nn.Module) -> None:
    tuning = tune(known, bars, price=50.0, max_drop=5.0, stages=1, validation=bars, recipe=QUICK)
    assert [p.taken for p in tuning.frontier] == [True, False]


def test_an_interruption_before_the_first_epoch_of_a_stage_says_which_is_kept(
    bars: Bars, known: nn.Module, tmp_path: Path
) -> None:
    said: list[str] = []

    def stop(stage: str, done: int, total: int) -> None:
        said.append(stage)
        if stage.startswith("stage 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(known, bars, price=(0.2, 0.4), recipe=QUICK, journal=tmp_path / "w.pt", on_progress=stop)
    assert said[-1] == f"interrupted: {tmp_path / 'w.1.pt'} keeps stage 1; the same command goes on from there"


def test_the_last_epoch_of_a_stage_is_judged_once(
    bars: Bars, known: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []
    judge = Stages.judge

    def noted(self: Stages) -> Judged:
        found = judge(self)
        calls.append(self.last[2])
        return found

    monkeypatch.setattr(Stages, "judge", noted)
    ran = tune(known, bars, recipe=QUICK, journal=tmp_path / "w.pt")
    assert len(calls) == 1 + 3
    calls.clear()
    again = tune(known, bars, recipe=QUICK, journal=tmp_path / "w.pt")
    assert len(calls) == 1 + 1  # of a journal that is complete
    assert again.frontier == ran.frontier


def test_a_stage_that_takes_an_earlier_epoch_is_judged_by_it(
    bars: Bars, known: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, scores = Stages.judge, iter([0.0, 3.0, 2.0, 1.0])
    costs: list[float] = []

    def worse(self: Stages) -> Judged:
        found = replace(judge(self), score=next(scores, 0.0))
        costs.append(self.last[2])
        return found

    monkeypatch.setattr(Stages, "judge", worse)
    point = tune(known, bars, recipe=replace(QUICK, patience=5)).frontier[1]
    assert len(costs) == 1 + 3 + 1
    assert point.cost == costs[1] != costs[3]


def test_samples_without_labels_that_judge_are_said_to_compare_with_the_network_before(
    bars: Bars, known: nn.Module
) -> None:
    tuning = tune(known, bars, max_drop=100.0, stages=1, validation=(bars[0], None), recipe=QUICK)
    assert any("what judges has no labels" in note for note in tuning.notes)
    assert not any("what judges" in note for note in tune(known, bars, recipe=QUICK).notes)
