# SPDX-License-Identifier: Apache-2.0
"""Files appear whole or not at all, and only where a regular file may lie."""

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from spikerun.errors import UsageError

__all__ = ["PathLike", "as_path", "require_writable", "write_atomically", "writing_atomically"]

PathLike = str | os.PathLike[str]

TEMPORARY = (".spikerun.", ".tmp")  # a random number stands between them
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)  # file systems of memory cards have none
KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def as_path(path: PathLike) -> Path:
    """Return `path` as a Path. Raises UsageError for what can be the name of no file."""
    if not isinstance(path, (str, os.PathLike)):
        raise UsageError(f"the name of a file is a text or a path, got {path!r:.80}")
    if not os.fspath(path):
        raise UsageError("the name of a file is empty: say which one")
    if "\0" in os.fspath(path):
        raise UsageError(f"the name of a file has no zero bytes, got {path!r}")
    return Path(path)


def require_writable(path: PathLike, force: bool = False, keep: Iterable[PathLike | None] = ()) -> Path:
    """Return `path` if a file can be put there; commands ask before they begin long work.

    Raises UsageError where its folder is missing or not writable, where something lies there that is no regular file,
    or a file that may not be replaced without `force`, or at all: one of those to `keep`, which the command reads.
    """
    target = as_path(path)
    try:
        found = _found(target)
        if found is None and not target.parent.is_dir():
            raise UsageError(f"cannot write '{target}': there is no folder '{target.parent}'; create it first")
        for one in keep:
            if found is not None and one is not None and os.path.exists(one) and os.path.samefile(target, one):
                raise UsageError(f"'{target}' is read by this command and would be destroyed; choose another name")
    except OSError as error:
        raise _unwritable(target, error) from error
    if found is not None and not force:
        raise _exists(target)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write '{target}': the folder is not writable; choose another one")
    return target


def write_atomically(path: PathLike, content: bytes | str, force: bool = False) -> Path:
    """Write bytes, or text as UTF-8, under a temporary name in the same folder, then give the file its name.

    Nobody sees half of a file. Without `force` only one of several writers succeeds; with it, a file that is replaced
    hands on its mode. Raises UsageError where the file cannot be written, and then leaves what was there.
    """
    with writing_atomically(path, force) as (file, target):
        try:
            file.write(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise _unwritable(target, error) from error
    return target


@contextmanager
def writing_atomically(path: PathLike, force: bool = False) -> Iterator[tuple[IO[bytes], Path]]:
    """Give a file that is written under a temporary name, and gets its own at the end; as `write_atomically` does.

    What is raised within is passed on, leaves what was there, and nothing else.
    """
    target = require_writable(path, force)
    passed: BaseException | None = None
    try:
        _remove_strays(target.parent)
        descriptor, temporary = _temporary(target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                found = _found(target)
                if found is not None:
                    os.fchmod(descriptor, found.st_mode & 0o777)
                try:
                    yield file, target
                except BaseException as error:
                    passed = error
                    raise
                file.flush()
                os.fsync(descriptor)
                _publish(temporary, target, force)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error is passed:
            raise
        raise (_exists(target) if isinstance(error, FileExistsError) else _unwritable(target, error)) from error


def _found(target: Path) -> os.stat_result | None:
    """Return what is known of the regular file `target`, None where nothing is. Raises UsageError for all else."""
    try:
        found = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        raise UsageError(f"'{target}' is a folder; give the name of a file in it")
    if kind != stat.S_IFREG:
        leads = f" to '{os.readlink(target)}'" if kind == stat.S_IFLNK else ""
        what = KINDS.get(kind, "something else")
        raise UsageError(f"'{target}' is {what}{leads} and no regular file; it is not replaced: give another name")
    return found


def _exists(target: Path) -> UsageError:
    return UsageError(f"'{target}' exists already; use --force, in Python force=True, to overwrite it, or another name")


def _unwritable(target: Path, error: OSError) -> UsageError:
    why = os.strerror(error.errno) if error.errno else str(error)
    return UsageError(f"cannot write '{target}': {why}; choose another folder or name, or make room")


def _temporary(folder: Path) -> tuple[int, Path]:
    """Return a new file, open and locked: the lock, which ends with the process, tells it from a stray."""
    while True:
        path = folder / secrets.token_hex(8).join(TEMPORARY)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):  # where a file system has no locks, strays stay
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # else another process took it for a stray before it was locked
            return descriptor, path
        os.close(descriptor)


def _remove_strays(folder: Path) -> None:
    """Remove the temporary files of processes that were killed: those that nobody holds a lock on."""
    for path in folder.glob("*".join(TEMPORARY)):
        with suppress(OSError):  # whatever it is, it is in nobody's way
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def _publish(temporary: Path, target: Path, force: bool) -> None:
    """Give the file its name; without `force`, raise FileExistsError where another writer was first."""
    if not force:
        try:
            os.link(temporary, target)
            return
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    os.replace(temporary, target)
