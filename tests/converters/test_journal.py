# SPDX-License-Identifier: Apache-2.0
"""A search that was interrupted goes on, and never with figures of another network, metric, or version."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from searches import labelled
from torch import nn

from spikerun.converters import budget, calibrate, convert
from spikerun.converters.budget import Aim, search
from spikerun.converters.journal import fingerprint
from spikerun.converters.metrics import METRICS, metric_named
from spikerun.converters.pipeline import Converter
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.validation import Validation
from spikerun.errors import UsageError


def perceptron(seed: int = 0, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 16), activation(), nn.Linear(16, 10), activation(), nn.Linear(10, 4)).eval()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return perceptron()


@pytest.fixture(scope="module")
def converter(model: nn.Module) -> Converter:
    return Converter(TorchSource(model), labelled(model, 60, 2)[0])


@pytest.fixture(scope="module")
def validation(model: nn.Module, converter: Converter) -> Validation:
    return Validation(converter, *labelled(model, 400, 1))


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> list[Any]:
    """Let judging stop the search after so many candidates; return those that were judged."""
    judged: list[Any] = []
    plain = Validation.judged

    def stopping(self: Validation, *given: Any) -> Any:
        if len(judged) == after:
            raise KeyboardInterrupt
        judged.append(given)
        return plain(self, *given)

    monkeypatch.setattr(Validation, "judged", stopping)
    return judged


def test_a_search_that_was_interrupted_goes_on(
    converter: Converter, validation: Validation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, aim = tmp_path / "net.search.json", Aim(10.0)
    expected = search(converter, aim, validation).report
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted(patch, 2)
        search(converter, aim, validation, journal)
    assert journal.exists()
    judged = interrupted(monkeypatch, 99)
    monkeypatch.setattr("spikerun.converters.sensitivity._Probe.price", lambda *given: pytest.fail("priced again"))
    found = search(converter, aim, validation, journal).report
    assert found == expected and not journal.exists()
    measured = [one for one in found.search.frontier if one.accuracy is not None] if found.search else []
    assert len(judged) == len(measured) - 2


@pytest.mark.parametrize("key", [{"key": "another"}, {}])
def test_a_journal_of_other_weights_is_begun_anew(
    key: dict[str, str], converter: Converter, validation: Validation, tmp_path: Path
) -> None:
    journal = tmp_path / "net.search.json"
    journal.write_text(json.dumps({"schema": "spikerun.search/1", "found": {"m0": "nonsense"}} | key))
    assert search(converter, Aim(10.0), validation, journal).report == search(converter, Aim(10.0), validation).report


KEPT = '{"schema": "spikerun.search/1"'


@pytest.mark.parametrize(
    "text", ["{}", "mine", '{"schema": "spikerun.convert/2"}', "[]", '"spikerun.search/1"', KEPT + "}",
             KEPT + ', "key": "x", "found": []}'],
)  # fmt: skip
def test_a_file_that_is_no_journal_is_not_overwritten(
    text: str, converter: Converter, validation: Validation, tmp_path: Path
) -> None:
    journal = tmp_path / "net.search.json"
    journal.write_text(text)
    with pytest.raises(UsageError, match="is no journal of a search"):
        search(converter, Aim(10.0), validation, journal)
    assert journal.read_text() == text


def test_a_journal_depends_on_all_that_a_search_does(
    model: nn.Module, converter: Converter, validation: Validation
) -> None:
    samples, labels = labelled(model, 400, 1)
    keys = {
        budget._key(converter, Aim(1.0), validation),
        budget._key(converter, Aim(2.0), validation),
        budget._key(converter, Aim(1.0, "memory"), validation),
        budget._key(Converter(TorchSource(perceptron(1)), labelled(model, 60, 2)[0]), Aim(1.0), validation),
        budget._key(Converter(TorchSource(model), labelled(model, 59, 2)[0]), Aim(1.0), validation),
        budget._key(converter, Aim(1.0), Validation(converter, *labelled(model, 399, 1))),
        budget._key(converter, Aim(1.0), Validation(converter, samples, None)),
        budget._key(converter, Aim(1.0), Validation(converter, samples, (labels + 1) % 4)),
    }
    assert len(keys) == 8


def image(middle: Callable[[], nn.Module], size: int) -> str:
    """Return the key of a search of an image network with a layer in its midst."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), middle(), nn.Flatten(), nn.Linear(size, 3)
    samples = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8))
    converter = Converter(TorchSource(nn.Sequential(*layers).eval()), samples)
    return budget._key(converter, Aim(1.0), Validation(converter, samples, np.zeros(20, int)))


