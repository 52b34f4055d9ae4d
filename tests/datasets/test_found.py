# SPDX-License-Identifier: Apache-2.0
import hashlib
from pathlib import Path

import pytest

from spikerun import datasets
from spikerun.datasets.found import Found
from spikerun.errors import DataError

CONTENT = b"an archive"


def known() -> Found:
    return Found("shd", ("inside",), {"shd.zip": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()})


def test_an_archive_that_is_whole_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "shd.zip").write_bytes(CONTENT)
    said = str(known().missing("no file", tmp_path))
    assert said == (
        f"data set 'shd': no file, but '{tmp_path}/inside/shd.zip', whose MD5 is the published one: unpack it there"
    )


def test_an_archive_with_another_checksum_is_to_be_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "shd.zip").write_bytes(CONTENT[:-1])
    assert "has the MD5 " in (said := str(known().missing("no file", tmp_path)))
    assert said.endswith(f"the published one {known().archives['shd.zip']}: it was cut short or changed; get it again")


@pytest.mark.parametrize(
    ("name", "archive"),
    [
        ("n-mnist", "Test.zip"),
        ("n-cars", "n-cars_test.zip"),
        ("dvs128-gesture", "DvsGesture.tar.gz"),
        ("shd", "shd_test.h5.gz"),
    ],
)
def test_the_archives_of_event_sets_have_published_checksums(name: str, archive: str, tmp_path: Path) -> None:
    (tmp_path / archive).write_bytes(CONTENT)
    with pytest.raises(
        DataError, match=rf"{archive}' has the MD5 [0-9a-f]{{32}}, the published one [0-9a-f]{{32}}: it was"
    ):
        datasets.load(name, tmp_path)
