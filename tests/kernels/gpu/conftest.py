# SPDX-License-Identifier: Apache-2.0
"""Instruction sets of the processor make no difference here."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _isa() -> None:
    pass
