# SPDX-License-Identifier: Apache-2.0
"""Arrays of an `.npz` file, read without unpickling, and not before their sizes are known."""

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError

__all__ = ["LARGEST_FILE", "Names", "listed", "names_of", "read_arrays"]

LARGEST_FILE = 1 << 30  # bytes of all arrays together
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others inflate without limit

Names = Mapping[str, str]  # the names of a file's arrays, by the same in lower case


def read_arrays(
    path: Path, choose: Callable[[Names], Mapping[str, str]], advice: str, largest: int | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return some arrays of a file by their roles, those that are there, and what each is called there.

    choose: from the names that there are to the name of each role, in lower case; it may raise DataError. advice: how
    such a file is written. Arrays of more than `largest` bytes (LARGEST_FILE) are refused.
    """
    try:
        infos = _directory(path)
        called = {key: _name(info) for key, info in infos.items()}
        roles = choose(called)
        found = {role: name.lower() for role, name in roles.items() if name.lower() in infos}
        _check_sizes(
            [infos[name] for name in found.values()], path, LARGEST_FILE if largest is None else largest, advice
        )
        with np.load(path, allow_pickle=False) as file:
            arrays = {role: file[called[name]] for role, name in found.items()}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("a member is no array")
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds for files that are damaged
        what = str(error).partition("\n")[0][:200] or type(error).__name__
        raise DataError(
            f"'{path}' is damaged or no .npz file of numbers (nothing is unpickled): {what}; {advice}"
        ) from error
    return arrays, {role: called.get(name.lower(), name) for role, name in roles.items()}


def names_of(path: Path) -> Names:
    """Return the names of a file's arrays by the same in lower case; none where it cannot be read."""
    try:
        return {key: _name(info) for key, info in _directory(path).items()}
    except Exception:  # whatever is wrong is said where the arrays are read
        return {}


def listed(names: Names) -> str:
    """Return the names of the arrays as text."""
    return ", ".join(sorted(names.values())) or "none"


def _directory(path: Path) -> dict[str, zipfile.ZipInfo]:
    if not os.path.isfile(path):  # Path.is_file raises for long names
        raise DataError(f"there is no file '{path}'")
    with zipfile.ZipFile(path) as archive:
        infos = {_name(info).lower(): info for info in archive.infolist()}
        if len(infos) < len(archive.infolist()):
            raise DataError(f"'{path}' has two arrays of one name (case does not matter); leave one of them out")
    return infos


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename.removesuffix(".npy")


def _check_sizes(infos: list[zipfile.ZipInfo], path: Path, largest: int, advice: str) -> None:
    """Refuse, by what the directory of the archive says, what would take too much memory."""
    size = sum(info.file_size for info in infos)
    if size > largest:
        raise DataError(f"'{path}': its arrays take {size} bytes, the limit is {largest}; use fewer samples")
    for info in infos:
        if info.compress_type not in METHODS:
            raise DataError(f"'{path}': is compressed by method {info.compress_type}, only deflate is read; {advice}")
