# SPDX-License-Identifier: Apache-2.0
"""The data that `spikerun convert` is given: for each input of the network, as the network takes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from spikerun import datasets
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Array
from spikerun.converters.inputs import alike, entering_as
from spikerun.converters.source import Source, Trained
from spikerun.datasets import Dataset
from spikerun.datasets.archive import names_of
from spikerun.errors import DataError, UsageError
from spikerun.text import listed

__all__ = ["Splits", "places_of"]

TRIED = (2, 3)  # samples, with which a form is tried: one alone may be taken for a sample without a batch
SEED = 0
HELD_OUT = 60_000  # samples at most of the train split, beside those that calibrate, by which a search judges


@dataclass(frozen=True)
class Splits:
    """Samples that calibrate and choose, and those that measure, by the names of the inputs, all of the same labels."""

    train: dict[str, Dataset]
    test: dict[str, Dataset]

    @classmethod
    def of(
        cls, source: Trained, calibration: str, data: str | None, folder: Path | None, limit: int | None,
        unit: float | None, tell: Callable[[str, int, int], None],
    ) -> "Splits":  # fmt: skip
        """Return the data for the inputs of a network; unit: what --scale says.

        An array (N, A, B) of a file is a signal where the network takes no images of one channel, or means something
        else by them.
        """
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
        """Return images of one channel as signals where the network takes these, and not those."""
        added = [name for name, one in self.train.items() if one.channel_added]
        forms = [frozenset(name for name, plain in zip(added, flags, strict=True) if plain)
                 for flags in product((False, True), repeat=len(added))]  # fmt: skip
        if len(forms) == 1:
            return self
        as_they_stand = self._results(source, forms[-1])
        for form in forms:
            results = self._results(source, form)
            if results is not None:
                same = as_they_stand is None or _same(results, as_they_stand)
                return self._of_signals(form if same else forms[-1])
        shapes = " and ".join(str(self.train[name].shape[1:]) for name in added)
        tell(f"the network takes samples {shapes} neither as signals nor, with a channel, as images", 0, 0)
        return self  # its own words on images follow

    def _of_signals(self, names: frozenset[str]) -> "Splits":
        train, test = (
            {name: one.as_signals() if name in names else one for name, one in split.items()}
            for split in (self.train, self.test)
        )
        return replace(self, train=train, test=test)

    def _results(self, source: Source, signals: frozenset[str]) -> list[dict[str, Array]] | None:
        """Return the network's results for a few samples; None where it does not take them in this form."""
        found = []
        for count in TRIED:
            batch = {}
            for name, one in self._of_signals(signals).train.items():
                real = one.first(count).real().astype(np.float64)
                batch[name] = np.resize(real, (count, *real.shape[1:]))
            try:
                found.append(source.logits(batch))
            except Exception:  # whatever a user's own forward raises
                return None
            if any(len(values) != count for values in found[-1].values()):
                return None
        return found

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


def _same(a: list[dict[str, Array]], b: list[dict[str, Array]]) -> bool:
    """Return whether results are the same, but for the axes of length 1."""
    return all(
        x.keys() == y.keys() and all(_equal(x[name].squeeze(), y[name].squeeze()) for name in x)
        for x, y in zip(a, b, strict=True)
    )


def _equal(x: Array, y: Array) -> bool:
    return x.shape == y.shape and np.allclose(x, y, rtol=1e-4, atol=1e-4 * float(np.abs(x).max(initial=0)))


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
