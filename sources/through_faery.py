# SPDX-License-Identifier: Apache-2.0
"""What the package faery reads (LGPL-3; the extra `events`), as chunks: it is imported when such a file is opened.

It does not say at which byte it is: faults are named by the number of the event.
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError, UnsupportedError
from spikerun.events import EVENT
from spikerun.sources.format import Chunks

__all__ = ["chunks", "decoder"]

EVENT_BYTES = "V13"  # as faery has events: those of ours, without what is empty
BYTES = np.dtype({"names": ["event"], "formats": [EVENT_BYTES], "itemsize": EVENT.itemsize})


def decoder(path: Path, kind: str, **options: Any) -> Any:
    """Return faery's decoder of a file. Raises UnsupportedError without faery, DataError where it refuses the file."""
    try:
        import faery
    except ImportError as error:
        raise UnsupportedError(
            f"'{path}': {kind} files are read by the package faery (LGPL-3), which cannot be imported: {error}; "
            "pip install 'spikerun[events]'"
        ) from error
    return _guarded(path, lambda: faery.events_stream_from_file(path, **options), "it is refused")


def chunks(path: Path, made: Callable[[], Any], chunk: int) -> Chunks:
    """Yield the events of a decoder, at most so many at a time."""
    count = 0
    arrays: Iterator[NDArray[Any]] = iter(made())
    while True:
        array = _guarded(path, lambda: next(arrays, None), f"behind event {count}")
        if array is None:
            return
        for k in range(0, len(array), chunk):
            part = array[k : k + chunk]
            found = np.zeros(len(part), EVENT)
            found.view(BYTES)["event"] = part.view(EVENT_BYTES)
            yield found, functools.partial(_where, count)
            count += len(part)


def _where(first: int, k: int) -> str:
    return f"event {first + k}"


def _guarded(path: Path, call: Callable[[], Any], where: str) -> Any:
    """Return what a call of faery returns; whatever it raises, panics of Rust too, names the file."""
    try:
        return call()
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise DataError(f"'{path}': {where}: faery says: {error}") from error
