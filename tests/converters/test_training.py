# SPDX-License-Identifier: Apache-2.0
"""Trainings: seeded, resumable to the bit, and clear about what goes wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikerun.converters import Encoding
from spikerun.converters.examples import Examples, device_named, harmless
from spikerun.converters.resuming import Kept
from spikerun.converters.training import Judged, Recipe, distilled, train
from spikerun.errors import DataError, TrainingDiverged, UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


def examples(count: int = 48, shape: tuple[int, ...] = (6,), labels: str = "classes", seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, *shape))
    given = {"classes": rng.integers(0, 3, count), "targets": rng.normal(size=(count, 3)), "none": None}[labels]
    return Examples({"input": x}, given, {"input": Encoding()})


def network(inputs: int = 6) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def trained(
    model: nn.Module, data: Examples, recipe: Recipe, judge: Callable[[], Judged] = Judged, **options: Any
) -> list[Any]:
    def loss(batch: Any, progress: float) -> Tensor:
        logits = model(data.seen(batch.x)["input"])
        return distilled(logits, logits.detach() * 0, batch.labels)

    return train([{"params": list(model.parameters())}], data, recipe, loss, judge, state={"model": model}, **options)


def assert_same(first: nn.Module, second: nn.Module) -> None:
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def interrupting(after: int) -> Callable[[], Judged]:
    calls = 0

    def judge() -> Judged:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return Judged()

    return judge


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    data, recipe, journal = examples(), Recipe(4, batch=8), tmp_path / "kept"
    whole, parted = network(), network()
    epochs = trained(whole, data, recipe)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        trained(parted, data, recipe, interrupting(2), journal=journal, tell=lambda text, *_: said.append(text))
    assert "keeps epoch 2; the same command goes on" in said[-1]
    again = network()
    assert trained(again, data, recipe, journal=journal) == epochs
    assert_same(whole, again)


def test_training_leaves_torchs_random_state_alone() -> None:
    model, data = network(), examples()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(model, data, Recipe(1))
    assert torch.equal(torch.rand(3), expected)
    assert not model.training


def test_the_rate_rises_for_a_tenth_and_falls_as_torch_has_it() -> None:
    model, rates = nn.Linear(6, 3), []
    optimiser = torch.optim.AdamW(model.parameters())
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=600, pct_start=0.1)
    kept = Kept({"model": model}, [{"params": list(model.parameters())}], examples(), Recipe(1), "", None, False)
    for step in range(600):
        kept.pace(step / 599)
        rates.append((kept.optimiser.param_groups[0]["lr"], cycle.get_last_lr()[0]))
        optimiser.step()
        cycle.step()
    mine, theirs = np.array(rates).T
    assert np.abs(mine - theirs).max() < 6e-5  # torch counts the rise in whole steps
    assert mine[-1] == pytest.approx(theirs[-1])


@pytest.mark.parametrize("other", ["recipe", "data", "model", "aim"])
def test_a_journal_of_something_else_is_refused(tmp_path: Path, other: str) -> None:
    journal, data, recipe = tmp_path / "kept", examples(), Recipe(1)
    trained(network(), data, recipe, journal=journal, aim="" if other == "aim" else other)
    if other == "recipe":
        recipe = Recipe(1, rate=0.1)
    elif other == "data":
        data = examples(seed=1)
    model = network()
    if other == "model":
        model.get_parameter("0.weight").data += 1
    with pytest.raises(UsageError, match=f"a training of another {other}: give what was given then"):
        trained(model, data, recipe, journal=journal, aim=other)
    assert len(trained(model, data, recipe, journal=journal, aim=other, force=True)) == 1


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    journal = tmp_path / "kept"
    journal.write_text("notes")
    with pytest.raises(UsageError, match="is no journal of a training"):
        trained(network(), examples(), Recipe(1), journal=journal, force=True)
    assert journal.read_text() == "notes"


def test_a_training_that_diverges_keeps_its_last_good_epoch() -> None:
    model, data = network(), examples()
    states: list[Any] = []

    def loss(batch: Any, progress: float) -> Tensor:
        return F.cross_entropy(model(batch.x["input"]), batch.labels) / (0.0 if progress > 0.7 else 1.0)

    def judge() -> Judged:
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return Judged()

    with pytest.raises(TrainingDiverged, match=r"in epoch 2 the loss became .*epoch 1 is kept.*such as 0.0001"):
        train([{"params": list(model.parameters())}], data, Recipe(2, batch=8), loss, judge, state={"model": model})
    assert all(torch.equal(value, states[0][name]) for name, value in model.state_dict().items())


def test_patience_ends_a_training_and_takes_the_best_epoch() -> None:
    model, scores, states = network(), iter([1.0, 3.0, 2.0, 2.0, 9.0]), []

    def judge() -> Judged:
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return Judged({"accuracy": 50.0}, next(scores))

    epochs = trained(model, examples(), Recipe(9, patience=2), judge)
    assert [one.score for one in epochs] == [1, 3, 2, 2]
    assert all(torch.equal(value, states[1][name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("labels", ["classes", "targets", "none"])
def test_classes_targets_and_results_alone_are_learnt(labels: str) -> None:
    data, model, teacher = examples(labels=labels), network(), network().eval()
    teacher.get_parameter("4.bias").data += 1

    def loss(batch: Any, progress: float) -> Tensor:
        x = data.seen(batch.x)["input"]
        return distilled(model(x), teacher(x).detach(), batch.labels)

    recipe = Recipe(8, rate=0.03, batch=16)
    epochs = train([{"params": list(model.parameters())}], data, recipe, loss, Judged, state={"model": model})
    assert epochs[-1].loss < epochs[0].loss


def test_a_target_a_sample_is_a_column() -> None:
    data = Examples({"input": np.zeros((8, 2), int)}, np.linspace(0, 1, 8), {"input": Encoding()})
    labels = next(data.batches(4, 0, 0)).labels
    assert data.real and labels is not None and labels.shape == (4, 1)


def test_progress_says_loss_figures_and_the_time_left() -> None:
    said: list[str] = []
    judge = lambda: Judged({"accuracy": 91.25})  # noqa: E731
    trained(network(), examples(), Recipe(2), judge, tell=lambda text, *_: said.append(text))
    assert "epoch 1/2: loss " in said[-2] + said[1]
    assert said[-1].endswith("accuracy 91.25; 0 s left")


def test_samples_are_seen_as_the_encoding_says() -> None:
    x = np.arange(-48, 48).reshape(8, 2, 6)
    encoding = Encoding(0.5, mean=(1.0, 2.0), std=(2.0, 4.0), signed=True)
    data = Examples({"input": x}, None, {"input": encoding})
    batch = next(data.batches(4, 0, 0))
    seen = data.seen(batch.x)["input"].numpy()
    np.testing.assert_allclose(seen, encoding.real(x[batch.index.numpy()]), rtol=1e-6)


def test_an_epoch_is_each_training_sample_once_and_epochs_differ() -> None:
    data = examples(50)
    orders = [torch.cat([b.index for b in data.batches(5, 0, epoch)]) for epoch in (0, 1, 0)]
    assert sorted(orders[0].tolist()) == data.training.tolist()
    assert torch.equal(orders[0], orders[2]) and not torch.equal(orders[0], orders[1])
    assert not set(data.held.tolist()) & set(data.training.tolist())


@pytest.mark.parametrize("shape", [(2, 5), (1, 4, 5)])
def test_samples_move_by_a_place_and_zeros_come_in(shape: tuple[int, ...]) -> None:
    data = Examples({"input": np.full((400, *shape), 7)}, None, {"input": Encoding()})
    x = next(data.batches(300, 0, 0, "shift")).x["input"]
    counts = {int((one == 0).sum()) for one in x}
    rows, columns = shape[0] * (1 if len(shape) == 2 else shape[1]), shape[-1]
    assert counts == ({0, rows} if len(shape) == 2 else {0, rows, columns, rows + columns - 1})


def test_mirrored_samples_are_mirrored_whole() -> None:
    x = np.arange(40 * 6).reshape(40, 1, 2, 3)
    data = Examples({"input": x}, None, {"input": Encoding()})
    batch = next(data.batches(20, 0, 0, "mirror"))
    plain = torch.from_numpy(x)[batch.index].float()
    same = [torch.equal(a, b) for a, b in zip(batch.x["input"], plain, strict=True)]
    turned = [torch.equal(a, b.flip(2)) for a, b in zip(batch.x["input"], plain, strict=True)]
    assert any(same) and any(turned) and all(a or b for a, b in zip(same, turned, strict=True))


def test_images_are_mirrored_only_where_the_trained_network_does_not_mind() -> None:
    x = np.zeros((200, 1, 16, 16), int)
    x[::2, :, :, :4], x[1::2, :, :, -4:] = 200, 200  # left and right mean something
    data = Examples({"input": x}, np.arange(200) % 2, {"input": Encoding()})
    sided = lambda seen: torch.stack([seen["input"][..., :4].sum((1, 2, 3)), seen["input"][..., -4:].sum((1, 2, 3))], 1)  # noqa: E731
    augment, note = harmless(data, "auto", sided)
    assert augment == "shift" and note is not None and "not mirrored: that costs the trained network 100.00" in note
    even = lambda seen: torch.stack([seen["input"].sum((1, 2, 3)), 1 - seen["input"].sum((1, 2, 3))], 1)  # noqa: E731
    assert harmless(data, "auto", even)[0] == "shift+mirror"
    assert harmless(examples(), "auto", even) == ("none", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "the epochs of a training must be an integer of at least 0, got -1"),
        ({"epochs": 1, "batch": 1}, "the batch of a training must be an integer of at least 2"),
        ({"epochs": 1, "rate": 0.0}, "the rate of a training must be a finite number above 0"),
        ({"epochs": 1, "decay": float("nan")}, "the decay of a training must be a finite number of at least 0"),
        ({"epochs": 1, "augment": "mirrored"}, "unknown augmentation 'mirrored'. Did you mean 'mirror'"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe(**options)


def test_too_few_samples_and_labels_of_others_are_refused() -> None:
    with pytest.raises(DataError, match="three samples at least, got 2"):
        trained(network(), examples(2), Recipe(1))
    with pytest.raises(DataError, match="labels for 8 samples"):
        Examples({"input": np.zeros((8, 2), int)}, np.zeros(7), {"input": Encoding()})


def test_a_device_that_is_not_there_is_refused() -> None:
    assert device_named("cpu").type == "cpu"
    with pytest.raises(UsageError, match="torch has no device 'gpu' here"):
        device_named("gpu")
