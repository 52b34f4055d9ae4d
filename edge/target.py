"""What every target offers, whatever its silicon."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from spikerun.network import Network

__all__ = ["Bundle", "Frames", "RunReport", "Target", "TargetSpec", "Tool"]

Frames = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
"""Integers (samples, *shape) of the one input population, or such an array for each input by name."""


@dataclass(frozen=True)
class Tool:
    """A program that a target needs: what it is for, where it was found (None: missing), how to install it."""

    name: str
    purpose: str
    path: str | None
    install: str


@dataclass(frozen=True, eq=False)
class RunReport:
    """What a bundle did when it was run.

    outputs: int32 (samples, outputs), as the network orders its outputs, each in C order; instructions: of each
    inference, int64 (samples,), where the emulator counts them, else None; mismatches: what differed, in words.
    """

    identical: bool
    outputs: npt.NDArray[np.int32]
    mismatches: tuple[str, ...]
    emulator: str
    toolchain: str
    instructions: npt.NDArray[np.int64] | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    stack_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class Bundle:
    """A written bundle: its folder, its report (the content of report.json), and the run, if it was run."""

    path: Path
    report: Mapping[str, Any]
    run: RunReport | None = None


class Target(Protocol):
    """A target: it knows its tools, judges whether a network fits, and makes bundles."""

    @property
    def name(self) -> str:
        """Return the name in the table."""
        ...

    def tools(self) -> list[Tool]:
        """Return the tools that running a bundle takes; alternatives share a purpose."""
        ...

    def require(self, emulator: str = "auto", toolchain: str = "auto") -> None:
        """Raise TargetError, or UsageError for an unknown name, unless a bundle can be built and run here."""
        ...

    def check(self, net: Network) -> dict[str, Any]:
        """Return the memory report of the network on this target, with `fits` and `advice`."""
        ...

    def deploy(self, net: Network, out: Path, samples: Frames | int, **options: Any) -> Bundle:
        """Write a bundle to the folder `out`; a number means so many random samples."""
        ...


@dataclass(frozen=True)
class TargetSpec:
    """A row of the table of targets: `module` is `package.module:function`; the function takes the target's name."""

    name: str
    summary: str
    module: str

    def load(self) -> Target:
        """Import the target."""
        module, _, function = self.module.partition(":")
        return cast(Target, getattr(importlib.import_module(module), function)(self.name))
