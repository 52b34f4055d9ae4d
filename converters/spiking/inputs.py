# SPDX-License-Identifier: Apache-2.0
"""How the samples of a data set enter a network with a time loop, by what `spikerun convert` is asked for."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from spikerun.converters.encoding import Encoding
from spikerun.converters.samples import from_samples
from spikerun.converters.source import Trained
from spikerun.datasets import ENCODERS, Bins, Dataset, Encoded, Encoder, Latency, Rate
from spikerun.errors import UsageError, unknown_name

__all__ = ["CURRENT", "INPUTS", "Entering", "encoders_of", "encoding_of", "usual"]

CURRENT = Encoding(code="current")

INPUTS = ("current", *ENCODERS, "frames")
MICROSECONDS = 1e6
LOOKED_AT = 512  # samples, for what is said of their range
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Entering:
    """What was asked for: the form of input, --duration, --dt in seconds, --bins and --seed.

    file_takes_dt: whether the network is in a file that may need to be told its time step.
    """

    form: str | None = None
    duration: int | None = None
    dt: float | None = None
    bins: str | None = None
    seed: int | None = None
    file_takes_dt: bool = False

    def __post_init__(self) -> None:
        if self.form is not None and self.form not in INPUTS:
            raise unknown_name("form of input", self.form, INPUTS)

    def opened(self, opener: Callable[[float | None], Trained]) -> Trained:
        """Return what is opened with a time step: --dt, where it is that of a file, and not of bins alone.

        A file that says its time step itself keeps it where events are binned.
        """
        if self.file_takes_dt and self.form == "events":
            with suppress(UsageError):  # it is said again where --dt does not help
                return opener(None)
        return opener(self.dt if self.file_takes_dt or self.form not in (None, "events") else None)

    def samples(self, given: Encoding, data: Dataset, *more: Dataset) -> tuple[Encoding, tuple[Dataset, ...]]:
        """Return the encoding of what the network gets, and the data sets as they enter.

        given: scale, mean and std of the samples.
        """
        form = self.form or _usual(data)
        self._check(form)
        if form in ENCODERS:
            encoder = self._encoder(form, given)
            if form != "events" and not data.recorded:
                _check_range(form, given, data)
            return encoding_of(encoder, given), tuple(one.encoded(encoder) for one in (data, *more))
        if data.recorded:
            raise UsageError(f"data set '{data.name}' holds event recordings: --input events --dt 1ms, not '{form}'")
        films = form == "frames" and len(data.shape) == 3 and data.shape[0] == 1
        return replace(given, code=form), tuple(one.film() if films else one for one in (data, *more))

    def _check(self, form: str) -> None:
        """Refuse what means nothing for this form."""
        if self.dt is not None and form != "events" and not self.file_takes_dt:
            raise UsageError(f"--dt is the time step of --input events, or of a .nir file; this input is '{form}'")
        if self.bins is not None and form != "events":
            raise UsageError(f"--bins says how events are binned, for --input events; this input is '{form}'")
        if self.seed is not None and form != "rate":
            raise UsageError(f"--seed is that of the spikes of --input rate; this input is '{form}'")

    def _encoder(self, form: str, given: Encoding) -> Encoder:
        if self.duration is None:
            raise UsageError(f"how many time steps does --input {form} give? Say --duration, such as --duration 25")
        if form == "events":
            if self.dt is None:
                raise UsageError("how long is a time step, into which events are binned? Say --dt, such as --dt 1ms")
            return Bins(self.duration, round(self.dt * MICROSECONDS, 6), self.bins or "count")
        if (given.mean, given.std) != ((0.0,), (1.0,)):
            raise UsageError(
                f"--input {form} makes spikes of the samples, which are 0 or 1: leave --mean and --std out, or convert "
                "with --input current"
            )
        return (
            Rate(self.duration, given.scale, self.seed or 0) if form == "rate" else Latency(self.duration, given.scale)
        )


def _check_range(form: str, given: Encoding, data: Dataset) -> None:
    """Refuse values that are far from what spikes are made of: they would fire always, or all in the first step."""
    largest = float(data.samples[:LOOKED_AT].max(initial=0)) * given.scale
    if largest > 1 + TOLERANCE:
        raise UsageError(
            f"--input {form} takes real numbers 0..1, and those of '{data.name}' reach {largest:g}: say what one is "
            f"worth, such as --scale {given.scale / largest:.6g}"
        )


def encoding_of(encoder: Encoder, given: Encoding | None = None) -> Encoding:
    """Return the encoding of what an encoder makes; given: scale, mean and std of counts of events."""
    code = "spikes" if encoder.bits == 1 else "frames"
    scaled: dict[str, Any] = {}
    if isinstance(encoder, Bins) and given is not None:
        scaled = {"scale": given.scale, "mean": given.mean, "std": given.std}
    return Encoding(**({"scale": 1.0} | scaled), bits=encoder.bits, code=code)


def usual(samples: Mapping[str, Any]) -> dict[str, Encoding]:
    """Return the encoding of each input that nobody says: that of its encoder, if it has one, or one that fits."""
    encoders = encoders_of(samples)
    return {
        name: encoding_of(encoders[name]) if name in encoders else from_samples(values, "current")
        for name, values in samples.items()
    }


def encoders_of(samples: Mapping[str, Any]) -> dict[str, Encoder]:
    """Return what encodes the samples of the inputs that are encoded."""
    return {name: one.encoder for name, one in samples.items() if isinstance(one, Encoded)}


def _usual(data: Dataset) -> str:
    """Return how samples enter if nobody says it."""
    if data.recorded:
        return "events"
    return "frames" if len(data.shape) in (2, 4) else "current"
