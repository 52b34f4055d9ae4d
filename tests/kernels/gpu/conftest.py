# SPDX-License-Identifier: Apache-2.0
"""Kernels of a GPU run on one where there is one, elsewhere in Triton's interpreter on tensors of the CPU."""

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def _isa() -> None:
    """Instruction sets of the processor make no difference here."""


@pytest.fixture(scope="module")
def device() -> str:
    """Return where tensors of a test lie."""
    return "cuda" if torch.cuda.is_available() else "cpu"
