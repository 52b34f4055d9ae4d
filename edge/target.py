# SPDX-License-Identifier: Apache-2.0
"""What every target offers, whatever its silicon."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from spikerun.errors import UsageError, unknown_name
from spikerun.network import Network

__all__ = [
    "Bundle",
    "Frames",
    "Measure",
    "Options",
    "RunReport",
    "Table",
    "Target",
    "Tool",
    "Verdict",
    "option",
    "parse",
]

Frames = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
"""Integers (samples, *shape) of the one input population, or such an array for each input by name."""

Measure = float | int | str


@dataclass(frozen=True)
class Tool:
    """A program that a target needs: what it is for, where it was found (None: missing), how to install it."""

    name: str
    purpose: str
    path: str | None
    install: str


@dataclass(frozen=True)
class Table:
    """Rows under named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Measure, ...], ...]

    def json(self) -> list[dict[str, Measure]]:
        """Return each row by its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Verdict:
    """Whether a network fits a target.

    complaints: what does not, where, and what would help, in sentences; table: what each part of the network takes;
    measures: totals and limits by name; notes: what was chosen and why, and what should be known, in sentences; labels:
    how measures were found, by name, where that is to be said (`estimated`, `emulated`); tables: more of them, by what
    they show.
    """

    target: str
    fits: bool
    complaints: tuple[str, ...]
    table: Table
    measures: Mapping[str, Measure]
    notes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return it as JSON, each row of the tables by its columns."""
        lists = {"complaints": list(self.complaints), "notes": list(self.notes)}
        tables = {"table": self.table.json(), "tables": {name: found.json() for name, found in self.tables.items()}}
        return {**vars(self), **lists, **tables, "measures": dict(self.measures), "labels": dict(self.labels)}


@dataclass(frozen=True, eq=False)
class RunReport:
    """What a bundle did when it was run.

    outputs: int32 (samples, outputs), as the network orders its outputs, each in C order; mismatches: what differed,
    in words; where: on what it ran; measures: what was measured, by name; parts: what each part of the network took,
    if that was counted; notes: what should be known, in sentences.
    """

    identical: bool
    outputs: npt.NDArray[np.int32]
    mismatches: tuple[str, ...]
    where: str
    measures: Mapping[str, Measure]
    parts: Table | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bundle:
    """A written bundle: its folder, which `spikerun.edge.bundle.finish` ends, and what can be said of it.

    samples: how many it checks; name: what its symbols begin with; measured: whether measures of the verdict are those
    of the run, instead of bounds; run: what it did, if it was run.
    """

    path: Path
    verdict: Verdict
    samples: int
    name: str = "model"
    measured: bool = False
    run: RunReport | None = None

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Return what it takes, by name."""
        return self.verdict.measures

    def json(self) -> dict[str, Any]:
        """Return what `spikerun deploy --json` prints and report.json holds."""
        verdict, run = self.verdict.json(), self.run
        measures = verdict.pop("measures")
        return {
            "target": verdict.pop("target"),
            "name": self.name,
            **verdict,
            "measured": self.measured,
            "measures": measures,
            "samples": self.samples,
            "identical": run.identical if run else None,
            "mismatches": list(run.mismatches) if run else [],
            "where": run.where if run else None,
            "parts": run.parts.json() if run and run.parts else [],
        }


@dataclass(frozen=True)
class Options:
    """What can be chosen for a target: each declares a dataclass of its own, whose fields are made by `option`.

    Raises UsageError for a value of another type than the field's default.
    """

    def __post_init__(self) -> None:
        for f in fields(self):
            value, wanted = getattr(self, f.name), type(f.default)
            if not isinstance(value, int | float if wanted is float else wanted):
                raise UsageError(f"option '{f.name}' of a target takes a {wanted.__name__}, got {value!r}")


def option(default: Measure, text: str) -> Any:
    """Return a field of `Options`: an int, a float or a string, and its help."""
    return field(default=default, metadata={"help": text})


class Target(Protocol):
    """A target: it knows its tools, judges whether a network fits, and makes bundles."""

    @property
    def name(self) -> str:
        """Return the name, as `--target` takes it."""
        ...

    @property
    def summary(self) -> str:
        """Return what it is, in some words."""
        ...

    @property
    def facts(self) -> Mapping[str, Measure]:
        """Return what is known of the hardware, by name: of boards `core`, `clock_hz`, `flash_bytes`, `ram_bytes`."""
        ...

    @property
    def options(self) -> type[Options]:
        """Return the class of its options."""
        ...

    def tools(self) -> list[Tool]:
        """Return the tools that running a bundle takes; alternatives share a purpose."""
        ...

    def require(self, options: Options | None = None) -> None:
        """Raise TargetError, or UsageError for an unknown choice, unless a bundle can be built and run here."""
        ...

    def check(self, net: Network, options: Options | None = None, samples: Frames | int | None = None) -> Verdict:
        """Judge whether the network fits. Raises UnsupportedError for what the target has no means to compute.

        samples: where there are any it also says what a run takes, as far as the target and the tools on this machine
        know it; frames tell how active the network is, a number that nobody knows.
        """
        ...

    def deploy(
        self,
        net: Network,
        out: str | Path,
        samples: Frames | int = 16,
        options: Options | None = None,
        *,
        run: bool = False,
        force: bool = False,
    ) -> Bundle:
        """Write a bundle to the folder `out`, by `scratch` and `finish` of `spikerun.edge.bundle`.

        samples: a number means so many random ones; run: build it, run it, compare it with the reference; force:
        replace an earlier bundle.
        """
        ...


T = TypeVar("T", bound=Options)


def parse(target: str, kind: type[T], given: Mapping[str, str]) -> T:
    """Return options of a class from text. Raises UsageError for an unknown name or a value that is no number."""
    known = {f.name: f for f in fields(kind)}
    values: dict[str, Measure] = {}
    for name, text in given.items():
        if name not in known:
            raise unknown_name(f"option of target '{target}'", name, known)
        wanted: type[Any] = type(known[name].default)
        try:
            values[name] = wanted(text)
        except ValueError:
            raise UsageError(f"target '{target}': option '{name}' takes a {wanted.__name__}, got '{text}'") from None
    return kind(**values)
