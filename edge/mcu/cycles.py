# SPDX-License-Identifier: Apache-2.0
"""From counted instructions to cycles, and from these to time and energy: estimates, which no silicon has confirmed.

An instruction takes a cycle, and more of them where it loads, stores, or is a branch that is taken: the table [cycles]
of a core's file says how many, and its source. Code and tables are taken to come without wait states, as from a cache
or a slow clock; buses that are shared with others are not modelled either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Counted", "Cycles", "Energy", "read_cycles", "read_energy", "taken"]

Counted = Mapping[str, float]
"""How many `instructions`, `loads`, `stores`, `branches` and `vectors` there were, as an emulator counts them."""

MORE = {"load": "loads", "store": "stores", "branch": "branches", "vector": "vectors"}


@dataclass(frozen=True)
class Cycles:
    """What a core takes beyond a cycle an instruction: for each value loaded, stored, taken branch, vector instruction.

    factor: of all of it, for cores that execute several instructions at once; mean: cycles of an instruction where no
    classes were counted; source: where this is from, and what is not modelled.
    """

    load: float
    store: float
    branch: float
    vector: float
    factor: float
    mean: float
    source: str

    def of(self, counted: Counted) -> float:
        """Return the cycles of what was counted; of instructions alone, as the mean of others."""
        if "loads" not in counted:
            return self.mean * counted["instructions"]
        more = (self.load, self.store, self.branch, self.vector)
        extra = sum(cost * counted.get(name, 0.0) for cost, name in zip(more, MORE.values(), strict=True))
        return self.factor * (counted["instructions"] + extra)


@dataclass(frozen=True)
class Energy:
    """What a processor draws while it computes: microamperes for each megahertz of its clock, at so many volts."""

    microamperes: float
    volts: float
    source: str

    def microjoules(self, cycles: float) -> float:
        """Return the energy of cycles: a megahertz is a million of them a second.

        >>> round(Energy(50.0, 3.0, "").microjoules(1e6), 6)
        150.0
        """
        return self.microamperes * self.volts * cycles * 1e-6


def read_cycles(values: Mapping[str, Any]) -> Cycles:
    """Return the table [cycles] of a file. Raises ValueError that says what is wrong with it."""
    numbers = {key: _number("cycles", values, key) for key in (*MORE, "factor", "mean")}
    return Cycles(**numbers, source=_source("cycles", values, numbers))


def read_energy(values: Mapping[str, Any]) -> Energy:
    """Return the table [energy] of a file. Raises ValueError that says what is wrong with it."""
    numbers = {key: _number("energy", values, key) for key in ("microamperes", "volts")}
    return Energy(**numbers, source=_source("energy", values, numbers))


def _number(table: str, values: Mapping[str, Any], key: str) -> float:
    found = values.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < 1e6:
        raise ValueError(f"[{table}]: '{key}' must be a number, 0 or more, got {found!r}")
    return float(found)


def _source(table: str, values: Mapping[str, Any], known: Mapping[str, float]) -> str:
    source = values.get("source")
    if not isinstance(source, str) or not source:
        raise ValueError(f"[{table}] lacks its 'source'")
    if strange := sorted(values.keys() - known.keys() - {"source"}):
        raise ValueError(f"[{table}] has the unknown key '{strange[0]}'")
    return source


def taken(cycles: Cycles | None, energy: Energy | None, clock: int, counted: Counted) -> dict[str, int | float]:
    """Return cycles, microseconds and microjoules of what was counted, as far as they can be told.

    >>> taken(None, None, 0, {"instructions": 5.0})
    {}
    """
    if cycles is None:
        return {}
    spent = cycles.of(counted)
    found: dict[str, int | float] = {"cycles_per_inference": round(spent)}
    if clock:
        found["microseconds_per_inference"] = _short(spent / clock * 1e6)
    if energy is not None:
        found["microjoules_per_inference"] = _short(energy.microjoules(spent))
    return found


def _short(value: float) -> int | float:
    """Return three digits of a number, as an estimate has them at most.

    >>> _short(12345.6), _short(0.123456)
    (12300, 0.123)
    """
    short = float(f"{value:.3g}")
    return int(short) if short >= 100 else short
