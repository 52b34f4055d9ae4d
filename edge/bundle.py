# SPDX-License-Identifier: Apache-2.0
"""Bundles as folders: written beside the place where they are to be, then put there as a whole.

A bundle's report.json lists the files that it consists of. What others put into its folder stays there.
"""

import ctypes
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikerun.edge.target import Bundle
from spikerun.errors import UsageError

__all__ = ["LICENSE", "SCHEMA", "finish", "place", "read_report", "require_free", "scratch", "write_all"]

SCHEMA = "spikerun.deploy/1"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LICENSE = Path(__file__).parent / "LICENSE"


def require_free(out: Path, force: bool) -> None:
    """Refuse a folder that is not empty, unless it holds a bundle that may be replaced."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"'{out}' is a file; name a folder for the bundle")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not force:
        raise UsageError(f"'{out}' is not empty; use --force to replace a bundle in it, or another folder")
    if not _report(out):
        raise UsageError(f"'{out}' is not empty and holds no bundle, so --force does not touch it: use another folder")


def _report(folder: Path) -> dict[str, Any]:
    """Return the report in a folder, with the files that it lists; {} if the folder holds no bundle."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(report, dict) or report.get("schema") != SCHEMA or not isinstance(report.get("files"), list):
        return {}
    return report


def read_report(folder: Path) -> dict[str, Any]:
    """Return the report of the bundle in a folder."""
    report = _report(folder)
    if not report:
        raise UsageError(f"'{folder}' holds no bundle (a report.json of {SCHEMA}); make one with `spikerun deploy`")
    return report


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out`, on the same disk, and remove it in the end if it is still there.

    What processes that were killed have left there is removed as well. Raises UsageError where none can be made, and
    where there is no room for what is written to it; what was at `out` stays.
    """
    out = out.resolve()
    _sweep(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.{os.getpid()}-", suffix=".tmp", dir=out.parent))
    except OSError as error:
        raise UsageError(f"cannot write a bundle to '{out}': {error.strerror}; choose another folder") from error
    try:
        yield made
    except (OSError, UsageError) as error:
        met = error.__cause__ if isinstance(error, UsageError) else error  # of a file that lies in the new folder
        if not isinstance(met, OSError) or met.errno not in NO_ROOM:
            raise
        raise UsageError(f"cannot write '{out}': {met.strerror}; make room, or choose another folder") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _sweep(out: Path) -> None:
    """Remove the scratch folders of processes that are no more."""
    pattern = re.compile(rf"\.{re.escape(out.name)}\.(\d+)-\w+\.tmp")
    for path in out.parent.iterdir() if out.parent.is_dir() else ():
        found = pattern.fullmatch(path.name)
        if found and path.is_dir() and not path.is_symlink() and not _alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is somebody else's, or this is not that kind of system
        return True
    return True


def write_all(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files, by name, into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def finish(made: Path, bundle: Bundle, text: str) -> None:
    """Write the reports into the folder `made`: report.json, and `text` as report.md; then put it where it is to be."""
    write_all(made, {"report.md": text, "report.json": ""})
    files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    report = {"schema": SCHEMA, **bundle.json(), "files": files}
    write_all(made, {"report.json": json.dumps(report, indent=2)})
    place(made, bundle.path)


def place(made: Path, out: Path) -> None:
    """Put a finished bundle where `out` is; files of others in an earlier one go along.

    The two folders change places at once, so that whoever looks sees one of them whole, and no symbolic link in the
    earlier one is followed. What is then left at `made` is to be removed.
    """
    out = out.resolve()
    made.chmod(0o755)  # mkdtemp makes private folders
    try:
        if not out.exists() or not any(out.iterdir()):
            os.replace(made, out)
            return
        _keep_others(out, made)
        if not _exchange(made, out):
            old = made.with_suffix(".old")
            os.rename(out, old)
            os.rename(made, out)
            os.rename(old, made)
    except OSError as error:
        raise UsageError(f"cannot put a bundle at '{out}': {error.strerror}; choose another folder") from error


def _exchange(a: Path, b: Path) -> bool:
    """Let two folders change places, if this system can do so in one step (Linux: renameat2)."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0


def _keep_others(old: Path, new: Path) -> None:
    """Copy what is in an old bundle and not of it into a new one, unless the new one has something there."""
    own = {name for name in _report(old)["files"] if isinstance(name, str)}
    for root, folders, files in os.walk(old):
        here = Path(root)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in (*files, *links):
            path = (here / name).relative_to(old)
            if path.as_posix() not in own and _room(new, path):
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(here / name, new / path, follow_symlinks=False)


def _room(folder: Path, path: Path) -> bool:
    """Return whether nothing is at a place in a folder, nor a file where one of the folders above it would be."""
    above = [folder / parent for parent in path.parents]
    return not os.path.lexists(folder / path) and all(p.is_dir() or not os.path.lexists(p) for p in above)
