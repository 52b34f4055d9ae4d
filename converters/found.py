# SPDX-License-Identifier: Apache-2.0
"""What a search for the cheapest network found: the settings that it weighed, and what was measured of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spikerun.converters.accuracy import Accuracy
from spikerun.text import table

__all__ = ["UNITS", "Candidate", "Choice", "Found", "Price"]

UNITS: Mapping[str, str] = {
    "synops": "synaptic operations a sample",
    "spikes": "spikes a sample",
    "latency": "time steps a sample",
    "memory": "bytes in all",
}
SHOWN = 24  # rows of the table


@dataclass(frozen=True, order=True)
class Choice:
    """The words of a population: bits, code, and how many times as wide their steps are as those of least error.

    zone: words below it are 0; up to 1 there are none.
    """

    bits: int
    code: str
    stretch: float = 1.0
    zone: int = 0

    def __str__(self) -> str:
        wide = f"x{self.stretch:g}" if self.stretch > 1 else ""
        return f"{self.bits}{'t' if self.code == 'ttfs' else ''}{wide}{f'z{self.zone}' if self.zone > 1 else ''}"


@dataclass(frozen=True)
class Price:
    """What a choice for one population costs, and how far the results are from the ANN's if it alone is quantised so.

    On calibration samples. divergence: of Kullback and Leibler, in nats, of classes; of real results, the relative
    squared error. cost: in the units of the objective, for one sample.
    """

    population: str
    choice: Choice
    divergence: float
    cost: float


@dataclass(frozen=True)
class Candidate:
    """A setting on the frontier (of all those of no more divergence, none was expected to be cheaper) or beside it.

    choices: by the name of the population. divergence: the sum of those of its choices. expected: its cost by those of
    its choices and what none of them changes; by latency, synaptic operations. The rest is None where it was not
    measured: cost, in the units of the objective, synops for one sample, accuracy on held-out samples, and the largest
    drop that these leave likely (see `Found.confidence`).
    """

    choices: Mapping[str, Choice]
    divergence: float
    expected: float
    cost: float | None = None
    synops: float | None = None
    accuracy: Accuracy | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Found:
    """A search: the cheapest network by `objective` whose drop is at most `max_drop` points, with `confidence`.

    That is how sure it is that all largest drops that were measured hold together. metric: by its name. kept: whether
    there is one; chosen: its place on the frontier, else that of the nearest. frontier: from the dearest to the
    cheapest by what was expected, and between them the settings of the same bits for all that were measured.
    """

    objective: str
    metric: str
    max_drop: float
    confidence: float
    kept: bool
    chosen: int
    frontier: tuple[Candidate, ...]
    prices: tuple[Price, ...] = field(default=())

    @property
    def unit(self) -> str:
        """Return what costs are counted in."""
        return UNITS[self.objective]

    def text(self) -> str:
        """Return the frontier as a table: what was measured, and as many of the rest as can be read."""
        step = max(1, len(self.frontier) // SHOWN)
        names = list(self.frontier[0].choices)
        expected = "expected synops" if self.objective == "latency" else "expected"
        header = ["", expected, "measured", "synops", "drop", f"at most ({self.confidence:.0%})", "samples", "bits"]
        rows = []
        for place, one in enumerate(self.frontier):
            if place % step and one.accuracy is None and place != self.chosen:
                continue
            measured = ["-"] * 5
            if one.accuracy is not None:
                measured = [
                    f"{one.cost or 0:,.0f}", f"{one.synops or 0:,.0f}", f"{one.accuracy.drop:+.2f}",
                    f"{one.upper or 0:+.2f}", f"{one.accuracy.samples:,}",
                ]  # fmt: skip
            bits = " ".join(str(one.choices[name]) for name in names)
            rows.append(["*" if place == self.chosen else "", f"{one.expected:,.0f}", *measured, bits])
        said = (
            f"search by {self.objective} ({self.unit}), {self.metric}, budget {self.max_drop:g} points; * is taken"
            f"{'' if self.kept else ', and does not keep the budget'}; t: ttfs, x: steps so many times as wide, "
            f"z: words below it are 0; bits of {', '.join(names)}"
        )
        return f"{said}:\n{table(header, rows, right=range(1, 7))}"
