# SPDX-License-Identifier: Apache-2.0
"""Bundles as folders: what they replace, what they never touch, and what a process that dies leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikerun.edge import bundle
from spikerun.edge.bundle import LICENSE, SCHEMA, place, require_free, scratch, write_all
from spikerun.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def put(out: Path, files: dict[str, str], listed: list[object] | None = None) -> None:
    """Write a bundle of some files to `out`."""
    names: list[object] = [*files, "report.json"]
    report = json.dumps({"schema": SCHEMA, "files": names if listed is None else listed})
    with scratch(out) as made:
        write_all(made, {**files, "report.json": report})
        place(made, out)


def content(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_new_bundle_replaces_the_old_one_whole(tmp_path: Path) -> None:
    put(tmp_path / "fw", {"old/a.c": "old", "b.c": "old"})
    put(tmp_path / "fw", {"b.c": "new"})
    assert content(tmp_path / "fw") == {"b.c": "new", "report.json": (tmp_path / "fw" / "report.json").read_text()}
    assert [path.name for path in tmp_path.iterdir()] == ["fw"], "temporary folders are left"


def test_without_an_exchange_in_one_step_two_renames_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_exchange", lambda a, b: False)
    put(tmp_path / "fw", {"a.c": "old"})
    put(tmp_path / "fw", {"a.c": "new"})
    assert (tmp_path / "fw" / "a.c").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["fw"]


def test_files_of_others_stay(tmp_path: Path) -> None:
    put(tmp_path / "fw", {"a.c": "old"})
    write_all(tmp_path / "fw", {"mine.txt": "mine", "build/x.o": "mine"})
    put(tmp_path / "fw", {"a.c": "new"})
    assert content(tmp_path / "fw").items() >= {"mine.txt": "mine", "build/x.o": "mine", "a.c": "new"}.items()


def test_a_link_in_an_old_bundle_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "fw", {"a.c": "old"})
    write_all(tmp_path / "other", {"model.c": "not ours"})
    (tmp_path / "fw" / "model").symlink_to(tmp_path / "other")
    put(tmp_path / "fw", {"model/model.c": "new"})
    assert (tmp_path / "other" / "model.c").read_text() == "not ours"
    assert (tmp_path / "fw" / "model" / "model.c").read_text() == "new"


def test_a_link_that_is_in_nobodys_way_stays_a_link(tmp_path: Path) -> None:
    put(tmp_path / "fw", {"a.c": "old"})
    (tmp_path / "fw" / "data").symlink_to(tmp_path)
    put(tmp_path / "fw", {"a.c": "new"})
    assert (tmp_path / "fw" / "data").is_symlink()


@pytest.mark.parametrize("listed", [["own"], [""], ["."], ["a\0b"], ["../outside.txt"], [1, None], ["/etc/hostname"]])
def test_a_report_that_lists_nonsense_does_no_harm(tmp_path: Path, listed: list[object]) -> None:
    put(tmp_path / "fw", {"a.c": "old", "own/x": "x"}, listed)
    (tmp_path / "outside.txt").write_text("mine")
    put(tmp_path / "fw", {"a.c": "new"})
    assert (tmp_path / "fw" / "a.c").read_text() == "new"
    assert (tmp_path / "outside.txt").read_text() == "mine"


def test_a_process_that_is_killed_leaves_the_old_bundle_and_the_next_one_sweeps(tmp_path: Path) -> None:
    put(tmp_path / "fw", {"a.c": "old"})
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from spikerun.edge.bundle import scratch, write_all\n"
        "with scratch(Path(sys.argv[1])) as made:\n"
        "    write_all(made, {'a.c': 'half'})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "fw")], cwd=ROOT, check=False)
    assert len(list(tmp_path.glob(".fw.*.tmp"))) == 1
    assert (tmp_path / "fw" / "a.c").read_text() == "old"
    put(tmp_path / "fw", {"a.c": "new"})
    assert [path.name for path in tmp_path.iterdir()] == ["fw"]


def test_the_scratch_folder_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    living = tmp_path / f".fw.{os.getppid()}-abc.tmp"
    living.mkdir()
    put(tmp_path / "fw", {"a.c": "x"})
    assert living.is_dir()


def test_a_folder_that_is_not_empty_needs_force_and_a_bundle_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        require_free(tmp_path, force=False)
    with pytest.raises(UsageError, match="holds no bundle"):
        require_free(tmp_path, force=True)


def test_the_licence_that_travels_is_the_projects() -> None:
    assert LICENSE.read_bytes() == (ROOT / "LICENSE").read_bytes()
