# SPDX-License-Identifier: Apache-2.0
"""Every neuron of the frameworks beside the package that defines it: in real numbers, and in integers."""

from exactness.cases import CASES, Case
from exactness.measure import Row, measured

__all__ = ["CASES", "Case", "Row", "measured"]
