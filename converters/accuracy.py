# SPDX-License-Identifier: Apache-2.0
"""ANN and SNN on the same labelled samples, and what may be concluded of their difference."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from spikerun.paired import interval

__all__ = ["Accuracy", "drop_bounds"]


@dataclass(frozen=True)
class Accuracy:
    """ANN and SNN on the same labelled samples; percent, and points of a percent (of a metric: its mean times 100).

    standard_error: of the drop, paired: only samples on which one is right and the other wrong matter.
    """

    samples: int
    ann: float
    snn: float
    agreement: float
    standard_error: float

    @property
    def drop(self) -> float:
        """Return the points lost by the conversion; negative where the SNN is better."""
        return self.ann - self.snn

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the 95 % interval of the drop."""
        return interval(self.drop, self.standard_error)


def drop_bounds(ann: npt.NDArray[np.float64], snn: npt.NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return one-sided bounds, low and high, of the mean drop of paired scores, in points of a percent.

    Where scores are right or wrong, half a sample is added to each cell of the table of pairs (Agresti and Min, 2005):
    few disagreements, or none, prove no more than that. Other scores: the normal bound of the mean difference.
    """
    lost = ann - snn
    count, total, squares = len(lost), float(lost.sum()), float(np.square(lost).sum())
    if bool(np.isin(lost, (-1, 0, 1)).all()):
        count, squares = count + 2, squares + 1
    mean = total / count
    reach = NormalDist().inv_cdf(confidence) * float(np.sqrt(max(squares / count - mean**2, 0) / count))
    return (mean - reach) * 100, (mean + reach) * 100
