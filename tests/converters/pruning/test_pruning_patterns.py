# SPDX-License-Identifier: Apache-2.0
"""Masks: exact, never less sparse than asked, and the smallest parts first."""

import math

import pytest
import torch
from pruned_networks import NETWORKS, SHAPE, mlp, plain
from torch import Tensor, nn

from spikerun.converters.pruning.masks import Masks
from spikerun.converters.pruning.patterns import PATTERNS, Pattern, pattern_named
from spikerun.converters.pruning.report import layer_rows
from spikerun.converters.pruning.structure import structure_of
from spikerun.errors import ConversionError, UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


def pattern(name: str, model: nn.Module, shape: tuple[int, ...] = SHAPE) -> Pattern:
    return pattern_named(name, model, structure_of(model, {"input": shape}))


def sizes(model: nn.Module, masks: dict[str, Tensor], kept: bool) -> Tensor:
    return torch.cat([model.get_parameter(name).detach().abs()[mask == kept] for name, mask in masks.items()])


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("sparsity", [0.31, 0.9])
def test_the_smallest_weights_of_all_layers_go_as_many_as_asked(network: str, sparsity: float) -> None:
    torch.manual_seed(3)
    model = NETWORKS[network]()
    masks = pattern("unstructured", model).masks(sparsity)
    assert sizes(model, masks, False).max() <= sizes(model, masks, True).min()
    total = sum(mask.numel() for mask in masks.values())
    assert sum(int((~mask).sum()) for mask in masks.values()) == math.ceil(sparsity * total)


def test_equal_weights_go_in_their_order_and_zeros_first() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    nn.init.ones_(model[1].weight)
    model[1].weight.data[1, :10] = 0
    masks = pattern("unstructured", model).masks(0.25)
    assert not masks["1.weight"][1, :10].any()
    assert not masks["1.weight"][0, :38].any() and masks["1.weight"][0, 38:].all()


def test_blocks_are_of_sixteen_outputs_and_one_input() -> None:
    torch.manual_seed(0)
    model = mlp()
    found = pattern("block16", model)
    masks = found.masks(0.6)
    assert masks.keys() == {"1.weight", "3.weight"}
    assert found.notes == ["'5.weight' stay dense, for only linear layers of 16 outputs and more have blocks"]
    for name, mask in masks.items():
        for first in range(0, len(mask), 16):
            block = mask[first : first + 16]
            assert torch.equal(block.any(0), block.all(0)), name
    gone, total = (sum(int(f(mask)) for mask in masks.values()) for f in (lambda m: (~m).sum(), torch.numel))
    assert 0.6 <= gone / total < 0.61
    means: dict[str, list[tuple[float, bool]]] = {name: [] for name in masks}
    for name, mask in masks.items():
        weight = model.get_parameter(name).detach()
        scale = weight.square().mean()  # near that of the blocks, of which the last is shorter
        for first in range(0, len(mask), 16):
            square = weight[first : first + 16].square().mean(0) / scale
            means[name] += [(float(square[k]), bool(mask[first, k])) for k in range(len(square))]
    every = [one for found in means.values() for one in found]
    assert max(size for size, kept in every if not kept) <= min(size for size, kept in every if kept)


def test_two_of_four_weights_along_the_inputs_stay_everywhere() -> None:
    torch.manual_seed(0)
    model = plain()
    found = pattern("2:4", model)
    masks = found.masks(0.5)
    assert masks.keys() == {"4.weight", "8.weight", "10.weight"}
    assert found.notes == ["'0.weight' stay dense, for their inputs are no multiple of four"]
    for name, mask in masks.items():
        fours = mask.movedim(1, -1).reshape(-1, 4)
        weights = model.get_parameter(name).detach().abs().movedim(1, -1).reshape(-1, 4)
        assert (fours.sum(1) == 2).all()
        assert (weights.masked_fill(fours, 0).amax(1) <= weights.masked_fill(~fours, math.inf).amin(1)).all()


def test_halfway_to_two_of_four_are_the_smallest_of_those_that_go() -> None:
    model = plain()
    found = pattern("2:4", model)
    half, whole = found.masks(0.25), found.masks(0.5)
    assert all(bool((whole[name] <= half[name]).all()) for name in whole)
    assert sum(int((~mask).sum()) for mask in half.values()) == sum(mask.numel() for mask in half.values()) / 4


