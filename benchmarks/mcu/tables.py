# SPDX-License-Identifier: Apache-2.0
"""Tables in the files of cores, which benchmarks measure anew."""

from spikerun.edge.mcu.board import CORES

__all__ = ["replace_table"]


def replace_table(core: str, name: str, text: str) -> None:
    """Put a table, with its head, in place of the one of this name in a core's file."""
    path = CORES / f"{core}.toml"
    before, _, rest = path.read_text().partition(f"\n[{name}]")
    _, behind, others = rest.partition("\n[")
    path.write_text(before.rstrip() + "\n\n" + text + behind + others)
