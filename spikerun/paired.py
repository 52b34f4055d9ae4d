# SPDX-License-Identifier: Apache-2.0
"""Scores of two networks on the same samples: only samples on which they differ tell which one is better."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["interval", "standard_error"]

Z_95 = 1.96


def standard_error(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Return the standard error of the mean difference of two lists of scores, in percent."""
    return 100 * float((first - second).std() / np.sqrt(len(first)))


def interval(difference: float, error: float) -> tuple[float, float]:
    """Return the 95 % interval of a difference with this standard error."""
    return difference - Z_95 * error, difference + Z_95 * error
