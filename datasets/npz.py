"""A user's own data: an `.npz` file of NumPy, read without unpickling and with every size checked first.

samples: uint8 (N, C, H, W), (N, H, W) or (N, F), in integer units
labels:  any integer type (N,), optional, class numbers from 0
scale:   one number, optional, 1/255 if missing, the real value of one unit

`samples` and `labels` serve as the train and as the test split. A file with two splits has instead
`train_samples`, `test_samples` and optional `train_labels`, `test_labels`; one `scale` serves both.
"""

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from spikerun.datasets.dataset import Dataset
from spikerun.errors import DataError

__all__ = ["ADVICE", "LARGEST_FILE", "read_npz"]

ADVICE = "write it with numpy.savez(path, samples=..., labels=...)"

LARGEST_FILE = 1 << 30  # bytes of all arrays of a split together
LARGEST_HEADER = 10_000
MOST_AXES = 4
MOST_CLASSES = 1 << 20
LABEL_SIZE = 8  # bytes; labels become int64
DEFLATE_RATIO = 1032  # deflate packs 258 bytes into 2 bits at best
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# What zipfile and zlib raise for a file that is cut, altered, encrypted or no archive.
DAMAGES = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
# What NumPy raises for a header that is no header: it evaluates the text as a Python literal.
NO_HEADER = (
    ValueError, TypeError, LookupError, AttributeError, SyntaxError, tokenize.TokenError, OverflowError,
    RecursionError, MemoryError,
)  # fmt: skip


@dataclass(frozen=True)
class _Member:
    """An array of the file, of which only the header has been read."""

    info: zipfile.ZipInfo
    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def count(self) -> int:
        """Return the number of entries."""
        return math.prod(self.shape)


def read_npz(path: Path, split: str = "test", largest: int = LARGEST_FILE) -> Dataset:
    """Return the `train` or `test` split of an `.npz` file; arrays of more than `largest` bytes are refused."""
    if not path.is_file():
        raise DataError(f"there is no file '{path}'")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            prefix = _prefix(infos, path, split)
            names = {"samples": f"{prefix}samples", "labels": f"{prefix}labels", "scale": "scale"}
            members = {
                role: _header(archive, infos[name], f"'{path}', array '{name}'")
                for role, name in names.items()
                if name in infos
            }
            _check(members, path, largest)
            arrays = {role: _read(archive, member) for role, member in members.items()}
    except DataError:
        raise
    except DAMAGES as error:
        raise DataError(f"'{path}' is damaged or no .npz file: {error}; {ADVICE}") from error
    labels = _labels(arrays.get("labels"), path)
    return Dataset(
        name=path.name,
        split=split if prefix else "all",
        samples=_samples(arrays["samples"]),
        labels=labels,
        classes=tuple(str(number) for number in range(int(labels.max()) + 1)) if labels.size else (),
        scale=float(arrays["scale"].reshape(())) if "scale" in arrays else 1 / 255,
        source=str(path),
    )


def _prefix(infos: Mapping[str, zipfile.ZipInfo], path: Path, split: str) -> str:
    """Return what the names of the arrays of a split begin with: nothing in a file that has one split."""
    apart = {f"{one}_{role}" for one in ("train", "test") for role in ("samples", "labels")} & infos.keys()
    whole = {"samples", "labels"} & infos.keys()
    if apart and whole:
        raise DataError(
            f"'{path}' has the arrays {', '.join(sorted(apart | whole))}; have either samples and labels, "
            "or train_samples, train_labels, test_samples and test_labels"
        )
    prefix = f"{split}_" if apart else ""
    if f"{prefix}samples" not in infos:
        raise DataError(
            f"'{path}' has no array '{prefix}samples', only: {', '.join(sorted(infos)) or 'none'}; {ADVICE}"
        )
    return prefix


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> _Member:
    if info.compress_type not in METHODS:
        raise DataError(f"{where}: is compressed by method {info.compress_type}, only deflate is read; {ADVICE}")
    if info.file_size > DEFLATE_RATIO * info.compress_size + 64:
        raise DataError(f"{where}: announces {info.file_size} bytes in {info.compress_size}, deflate cannot; {ADVICE}")
    with archive.open(info) as packed:
        file = io.BytesIO(packed.read(LARGEST_HEADER))
    try:
        if npy.read_magic(file) != (1, 0):
            raise ValueError("the format version is not 1.0")
        shape, _, dtype = npy.read_array_header_1_0(file, max_header_size=LARGEST_HEADER)
    except NO_HEADER as error:
        raise DataError(f"{where}: is not a NumPy array of format 1.0: {str(error)[:200]}; {ADVICE}") from error
    if dtype.kind not in "uif":
        raise DataError(f"{where}: has the type {dtype}; only numbers are read, nothing is unpickled")
    if len(shape) > MOST_AXES or not all(type(axis) is int and 1 <= axis <= info.file_size for axis in shape):
        raise DataError(
            f"{where}: has the shape {shape}; expected at most {MOST_AXES} axes, each of at least 1 entry and "
            "none of more than the file holds"
        )
    member = _Member(info, where, shape, dtype)
    size = file.tell() + member.count * dtype.itemsize
    if size != info.file_size:
        raise DataError(f"{where}: announces {size} bytes and has {info.file_size}; {ADVICE}")
    return member


def _check(members: Mapping[str, _Member], path: Path, largest: int) -> None:
    """Check what the headers say, before any array is read."""
    samples, labels, scale = members["samples"], members.get("labels"), members.get("scale")
    if samples.dtype != np.uint8:
        raise DataError(
            f"{samples.where}: has the type {samples.dtype}, expected uint8; "
            "store round(x / unit) as uint8, and the unit as 'scale'"
        )
    if len(samples.shape) not in (2, 3, 4):
        raise DataError(f"{samples.where}: has the shape {samples.shape}, expected (N, C, H, W), (N, H, W) or (N, F)")
    if labels and (labels.dtype.kind not in "ui" or len(labels.shape) != 1):
        raise DataError(f"{labels.where}: is {labels.dtype} {labels.shape}, expected integers (N,)")
    if labels and labels.count != samples.shape[0]:
        raise DataError(f"{labels.where}: has {labels.count} entries for {samples.shape[0]} samples")
    if scale and scale.count != 1:
        raise DataError(f"{scale.where}: has the shape {scale.shape}, expected one number")
    size = samples.count + (LABEL_SIZE * labels.count if labels else 0)
    if size > largest:
        raise DataError(f"'{path}': its arrays take {size} bytes, the limit is {largest}; use fewer samples")


def _read(archive: zipfile.ZipFile, member: _Member) -> NDArray[Any]:
    with archive.open(member.info) as file:
        return npy.read_array(file, allow_pickle=False)


def _samples(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Give every layout its channels: (N, H, W) has one, the features of (N, F) are channels of one pixel."""
    if array.ndim == 3:
        array = array[:, np.newaxis]
    elif array.ndim == 2:
        array = array[:, :, np.newaxis, np.newaxis]
    return np.ascontiguousarray(array)


def _labels(array: NDArray[Any] | None, path: Path) -> NDArray[np.int64]:
    if array is None:
        return np.empty(0, dtype=np.int64)
    if int(array.min()) < 0 or int(array.max()) >= MOST_CLASSES:
        raise DataError(f"'{path}', array 'labels': expected class numbers 0..{MOST_CLASSES - 1}, one a sample")
    return array.astype(np.int64)
