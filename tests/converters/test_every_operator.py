# SPDX-License-Identifier: Apache-2.0
"""Every operator of the table, read from torch: words equal the quantised ANN's, and results are near the ANN's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from operators import OPERATORS, Functional
from torch import nn

from spikerun.connections import Sparse
from spikerun.converters import Conversion, Encoding, convert
from spikerun.converters.verify import evaluate

Samples = Callable[..., npt.NDArray[np.uint8]]


def kinds(conversion: Conversion) -> list[str]:
    """Return the kinds of all populations in order."""
    return [layer.kind for layer in conversion.report.layers]


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_gives_what_torch_gives(name: str, check: Any) -> None:
    model = OPERATORS[name]
    torch.manual_seed(0)
    check(model.build(), *model.shape, near=0.02)


@pytest.mark.parametrize("code", ["ttfs", "graded"])
@pytest.mark.parametrize("name", ["upsample", "max pool of sums, ceil mode", "pixel shuffle"])
def test_relays_copy_words_of_every_code(name: str, code: str, check: Any) -> None:
    model = OPERATORS[name]
    torch.manual_seed(0)
    assert "relay" in kinds(check(model.build(), *model.shape, bits=3, code=code, near=None))


@pytest.mark.parametrize(
    "name", ["channel shuffle", "split", "constant indices", "zero pad", "channels last", "squeeze"]
)
def test_what_only_chooses_channels_or_pads_with_zeros_costs_nothing(name: str, samples: Samples) -> None:
    model = OPERATORS[name]
    conversion = convert(model.build(), samples(*model.shape), bits=8)
    assert "relay" not in kinds(conversion)
    assert not any(isinstance(p.connection, Sparse) for p in conversion.network.projections)


def test_a_relay_copies_words_bit_for_bit(samples: Samples) -> None:
    data = samples(2, 6, 6)
    made = convert(OPERATORS["pixel shuffle"].build(), data, bits=5)
    words = evaluate(made.quantised, data)
    name = next(layer.name for layer in made.report.layers if layer.kind == "relay")
    (projection,) = made.network.into(name)
    given = torch.from_numpy(words[projection.source])
    np.testing.assert_array_equal(words[name], F.pixel_shuffle(given, 2).numpy())
    assert "A relay" in made.report.text()


def test_channels_that_a_relay_mixes_have_one_step_size(samples: Samples) -> None:
    made = convert(OPERATORS["pixel shuffle"].build(), samples(2, 6, 6), bits=5).quantised
    layer = next(layer for layer in made.layers if getattr(layer, "together", False) or layer.name == "m0")
    assert len(set(layer.step_size.tolist())) == 1  # type: ignore[union-attr]


def test_the_activation_is_computed_before_it_is_repeated(samples: Samples) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Upsample(scale_factor=2), nn.ReLU(), nn.Conv2d(3, 2, 3))
    network = convert(model, samples(2, 6, 6), bits=8).network
    assert network.populations["m0"].shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("last", "note"),
    [
        (nn.Softmax(1), "the softmax at the end of 'output' was left out"),
        (nn.LogSoftmax(1), "of which the largest is the same"),
        (nn.Sigmoid(), "each above 0 where its sigmoid is above 0.5"),
        (Functional(lambda m, x: x.argmax(1)), "the argmax at the end of 'output' was left out"),
    ],
    ids=["softmax", "log_softmax", "sigmoid", "argmax"],
)
def test_what_the_largest_result_does_not_need_is_left_out_at_the_end(
    last: nn.Module, note: str, samples: Samples
) -> None:
    torch.manual_seed(0)
    logits = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))
    data, labels = samples(12), np.zeros(24, np.int64)
    found, plain = (convert(m, data, evaluation=(data, labels)) for m in (nn.Sequential(logits, last), logits))
    assert note in found.report.text()
    np.testing.assert_array_equal(evaluate(found.quantised, data)["output"], evaluate(plain.quantised, data)["output"])
    assert found.report.accuracy == plain.report.accuracy


def test_a_single_sigmoid_is_said_to_have_its_threshold_at_0(samples: Samples) -> None:
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 1), nn.Sigmoid(), nn.Flatten(0))
    assert "0 is the threshold" in convert(model, samples(12)).report.text()


def test_several_results_keep_their_names(samples: Samples) -> None:
    def forward(m: Any, x: torch.Tensor) -> Any:
        x = F.relu(m.a(x))
        return {"class": m.b(x).softmax(1), "box": m.c(x)}

    model = Functional(forward, a=nn.Linear(12, 9), b=nn.Linear(9, 4), c=nn.Linear(9, 2))
    assert convert(model, samples(12)).network.outputs == ("class", "box")


@pytest.mark.parametrize(("bits", "kind"), [(8, "relay"), (12, "positive")])
def test_an_input_wider_than_words_of_neurons_is_rounded_to_such_before_its_words_are_copied(
    bits: int, kind: str
) -> None:
    def forward(m: Any, x: torch.Tensor) -> Any:
        return m.last(F.max_pool2d(F.interpolate(x, scale_factor=2.0), 3, 2, 1)).flatten(1)

    data = np.random.default_rng(0).integers(0, 2**bits, (20, 2, 6, 6))
    conversion = convert(Functional(forward, last=nn.Conv2d(2, 3, 6)), data, encoding=Encoding(bits=bits))
    made = {layer.name: (layer.kind, layer.bits) for layer in conversion.report.layers}
    assert made["input"] == ("input", bits) and made["upsample_nearest2d"] == (kind, 8)
    assert (conversion.report.layers[-1].signal_to_noise or 0) > 30


def test_an_image_of_a_million_places_is_no_dense_matrix(samples: Samples) -> None:
    model = nn.Sequential(
        nn.ReflectionPad2d(1), nn.Conv2d(3, 2, 3, 16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    network = convert(model, samples(3, 256, 256, count=4)).network
    assert network.dense < 10**6


class TwoReaders(nn.Module):
    """Two layers that read what each moves, or compares, by itself, in the same way."""

    def __init__(self, moved: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.moved = nn.Conv2d(2, 4, 3, padding=1), moved
        self.a, self.b = nn.Conv2d(4, 3, 3), nn.Conv2d(4, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        found: torch.Tensor = self.a(self.moved(x)).relu().flatten(1) + self.b(self.moved(x)).flatten(1)
        return found


@pytest.mark.parametrize(
    ("moved", "kind"),
    [
        (lambda x: F.interpolate(x, scale_factor=2), "relay"),
        (lambda x: F.pad(x, (1, 1, 1, 1), "reflect"), "relay"),
        (lambda x: F.max_pool2d(x, 2, 1), "max_pool"),
    ],
)
def test_one_relay_or_pool_serves_all_that_read_the_same(moved: Any, kind: str, check: Any) -> None:
    assert kinds(check(TwoReaders(moved), 2, 6, 6)).count(kind) == 1


def test_relays_that_put_words_elsewhere_stay_two(check: Any) -> None:
    flips = iter([2, 3] * 9)
    model = TwoReaders(lambda x: F.interpolate(x, scale_factor=2).flip(next(flips)))
    assert kinds(check(model, 2, 6, 6)).count("relay") == 2
