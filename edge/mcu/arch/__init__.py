# SPDX-License-Identifier: Apache-2.0
"""Architectures: what it takes to compile a bundle for a core, and to run it. One file each, a row in ARCHS each."""

from collections.abc import Mapping
from types import MappingProxyType

from spikerun.edge.mcu.arch.cortex_m import CORTEX_M
from spikerun.edge.mcu.arch.host import HOST
from spikerun.edge.mcu.arch.riscv import RISCV
from spikerun.edge.mcu.arch.row import Arch
from spikerun.edge.mcu.board import Board
from spikerun.errors import TargetError

__all__ = ["ARCHS", "of"]

ARCHS: Mapping[str, Arch] = MappingProxyType({"host": HOST, "cortex-m": CORTEX_M, "riscv": RISCV})


def of(board: Board) -> Arch:
    """Return the architecture of a board."""
    if board.arch not in ARCHS:
        raise TargetError(f"board '{board.name}': unknown arch '{board.arch}'; known are {', '.join(ARCHS)}")
    return ARCHS[board.arch]
