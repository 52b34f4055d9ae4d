# SPDX-License-Identifier: Apache-2.0
"""Digits: 1,797 handwritten digits of 8x8 pixels, values 0..16, from the files of scikit-learn.

The data are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI, 1998).
The file has no split of its own. Here 500 samples are the test set: of each class its share, spread evenly
over the order of the file; the other 1,297 are for training. No random number is involved.
"""

import gzip
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.dataset import Dataset
from spikerun.errors import DataError, UnsupportedError

__all__ = ["fetch", "fetch_size", "locate", "read"]

FILE = "digits.csv.gz"
SAMPLES, PIXELS, LEVELS, CLASSES = 1797, 64, 16, 10
TEST_SAMPLES = 500
LARGEST_FILE = 1 << 22  # bytes of text; the true file has 0.27 MB


def locate(folder: Path | None) -> Path | None:
    """Return the path of the file in `folder`, or in the installed scikit-learn if None."""
    if folder is None:
        package = importlib.util.find_spec("sklearn")  # finds the package without importing it
        if package is None or package.origin is None:
            return None
        folder = Path(package.origin).parent / "datasets" / "data"
    path = folder / FILE
    return path if os.path.isfile(path) else None  # where Path.is_file raises for long names


def read(folder: Path | None, split: str) -> Dataset:
    """Return the `train` or `test` split."""
    path = locate(folder)
    if path is None:
        if folder is None:
            raise DataError(f"data set 'digits': no file {FILE}, it comes with: pip install scikit-learn")
        raise DataError(
            f"data set 'digits': no file {FILE} in '{folder}'; leave out --data-dir to use the file of the "
            "installed scikit-learn, or name the folder that holds it"
        )
    pixels, labels = _parse(path)
    chosen = test_mask(labels) if split == "test" else ~test_mask(labels)
    return Dataset(
        name="digits",
        split=split,
        samples=pixels[chosen].reshape(-1, 1, 8, 8),
        labels=labels[chosen],
        classes=tuple(str(digit) for digit in range(CLASSES)),
        scale=1 / LEVELS,
        source=str(path),
    )


def fetch(folder: Path | None, advance: Callable[[int], None]) -> Path:
    """Refuse: the file comes with scikit-learn."""
    raise UnsupportedError("data set 'digits' is not downloaded, it comes with: pip install scikit-learn")


def fetch_size() -> int:
    """Return 0: nothing is downloaded."""
    return 0


def test_mask(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which samples are the test set: per class its share, evenly spread."""
    counts = np.bincount(labels, minlength=CLASSES)
    mask = np.zeros(labels.size, dtype=np.bool_)
    for digit, quota in enumerate(_quotas(counts)):
        members = np.flatnonzero(labels == digit)
        # the middles of `quota` equal pieces of the class
        mask[members[(2 * np.arange(quota) + 1) * members.size // (2 * quota)]] = True
    return mask


def _quotas(counts: NDArray[np.int64]) -> list[int]:
    """Share TEST_SAMPLES over the classes in proportion, the largest remainders rounded up."""
    total = int(counts.sum())
    shares = [divmod(TEST_SAMPLES * int(count), total) for count in counts]
    quotas = [whole for whole, _ in shares]
    by_remainder = sorted(range(len(shares)), key=lambda digit: (-shares[digit][1], digit))
    for digit in by_remainder[: TEST_SAMPLES - sum(quotas)]:
        quotas[digit] += 1
    return quotas


def _parse(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        with gzip.open(path, "rb") as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE} bytes of text")
        table = np.loadtxt(text.decode("ascii").splitlines(), delimiter=",", dtype=np.float64, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"data set 'digits': '{path}' cannot be read: {error}") from error
    if table.shape != (SAMPLES, PIXELS + 1):
        raise DataError(f"data set 'digits': '{path}' holds {table.shape}, expected {(SAMPLES, PIXELS + 1)}")
    pixels, labels = table[:, :PIXELS].astype(np.uint8), table[:, PIXELS].astype(np.int64)
    exact = np.array_equal(np.column_stack([pixels, labels]), table)
    if not exact or pixels.max() > LEVELS or np.unique(labels).tolist() != list(range(CLASSES)):
        raise DataError(f"data set 'digits': '{path}' holds values other than 0..{LEVELS} and the digits")
    return pixels, labels
