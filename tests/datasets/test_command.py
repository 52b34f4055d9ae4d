# SPDX-License-Identifier: Apache-2.0
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from spikerun import datasets, plugins
from spikerun.cli import main


def test_listing_shows_every_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["name", "train", "test", "shape", "found"]
    assert all(name in out for name in datasets.names())


def test_listing_in_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert listing["schema"] == "spikerun.datasets/1"
    rows = {row["name"]: row for row in listing["datasets"]}
    assert rows["fashion-mnist"]["splits"] == {"train": 60000, "test": 10000}


def test_listing_says_how_to_get_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "--data-dir", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "no: leave out --data-dir, or apt-get install dataset-fashion-mnist, or spikerun datasets fetch" in out
    assert err.startswith("next: spikerun datasets info")


def test_info_of_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "info", "digits", "--data-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"] is None


def test_info_shows_classes_and_scale(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "info", "digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["scale"], len(found["classes"])) == ("spikerun.datasets.info/1", 1 / 16, 10)


def test_unknown_name_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "info", "fashion"]) == 2
    assert "unknown data set 'fashion'" in capsys.readouterr().err


def test_fetch_of_what_is_not_downloaded_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "fetch", "digits", "--data-dir", str(tmp_path)]) == 3
    assert "pip install scikit-learn" in capsys.readouterr().err


def test_fetch_of_what_is_there_downloads_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "fetch", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["downloaded"] is False


def test_broken_data_set_of_another_package_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = EntryPoint("odd", "absent_package:spec", datasets.ENTRY_POINT_GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry])
    assert main(["datasets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["datasets"]}
    assert "No module named 'absent_package'" in rows["odd"]["summary"]
    assert rows["digits"]["splits"]["test"] == 500
