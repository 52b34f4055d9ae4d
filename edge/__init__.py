"""Targets that carry a network to silicon: each turns it into a bundle, a folder that stands alone.

The table below is all there is; other packages add theirs through the entry-point group `spikerun.targets`, each entry
a `TargetSpec`.
"""

if __name__ != "spikerun.edge":
    raise ImportError("import spikerun.edge instead")

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from spikerun.edge.target import RunReport, Target, TargetSpec, Tool
from spikerun.errors import TargetError, unknown_name

__all__ = ["TABLE", "RunReport", "Target", "TargetSpec", "Tool", "load", "targets"]

ENTRY_POINT_GROUP = "spikerun.targets"

TABLE: Mapping[str, TargetSpec] = MappingProxyType(
    {
        "host": TargetSpec("host", "portable C99 for this computer, with its C compiler", "spikerun.edge.mcu:target"),
        "generic-cortex-m4": TargetSpec(
            "generic-cortex-m4",
            "C99 for any Cortex-M4F, run in QEMU (mps2-an386) or Unicorn",
            "spikerun.edge.mcu:target",
        ),
    }
)


def targets() -> dict[str, TargetSpec]:
    """Return all known targets by name, other packages' included."""
    found = dict(TABLE)
    for name, entry in _entries().items():
        if name in found:
            raise TargetError(f"target '{name}' exists already: {entry.value} needs another name")
        spec = entry.load()
        if not isinstance(spec, TargetSpec) or spec.name != name:
            raise TargetError(
                f"target '{name}': the entry point {entry.value} of the group {ENTRY_POINT_GROUP} is to be a "
                f"TargetSpec named '{name}', and is {spec!r}"
            )
        found[name] = spec
    return found


def load(name: str) -> Target:
    """Return the target called `name`; its module is imported only now."""
    known = targets()
    if name not in known:
        raise unknown_name("target", name, known)
    return known[name].load()


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
