# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import datasets, plugins
from spikerun.datasets import Dataset, DatasetSpec
from spikerun.errors import DataError, UnsupportedError, UsageError

ROOT = Path(__file__).resolve().parents[2]
OTHER = DatasetSpec("other", "another package's", "other.module", {"test": 1}, (1, 1, 1), "pip install other")


@dataclass(frozen=True)
class Entry:
    """An entry point whose package is not installed."""

    name: str
    target: object
    value: str = "other.module:SPEC"

    def load(self) -> object:
        return self.target


def dataset(**changes: object) -> Dataset:
    fields: dict[str, object] = {
        "name": "x",
        "split": "test",
        "samples": np.zeros((2, 1, 1, 1), np.uint8),
        "labels": np.array([0, 1]),
        "classes": ("a", "b"),
        "scale": 1.0,
        "source": "memory",
    }
    return Dataset(**(fields | changes))  # type: ignore[arg-type]


def test_names_are_those_of_the_table() -> None:
    assert set(datasets.names()) >= {"digits", "fashion-mnist"}


def test_keys_of_the_table_are_the_names_of_its_rows() -> None:
    assert all(name == spec.name for name, spec in datasets.TABLE.items())


def test_another_import_name_is_refused() -> None:
    done = subprocess.run([sys.executable, "-c", "import datasets"], cwd=ROOT, capture_output=True, text=True)
    assert "ImportError: import spikerun.datasets instead" in done.stderr


@pytest.mark.parametrize("name", ["Digits", "DIGITS", "dig_its"])
def test_case_and_dashes_of_a_name_do_not_matter(name: str) -> None:
    assert datasets.load(name, limit=1).name == "digits"


@pytest.mark.parametrize("name", ["FashionMNIST", "fashion_mnist", "Fashion-MNIST"])
def test_usual_spellings_find_fashion_mnist(name: str) -> None:
    assert datasets.spec(name).name == "fashion-mnist"


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'digits'"):
        datasets.load("digit")


@pytest.mark.parametrize("name", ["./x.npy", "x.csv", "some/folder", "here"])
def test_path_of_another_kind_of_file_says_what_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(UsageError, match=r"only \.npz is read; write it with numpy\.savez\(path, samples=\.\.\."):
        datasets.load(name)


def test_name_of_the_table_wins_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd").touch()
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("odd", "no spec")])
    with pytest.raises(UnsupportedError, match="entry point"):
        datasets.load("odd")


def test_unknown_split_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown split 'tset'"):
        datasets.load("digits", split="tset")


@pytest.mark.parametrize("limit", [0, "3", 2.5, True])
def test_limit_that_is_no_number_of_samples_is_refused(limit: Any) -> None:
    with pytest.raises(UsageError, match=f"limit of samples is {limit!r}; give an integer"):
        datasets.load("digits", limit=limit)


@pytest.mark.parametrize("name", [None, 5, b"digits"])
def test_what_names_no_data_set_is_refused(name: Any) -> None:
    with pytest.raises(UsageError, match="a data set is given by its name"):
        datasets.load(name)


@pytest.mark.parametrize("options", [{"split": 5}, {"folder": 5}, {"folder": b"x"}])
def test_options_of_another_type_are_bad_usage(options: Any) -> None:
    with pytest.raises(UsageError):
        datasets.load("digits", **options)


@pytest.mark.parametrize(("name", "folder"), [("a" * 5000, None), ("a" * 5000 + ".npz", None), ("digits", "a" * 5000)])
def test_names_too_long_for_a_file_are_refused(name: str, folder: str | None) -> None:
    with pytest.raises((UsageError, DataError)):
        datasets.load(name, folder)


def test_other_packages_add_data_sets_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("other", OTHER)])
    assert "other" in datasets.names()
    assert datasets.spec("other") is OTHER


def test_entry_point_that_is_no_spec_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("no spec", OTHER):
        monkeypatch.setattr(plugins, "entry_points", lambda group, wrong=wrong: [Entry("odd", wrong)])
        with pytest.raises(UnsupportedError, match=r"'odd' of the group .*: the entry point other\.module:SPEC"):
            datasets.spec("odd")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": np.zeros((2, 1, 1, 1), np.float64)}, "'samples' is float64"),
        (
            {"samples": np.zeros(2, np.uint8)},
            "or float32 with 2 or 3 or 4 or 5 dimensions",
        ),
        ({"samples": np.zeros((0, 1, 1, 1), np.uint8)}, "without any value"),
        ({"labels": np.array([0, 1], np.int32)}, "'labels' is int32"),
        ({"labels": np.array([0])}, "1 entries for 2 samples"),
        ({"labels": np.array([0, 2])}, "lies in 0..2, outside of the 2 classes"),
        ({"labels": np.array([-1, 0])}, "lies in -1..0"),
        ({"scale": 0.0}, "'scale' is 0.0"),
        ({"scale": float("nan")}, "'scale' is nan"),
    ],
)
def test_malformed_data_set_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset(**changes)


def test_unlabelled_data_set_says_so() -> None:
    unlabelled = dataset(labels=np.empty(0, np.int64), classes=())
    assert not unlabelled.labelled
    with pytest.raises(DataError, match="add an array 'labels'"):
        unlabelled.require_labels()


def test_first_limits_samples_and_labels() -> None:
    assert len(dataset().first(1)) == len(dataset().first(1).labels) == 1
    assert len(dataset().first(5)) == len(dataset().first(None)) == 2


def test_real_values_are_scaled_units() -> None:
    samples = np.full((2, 1, 1, 1), 8, np.uint8)
    assert dataset(samples=samples, scale=1 / 16).real().ravel().tolist() == [0.5, 0.5]


@pytest.mark.parametrize("name", ["dsec", "dvs128-gesture", "fsdd", "n-cars", "n-mnist", "shd"])
def test_what_is_never_downloaded_says_how_to_get_it_as_the_table_does(name: str, tmp_path: Path) -> None:
    hint = re.escape(datasets.TABLE[name].hint)
    with pytest.raises(DataError, match=rf"^data set '{name}': no .* in {tmp_path}, {tmp_path / name}: {hint}$"):
        datasets.load(name, tmp_path)
    with pytest.raises(UnsupportedError, match=f"^data set '{name}' is not downloaded: {hint}$"):
        datasets.load(name, tmp_path, download=True)
    assert datasets.provider(name).fetch_size() == 0
