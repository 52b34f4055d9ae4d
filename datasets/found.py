# SPDX-License-Identifier: Apache-2.0
"""Data sets that are found on the machine and never downloaded: each is got from who publishes it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikerun.datasets import TABLE
from spikerun.datasets.download import places
from spikerun.errors import DataError, UnsupportedError

__all__ = ["Found"]


@dataclass(frozen=True)
class Found:
    """A data set of the table, by its name."""

    name: str

    @property
    def hint(self) -> str:
        """Return how to get it."""
        return TABLE[self.name].hint

    def places(self, folder: Path | None) -> tuple[Path, ...]:
        """Return the folders that are looked at, in order."""
        return places(self.name, folder)

    def missing(self, what: str, folder: Path | None) -> DataError:
        """Return the error that says where `what` was looked for, and how to get it."""
        looked_at = ", ".join(str(place) for place in self.places(folder))
        return DataError(f"data set '{self.name}': {what} in {looked_at}: {self.hint}")

    def fetch(self, folder: Path | None, advance: Callable[[int], None]) -> Path:
        """Refuse."""
        raise UnsupportedError(f"data set '{self.name}' is not downloaded: {self.hint}")

    def fetch_size(self) -> int:
        """Return 0: nothing is downloaded."""
        return 0
