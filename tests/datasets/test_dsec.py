# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from spikerun import datasets
from spikerun.cli import main
from spikerun.errors import UnsupportedError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a drive, whose events nobody reads."""
    drive = tmp_path / "train_events" / "thun_00_a" / "events" / "left" / "events.h5"
    drive.parent.mkdir(parents=True)
    drive.touch()
    return tmp_path


def test_drives_are_found_and_not_loaded(folder: Path) -> None:
    assert datasets.provider("dsec").locate(folder) == folder / "train_events"
    with pytest.raises(
        UnsupportedError, match=r"no classes.*open one as spikerun.sources.file\('.*/thun_00_a/events/left/"
    ):
        datasets.load("dsec", folder)


def test_info_tells_of_streams_without_reading_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "info", "dsec", "--data-dir", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["found"], found["streams"], "classes" in found) == (str(folder / "train_events"), True, False)
    assert main(["datasets", "info", "dsec", "--data-dir", str(folder)]) == 0
    assert "41 streams" in capsys.readouterr().out
