# SPDX-License-Identifier: Apache-2.0
"""Every test of the kernels runs once for each instruction set of this processor."""

from collections.abc import Iterator

import pytest

from spikerun.kernels.cpu.native import choose_isa, isa, isas


@pytest.fixture(scope="module", params=isas(), autouse=True)
def _isa(request: pytest.FixtureRequest) -> Iterator[None]:
    before = isa()
    choose_isa(request.param)
    yield
    choose_isa(before)
