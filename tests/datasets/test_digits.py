# SPDX-License-Identifier: Apache-2.0
import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import digits
from spikerun.errors import DataError, UnsupportedError

if digits.locate(None) is None:
    pytest.skip("scikit-learn is not installed", allow_module_level=True)


def test_sizes_are_those_of_the_table() -> None:
    spec = datasets.TABLE["digits"]
    for split, count in spec.splits.items():
        data = datasets.load("digits", split=split)
        assert (len(data), data.shape, data.scale) == (count, spec.shape, 1 / 16)
        assert np.asarray(data.samples).max() == 16


def test_split_is_stratified() -> None:
    train, test = (np.bincount(datasets.load("digits", split=split).labels) for split in ("train", "test"))
    assert np.abs(test - (train + test) * 500 / 1797).max() < 1


def test_split_is_the_same_on_every_machine() -> None:
    test = datasets.load("digits")
    digest = hashlib.sha256(np.asarray(test.samples).tobytes() + test.labels.astype("<i8").tobytes()).hexdigest()
    assert digest == "d59512f48a52a705e484464f35135270584c31e560c496be3a70bdc34a16511a"


def test_no_sample_is_in_both_splits() -> None:
    train, test = datasets.load("digits", split="train"), datasets.load("digits")
    together = np.concatenate([train.samples, test.samples]).reshape(1797, -1)
    assert int(together.sum()) == 561718


def test_limit_takes_the_first_samples() -> None:
    some = datasets.load("digits", limit=7)
    assert np.array_equal(some.samples, datasets.load("digits").samples[:7])


def test_scikit_learn_is_not_imported() -> None:
    before = "sklearn" in sys.modules
    datasets.load("digits")
    assert ("sklearn" in sys.modules) == before


def test_folder_without_the_file_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file digits\.csv\.gz in '.*'; leave out --data-dir"):
        datasets.load("digits", tmp_path)


def test_missing_scikit_learn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "locate", lambda folder: None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        datasets.load("digits")


@pytest.mark.parametrize(
    "text",
    [b"", b"1,2,3\n", b"a,b\n", b"\xff\xfe", (b",".join([b"17"] * 64) + b",0\n") * 1797, b"0" * (1 << 23)],
    ids=["empty", "short", "letters", "binary", "values", "long"],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_damaged_file_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / digits.FILE).write_bytes(gzip.compress(text))
    with pytest.raises(DataError, match=r"digits\.csv\.gz"):
        datasets.load("digits", tmp_path)


def test_fetch_says_where_the_file_comes_from() -> None:
    with pytest.raises(UnsupportedError, match="pip install scikit-learn"):
        digits.fetch(None, print)
