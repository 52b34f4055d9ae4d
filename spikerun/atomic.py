"""Files appear whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikerun.errors import UsageError

__all__ = ["write_atomically"]


def write_atomically(
    path: str | os.PathLike[str], content: bytes | str | Callable[[Path], Any], force: bool = False
) -> Path:
    """Write a file under a temporary name in the same folder, then rename it, so that nobody sees half of it.

    `content` is the bytes, the text (UTF-8), or a function that writes the file whose path it is given.
    """
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"'{target}' is a folder; give the name of a file in it")
    if target.exists() and not force:
        raise UsageError(
            f"'{target}' exists already; use --force, in Python force=True, to overwrite it, or another name"
        )
    if not target.parent.is_dir():
        raise UsageError(f"cannot write '{target}': there is no folder '{target.parent}'; create it first")
    # The suffix stays last: writers such as numpy's choose or add one by it.
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        elif isinstance(content, str):
            temporary.write_text(content, encoding="utf-8")
        else:
            content(temporary)
        os.replace(temporary, target)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)  # HDF5's own text is long
        raise UsageError(f"cannot write '{target}': {why}; choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)
    return target
