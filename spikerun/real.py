# SPDX-License-Identifier: Apache-2.0
"""What the integers of an input stand for, by the `NAME_scale`, `NAME_mean` and `NAME_std` in a network's meta.

The real value is `(integer * scale - mean) / std`; of several channels, mean and std are numbers with blanks between.
"""

from collections.abc import Mapping
from typing import Any

from spikerun.errors import printable

__all__ = ["formula", "known", "named"]

KEYS = ("scale", "mean", "std")
MAX_SHOWN = 60  # characters of a value that a formula holds


def named(name: str, values: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    """Return the meta that says of input `name` its scale, mean and std."""
    return {f"{name}_{key}": value for key, value in values.items()}


def known(meta: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what meta says of input `name`: its scale, mean and std, those that are there."""
    return {key: meta[f"{name}_{key}"] for key in KEYS if f"{name}_{key}" in meta}


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