@pytest.mark.parametrize("name", ["unstructured", "block16", "channels", "neurons"])
def test_what_is_masked_stays_masked_when_more_is_asked_for(name: str) -> None:
    torch.manual_seed(1)
    model = plain() if name != "block16" else mlp()
    found, masks = pattern(name, model), Masks(model)
    masks.put(found.masks(0.3))
    before = masks.held
    masks.put(found.masks(0.6))
    assert all(bool((masks.held[key] <= before[key]).all()) for key in before)


@pytest.mark.parametrize("network", ["plain", "residual", "depthwise"])
def test_channels_go_with_scale_shift_bias_and_what_reads_them(network: str) -> None:
    torch.manual_seed(2)
    model = NETWORKS[network]()
    found, masks = pattern("channels", model), Masks(model)
    masks.put(found.masks(0.5))
    assert found.reached(masks.held, 0.5) == (0.5, "the channels that can be left out")
    rows = {row.name: row for row in layer_rows(model, found.structure)}
    for use in found.structure.uses[:-1]:
        if use.convolution:
            assert rows[use.weight].silent == rows[use.weight].outputs / 2
        silent = model.get_parameter(use.weight).detach().flatten(1).abs().sum(1) == 0
        if use.norm is not None:
            for key in (use.norm.weight, use.norm.bias):
                assert key is not None
                assert not model.get_parameter(key).detach()[silent].any()


def test_a_channel_of_which_one_branch_is_large_stays_in_all() -> None:
    torch.manual_seed(0)
    model = NETWORKS["residual"]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data[:] = torch.linspace(1, 2, 8)
    model.get_parameter("3.body.4.weight").data[0] = 50.0
    masks = pattern("channels", model).masks(0.5)
    assert masks["1.weight"][0] and masks["3.body.4.weight"][0]
    assert torch.equal(masks["1.weight"], masks["3.body.4.weight"])


def test_as_many_channels_as_asked_go_and_a_half_of_three_are_two() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 3))
    assert int(pattern("channels", model).masks(0.5)["0.bias"].sum()) == 1


@pytest.mark.parametrize("sparsity", [0, 1, -0.1, 1.5, math.nan, "half"])
@pytest.mark.parametrize("name", PATTERNS)
def test_shares_that_cannot_be_are_refused(name: str, sparsity: float) -> None:
    with pytest.raises(UsageError, match="the sparsity is a share above 0 and below 1"):
        PATTERNS[name][0].check(sparsity)


def test_what_a_pattern_cannot_reach_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a sparsity of 0.5 and no other, got 0.75"):
        PATTERNS["2:4"][0].check(0.75)
    with pytest.raises(
        ConversionError, match=r"would leave none of the 4 channels of '0.weight': ask for 0.75 at most"
    ):
        pattern("channels", plain()).masks(0.9)
    with pytest.raises(ConversionError, match="has no channels to leave out: take the pattern neurons"):
        pattern("channels", mlp()).masks(0.5)
    with pytest.raises(ConversionError, match="no linear layer of 16 outputs or more"):
        pattern("block16", NETWORKS["residual"]()).masks(0.5)
    three = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36 - 1 + 1, 3))
    with pytest.raises(ConversionError, match="has inputs in fours"):
        pattern("2:4", nn.Sequential(three[0], three[1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))).masks(
            0.5
        )


def test_masks_that_empty_a_layer_are_refused_by_its_name() -> None:
    model = plain()
    model.get_parameter("4.weight").data *= 1e-6
    with pytest.raises(ConversionError, match=r"would leave no weight of '4.weight'.*ask for a lower sparsity"):
        Masks(model).put(pattern("unstructured", model).masks(0.9))


def test_masks_at_random_leave_as_many_of_each_layer() -> None:
    model = mlp()
    masks = Masks(model)
    masks.put(pattern("unstructured", model).masks(0.7))
    control = masks.at_random(0)
    assert {name: int(mask.sum()) for name, mask in control.items()} == {
        name: int(mask.sum()) for name, mask in masks.held.items()
    }
    assert not torch.equal(control["1.weight"], masks.held["1.weight"])
