# SPDX-License-Identifier: Apache-2.0
"""What training has chosen beside the weights is read back as it was written, and refused where it does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from spikerun.converters import Encoding
from spikerun.converters.activations import Grid
from spikerun.converters.tuning.fit import KEY, Tuned, TunedWords
from spikerun.errors import ConversionError, UsageError


def words(**changes: object) -> Tuned:
    grid = Grid(np.array([0.1, 1 / 3]), np.array([0, 2]))
    return Tuned({"conv": TunedWords(4, grid, np.array([0.0, -0.5]))}, {"input": Encoding(1 / 255)}, {"input": 5})


def test_words_are_read_back_exactly(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"x": np.zeros(1, np.float32)}, file, {KEY: words().text()})
    found = Tuned.of_file(file)
    assert found is not None
    assert found.layers["conv"].bits == 4 and found.layers["conv"].grid.same(words().layers["conv"].grid)
    np.testing.assert_array_equal(found.layers["conv"].bias, [0, -0.5])
    assert found.recoded == {"input": 5} and found.encodings["input"] == Encoding(1 / 255)


def test_weights_that_were_not_tuned_have_no_words(tmp_path: Path) -> None:
    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "w.safetensors")
    assert Tuned.of_file(tmp_path / "w.safetensors") is None
    assert Tuned.of_file(None) is None
    (tmp_path / "w.pt").write_bytes(b"no weights")
    assert Tuned.of_file(tmp_path / "w.pt") is None


@pytest.mark.parametrize(
    "text",
    [
        "no json", "[]", "{}", '{"version": 2, "layers": {}, "encodings": {}, "recoded": {}}',
        '{"version": 1, "layers": {"a": {"bits": 4, "step": [-1]}}, "encodings": {}, "recoded": {}}',
        '{"version": 1, "layers": {"a": {"bits": 99, "step": [1]}}, "encodings": {}, "recoded": {}}',
        '{"version": 1, "layers": {"a": {"bits": 4, "step": [1e999]}}, "encodings": {}, "recoded": {}}',
        '{"version": 1, "layers": {"a": {"bits": 4, "step": [1], "zero": [1, 2]}}, "encodings": {}, "recoded": {}}',
        '{"version": 1, "layers": {"a": {"bits": 4, "step": "x"}}, "encodings": {}, "recoded": {}}',
        '{"version": 1, "layers": {}, "encodings": {"input": {"scale": 0}}, "recoded": {}}',
        '{"version": 1, "layers": {}, "encodings": {}, "recoded": {"input": "x"}}',
        '{"version": 1, "layers": {}, "encodings": {}, "recoded": {"input": 99}}', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_says_nothing_of_words_is_refused(text: str) -> None:
    with pytest.raises(ConversionError, match="tune"):
        Tuned.of_text(text, "'w.safetensors'")


def test_words_hold_no_code() -> None:
    assert set(json.loads(words().text())) == {"version", "layers", "encodings", "recoded"}


def test_bits_beside_tuned_words_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--bits.*--recalibrate"):
        Tuned.require_alone("--bits")
