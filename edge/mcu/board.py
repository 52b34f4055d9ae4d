"""Boards are data: `boards/*.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikerun.errors import TargetError, unknown_name

__all__ = ["Board", "Region", "boards", "load"]

FOLDER = Path(__file__).parent / "boards"
SECTIONS = {
    "gcc": {"prefix", "flags"},
    "zig": {"flags"},
    "qemu": {"machine", "instructions_per_tick"},
    "unicorn": {"model"},
}


@dataclass(frozen=True)
class Region:
    """A region of memory: where it begins, and how many bytes it has."""

    origin: int
    bytes: int


@dataclass(frozen=True)
class Board:
    """A board: memory (None: no limit known), flags of the compilers, names of the emulators' machines.

    gcc, zig, qemu, unicorn: the sections of the file; an empty one means that the board has no such tool.
    """

    name: str
    summary: str
    core: str
    source: str
    flash: Region | None = None
    ram: Region | None = None
    gcc: Mapping[str, Any] = field(default_factory=dict)
    zig: Mapping[str, Any] = field(default_factory=dict)
    qemu: Mapping[str, Any] = field(default_factory=dict)
    unicorn: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_host(self) -> bool:
        """Return whether the board is the computer at hand."""
        return self.core == "host"


def boards() -> tuple[str, ...]:
    """Return the names of all boards."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(name: str) -> Board:
    """Return the board called `name`."""
    if name not in boards():
        raise unknown_name("board", name, boards())
    return read(FOLDER / f"{name}.toml")


def read(path: Path) -> Board:
    """Return the board that a file describes."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        for section in ("flash", "ram"):
            if section in values:
                values[section] = Region(**values[section])
        for section, keys in SECTIONS.items():
            unknown = values.get(section, {}).keys() - keys
            if unknown:
                raise TypeError(f"unknown keys {sorted(unknown)} in [{section}]")
        board = Board(**values)
    except TypeError as error:
        raise TargetError(f"board file '{path}': {error}; see boards/generic-cortex-m4.toml") from error
    if board.name != path.stem:
        raise TargetError(f"board file '{path}': name is '{board.name}', it must be that of the file")
    return board
