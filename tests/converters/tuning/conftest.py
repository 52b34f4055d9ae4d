# SPDX-License-Identifier: Apache-2.0
"""Samples with classes that can be learnt."""

import numpy as np
import numpy.typing as npt
import pytest
from tuned_networks import figures


@pytest.fixture(scope="session")
def bars() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return images of a bar across, a bar down or a square, and which it is."""
    return figures()
