# SPDX-License-Identifier: Apache-2.0
"""How samples without steps become what a network is given at each step: spikes by rate or latency, binned events.

An encoder is a row of `ENCODERS`. What it does depends on its own numbers, a sample, and the sample's place in its
split alone: not on which samples are made together. Networks carry the numbers in their meta, as `NAME_encoder` etc.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from types import MappingProxyType
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.events import Recordings
from spikerun.datasets.lazy import Lazy, Small, is_integer
from spikerun.errors import DataError, UsageError, unknown_name

__all__ = ["ENCODERS", "Bins", "Encoded", "Encoder", "Latency", "Rate", "encoder_meta", "encoder_of"]

MOST_STEPS = 1 << 20
LARGEST_SAMPLE = 1 << 26  # values of all steps of one sample
LOOKED_AT = 64  # recordings, for what is said of their times
BINS = ("count", "binary")
MOST_NS = 10**12  # of a bin

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rate:
    """A spike in each step with probability p = min(max(unit * x, 0), 1), as snntorch.spikegen.rate has it.

    Value k (in C order) of step t spikes where number t * K + k of a random stream is below round(2^32 p), K the values
    of a sample. The stream: the 64-bit words of NumPy's Philox of the key (seed, place of the sample in its split) from
    counter 0, each the lower 32 bits first.
    """

    kind: ClassVar[str] = "rate"
    bits: ClassVar[int] = 1
    steps: int
    unit: float = 1 / 255
    seed: int = 0

    def __post_init__(self) -> None:
        if not (is_integer(self.seed) and 0 <= self.seed < 2**63):
            raise UsageError(f"the seed is an integer from 0 on, got {self.seed!r:.80}")
        _take(self, steps=_steps(self.steps), unit=_unit(self.unit), seed=int(self.seed))

    @property
    def said(self) -> str:
        """Return what is done."""
        return (
            f"a value, as a real number within 0..1, is the probability of a spike in each of {self.steps} steps "
            f"(seed {self.seed})"
        )

    def encode(self, source: Small, place: int) -> Small:
        """Return spikes (T, *shape)."""
        x = source[place]
        below = np.rint(np.clip(x * self.unit, 0, 1) * 2**32).astype(np.uint64)
        words: NDArray[np.uint64] = np.random.Philox(key=np.array([self.seed, place], np.uint64)).random_raw(
            -(-self.steps * x.size // 2)
        )
        drawn = words.astype("<u8").view("<u4")[: self.steps * x.size].reshape(self.steps, *x.shape)
        spikes: NDArray[np.uint8] = (drawn < below).astype(np.uint8)
        return cast(Small, spikes)


@dataclass(frozen=True)
class Latency:
    """One spike of each value unit * x >= 0.01, in step round((T - 1) (1 - min(unit * x, 1))); others never.

    That is snntorch.spikegen.latency(num_steps=T, normalize=True, linear=True, clip=True), threshold 0.01, in float32
    as there; halves are rounded to even.
    """

    kind: ClassVar[str] = "latency"
    bits: ClassVar[int] = 1
    steps: int
    unit: float = 1 / 255

    THRESHOLD: ClassVar[float] = 0.01

    def __post_init__(self) -> None:
        _take(self, steps=_steps(self.steps), unit=_unit(self.unit))

    @property
    def said(self) -> str:
        """Return what is done."""
        return (
            f"a value x >= {self.THRESHOLD:g}, as a real number up to 1, spikes once, in step "
            f"round({self.steps - 1} (1 - x)); smaller ones never"
        )

    def encode(self, source: Small, place: int) -> Small:
        """Return spikes (T, *shape)."""
        real = np.minimum(source[place].astype(np.float32) * np.float32(self.unit), np.float32(1))
        step = np.rint(np.float32(self.steps - 1) * (np.float32(1) - real))
        steps = np.arange(self.steps, dtype=np.float32).reshape(-1, *(1,) * real.ndim)
        spikes: NDArray[np.uint8] = ((steps == step) & (real >= np.float32(self.THRESHOLD))).astype(np.uint8)
        return cast(Small, spikes)


@dataclass(frozen=True)
class Bins:
    """The events of a recording in each bin of dt_us microseconds, from t = 0 on, at each place of the frame.

    bins: `count`, how many, at most 255; `binary`, whether there is any. Events after T bins are cut.
    """

    kind: ClassVar[str] = "events"
    steps: int
    dt_us: float
    bins: str = "count"

    def __post_init__(self) -> None:
        if not isinstance(self.bins, str) or self.bins not in BINS:
            raise unknown_name("way to bin events", f"{self.bins!s:.80}", BINS)
        dt_us = _real(self.dt_us)
        if not 0 < dt_us * 1000 <= MOST_NS or abs(dt_us * 1000 - round(dt_us * 1000)) > 1e-6:
            raise UsageError(
                "a bin takes a time above 0, at most 1000 s, in whole nanoseconds, such as 1 ms; got "
                f"{self.dt_us!r:.80} us"
            )
        _take(self, steps=_steps(self.steps), dt_us=dt_us)

    @property
    def bits(self) -> int:
        """Return 1 where only 0 and 1 are given, else 8."""
        return 1 if self.bins == "binary" else 8

    @property
    def dt_ns(self) -> int:
        """Return the time of a bin in nanoseconds."""
        return round(self.dt_us * 1000)

    @property
    def said(self) -> str:
        """Return what is done."""
        what = "counted (at most 255)" if self.bins == "count" else "one event or none,"
        return (
            f"events are {what} in each of {self.steps} bins of {self.dt_us / 1000:g} ms; those after "
            f"{self.steps * self.dt_us / 1000:g} ms are cut"
        )

    def encode(self, source: Recordings, place: int) -> Small:
        """Return what is in each bin (T, C, H, W)."""
        events = source.events(place)
        step = events.t * 1000 // self.dt_ns
        channels, height, width = source.frame
        index = ((step * channels + events.p) * height + events.y) * width + events.x
        found, counts = np.unique(index[step < self.steps], return_counts=True)
        frames = np.zeros(self.steps * channels * height * width, np.uint8)
        frames[found] = np.minimum(counts, 255) if self.bins == "count" else 1
        return frames.reshape(self.steps, *source.frame)

    def remark(self, recordings: Recordings) -> None:
        """Say of the first recordings how many of their events are cut, and whether times go backwards."""
        cut = every = 0
        backwards = None
        for place in recordings.places[:LOOKED_AT].tolist():
            t = recordings.events(place).t
            cut, every = cut + int((t * 1000 // self.dt_ns >= self.steps).sum()), every + len(t)
            backwards = place if backwards is None and bool((t[1:] < t[:-1]).any()) else backwards
        looked = f"data set '{recordings.name}', first {min(LOOKED_AT, len(recordings))} recordings"
        if cut:
            log.warning(
                "%s: %.3g %% of the events come after %g ms and are cut",
                looked, 100 * cut / every, self.steps * self.dt_us / 1000,
            )  # fmt: skip
        if backwards is not None:
            log.warning(
                "%s: in recording %d times go backwards; each event is in the bin of its own time", looked, backwards
            )


Encoder = Rate | Latency | Bins
ENCODERS: Mapping[str, type[Rate] | type[Latency] | type[Bins]] = MappingProxyType(
    {"rate": Rate, "latency": Latency, "events": Bins}
)


class Encoded(Lazy):
    """What an encoder makes of samples, uint8 (N, T, *frame), some at a time.

    source: samples (N, *frame) of a whole split, or recordings. Raises DataError where one sample is too large.
    """

    def __init__(
        self, source: Small | Recordings, encoder: Encoder, places: NDArray[np.int64], shape: tuple[int, ...] = ()
    ) -> None:
        size = encoder.steps * math.prod(source.shape[1:])
        if size > LARGEST_SAMPLE:
            raise DataError(
                f"{encoder.steps} steps of a frame {source.shape[1:]} are {size} values a sample, the limit is "
                f"{LARGEST_SAMPLE}: take fewer steps"
            )
        super().__init__(places, shape or (encoder.steps, *source.shape[1:]))
        self.source, self.encoder = source, encoder

    def _like(self, places: NDArray[np.int64], shape: tuple[int, ...]) -> Self:
        return type(self)(self.source, self.encoder, places, shape)

    def made(self, places: NDArray[np.int64]) -> Small:
        """Return the samples at places of the split."""
        frames = np.empty((len(places), *self.shape[1:]), np.uint8)
        for row, place in zip(frames, places.tolist(), strict=True):
            row[...] = self.encoder.encode(cast(Any, self.source), place).reshape(row.shape)
        return cast(Small, frames)


def encoder_meta(encoder: Encoder, name: str) -> dict[str, str | int | float]:
    """Return what a network's meta says of its input `name`, so that `encoder_of` gives the encoder again."""
    values = {f.name: getattr(encoder, f.name) for f in fields(encoder)}
    return {f"{name}_encoder": encoder.kind, **{f"{name}_{key}": value for key, value in values.items()}}


