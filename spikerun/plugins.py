# SPDX-License-Identifier: Apache-2.0
"""Tables that other packages add rows to, through entry points; and what a row names, imported when it is needed."""

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from spikerun.errors import UnsupportedError

__all__ = ["entries", "resolve", "row", "rows"]

T = TypeVar("T")


def entries(group: str, own: Mapping[str, object]) -> dict[str, EntryPoint]:
    """Return what other packages add to the table `own`, not loaded. Raises UnsupportedError where a name is taken."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        if entry.name in own or entry.name in found:
            raise UnsupportedError(
                f"'{entry.name}' of the group {group} exists already: the entry point {entry.value} needs another name"
            )
        found[entry.name] = entry
    return found


def row(entry: EntryPoint, group: str, kind: type[T], key: str = "name") -> T:
    """Return the row that an entry point holds. Raises UnsupportedError unless it is a `kind` of the entry's name."""
    found = entry.load()
    if not isinstance(found, kind) or getattr(found, key) != entry.name:
        raise UnsupportedError(
            f"'{entry.name}' of the group {group}: the entry point {entry.value} is to be a row of the type "
            f"{kind.__name__} whose {key} is '{entry.name}', and is {found!r}"
        )
    return found


def rows(group: str, kind: type[T], own: Mapping[str, T], key: str = "name") -> dict[str, T]:
    """Return a table with the rows of other packages, loaded."""
    return {**own, **{name: row(entry, group, kind, key) for name, entry in entries(group, own).items()}}


def resolve(path: str, what: str = "", install: str = "") -> Any:
    """Return what `module:attribute` names.

    With `what` (needs it) and `install` (says how to get it), raises UnsupportedError where it cannot be imported.
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        if not what:
            raise
        raise UnsupportedError(f"{what} cannot be used here: {error}; {install}") from error
