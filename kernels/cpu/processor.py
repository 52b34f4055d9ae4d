# SPDX-License-Identifier: Apache-2.0
"""Which processor this is."""

import platform
from pathlib import Path

__all__ = ["cpuinfo", "model"]

CPUINFO = Path("/proc/cpuinfo")
ARM = ("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision")


def cpuinfo() -> dict[str, str]:
    """Return the entries of the first processor in /proc/cpuinfo; none where there is no such file."""
    if not CPUINFO.is_file():
        return {}
    first = CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def model() -> str:
    """Return the name of the processor, or the numbers that stand for it."""
    fields = cpuinfo()
    numbers = " ".join(fields[key] for key in ARM if key in fields)
    return fields.get("model name") or numbers or platform.processor() or platform.machine()
