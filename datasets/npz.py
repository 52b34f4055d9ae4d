# SPDX-License-Identifier: Apache-2.0
"""A user's own data: an `.npz` file of NumPy, read without unpickling (docs/datasets.md).

`samples` and `labels` serve as the train and as the test split. A file of two splits has instead `train_samples`,
`train_labels`, `test_samples`, `test_labels`, or, as Keras calls them, `x_train`, `y_train`, `x_test`, `y_test`; one
split is enough where only that one is asked for. Case does not matter: `X_train` is `x_train`.

samples: (N, C, H, W), (N, H, W), (N, F), or of each step (N, T, C, H, W), (N, T, F). Integers of up to 16 bits, and
         real numbers that all are such, in the smallest type that holds them. In a file without a scale, real numbers
         within 0..1 are round(255 x), of 1/255 (or of the unit that is asked for), and others stay as they are,
         float32: what the model sees
labels:  optional, class numbers from 0, (N,) or (N, 1), or for each pixel (N, H, W); or real numbers (N,) or (N, K),
         the targets of a regression
scale:   optional, one number, the real value of one integer; if missing, 1/255 of 8 bits, and 1 of more. Of several
         inputs each may have its own, `scale_NAME`

What had to be guessed is said by the logger `spikerun`.
"""

import logging
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.archive import Names, listed, read_arrays
from spikerun.datasets.dataset import Dataset
from spikerun.datasets.lazy import Small
from spikerun.errors import DataError

__all__ = ["ADVICE", "class_labels", "read_npz"]

ADVICE = "write it with numpy.savez(path, samples=..., labels=...)"

SPLITS = ("train", "test")
KERAS = ("x_{split}", "y_{split}")
SCHEMES = (("samples", "labels"), ("{split}_samples", "{split}_labels"), KERAS)
MOST_CLASSES = 1 << 20

log = logging.getLogger(__name__)


def read_npz(
    path: Path,
    split: str = "test",
    largest: int | None = None,
    samples_of: str = "",
    unit: float | None = None,
) -> Dataset:
    """Return the `train` or `test` split of an `.npz` file; arrays of more than `largest` bytes are refused.

    samples_of: the input of several whose samples are asked for, under its name; labels are `labels` or `y`. unit: the
    real value of one integer, where real numbers within 0..1 become integers; None: 1/255.
    """
    schemes: list[tuple[str, str]] = []

    def choose(found: Names) -> dict[str, str]:
        labels_as = "labels" if "labels" in found else "y"
        schemes.append((samples_of, labels_as) if samples_of else _scheme(found, path))
        scale_as = f"scale_{samples_of}" if f"scale_{samples_of}".lower() in found else "scale"
        roles = zip(("samples", "labels", "scale"), (*schemes[0], scale_as), strict=True)
        names = {role: name.format(split=split) for role, name in roles}
        if samples_of and samples_of.lower() not in found:
            raise DataError(
                f"'{path}' has no array '{samples_of}', only: {listed(found)}; give samples for each input by its name"
            )
        if names["samples"].lower() not in found:
            (other,) = set(SPLITS) - {split}
            raise DataError(
                f"'{path}' has no array '{names['samples']}', only: {listed(found)}; add it, or take the split "
                f"'{other}' (--split {other} of a command that has it), or measure on other data (--data of convert)"
            )
        return names

    arrays, names = read_arrays(path, choose, ADVICE, largest)
    (scheme,) = schemes
    where = {role: f"'{path}', array '{name}'" for role, name in names.items()}
    samples, scale = _samples(arrays["samples"], arrays.get("scale"), where, scheme == KERAS, unit)
    labels, targets = class_labels(arrays.get("labels"), where["labels"])
    return Dataset(
        name=path.name,
        split="all" if samples_of or scheme == SCHEMES[0] else split,
        samples=samples,
        labels=labels,
        classes=tuple(str(number) for number in range(int(labels.max()) + 1)) if labels.size else (),
        scale=scale,
        source=str(path),
        targets=targets,
        channel_added=arrays["samples"].ndim == 3,
    )


def _scheme(found: Names, path: Path) -> tuple[str, str]:
    """Return how the arrays of samples and labels are named, of which only one way may be used."""
    ways = [{name.format(split=split) for name in scheme for split in SPLITS} & set(found) for scheme in SCHEMES]
    used = [scheme for scheme, names in zip(SCHEMES, ways, strict=True) if names]
    if not used:
        raise DataError(f"'{path}' has no array 'samples', only: {listed(found)}; {ADVICE}")
    if len(used) > 1:
        raise DataError(
            f"'{path}' has the arrays {', '.join(sorted(set().union(*ways)))}; have either samples and labels, or "
            "train_samples, train_labels, test_samples and test_labels, or x_train, y_train, x_test and y_test"
        )
    return used[0]


