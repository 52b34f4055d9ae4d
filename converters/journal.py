# SPDX-License-Identifier: Apache-2.0
"""What a long search has found so far, in a file, so that one that was interrupted goes on where it was."""

from hashlib import sha256
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import Any

import numpy as np

from spikerun.atomic import write_atomically
from spikerun.errors import UsageError

__all__ = ["Journal", "fingerprint"]

SCHEMA = "spikerun.search/1"


class Journal:
    """Results by name, JSON's own types. path: where they are kept, None: nowhere.

    key: what they depend on; those of another key are forgotten. Raises UsageError where the file is something else.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._path, self._key = path, key
        self._found: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        try:
            kept = loads(path.read_text())
            mine = kept["schema"] == SCHEMA
        except (JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            mine = False
        if not mine:
            raise UsageError(
                f"'{path}' is no journal of a search, and would be overwritten: move it, or choose -o anew"
            )
        if kept["key"] == key:
            self._found = kept["found"]

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __getitem__(self, name: str) -> Any:
        return self._found[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._found[name] = value
        if self._path is not None:
            write_atomically(self._path, dumps({"schema": SCHEMA, "key": self._key, "found": self._found}), force=True)

    def end(self) -> None:
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def fingerprint(*parts: Any) -> str:
    """Return a hash of arrays, by their bytes, and of everything else, by what it says of itself."""
    found = sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).tobytes())
        else:
            found.update(repr(part).encode())
    return found.hexdigest()
