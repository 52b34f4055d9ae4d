# SPDX-License-Identifier: Apache-2.0
"""Boards are data: `boards/*.toml`, each with one of the cores of `cores/*.toml`."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikerun.edge.mcu import costs as cost_table
from spikerun.edge.mcu import int8 as int8_table
from spikerun.edge.mcu.cycles import Cycles, Energy, read_cycles, read_energy
from spikerun.errors import TargetError, unknown_name

__all__ = ["HOLDS", "Board", "Core", "Region", "boards", "load", "load_core", "read", "region"]

FOLDER = Path(__file__).parent / "boards"
CORES = Path(__file__).parent / "cores"
HOLDS = ("code", "tables", "state", "stack")
TOOLS: Mapping[str, Mapping[str, type]] = {
    "gcc": {"flags": list},
    "zig": {"flags": list},
    "qemu": {"machine": str, "clock": int},
    "unicorn": {"model": str},
}
KNOWN = ("arduino", "platformio", "zephyr")
TWIN = ("flash", "ram")  # what an emulated machine has
VECTORS = 1024  # bytes of a table of vectors that lies apart
PAGE = 4096
ADDRESSES = 2**32
KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Region:
    """A region of memory: its name in the linker script, where it begins, its bytes, and which of HOLDS it holds.

    origin: None where the maker's own tools choose it. The vectors of a twin, where they lie apart, hold `vectors`.
    """

    name: str
    origin: int | None
    bytes: int
    holds: tuple[str, ...]


@dataclass(frozen=True)
class Core:
    """What all boards of a core share: its architecture (a row of `arch`), what it has, its tools, a machine's memory.

    title: how people call it; tools: sections `gcc`, `zig`, `qemu`, `unicorn`, one that is missing is no tool for it.
    twin: where flash and RAM of the emulated machine begin, and their bytes; `vectors`, where the machine looks for
    these, if that is not where flash begins; costs: of kernels, in instructions (`costs`); int8: what
    CMSIS-NN takes, None: not counted; cycles: of its instructions, None: not modelled.
    """

    name: str
    title: str
    arch: str
    source: str
    features: frozenset[str] = frozenset()
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    twin: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    costs: cost_table.Costs = field(default_factory=dict)
    int8: int8_table.Int8 | None = None
    cycles: Cycles | None = None


@dataclass(frozen=True)
class Board:
    """A board: its core, its memory (none: no limit known), the Hz of its clock (0: unknown), its source of numbers.

    twin: the same memory where the emulated machine has some; tools, cycles: those of the core, or the board's own;
    energy: what its processor draws, where a source says it; known: what it is called by the tools of KNOWN: a fully
    qualified board name of Arduino, `platform:board` of PlatformIO, a board target of Zephyr.
    """

    name: str
    summary: str
    core: Core
    source: str
    clock: int = 0
    memory: tuple[Region, ...] = ()
    twin: tuple[Region, ...] = ()
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cycles: Cycles | None = None
    energy: Energy | None = None
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def arch(self) -> str:
        """Return the name of the architecture."""
        return self.core.arch

    @property
    def features(self) -> frozenset[str]:
        """Return what the core has."""
        return self.core.features

    @property
    def placed(self) -> bool:
        """Return whether the board's own addresses are known."""
        return all(region.origin is not None for region in self.memory)


def region(memory: tuple[Region, ...], what: str) -> Region | None:
    """Return the region that holds `what`; None where no limit is known."""
    return next((region for region in memory if what in region.holds), None)


