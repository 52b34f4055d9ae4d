# SPDX-License-Identifier: Apache-2.0
"""What a long search has found so far, in a file, so that one that was interrupted goes on where it was."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from json import dumps, loads
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
        except (ValueError, IsADirectoryError):  # no JSON, or no text
            kept = None
        if not isinstance(kept, dict) or kept.get("schema") != SCHEMA or not isinstance(kept.get("found"), dict):
            raise UsageError(
                f"'{path}' is no journal of a search, and would be overwritten: move it, or choose -o anew"
            )
        if kept.get("key") == key:
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
    """Return a hash of plain values, arrays, and sequences, mappings and dataclasses of these, with all their fields.

    It is the same in every process. Raises TypeError for what else there is: what it says of itself may be an address.
    """
    found = sha256()
    for piece in _pieces(parts):
        found.update(f"{len(piece)}:".encode() + piece)
    return found.hexdigest()


def _pieces(part: Any) -> Iterator[bytes]:
    if isinstance(part, np.ndarray) and not part.dtype.hasobject:
        yield f"{part.dtype.str}{part.shape}".encode()
        yield np.ascontiguousarray(part).tobytes()
    elif is_dataclass(part):
        yield type(part).__name__.encode()
        yield from _pieces({field.name: getattr(part, field.name) for field in fields(part)})
    elif isinstance(part, Mapping):
        yield from _pieces(list(part.items()))
    elif isinstance(part, list | tuple | np.ndarray):
        yield f"{len(part)} of".encode()
        for one in part:
            yield from _pieces(one)
    elif part is None or isinstance(part, bool | int | float | str | bytes | range | np.generic):
        yield f"{type(part).__name__} {part!r}".encode()
    else:
        raise TypeError(f"nothing tells one {type(part).__name__} from another")
