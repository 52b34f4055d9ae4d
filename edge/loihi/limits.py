# SPDX-License-Identifier: Apache-2.0
"""The public limits of each generation of the chip are data: `limits.toml`, a source with each number."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spikerun.errors import unknown_name

__all__ = ["CONFIDENCE", "RESOURCES", "Chip", "Energy", "Limit", "Memory", "chip", "chips"]

FILE = Path(__file__).parent / "limits.toml"
CONFIDENCE = ("published", "constant", "assumed")
RESOURCES = ("neurons", "input_axons", "output_axons", "synapse_bits")
"""What the neurons on a core share."""


@dataclass(frozen=True)
class Limit:
    """What is allowed, least and most included; whose word that is, and how good (one of CONFIDENCE)."""

    most: int
    confidence: str
    source: str
    least: int = 0


@dataclass(frozen=True)
class Memory:
    """How synapses lie in a core: lists of at most list_weights weights, each with a head, in whole words; in bits."""

    word_bits: int
    list_weights: int
    head_bits: int
    index_bits: int
    confidence: str
    source: str


@dataclass(frozen=True)
class Energy:
    """What one operation takes, and who says so."""

    picojoules: float
    source: str


@dataclass(frozen=True)
class Chip:
    """A generation of the chip. energy: by operation; empty where no source gives a figure."""

    name: str
    summary: str
    limits: Mapping[str, Limit]
    memory: Memory
    energy: Mapping[str, Energy]

    def most(self, name: str) -> int:
        """Return the largest allowed value of a limit."""
        return self.limits[name].most


@cache
def _read() -> Mapping[str, Chip]:
    known: dict[str, Any] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return MappingProxyType({name: _chip(name, values) for name, values in known.items()})


def _chip(name: str, values: dict[str, Any]) -> Chip:
    limits = {key: Limit(**given) for key, given in values["limits"].items()}
    energy = {key: Energy(**given) for key, given in values.get("energy", {}).items()}
    memory = Memory(**values["memory"])
    return Chip(name, values["summary"], MappingProxyType(limits), memory, MappingProxyType(energy))


def chips() -> tuple[str, ...]:
    """Return the names of the generations."""
    return tuple(_read())


def chip(name: str) -> Chip:
    """Return a generation of the chip. Raises UsageError for an unknown one."""
    if name not in _read():
        raise unknown_name("generation of Loihi", name, _read())
    return _read()[name]
