# SPDX-License-Identifier: Apache-2.0
"""Boards are data: `boards/*.toml`."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikerun.errors import TargetError, unknown_name

__all__ = ["HOLDS", "Board", "Region", "boards", "load", "read"]

FOLDER = Path(__file__).parent / "boards"
HOLDS = ("code", "tables", "state", "stack")
TOOLS: Mapping[str, Mapping[str, type]] = {
    "gcc": {"prefix": str, "flags": list},
    "zig": {"flags": list},
    "qemu": {"machine": str, "instructions_per_tick": int},
    "unicorn": {"model": str},
}
ADDRESSES = 2**32
KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Region:
    """A region of memory: its name in the linker script, where it begins, its bytes, and which of HOLDS it holds."""

    name: str
    origin: int
    bytes: int
    holds: tuple[str, ...]


@dataclass(frozen=True)
class Board:
    """A board: its architecture (a row of `arch`), what its core has, its memory (none: no limit known).

    tools: the sections `gcc`, `zig`, `qemu`, `unicorn` of the file; one that is missing is no tool for this board.
    """

    name: str
    summary: str
    arch: str
    source: str
    features: frozenset[str] = frozenset()
    memory: tuple[Region, ...] = ()
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def region(self, what: str) -> Region | None:
        """Return the region that holds `what`; None where no limit is known."""
        return next((region for region in self.memory if what in region.holds), None)


def boards() -> tuple[str, ...]:
    """Return the names of all boards."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(name: str) -> Board:
    """Return the board called `name`."""
    if name not in boards():
        raise unknown_name("board", str(name), boards())
    return read(FOLDER / f"{name}.toml")


def read(path: Path) -> Board:
    """Return the board that a file describes. Raises TargetError that says what is wrong with the file."""
    try:
        return _board(tomllib.loads(path.read_text(encoding="utf-8")), path.stem)
    except (OSError, ValueError) as error:  # broken TOML, and text that is not UTF-8, are ValueErrors
        raise TargetError(f"board file '{path}': {error}; see boards/generic-cortex-m4.toml") from error


def _board(values: dict[str, Any], name: str) -> Board:
    values, where = dict(values), "the file"
    texts = {key: _take(values, where, key, str) for key in ("name", "summary", "arch", "source")}
    features = frozenset(_texts(_take(values, where, "features", list, []), "features"))
    memory = tuple(_region(entry) for entry in _take(values, where, "memory", list, []))
    tools = {tool: _tool(tool, _take(values, where, tool, dict)) for tool in TOOLS if tool in values}
    _done(values, where)
    if texts["name"] != name:
        raise ValueError(f"name is '{texts['name']}', it must be that of the file")
    held = [what for region in memory for what in region.holds]
    if memory and sorted(held) != sorted(HOLDS):
        raise ValueError(f"each of {', '.join(HOLDS)} must be held by one region, got {', '.join(held) or 'none'}")
    return Board(**texts, features=features, memory=memory, tools=tools)


def _region(values: Any) -> Region:
    if not isinstance(values, dict):
        raise ValueError("memory must be tables [[memory]]")
    values, where = dict(values), "[[memory]]"
    name = _take(values, where, "name", str)
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError(f"{where}: name must be an identifier of a linker script, got '{name}'")
    origin, size = _take(values, where, "origin", int), _take(values, where, "bytes", int)
    if not (0 <= origin < ADDRESSES and 0 < size <= ADDRESSES - origin and origin % 4 == size % 4 == 0):
        raise ValueError(f"{where} '{name}': no such range of addresses: {size} bytes from {origin:#x}")
    holds = tuple(_texts(_take(values, where, "holds", list), "holds"))
    _done(values, where)
    return Region(name, origin, size, holds)


def _tool(tool: str, values: dict[str, Any]) -> dict[str, Any]:
    values, where = dict(values), f"[{tool}]"
    found = {key: _take(values, where, key, kind) for key, kind in TOOLS[tool].items()}
    _done(values, where)
    _texts(found.get("flags", []), "flags")
    return found


def _take(values: dict[str, Any], where: str, key: str, kind: type, default: Any = None) -> Any:
    """Return and remove the value of a key, of type `kind`."""
    value = values.pop(key, default)
    if value is None:
        raise ValueError(f"{where} lacks '{key}'")
    if type(value) is not kind:
        raise ValueError(f"{where}: {key} must be {KINDS[kind]}, got {value!r}")
    return value


def _texts(values: list[Any], key: str) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key} must be texts, got {values!r}")
    return values


def _done(values: dict[str, Any], where: str) -> None:
    if values:
        raise ValueError(f"{where} has the unknown key '{min(values)}'")
