# SPDX-License-Identifier: Apache-2.0
"""Targets that carry a network to silicon: each turns it into a bundle, a folder that stands alone.

A row of the table below is a room of targets; other packages add theirs through the entry-point group
`spikerun.targets`, each entry such a function.
"""

if __name__ != "spikerun.edge":
    raise ImportError("import spikerun.edge instead")

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from spikerun.edge.target import Bundle, Options, RunReport, Table, Target, Tool, Verdict
from spikerun.errors import TargetError, UsageError, unknown_name
from spikerun.plugins import entries, resolve

__all__ = ["TABLE", "Bundle", "Options", "RunReport", "Table", "Target", "Tool", "Verdict", "load", "targets"]

ENTRY_POINT_GROUP = "spikerun.targets"

# room -> `module:function`; the function returns the targets of the room, by name
TABLE: Mapping[str, str] = MappingProxyType(
    {"mcu": "spikerun.edge.mcu:targets", "loihi": "spikerun.edge.loihi.deployment:targets"}
)


def targets() -> dict[str, Target]:
    """Return all known targets by name, other packages' included."""
    found: dict[str, Target] = {}
    for where, more in _rooms():
        twice = found.keys() & more.keys()
        if twice:
            raise TargetError(f"target '{min(twice)}' exists already: {where} has to give its own another name")
        found |= more
    return found


def load(name: str) -> Target:
    """Return the target called `name`. Raises UsageError if there is none."""
    if not isinstance(name, str):
        raise UsageError(f"a target is given by its name, a text as `spikerun targets` lists them; got {name!r:.80}")
    known = targets()
    if name not in known:
        raise unknown_name("target", name, known)
    return known[name]


def _rooms() -> Iterator[tuple[str, dict[str, Target]]]:
    for path in TABLE.values():
        yield path, dict(resolve(path)())
    for entry in entries(ENTRY_POINT_GROUP, TABLE).values():
        given = entry.load()()
        if not isinstance(given, Mapping) or any(
            getattr(target, "name", None) != name for name, target in given.items()
        ):
            raise TargetError(
                f"the entry point {entry.value} of {ENTRY_POINT_GROUP} is to return targets by their names"
            )
        yield entry.value, dict(given)
