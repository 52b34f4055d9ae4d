# SPDX-License-Identifier: Apache-2.0
"""Samples with classes that can be learnt."""

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[np.uint8]


@pytest.fixture
def bars() -> tuple[Array, npt.NDArray[np.int64]]:
    """Return images (240, 1, 8, 8) of a bar across, a bar down or a square, on noise, and which it is."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    images = rng.integers(0, 90, (240, 1, 8, 8))
    for image, label in zip(images, labels, strict=True):
        row, column = rng.integers(1, 5, 2)
        height, width = ((2, 6), (6, 2), (4, 4))[label]
        image[0, row : row + height, column : column + width] += 150
    return images.astype(np.uint8), labels.astype(np.int64)
