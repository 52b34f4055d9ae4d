# SPDX-License-Identifier: Apache-2.0
"""Files appear whole or not at all, and replace nothing but regular files."""

import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikerun.atomic import require_writable, write_atomically
from spikerun.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("content", [b"bits", "bits"])
def test_bytes_and_text_are_written(tmp_path: Path, content: bytes | str) -> None:
    written = write_atomically(tmp_path / "a.snn", content)
    assert written.read_bytes() == b"bits"
    assert list(tmp_path.iterdir()) == [written]


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    target = write_atomically(tmp_path / "a", b"old")
    with pytest.raises(UsageError, match="exists already; use --force, in Python force=True"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert write_atomically(target, b"new", force=True).read_bytes() == b"new"


def test_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk")

    target = write_atomically(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UsageError, match=r"cannot write '.*': disk"):
        write_atomically(target, b"new", force=True)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.fixture
def file_limit() -> Iterator[None]:
    """Let no file grow beyond 100 bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("file_limit")
def test_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="File too large; choose another folder"):
        write_atomically(tmp_path / "a", bytes(200))
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        write_atomically(tmp_path / "none" / "a", b"")


def test_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; give the name of a file in it"):
        write_atomically(tmp_path, b"", force=True)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("leads", ["there", "nowhere"])
def test_symbolic_link_is_neither_followed_nor_replaced(tmp_path: Path, force: bool, leads: str) -> None:
    (tmp_path / "there").write_bytes(b"victim")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / leads)
    with pytest.raises(UsageError, match=f"is a symbolic link to '.*{leads}' and no regular file"):
        write_atomically(link, b"new", force)
    assert link.is_symlink()
    assert (tmp_path / "there").read_bytes() == b"victim"


def test_fifo_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is a FIFO and no regular file; it is not replaced"):
        write_atomically(tmp_path / "pipe", b"new", force=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)


def test_device_is_not_replaced() -> None:
    with pytest.raises(UsageError, match="'/dev/null' is a device"):
        write_atomically("/dev/null", b"new", force=True)


def test_what_a_command_reads_is_kept_even_with_force(tmp_path: Path) -> None:
    weights = write_atomically(tmp_path / "w.pt", b"trained")
    same = tmp_path / "same.pt"
    os.link(weights, same)
    for target in (weights, same):
        with pytest.raises(UsageError, match="is read by this command and would be destroyed"):
            require_writable(target, force=True, keep=[None, "digits", weights])
    assert require_writable(tmp_path / "new", keep=[weights]) == tmp_path / "new"


@pytest.mark.parametrize(
    ("name", "said"), [("a\0b", "zero bytes"), (None, "a text or a path, got None"), ("x" * 300, "File name too long")]
)
def test_names_that_no_file_can_have_are_refused(
    name: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        write_atomically(name, b"")  # type: ignore[arg-type]


def test_longest_name_that_a_file_can_have_is_written(tmp_path: Path) -> None:
    assert write_atomically(tmp_path / ("x" * 255), b"bits").read_bytes() == b"bits"


def test_new_file_has_the_usual_mode_and_a_replaced_one_hands_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    target = write_atomically(tmp_path / "a", b"old")
    assert target.stat().st_mode == (tmp_path / "usual").stat().st_mode
    target.chmod(0o400)
    assert stat.S_IMODE(write_atomically(target, b"new", force=True).stat().st_mode) == 0o400


def _write_together(start: threading.Barrier, target: Path, content: bytes, done: list[bool]) -> None:
    start.wait()
    try:
        write_atomically(target, content)
        done.append(True)
    except UsageError:
        done.append(False)


def test_only_one_of_several_writers_succeeds_without_force(tmp_path: Path) -> None:
    for k in range(20):
        start, done = threading.Barrier(4), list[bool]()
        arguments = [(start, tmp_path / f"{k}", bytes([n]) * 100_000, done) for n in range(4)]
        threads = [threading.Thread(target=_write_together, args=a) for a in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == [False, False, False, True]
        assert len(set((tmp_path / f"{k}").read_bytes())) == 1


def test_readers_see_whole_files_only_while_threads_write(tmp_path: Path) -> None:
    target = write_atomically(tmp_path / "a", bytes([9]) * 50_000)
    end = time.monotonic() + 0.5

    def write(n: int) -> None:
        while time.monotonic() < end:
            write_atomically(target, bytes([n]) * 50_000, force=True)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        content = target.read_bytes()
        assert (len(content), len(set(content))) == (50_000, 1)
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == [target]


def test_file_systems_without_hard_links_serve_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = write_atomically(tmp_path / "a", b"bits")
    assert target.read_bytes() == b"bits"
    with pytest.raises(UsageError, match="exists already"):
        write_atomically(target, b"new")


def test_file_systems_without_locks_serve_too_and_keep_strays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    stray = tmp_path / ".spikerun.0123456789abcdef.tmp"
    stray.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert write_atomically(tmp_path / "a", b"bits").read_bytes() == b"bits"
    assert stray.exists()


def _die_while_writing(target: str) -> None:
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    write_atomically(target, b"half")


def test_temporary_of_a_killed_process_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.append('tests/spikerun'); import test_atomic; test_atomic._die_while_writing(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    target = write_atomically(tmp_path / "b", b"whole")
    assert list(tmp_path.iterdir()) == [target]


def test_temporary_of_a_living_writer_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_between(_: int) -> None:
        monkeypatch.undo()
        write_atomically(tmp_path / "b", b"other")

    monkeypatch.setattr(os, "fsync", in_between)
    assert write_atomically(tmp_path / "a", b"first").read_bytes() == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
