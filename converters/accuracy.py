# SPDX-License-Identifier: Apache-2.0
"""ANN and SNN on the same labelled samples, and what may be concluded of their difference."""

from dataclasses import dataclass
from functools import lru_cache
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
        """Return the 95 % interval of the drop, by its standard error; what proves a budget is `drop_bounds`."""
        return interval(self.drop, self.standard_error)


def drop_bounds(ann: npt.NDArray[np.float64], snn: npt.NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return one-sided bounds, low and high, of the mean drop of paired scores, in points of a percent.

    Where scores are right or wrong, bounds of Clopper and Pearson (`_upper`), which hold at least as often as they say,
    of however few samples. Other scores: the normal bound of the mean difference, which holds nearly so of many.
    """
    lost = ann - snn
    count, doubt = len(lost), 1 - confidence
    if bool(np.isin(lost, (-1, 0, 1)).all()):
        worse, better = int((lost > 0).sum()), int((lost < 0).sum())
        return -100 * _upper(better, worse, count, doubt), 100 * _upper(worse, better, count, doubt)
    mean = float(lost.mean())
    reach = NormalDist().inv_cdf(confidence) * float(lost.std() / np.sqrt(count))
    return (mean - reach) * 100, (mean + reach) * 100


def _upper(worse: int, better: int, count: int, doubt: float) -> float:
    """Return the largest difference of the shares that are worse and better, which are so many of `count`.

    That is p (2 q - 1), where p is the share of samples that differ, and q that of worse ones among these. Given how
    many differ, the worse are binomial; so are those that differ. Each has half of the doubt. Of p, the upper bound
    counts where q may be above 1/2, and the lower one elsewhere.
    """
    differ = worse + better
    q = _share(worse, differ, doubt / 2)
    p = _share(differ, count, doubt / 2) if q >= 0.5 else 1 - _share(count - differ, count, doubt / 2)
    return p * (2 * q - 1)


@lru_cache(maxsize=4096)
def _share(found: int, count: int, doubt: float) -> float:
    """Return the share of which no more than `found` of `count` are found with a probability of `doubt`."""
    if found == count:
        return 1.0
    logs = np.concatenate([[0.0], np.log(np.arange(1, count + 1)).cumsum()])  # of factorials
    k = np.arange(found + 1)
    ways = logs[count] - logs[k] - logs[count - k]
    low, high = found / count, 1.0
    while high - low > 1e-12:
        share = (low + high) / 2
        tail = np.exp(ways + k * np.log(share) + (count - k) * np.log1p(-share)).sum()
        low, high = (share, high) if tail > doubt else (low, share)
    return high
