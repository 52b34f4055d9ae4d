# SPDX-License-Identifier: Apache-2.0
"""Pruning from end to end: masks hold, interruptions do not matter, results load where the weights came from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pruned_networks import NETWORKS, SHAPE, images, plain, trainings
from torch import Tensor, nn

from spikerun.converters import convert, prune
from spikerun.converters.pruning.judge import Judge
from spikerun.converters.pruning.run import Plan, Pruned, run
from spikerun.converters.training import Recipe
from spikerun.errors import DataError, TrainingDiverged, UsageError

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = Recipe(2, rate=0.01, batch=20)


def network(name: str = "mlp") -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name]().eval()


def zeros(model: nn.Module) -> dict[str, int]:
    return {name: int((p == 0).sum()) for name, p in model.named_parameters() if p.ndim > 1}


def assert_same(first: nn.Module, second: nn.Module) -> None:
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("method", ["one-shot", "gradual", "lottery"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_method_prunes_every_network_as_far_as_asked(name: str, method: str) -> None:
    model = network(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    plan = Plan("unstructured", method, 0.5, rounds=2 if method == "lottery" else None)
    pruned = run(model, trainings(), plan, QUICK)
    report = pruned.report
    assert report.zeros == sum(zeros(pruned.model).values()) >= report.weights / 2
    assert report.reached >= 0.5 and report.layers[0].weights
    assert not pruned.model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())  # as it was
    model.load_state_dict(pruned.model.state_dict(), strict=True)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("plain", "channels"), ("residual", "channels"), ("depthwise", "channels"), ("mlp", "neurons"),
     ("mlp", "block16"), ("plain", "2:4")],
)  # fmt: skip
def test_every_pattern_is_held_by_a_training(name: str, pattern: str) -> None:
    pruned = run(network(name), trainings(), Plan(pattern, "gradual"), QUICK)
    assert pruned.report.reached >= pruned.report.asked
    for key, mask in pruned.masks.items():
        assert not pruned.model.get_parameter(key)[~mask].any()
        assert pruned.model.get_parameter(key)[mask].any()


def test_gradual_pruning_learns() -> None:
    dense = network()
    run_in(dense)
    pruned = run(dense, trainings(), Plan("unstructured", "gradual", 0.7), Recipe(30, rate=0.01, batch=20))
    assert pruned.report.held_out.ann > 90
    assert pruned.report.held_out.snn > 80


def test_small_data_are_trained_in_small_batches_and_what_is_lost_is_said() -> None:
    dense = network()
    run_in(dense)
    report = run(dense, trainings(), Plan("unstructured", "one-shot", 0.9), Recipe(1, rate=1000.0)).report
    assert "batches are of 32 samples, so that an epoch has steps enough" in report.notes
    assert any("has not brought back" in note and "--rate" in note for note in report.notes)


def run_in(model: nn.Module, steps: int = 60) -> None:
    """Train a network as a user would."""
    x, y = (torch.from_numpy(a) for a in images())
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x.float() / 255), y).backward()
        optimiser.step()


class Stop(Exception):
    """An interruption."""


def stopping(after: int) -> Callable[..., None]:
    """Return a listener that stops a training behind so many epochs."""
    seen: list[str] = []

    def tell(stage: str, done: int, total: int) -> None:
        if stage.startswith("epoch "):
            seen.append(stage)
            if len(seen) == after:
                raise KeyboardInterrupt

    return tell


@pytest.mark.parametrize(
    ("plan", "after"),
    [(Plan("unstructured", "gradual", 0.6), 1), (Plan("channels", "gradual"), 2),
     (Plan("unstructured", "lottery", 0.6, rounds=2), 3), (Plan("unstructured", "lottery", 0.6, rounds=2), 4)],
)  # fmt: skip
def test_what_was_interrupted_ends_with_the_same_weights(plan: Plan, after: int, tmp_path: Path) -> None:
    recipe, journal = Recipe(3, rate=0.01, batch=20), tmp_path / "out.safetensors"
    tickets: list[int] = []

    def pruned(**options: Any) -> Pruned:
        return run(network("plain"), trainings(), plan, recipe, ticket=lambda k, _: tickets.append(k), **options)

    whole = pruned()
    all_tickets, tickets[:] = list(tickets), []
    with pytest.raises(KeyboardInterrupt):
        pruned(journal=journal, tell=stopping(after))
    again = pruned(journal=journal)
    assert_same(whole.model, again.model)
    assert again.report.rounds == whole.report.rounds and again.report.epochs == whole.report.epochs
    assert again.report.held_out == whole.report.held_out
    assert tickets == all_tickets


def test_a_ticket_begins_at_the_early_weights() -> None:
    weights: dict[int, Mapping[str, Tensor]] = {}

    def ticket(number: int, state: Mapping[str, Tensor]) -> None:
        weights[number] = {name: value.clone() for name, value in state.items()}

    model, steps = network(), trainings().steps(20)
    run(model, trainings(), Plan("unstructured", "lottery", 0.5, 1, rewind=0), Recipe(1, batch=20), ticket=ticket)
    assert all(torch.equal(value, weights[-1][name]) for name, value in model.state_dict().items())
    run(model, trainings(), Plan("unstructured", "lottery", 0.5, 1, rewind=steps), Recipe(2, batch=20), ticket=ticket)
    assert not torch.equal(weights[-1]["1.weight"], model.state_dict()["1.weight"])
    assert set(weights) == {-1, 0, 1}


def test_every_round_begins_at_the_early_weights_that_are_left() -> None:
    model, begun = network(), []

    def own(net: nn.Module) -> None:
        begun.append(net.get_parameter("1.weight").detach().clone())
        run_in(net, 3)

    prune(model, images(), own, method="lottery", sparsity=0.6, rounds=2, device="cpu")
    first = model.get_parameter("1.weight").detach()
    assert torch.equal(begun[0], first)
    for weight in begun[1:]:
        assert torch.equal(weight[weight != 0], first[weight != 0]) and 0 < int((weight != 0).sum()) < weight.numel()


def test_a_fifth_of_what_is_left_goes_in_each_round() -> None:
    assert [Plan(method="lottery", sparsity=s).last for s in (0.2, 0.36, 0.9, 0.95)] == [1, 2, 11, 14]
    pruned = run(network(), trainings(), Plan("unstructured", "lottery", 0.488), Recipe(0))
    assert [round(one.sparsity, 3) for one in pruned.report.rounds] == [0.0, 0.2, 0.36, 0.488]


def test_a_training_of_the_users_own_is_held_to_the_masks() -> None:
    calls: list[float] = []

    def own(model: nn.Module) -> None:
        assert model.training
        run_in(model, 5)
        calls.append(float(sum(zeros(model).values())))

    samples, labels = images()
    kinds = {"one-shot": 1, "gradual": 4, "lottery": 4}
    for method, times in kinds.items():
        calls.clear()
        rounds = 3 if method == "lottery" else None
        pruned = prune(network(), (samples, labels), own, method=method, sparsity=0.5, rounds=rounds, device="cpu")
        assert len(calls) == times and calls == sorted(calls)
        assert pruned.report.zeros >= pruned.report.weights / 2
        pruned.model.load_state_dict(pruned.model.state_dict())
    assert not pruned.model._forward_pre_hooks  # none is left behind


def test_weights_that_two_layers_share_are_pruned_once_and_stay_shared() -> None:
    shared = nn.Linear(16, 16)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(16, 3)
    )
    pruned = run(model, trainings(), Plan("unstructured", "gradual", 0.6), QUICK)
    found = pruned.model
    assert found.get_submodule("3").weight is found.get_submodule("5").weight
    assert [layer.name for layer in pruned.report.layers] == ["1.weight", "3.weight", "7.weight"]
    assert model.load_state_dict(found.state_dict(), strict=True)


def test_without_labels_the_network_learns_from_itself_and_the_lottery_is_refused() -> None:
    dense = network()
    run_in(dense)
    pruned = run(dense, trainings(labelled=False), Plan("unstructured", "gradual", 0.3), QUICK)
    assert "there are no labels: the network learns from the results that it had itself" in pruned.report.notes
    assert pruned.report.held_out.ann == 100
    assert "as the network before on" in pruned.report.text()
    with pytest.raises(DataError, match="which takes labels"):
        run(dense, trainings(labelled=False), Plan("unstructured", "lottery", 0.3), QUICK)


def test_an_untrained_network_learns_from_labels_alone() -> None:
    pruned = run(network(), trainings(), Plan("unstructured", "one-shot", 0.3), QUICK)
    assert any("no more often than by chance: it learns from the labels alone" in note for note in pruned.report.notes)


def test_a_training_that_diverges_says_so() -> None:
    with pytest.raises(TrainingDiverged, match="the training diverged: in epoch 1"):
        run(network(), trainings(), Plan("unstructured", "one-shot", 0.3), Recipe(3, rate=1e30, batch=20))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"pattern": "channel"}, "unknown pattern 'channel'. Did you mean 'channels'"),
        ({"method": "oneshot"}, "unknown method 'oneshot'. Did you mean 'one-shot'"),
        ({"rounds": 3}, "rounds are for the method lottery, not gradual"),
        ({"method": "lottery", "rewind": -1}, "the rewind of the lottery must be an integer of at least 0"),
        ({"sparsity": 1.0}, "the sparsity is a share above 0 and below 1"),
    ],
)
def test_plans_that_make_no_sense_are_refused(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Plan(**plan)


def test_a_step_behind_the_training_cannot_be_returned_to() -> None:
    with pytest.raises(UsageError, match="returns to step 99, and a training has 6"):
        run(network(), trainings(), Plan("unstructured", "lottery", 0.3, rewind=99), Recipe(2, batch=20))


def test_channels_that_are_gone_are_not_converted() -> None:
    pruned = run(network("plain"), trainings(), Plan("channels", "one-shot", 0.5), QUICK)
    samples, _ = images()
    channels = [p.shape[0] for p in convert(pruned.model, samples).network.populations.values() if len(p.shape) == 3]
    assert set(channels[1:]) == {2, 4}  # of 4 and 8


def test_real_targets_and_several_inputs_are_pruned() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(4, 8)
            self.head = nn.Linear(8, 2)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            found: Tensor = self.head(torch.relu(self.a(left) + self.b(right)))
            return found

    rng = np.random.default_rng(0)
    data = {"left": rng.integers(0, 256, (60, 6)), "right": rng.integers(0, 256, (60, 4))}
    targets = rng.normal(size=(60, 2)).astype(np.float32)
    torch.manual_seed(0)
    pruned = prune(Two(), (data, targets), sparsity=0.5, recipe=Recipe(2, batch=10), device="cpu")
    assert pruned.report.reached >= 0.5
    both = prune(Two(), (data, targets), pattern="neurons", recipe=Recipe(0), device="cpu")
    assert [row.silent for row in both.report.layers] == [4, 4, 0]


def test_a_judge_scores_beside_the_network_before() -> None:
    dense, data = network(), trainings()
    judge = Judge(dense, data, data.held_batches)
    assert judge.accuracy(dense).drop == 0
    assert judge.score(dense) == judge.before


def test_a_model_may_be_pruned_that_nothing_can_copy() -> None:
    model = plain()
    torch.nn.utils.prune.l1_unstructured(model[8], "weight", 0.5)
    model(torch.rand(2, *SHAPE)).sum().backward()
    before = int(torch.eq(model[8].weight, 0).sum())
    pruned = prune(model, images(), sparsity=0.6, recipe=Recipe(0), device="cpu")
    assert int((pruned.model.get_parameter("8.weight") == 0).sum()) >= before
