# SPDX-License-Identifier: Apache-2.0
"""Data sets that are found on the machine and never downloaded: each is got from who publishes it."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spikerun.datasets import TABLE
from spikerun.datasets.download import places
from spikerun.errors import DataError, UnsupportedError

__all__ = ["Found", "md5_of"]

CHUNK = 1 << 20


@dataclass(frozen=True)
class Found:
    """A data set of the table, by its name.

    inside:   folders in which its files may lie, too, in each place that is looked at
    archives: the published MD5 of each archive, which is unpacked by hand
    """

    name: str
    inside: tuple[str, ...] = ()
    archives: Mapping[str, str] = field(default_factory=dict)

    @property
    def hint(self) -> str:
        """Return how to get it."""
        return TABLE[self.name].hint

    def places(self, folder: Path | None) -> tuple[Path, ...]:
        """Return the folders that are looked at, in order."""
        return tuple(one for place in places(self.name, folder) for one in (place, *(place / i for i in self.inside)))

    def missing(self, what: str, folder: Path | None) -> DataError:
        """Return the error that says where `what` was looked for, and how to get it.

        Where an archive lies there that is still to be unpacked, its MD5 is compared with the published one.
        """
        packed = next(self._archives(folder), None)
        if packed is not None:
            found, published = md5_of(packed), self.archives[packed.name]
            if found != published:
                return DataError(
                    f"data set '{self.name}': '{packed}' has the MD5 {found}, the published one {published}: it was "
                    "cut short or changed; get it again"
                )
            return DataError(
                f"data set '{self.name}': {what}, but '{packed}', whose MD5 is the published one: unpack it there"
            )
        looked_at = ", ".join(str(place) for place in places(self.name, folder))
        return DataError(f"data set '{self.name}': {what} in {looked_at}: {self.hint}")

    def _archives(self, folder: Path | None) -> Iterator[Path]:
        yield from (
            place / name for place in self.places(folder) for name in self.archives if os.path.isfile(place / name)
        )

    def fetch(self, folder: Path | None, advance: Callable[[int], None]) -> Path:
        """Refuse."""
        raise UnsupportedError(f"data set '{self.name}' is not downloaded: {self.hint}")

    def fetch_size(self) -> int:
        """Return 0: nothing is downloaded."""
        return 0


def md5_of(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
