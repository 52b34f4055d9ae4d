# SPDX-License-Identifier: Apache-2.0
"""What the integers of an input stand for, by the `NAME_scale`, `NAME_mean` and `NAME_std` in a network's meta.

The real value is `(integer * scale - mean) / std`; of several channels, mean and std are numbers with blanks between.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError, printable

__all__ = ["encoded", "formula", "integers", "known", "named", "numbers", "smallest"]

KEYS = ("scale", "mean", "std")
MAX_SHOWN = 60  # characters of a value that a formula holds
OUTSIDE = 0.01  # the share of values cut at the ends of the range from which on it is said

Array = npt.NDArray[Any]

log = logging.getLogger(__name__)


def named(name: str, values: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    """Return the meta that says of input `name` its scale, mean and std."""
    return {f"{name}_{key}": value for key, value in values.items()}


def known(meta: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what meta says of input `name`: its scale, mean and std, those that are there."""
    return {key: meta[f"{name}_{key}"] for key in KEYS if f"{name}_{key}" in meta}


def numbers(meta: Mapping[str, Any], name: str, channels: int) -> dict[str, npt.NDArray[np.float64]] | None:
    """Return scale (1,), mean and std ((1,) or (channels,)) of input `name`, None where meta has no scale.

    Raises DataError where they are no such numbers.
    """
    given = known(meta, name)
    if "scale" not in given:
        return None
    found = {}
    for key, usual in zip(KEYS, (1.0, 0.0, 1.0), strict=True):
        try:
            found[key] = np.array([float(part) for part in str(given.get(key, usual)).split()])
        except ValueError:
            found[key] = np.zeros(0)
        fits = found[key].size == 1 or (key != "scale" and found[key].size == channels)
        if not fits or not np.isfinite(found[key]).all() or (key != "mean" and found[key].min() <= 0):
            raise DataError(
                f"the network's meta on its input '{name}': {key} is '{_shown(given[key])}', which is no number that "
                f"can be, nor one for each of {channels} channels: give integers"
            )
    return found


def integers(values: Array, scale: Any, mean: Any, std: Any) -> npt.NDArray[np.float64]:
    """Return the numbers whose real values are `values` (batch, C, ...), not yet rounded; mean, std: (1,) or (C,)."""
    rest = (1,) * (values.ndim - 2)
    mean, std = (np.asarray(each, np.float64).reshape(-1, *rest) for each in (mean, std))
    exact: npt.NDArray[np.float64] = (values.astype(np.float64) * std + mean) / scale
    return exact


def encoded(exact: npt.NDArray[np.float64], low: int, high: int, what: str) -> Array:
    """Return the nearest integers in low..high, of the smallest type; what lies beyond is cut.

    It is said where that is much. Raises DataError where a number is not finite.
    """
    if not np.isfinite(exact).all():
        raise DataError(f"{what}: {int((~np.isfinite(exact)).sum())} values are NaN or infinite; give finite numbers")
    whole = np.rint(exact)
    outside = float(np.mean((whole < low) | (whole > high))) if whole.size else 0.0
    if outside > OUTSIDE:
        message = "%s: %.3g %% of the values lie beyond what the input can hold, and are cut: is the scale right?"
        log.warning(message, what, 100 * outside)
    return np.clip(whole, low, high).astype(smallest(low, high))


def smallest(low: int, high: int) -> npt.DTypeLike:
    """Return the smallest type of integer that holds low..high.

    >>> np.dtype(smallest(0, 255)).name, np.dtype(smallest(-1, 4095)).name
    ('uint8', 'int16')
    """
    types = (np.uint8, np.int8, np.uint16, np.int16, np.int64)
    return next(t for t in types if np.iinfo(t).min <= low and high <= np.iinfo(t).max)


def formula(meta: Mapping[str, Any], name: str, product: str) -> str:
    """Return the real value as text, empty without a scale; `product` is its beginning, such as "q * {}"."""
    texts = {key: _shown(value) for key, value in known(meta, name).items()}
    if "scale" not in texts:
        return ""
    scaled = product.format(texts["scale"])
    return scaled if len(texts) == 1 else f"({scaled} - ({texts.get('mean', 0)})) / ({texts.get('std', 1)})"


def _shown(value: Any) -> str:
    text = " ".join(printable(str(value)).split())
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
