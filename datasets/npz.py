"""A user's own data: an `.npz` file of NumPy, read without unpickling and with every size checked first.

samples: uint8 (N, C, H, W), (N, H, W) or (N, F), in integer units
labels:  any integer type (N,), optional, class numbers from 0
scale:   one number, optional, 1/255 if missing, the real value of one unit
"""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from spikerun.datasets.dataset import Dataset
from spikerun.errors import DataError

__all__ = ["LARGEST_ARRAY", "read_npz"]

LARGEST_ARRAY = 1 << 32  # bytes
MOST_CLASSES = 1 << 20


def read_npz(path: Path, largest: int = LARGEST_ARRAY) -> Dataset:
    """Return the samples of an `.npz` file; arrays of more than `largest` bytes are refused."""
    if not path.is_file():
        raise DataError(f"there is no file '{path}'")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            if "samples" not in members:
                raise DataError(f"'{path}' has no array 'samples', only: {', '.join(sorted(members)) or 'none'}")
            arrays = {
                name: _read_member(archive, members[name], path, largest)
                for name in ("samples", "labels", "scale")
                if name in members
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"'{path}' is damaged or no .npz file: {error}") from error
    labels = _labels(arrays.get("labels"), path)
    return Dataset(
        name=path.name,
        split="all",
        samples=_samples(arrays["samples"], path),
        labels=labels,
        classes=tuple(str(number) for number in range(int(labels.max()) + 1)) if labels.size else (),
        scale=_scale(arrays.get("scale"), path),
        source=str(path),
    )


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, largest: int) -> NDArray[Any]:
    where = f"'{path}', array '{member.filename.removesuffix('.npy')}'"
    with archive.open(member) as file:
        try:
            version = npy.read_magic(file)
            read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, _, dtype = read_header(file)
            header = file.tell()
        except (ValueError, KeyError) as error:
            raise DataError(f"{where}: is not a NumPy array of version 1 or 2: {error}") from error
    if dtype.kind not in "uif":
        raise DataError(f"{where}: has the type {dtype}; only numbers are read, nothing is unpickled")
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > largest:
        raise DataError(f"{where}: has the shape {shape} of {dtype}, {size} bytes; the limit is {largest}")
    if header + size != member.file_size:
        raise DataError(f"{where}: announces {header + size} bytes and has {member.file_size}")
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)


def _samples(array: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Give every layout its channels: (N, H, W) has one, the features of (N, F) are channels of one pixel."""
    if array.dtype != np.uint8:
        raise DataError(
            f"'{path}', array 'samples': has the type {array.dtype}, expected uint8; "
            "store round(x / unit) as uint8, and the unit as 'scale'"
        )
    if array.ndim == 4:
        return np.ascontiguousarray(array)
    if array.ndim == 3:
        return np.ascontiguousarray(array[:, np.newaxis])
    if array.ndim == 2:
        return np.ascontiguousarray(array[:, :, np.newaxis, np.newaxis])
    raise DataError(
        f"'{path}', array 'samples': has the shape {array.shape}, expected (N, C, H, W), (N, H, W) or (N, F)"
    )


def _labels(array: NDArray[Any] | None, path: Path) -> NDArray[np.int64]:
    if array is None:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "ui" or array.ndim != 1:
        raise DataError(f"'{path}', array 'labels': is {array.dtype} {array.shape}, expected integers (N,)")
    if array.size == 0 or int(array.min()) < 0 or int(array.max()) >= MOST_CLASSES:
        raise DataError(f"'{path}', array 'labels': expected class numbers 0..{MOST_CLASSES - 1}, one a sample")
    return array.astype(np.int64)


def _scale(array: NDArray[Any] | None, path: Path) -> float:
    if array is None:
        return 1 / 255
    if array.size != 1:
        raise DataError(f"'{path}', array 'scale': has the shape {array.shape}, expected one number")
    return float(array.reshape(()))