def _moved(core: Core, memory: tuple[Region, ...]) -> Iterator[Region]:
    """Yield regions one behind the other: those with code or tables from where flash begins, all others in RAM."""
    if not core.twin:
        yield from memory
        return
    if "vectors" in core.twin:
        yield Region("VECTORS", *core.twin["vectors"], ("vectors",))
    begins = {kind: origin for kind, (origin, _) in core.twin.items()}
    for found in memory:
        kind = "flash" if {"code", "tables"} & set(found.holds) else "ram"
        origin, size = core.twin[kind]
        yield Region(found.name, begins[kind], found.bytes, found.holds)
        begins[kind] += -(-found.bytes // PAGE) * PAGE
        if begins[kind] > origin + size:
            raise ValueError(f"'{found.name}' is too large for {kind} of the emulated {core.title}: {size} bytes")


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
    texts = {key: _take(values, where, key, str) for key in ("name", "summary", "source")}
    core, clock = load_core(_take(values, where, "core", str)), _take(values, where, "clock", int, 0)
    memory = tuple(_region(entry) for entry in _take(values, where, "memory", list, []))
    tools = {**core.tools, **_tools(values)}
    cycles = read_cycles(_take(values, where, "cycles", dict)) if "cycles" in values else core.cycles
    known = _known(_take(values, where, "known", dict)) if "known" in values else {}
    energy = read_energy(_take(values, where, "energy", dict)) if "energy" in values else None
    _done(values, where)
    if texts["name"] != name:
        raise ValueError(f"name is '{texts['name']}', it must be that of the file")
    held = [what for region in memory for what in region.holds]
    if memory and sorted(held) != sorted(HOLDS):
        raise ValueError(f"each of {', '.join(HOLDS)} must be held by one region, got {', '.join(held) or 'none'}")
    twin = tuple(_moved(core, memory))
    return Board(
        **texts,
        core=core,
        clock=clock,
        memory=memory,
        twin=twin,
        tools=tools,
        cycles=cycles,
        energy=energy,
        known=known,
    )


def _known(values: dict[str, Any]) -> dict[str, str]:
    """Return what the tools of others call a board; the source of these names is told and not kept."""
    values, where = dict(values), "[known]"
    _take(values, where, "source", str)
    found = {tool: _take(values, where, tool, str) for tool in KNOWN if tool in values}
    _done(values, where)
    return found


def load_core(name: str) -> Core:
    """Return the core called `name`. Raises ValueError where there is none, or its file is wrong."""
    path = CORES / f"{name}.toml"
    if not path.is_file():
        raise ValueError(f"unknown core '{name}'; known are {', '.join(sorted(p.stem for p in CORES.glob('*.toml')))}")
    values, where = tomllib.loads(path.read_text(encoding="utf-8")), f"'{path}'"
    texts = {key: _take(values, where, key, str) for key in ("title", "arch", "source")}
    features = frozenset(_texts(_take(values, where, "features", list, []), "features"))
    tools, twin = _tools(values), _twin(_take(values, where, "twin", dict, {}))
    known = cost_table.read(_take(values, where, "costs", dict, {}))
    int8 = int8_table.read(_take(values, where, "int8", dict)) if "int8" in values else None
    cycles = read_cycles(_take(values, where, "cycles", dict)) if "cycles" in values else None
    _done(values, where)
    return Core(name, **texts, features=features, tools=tools, twin=twin, costs=known, int8=int8, cycles=cycles)


def _twin(values: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the ranges of an emulated machine; {} where nothing is emulated."""
    if not values:
        return {}
    values, where, found = dict(values), "[twin]", {}
    if "vectors" in values:
        found["vectors"] = (_take(values, where, "vectors", int), VECTORS)
    for kind in TWIN:
        found[kind] = _range(_take(values, where, kind, list), kind)
    _done(values, where)
    return found


def _range(values: list[Any], key: str) -> tuple[int, int]:
    if [type(value) for value in values] != [int, int]:
        raise ValueError(f"{key} must be two whole numbers, where it begins and its bytes; got {values!r}")
    return values[0], values[1]


def _region(values: Any) -> Region:
    if not isinstance(values, dict):
        raise ValueError("memory must be tables [[memory]]")
    values, where = dict(values), "[[memory]]"
    name = _take(values, where, "name", str)
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError(f"{where}: name must be an identifier of a linker script, got '{name}'")
    origin = _take(values, where, "origin", int) if "origin" in values else None
    first, size = origin or 0, _take(values, where, "bytes", int)
    if not (0 <= first < ADDRESSES and 0 < size <= ADDRESSES - first and first % 4 == size % 4 == 0):
        raise ValueError(f"{where} '{name}': no such range of addresses: {size} bytes from {first:#x}")
    holds = tuple(_texts(_take(values, where, "holds", list), "holds"))
    _done(values, where)
    return Region(name, origin, size, holds)


def _tools(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {tool: _tool(tool, _take(values, "the file", tool, dict)) for tool in TOOLS if tool in values}


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