def _samples(
    array: NDArray[Any], scale: NDArray[Any] | None, where: dict[str, str], keras: bool, asked: float | None
) -> tuple[Small, float]:
    """Return the samples as small integers, channels first, and the real value of one integer."""
    if not array.size:
        raise DataError(f"{where['samples']}: holds no values, its shape is {array.shape}; store at least one sample")
    if array.ndim not in (2, 3, 4, 5):
        expected = "(N, C, H, W), (N, H, W), (N, F) or (N, T, C, H, W)"
        raise DataError(f"{where['samples']}: has the shape {array.shape}, expected {expected}")
    if scale is not None and (scale.size != 1 or scale.dtype.kind not in "uif"):
        raise DataError(f"{where['scale']}: is {scale.dtype} {scale.shape}, expected one number")
    if array.dtype.kind == "f" and scale is None and array.min() >= 0 and array.max() <= 1:
        unit = 1 / 255 if asked is None else asked
        integers = _rounded(array, unit, where["samples"])
    else:
        integers = _integers(array, where["samples"], scale is not None)
        unit = 1.0 if integers.dtype.itemsize > 1 else 1 / 255
        if scale is None and integers.dtype.kind != "f":
            worth = "1/255" if unit < 1 else "1, itself"
            log.warning("%s: there is no array 'scale', so one integer is taken as %s", where["samples"], worth)
    if array.ndim == 3:
        integers = integers[:, np.newaxis]
    if keras and array.ndim == 4 and array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4):
        log.warning("%s: (N, H, W, C) is turned into (N, C, H, W)", where["samples"])
        integers = np.moveaxis(integers, 3, 1)
    return np.ascontiguousarray(integers), unit if scale is None else float(scale.reshape(()))


def _rounded(array: NDArray[Any], unit: float, where: str) -> Small:
    """Return real numbers in 0..1 as the nearest multiples of a unit."""
    whole = np.rint(array.astype(np.float64) / unit)
    if whole.max() > np.iinfo(np.uint16).max:
        raise DataError(f"{where}: holds real numbers up to {array.max():.6g}, more than 65535 times {unit:.6g}")
    units = whole.astype(np.uint8 if whole.max() <= np.iinfo(np.uint8).max else np.uint16)
    error = float(np.abs(whole * unit - array).max())
    said = f"round({1 / unit:.6g} x)" if unit <= 1 else f"round(x / {unit:.6g})"
    log.warning("%s: real numbers in 0..1 are taken as %s, each at most %.2g beside x", where, said, error)
    return cast(Small, units)


def _integers(array: NDArray[Any], where: str, scaled: bool) -> Small:
    """Return the samples as the smallest integers that they fit, or, where there is no scale, as real numbers."""
    if array.dtype in (np.uint8, np.int8):
        return cast(Small, array)
    if array.dtype.kind not in "uif":
        raise DataError(f"{where}: has the type {array.dtype}; expected small integers or real numbers")
    low, high = array.min(), array.max()
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        if not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise DataError(f"{where}: {count} of {array.size} values are NaN or infinite; store finite numbers")
        if scaled:
            raise DataError(
                f"{where}: holds real numbers from {low:.6g} to {high:.6g}, and there is a scale; store "
                "round(x / unit) as integers, and the unit as 'scale', or leave the scale out where the numbers are "
                "what the model sees"
            )
        return array.astype(np.float32)
    for dtype in (np.uint8, np.int8, np.uint16, np.int16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            log.info("%s: %s is taken as %s, all values are whole and fit", where, array.dtype, np.dtype(dtype))
            return cast(Small, array.astype(dtype))
    raise DataError(
        f"{where}: holds values from {low} to {high}, expected 0..65535 or -32768..32767; "
        "store round(x / unit) as integers of 8 or 16 bits, and the unit as 'scale'"
    )


def class_labels(array: NDArray[Any] | None, where: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return classes and targets, of which at least one is empty."""
    classes, targets = np.empty(0, np.int64), np.empty((0, 0), np.float32)
    if array is None:
        return classes, targets
    if array.dtype.kind == "f" and array.ndim in (1, 2) and array.size:
        return classes, array.reshape(len(array), -1).astype(np.float32)
    maps = array.ndim == 3
    if array.dtype.kind not in "ui" or not (maps or array.shape in ((array.size,), (array.size, 1))):
        raise DataError(
            f"{where}: is {array.dtype} {array.shape}, expected class numbers, integers (N,) or for each pixel "
            "(N, H, W), or the targets of a regression, real numbers (N,) or (N, K); of one-hot labels take the argmax"
        )
    if array.size and (int(array.min()) < 0 or int(array.max()) >= MOST_CLASSES):
        raise DataError(f"{where}: expected class numbers 0..{MOST_CLASSES - 1}, one a sample, or one a pixel")
    return (array if maps else array.ravel()).astype(np.int64), targets
