# SPDX-License-Identifier: Apache-2.0
"""Hand-made networks that random ones seldom are: edges of ranges, shapes, times. A new one is a function here."""

from conformance.awkward import codes, images, sizes, times, wiring
from conformance.awkward.make import NETWORKS, samples

__all__ = ["NETWORKS", "codes", "images", "samples", "sizes", "times", "wiring"]
