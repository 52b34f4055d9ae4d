# SPDX-License-Identifier: Apache-2.0
"""Errors a user can cause, each with the exit code that the command line returns for it.

A message says what is wrong, where (the name of the population, file or option), what was expected, and what to do.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckFailed",
    "ConversionError",
    "DataError",
    "FileFormatError",
    "NetworkError",
    "SpikerunError",
    "TargetError",
    "TrainingDiverged",
    "UnsupportedError",
    "UsageError",
    "printable",
    "unknown_name",
]


class SpikerunError(Exception):
    """Base of all errors that spikerun raises on purpose; `exit_code` is what the command line returns."""

    exit_code = 3


class NetworkError(SpikerunError, ValueError):
    """The description of a network contradicts itself or the arithmetic contract."""


class FileFormatError(SpikerunError, ValueError):
    """A file is not what it claims to be; the message holds the path of the offending part."""


class DataError(SpikerunError, ValueError):
    """Samples, labels or events do not fit the network or are malformed."""


class ConversionError(SpikerunError, ValueError):
    """A trained network cannot be converted as asked."""


class TargetError(SpikerunError, ValueError):
    """A network does not fit a deployment target, or the target's tools are missing."""


class UnsupportedError(SpikerunError, NotImplementedError):
    """A thing that the contract allows and this component does not do; the message names what does."""


class UsageError(SpikerunError, ValueError):
    """The command line or an API call was put wrongly."""

    exit_code = 2


class CheckFailed(SpikerunError, RuntimeError):
    """A verification or an accuracy budget failed; nothing is wrong with the input."""

    exit_code = 1


class TrainingDiverged(CheckFailed):
    """The loss of a training became NaN or infinite; the last good epoch is kept. what: that alone, without advice."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what + advice)
        self.what = what


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """Return the error for a `name` that is not among the `choices`, with the nearest one suggested."""
    known = sorted(choices)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UsageError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known) or 'none'}.")


def printable(text: str) -> str:
    """Return `text` with what steers a terminal (control characters, such as ESC, but the line feed) written out."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
