# SPDX-License-Identifier: Apache-2.0
"""The table of operations, and those that need more than random networks show of them."""

from spikerun.kernels.gpu.table import ROWS
from spikerun.kernels.operations import OPERATIONS


def test_every_operation_has_a_row() -> None:
    assert {operation.name for operation in OPERATIONS} == ROWS.keys()