def encoder_of(meta: Mapping[str, Any], name: str = "input") -> Encoder | None:
    """Return the encoder of samples for the input `name` of a network, by its meta; None where they are taken as such.

    Raises DataError where the meta says what no encoder can be.
    """
    kind = meta.get(f"{name}_encoder")
    if kind is None:
        return None
    where = f"the network's meta on its input '{name}'"
    if not isinstance(kind, str) or kind not in ENCODERS:
        raise DataError(f"{where}: its encoder is {str(kind)!r:.80}, known are {', '.join(ENCODERS)}")
    encoder = ENCODERS[kind]
    given = {f.name: meta[f"{name}_{f.name}"] for f in fields(encoder) if f"{name}_{f.name}" in meta}
    try:
        return encoder(**given)
    except (UsageError, TypeError) as error:
        raise DataError(f"{where}: {error}") from None


def _take(encoder: Encoder, **numbers: int | float) -> None:
    """Let an encoder that is being made keep Python's numbers instead of those it was given, such as NumPy's."""
    for name, value in numbers.items():
        object.__setattr__(encoder, name, value)


def _steps(steps: Any) -> int:
    if not (is_integer(steps) and 1 <= steps <= MOST_STEPS):
        raise UsageError(f"the time steps of a sample are an integer in 1..{MOST_STEPS}, got {steps!r:.80}")
    return int(steps)


def _unit(unit: Any) -> float:
    found = _real(unit)
    if not (math.isfinite(found) and found > 0):
        raise UsageError(f"the real value of one integer is a finite number above 0, got {unit!r:.80}")
    return found


def _real(value: Any) -> float:
    """Return a real number; what is none, as truth values are, is not a number."""
    try:
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.inf
