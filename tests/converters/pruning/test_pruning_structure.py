# SPDX-License-Identifier: Apache-2.0
"""Which weights a module has, and which channels fall together."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pruned_networks import NETWORKS, SHAPE, plain
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune as torch_prune

from spikerun.converters.pruning.patterns import pattern_named
from spikerun.converters.pruning.plain import own_names, plain_copy
from spikerun.converters.pruning.structure import Structure, structure_of
from spikerun.errors import ConversionError

pytestmark = pytest.mark.usefixtures("one_thread")


class Functional(nn.Module):
    def __init__(self, forward: Callable[..., Tensor], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.function = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def read(model: nn.Module, shape: tuple[int, ...] = SHAPE) -> Structure:
    return structure_of(model, {"input": shape})


def counts(structure: Structure, convolutions: bool = True) -> list[int]:
    return [len(units) for units in structure.families(convolutions)]


def test_a_plain_network_has_a_family_for_each_layer_but_the_last() -> None:
    structure = read(plain())
    assert structure.weights == ("0.weight", "4.weight", "8.weight", "10.weight")
    assert counts(structure) == [4, 8]
    assert counts(structure, convolutions=False) == [16]
    assert structure.uses[0].norm is not None and structure.uses[0].norm.weight == "1.weight"
    assert structure.uses[1].bias == "4.bias"


def test_branches_that_are_added_are_one_family() -> None:
    structure = read(NETWORKS["residual"]())
    assert counts(structure) == [8, 8]
    first, _, last = structure.uses[:3]
    assert first.outputs.tolist() == last.outputs.tolist()


def test_depthwise_channels_fall_with_those_that_they_read() -> None:
    structure = read(NETWORKS["depthwise"]())
    assert counts(structure) == [8, 12]
    assert structure.uses[1].outputs.tolist() == structure.uses[0].outputs.tolist()


def test_concatenated_channels_stay_apart_and_shuffled_ones_are_followed() -> None:
    def forward(m: Any, x: Tensor) -> Any:
        both = torch.cat([m.a(x), m.b(x)], 1)
        return m.head(F.relu(m.c(both.view(-1, 2, 3, 8, 8).transpose(1, 2).flatten(1, 2))).mean((2, 3)))

    parts = {"a": nn.Conv2d(1, 2, 1), "b": nn.Conv2d(1, 4, 1), "c": nn.Conv2d(6, 5, 1), "head": nn.Linear(5, 3)}
    structure = read(Functional(forward, **parts))
    a, b, c, _ = structure.uses
    joined = [*a.outputs, *b.outputs]
    assert c.inputs.tolist() == [joined[k] for k in (0, 3, 1, 4, 2, 5)]


def test_weights_that_two_layers_share_are_one_and_their_channels_fall_together() -> None:
    shared = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), shared, nn.ReLU(), shared, nn.Flatten(), nn.Linear(256, 3))
    structure = read(model)
    assert structure.weights == ("0.weight", "2.weight", "6.weight")
    assert counts(structure) == [4]


def test_functional_layers_are_seen_and_derived_weights_are_said() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, m.kernel, padding=1))
        return F.linear(x.flatten(1), m.matrix * 2)

    kernel, matrix = (nn.Parameter(torch.randn(shape)) for shape in ((4, 1, 3, 3), (3, 256)))
    structure = read(Functional(forward, kernel=kernel, matrix=matrix))
    assert structure.weights == ("kernel",)
    assert counts(structure) == []
    assert "not pruned, for its weights are no parameter of their own: aten.linear.default" in structure.notes[0]


def test_transposed_convolutions_and_matrices_on_the_right_are_turned() -> None:
    def forward(m: Any, x: Tensor) -> Any:
        return F.relu(m.up(m.down(x))).flatten(1) @ m.matrix

    parts = {"down": nn.Conv2d(1, 4, 2, 2), "up": nn.ConvTranspose2d(4, 6, 2, 2)}
    structure = read(Functional(forward, **parts, matrix=nn.Parameter(torch.randn(384, 3))))
    assert [(use.weight, use.swapped, len(use.inputs), len(use.outputs)) for use in structure.uses] == [
        ("down.weight", False, 1, 4), ("up.weight", True, 4, 6), ("matrix", True, 384, 3),
    ]  # fmt: skip
    assert counts(structure) == [4, 6]


def test_signals_are_read() -> None:
    model = nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    assert counts(read(model, (2, 8))) == [6]


def test_what_cannot_be_converted_is_refused_before_training() -> None:
    with pytest.raises(ConversionError, match="group_norm"):
        read(nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)))


def test_the_module_that_is_read_stays_as_it_is() -> None:
    model = plain().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    read(model)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_module_with_masks_of_torchs_is_copied_after_a_training_step() -> None:
    model = plain()
    torch_prune.l1_unstructured(model[8], "weight", 0.5)
    model(torch.rand(2, *SHAPE)).sum().backward()  # from here on it cannot be copied
    copy = plain_copy(model)
    assert torch.equal(copy.get_parameter("8.weight"), model[8].weight)
    assert "8.weight" in copy.state_dict() and "8.weight_orig" not in copy.state_dict()
    assert torch.equal(model(x := torch.rand(2, *SHAPE)), copy(x))


def test_weights_go_back_under_the_names_that_the_module_has() -> None:
    model = plain()
    torch_prune.l1_unstructured(model[8], "weight", 0.5)
    copy = plain_copy(model)
    assert copy.load_state_dict(copy.state_dict())
    state = own_names(model, copy.state_dict())
    model.load_state_dict(state, strict=True)
    assert state["8.weight_mask"].mean() == 0.5


@pytest.mark.parametrize("name", NETWORKS)
def test_units_that_are_gone_change_no_result_whatever_they_hold(name: str) -> None:
    """Whole: nothing that is alive reads them."""
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    structure = read(model)
    pattern = pattern_named("neurons" if name == "mlp" else "channels", model, structure)
    masks = pattern.masks(0.5)
    x = torch.rand(3, *SHAPE)
    with torch.no_grad():
        for key, mask in masks.items():
            model.get_parameter(key).mul_(mask)
        expected = model(x)
        for use in structure.uses:  # what makes them may be anything
            rows = (masks[use.weight].flatten(1).any(1) if use.weight in masks else torch.ones(3)) == 0
            readers = [u for u in structure.uses if u is not use and len(u.inputs) > u.groups]
            if rows.any() and readers and use.groups == 1:
                model.get_parameter(use.weight)[rows] = 7.0
        assert torch.equal(model(x), expected)
