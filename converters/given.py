# SPDX-License-Identifier: Apache-2.0
"""The data that `spikerun convert` is given: for each input of the network, as the network takes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikerun import datasets
from spikerun.converters.encoding import Encoding
from spikerun.converters.forms import form_of, noise
from spikerun.converters.inputs import alike, entering_as
from spikerun.converters.source import Source, Trained
from spikerun.datasets import Dataset
from spikerun.datasets.archive import names_of
from spikerun.errors import DataError, UsageError
from spikerun.text import listed

__all__ = ["Splits", "places_of"]

SEED = 0
HELD_OUT = 60_000  # samples at most of the train split, beside those that calibrate, by which a search judges


@dataclass(frozen=True)
class Splits:
    """Samples that calibrate and choose, and those that measure, by the names of the inputs, all of the same labels.

    signals: the inputs whose images of one channel turned out to be signals.
    """

    train: dict[str, Dataset]
    test: dict[str, Dataset]
    signals: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, source: Trained, calibration: str, data: str | None, folder: Path | None, limit: int | None,
        unit: float | None, tell: Callable[[str, int, int], None],
    ) -> "Splits":  # fmt: skip
        """Return the data for the inputs of a network; unit: what --scale says."""
        expected = source.expected() if isinstance(source, Source) else {"input": None}
        names = tuple(expected)
        for name in (calibration, data or calibration) if len(names) > 1 else ():
            _require_arrays(name, expected)
        train = datasets.load_inputs(calibration, names, folder, "train", unit=unit)
        test = datasets.load_inputs(data or calibration, names, folder, "test", limit, unit=unit)
        for name in names:
            train[name], test[name] = alike(train[name], test[name])
        if train[names[0]].split == "all" and data in (None, calibration):
            tell(f"{calibration} has one split: the samples that calibrate are among those that measure", 0, 0)
        return cls(train, test)

    def as_taken(self, source: Source, tell: Callable[[str, int, int], None]) -> "Splits":
        """Return images whose channel is not in the file as signals where the network takes these (`forms.py`)."""
        added = {
            name: self.train[name].shape[1:]
            for name in self.train
            if (self.train[name].channel_added or self.test[name].channel_added) and self.train[name].is_grey
        }
        if not added:
            return self
        real = {name: noise(np.asarray(one.samples)) * one.scale for name, one in self.train.items()}
        form = form_of(source, real, dict.fromkeys(added, 1), signals_first=True)
        shapes = " and ".join(map(str, added.values()))
        if form.refused is not None:
            tell(f"the network takes samples {shapes} neither as signals nor, with a channel, as images", 0, 0)
            return self  # its own words on images follow
        if form.several:
            as_what = " and ".join(f"{shape} as {_form(name in form.signals)}" for name, shape in added.items())
            more = (
                "other results; for grey images give arrays with their channel, (N, 1, A, B)"
                if form.differ
                else "the same results"
            )
            tell(f"the network takes samples {shapes} as signals and as grey images, with {more}: here {as_what}", 0, 0)
        train, test = (
            {name: one.as_signals() if name in form.signals else one for name, one in split.items()}
            for split in (self.train, self.test)
        )
        return replace(self, train=train, test=test, signals=form.signals)

    def as_rows(self) -> "Splits":
        """Return signals (N, C, L) as images of height 1, (N, C, 1, L), as they enter a network with a time loop."""
        train, test = (
            {name: one.as_rows() if name in self.signals else one for name, one in split.items()}
            for split in (self.train, self.test)
        )
        return replace(self, train=train, test=test)

    @property
    def count(self) -> int:
        """Return the number of samples of the train split."""
        return len(self.only)

    @property
    def only(self) -> Dataset:
        """Return the train split of the first input, whose labels are those of all."""
        return next(iter(self.train.values()))

    @property
    def measured(self) -> Dataset:
        """Return the test split of the first input, whose labels are those of all."""
        return next(iter(self.test.values()))

    def encodings(
        self, given: Encoding, chosen: Any, bits: int | None, said: bool, scale: float | None
    ) -> tuple[dict[str, Encoding], list[str]]:
        """Return the encoding of each input, and what is to be said of them: see `entering_as`."""
        found, notes = {}, []
        for name in self.train:
            data = self.train[name], self.test[name]
            found[name], note = entering_as(given, data, chosen, bits, said, scale, name)
            notes += note
        return found, notes

    def training(self, places: Any) -> dict[str, Any]:
        """Return the samples at some places of the train split, by input."""
        return {name: one.samples[places] for name, one in self.train.items()}

    @property
    def testing(self) -> dict[str, Any]:
        """Return the samples that measure, by input."""
        return {name: one.samples for name, one in self.test.items()}

    def require_one_input(self) -> None:
        """Refuse several inputs."""
        if len(self.train) > 1:
            raise UsageError(
                f"the network has the inputs {', '.join(self.train)}: networks with a time loop have one here; "
                "convert_spiking takes several, in Python"
            )


def places_of(count: int, samples: int, choose: bool) -> tuple[Any, Any]:
    """Return the places of the samples that calibrate, and of those held out: half at least, where they choose."""
    samples = min(samples, max(count // 2, 1)) if choose else samples
    order = np.random.default_rng(SEED).permutation(count)
    return np.sort(order[:samples]), np.sort(order[samples : samples + HELD_OUT])


def _form(signal: bool) -> str:
    return "signals" if signal else "images"


def _require_arrays(given: str, expected: Mapping[str, tuple[int | None, ...] | None]) -> None:
    """Refuse data that have not an array for each of several inputs."""
    known = names_of(Path(given)) if given.endswith(".npz") else {}
    missing = [name for name in expected if name.lower() not in known]
    if not missing or (given.endswith(".npz") and not known):  # a file that cannot be read is refused where it is read
        return
    shapes = ", ".join(f"{name} {_text(axes)}".strip() for name, axes in expected.items())
    arrays = ", ".join(f"{name}=..." for name in expected)
    raise DataError(
        f"'{given}' has no array {listed(missing)}: the network has {len(expected)} inputs, {shapes}; give an .npz "
        f"file with an array of samples for each, and their labels: numpy.savez(path, {arrays}, labels=...)"
    )


def _text(axes: tuple[int | None, ...] | None) -> str:
    return "" if axes is None else f"({', '.join(['N', *('any' if n is None else str(n) for n in axes)])})"
