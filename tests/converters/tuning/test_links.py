# SPDX-License-Identifier: Apache-2.0
"""Which tensors of a model its layers are made of is found out, whatever rewrites lie between."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from tuned_networks import made

from spikerun.converters import tunable, tune
from spikerun.converters.resuming import Recipe
from spikerun.errors import ConversionError

Bars = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


@pytest.mark.parametrize("name", ["residual", "branches", "shared"])
def test_every_weight_of_every_network_is_linked(name: str, bars: Bars) -> None:
    model = made(name)
    links = tunable(model, bars[0]).links
    wanted = {n for n, p in model.named_parameters() if p.ndim > 1}
    assert {link.tensor for link in links.weights.values()} == wanted
    assert all((link.place >= 0).all() for link in links.weights.values())


def test_batch_norms_are_gains_of_the_weights_before_them(bars: Bars) -> None:
    model = made("plain")
    links = tunable(model, bars[0]).links
    norm = model[1]  # type: ignore[index]
    gain = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().numpy()
    key = next(key for key, link in links.weights.items() if link.tensor == "0.weight")
    np.testing.assert_allclose(links.weights[key].gain.reshape(6, -1), np.repeat(gain[:, None], 9, 1), rtol=1e-6)
    assert links.biases[key[0]].tensor == "1.bias"


def test_weights_that_are_computed_from_others_stay_as_they_are(bars: Bars) -> None:
    model = made("mlp")
    parametrizations.weight_norm(model[3])  # type: ignore[index]
    module = tunable(model, bars[0])
    tensors = {link.tensor for link in module.links.weights.values()}
    assert tensors == {"1.weight", "5.weight"}
    assert module.finished().state is not None


def test_weights_that_stay_as_they_are_are_named(bars: Bars) -> None:
    model = made("mlp")
    parametrizations.weight_norm(model[3])  # type: ignore[index]
    assert tunable(model, bars[0]).fixed == ["m3"]
    assert tunable(made("residual"), bars[0]).fixed == []


class Unlike(nn.Module):
    """Parameters that are no weights: slopes, a gain of words, one that weights take in, an image, one that is idle."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.slopes, self.taken = nn.Conv2d(1, 4, 3, padding=1), nn.PReLU(4), nn.BatchNorm2d(4)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(256, 3)
        self.image, self.idle = nn.Parameter(torch.rand(4, 8, 8)), nn.Parameter(torch.rand(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.slopes(self.taken(self.first(x)))
        x = (self.norm(x) + self.image).relu()
        result: torch.Tensor = self.last(x.flatten(1))
        return result


def test_parameters_that_nothing_trains_are_named_and_said(bars: Bars) -> None:
    torch.manual_seed(0)
    model = Unlike().eval()
    assert tunable(model, bars[0]).links.staying.keys() == {"slopes.weight", "norm.weight", "image"}
    tuning = tune(model, bars, recipe=Recipe(0, augment="none"))
    assert any("the parameters 'image', 'norm.weight', 'slopes.weight' stay as they are" in n for n in tuning.notes)


@pytest.mark.parametrize("name", ["plain", "residual", "scaled", "shared"])
def test_parameters_for_which_weights_and_biases_make_up_are_not_named(name: str, bars: Bars) -> None:
    assert not tunable(made(name), bars[0]).links.staying


class Scaled(nn.Module):
    """A block whose convolution is multiplied by a learned gain for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.block, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Linear(144, 3)
        self.gain = nn.Parameter(torch.linspace(0.5, 1.5, 4)[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last((self.block(self.first(x).relu()) * self.gain).relu().flatten(1))
        return y


def test_weights_that_learned_gains_multiply_are_trained_in_their_place(bars: Bars) -> None:
    model = Scaled().eval()
    module = tunable(model, bars[0])
    assert {link.tensor for link in module.links.weights.values()} == {"first.weight", "block.weight", "last.weight"}
    assert module.fixed == [] and dict(module.links.staying) == {}
    with torch.no_grad():
        for moved in module.layers.moved:
            moved.add_(0.01 * torch.rand_like(moved))
    state = module.finished().state
    assert state is not None
    assert torch.equal(state["gain"], model.gain) and not torch.equal(state["block.weight"], model.block.weight)


def test_buffers_that_weights_are_computed_with_may_be_there(bars: Bars) -> None:
    model = made("mlp")
    parametrizations.spectral_norm(model[3])  # type: ignore[index]
    assert tunable(model.eval(), bars[0]).finished().state is not None


def test_a_model_without_biases_has_them_beside_its_weights(bars: Bars) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)).eval()
    module = tunable(model, bars[0], input_bits=0)
    with torch.no_grad():
        for moved in module.layers.moved:
            moved += 0.05
    finished = module.finished()
    assert finished.state is not None and finished.state.keys() == model.state_dict().keys()
    assert any(words.bias.any() for words in finished.tuned.layers.values())
    ran = finished.converter.convert(finished.tuned.settings()).network
    from spikerun import Session

    with torch.no_grad():
        logits = module(torch.from_numpy(bars[0])).numpy()
    np.testing.assert_allclose(logits, Session(ran).run(bars[0]).logits, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_written_back_is_refused(bars: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tunable(made("mlp"), bars[0])
    with torch.no_grad():
        module.layers.moved[0].add_(0.1)
    monkeypatch.setattr("spikerun.converters.tuning.tunable.tensors_of", lambda model: {})
    with pytest.raises(ConversionError, match=r"cannot be written back.*-o tuned\.snn"):
        module.finished()