class Flipped(nn.Module):
    """Images beside their mirror images."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim, self.conv = dim, nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.conv(x.flip(self.dim)) + self.conv(x)
        return mixed.relu()


@pytest.mark.parametrize(
    ("one", "other", "size"),
    [
        (lambda: nn.MaxPool2d(2, 2), lambda: nn.MaxPool2d(3, 2, 1), 64),
        (lambda: Flipped(2), lambda: Flipped(3), 256),
        (lambda: nn.Conv2d(4, 4, 3, padding=1), lambda: nn.Conv2d(4, 4, 3, padding=2, dilation=2), 256),
        (lambda: nn.Threshold(0.1, 0.0), lambda: nn.Threshold(0.2, 0.0), 256),
    ],
    ids=["max pool", "relay", "dilation", "curve"],
)
def test_a_journal_depends_on_geometry_and_on_curves(
    one: Callable[[], nn.Module], other: Callable[[], nn.Module], size: int
) -> None:
    assert image(one, size) != image(other, size)


def test_a_journal_depends_on_the_file_of_a_metric_and_on_what_it_gives(
    model: nn.Module, converter: Converter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, keys = tmp_path / "own.py", []
    for text in (
        "import numpy as np\ndef half(logits, labels):\n    return np.minimum(logits[:, 0], labels)\n",
        "import numpy as np\ndef half(logits, labels):\n    return np.maximum(logits[:, 0], labels)\n",
        "import os\ndef half(logits, labels):\n    return labels * int(os.environ['WEIGHT'])\n",
    ):
        own.write_text(text)
        for weight in ("1", "2"):
            monkeypatch.setenv("WEIGHT", weight)
            validation = Validation(converter, *labelled(model, 40, 1), metric_named(f"{own}:half"))
            keys.append(budget._key(converter, Aim(1.0), validation))
    assert len(set(keys)) == 4 and keys[0] == keys[1] and keys[2] == keys[3]


def test_a_function_of_the_caller_has_no_journal(model: nn.Module, tmp_path: Path) -> None:
    samples, labels = labelled(model, 40, 1)

    def mine(logits: Any, labels: Any) -> Any:
        return METRICS["top1"](logits, labels)

    with pytest.raises(UsageError, match=r"the metric 'mine' is still the same .* leave out journal, or take one of"):
        convert(model, samples, validation=(samples, labels), max_drop=1, metric=mine, journal=tmp_path / "j.json")
    assert not (tmp_path / "j.json").exists()


def test_a_journal_depends_on_the_version_and_on_the_constants_of_calibration(
    converter: Converter, validation: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [budget._key(converter, Aim(1.0), validation)]
    with monkeypatch.context() as patch:
        patch.setattr(calibrate, "SPIKES_WEIGH", 5)
        keys.append(budget._key(converter, Aim(1.0), validation))
    monkeypatch.setattr(budget, "tool_version", lambda: "0.0.1")
    keys.append(budget._key(converter, Aim(1.0), validation))
    assert len(set(keys)) == 3


PRINTS = """
import numpy as np, torch
from torch import nn
from spikerun.converters.budget import Aim, _key
from spikerun.converters.pipeline import Converter
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.validation import Validation
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(12, 10), nn.SiLU(), nn.Linear(10, 10), nn.PReLU(10), nn.Linear(10, 3)).eval()
samples = np.random.default_rng(0).integers(0, 256, (40, 12))
converter = Converter(TorchSource(model), samples)
key = _key(converter, Aim(0.5), Validation(converter, samples, np.zeros(40, int)))
print(key)
"""


def test_a_journal_of_a_network_with_curves_is_known_again_in_another_process() -> None:
    told = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, text=True, check=True).stdout.split()
    space: dict[str, Any] = {}
    exec(PRINTS, space)
    assert told == [space["key"]]


def test_what_says_nothing_of_itself_but_an_address_has_no_fingerprint() -> None:
    with pytest.raises(TypeError, match="nothing tells one function from another"):
        fingerprint([1, {"f": lambda x: x}])


def test_values_that_are_split_otherwise_are_others() -> None:
    pairs = [("ab", "c"), ("a", "bc"), (("a",), "bc"), (1, 2), (1.0, 2), (np.arange(2), 2), ([1, 2],), ([1], 2)]
    assert len({fingerprint(*pair) for pair in pairs}) == len(pairs)
