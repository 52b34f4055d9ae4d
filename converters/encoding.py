# SPDX-License-Identifier: Apache-2.0
"""How real values enter a network: as integers of some bits in some code, by a scale, a mean and a deviation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from spikerun import real
from spikerun.codes import CODES, MAX_INPUT_BITS, word_range, word_steps
from spikerun.converters.graph import Array
from spikerun.datasets.encode import Encoded
from spikerun.errors import DataError, UsageError
from spikerun.neurons import Input
from spikerun.values import on_host

__all__ = ["Encoding", "as_array"]

STEPWISE = ("current", "frames", "spikes")  # codes of networks with a time loop of their own
AT_ONCE = 1024  # samples
NEAR = 1e-3  # of an integer: real samples that are so near to integers stand for them


@dataclass(frozen=True)
class Encoding:
    """The model sees `(integer * scale - mean) / std`; integers have `bits` bits, `signed` ones in two's complement.

    mean, std: one number, or one for each channel. bits: 1..16. code: how integers travel as spikes, `bits`, `ttfs` or
    `graded`. rounds: real samples are rounded to the nearest integer, and cut at the ends of the range; else they must
    be integers so encoded.
    """

    scale: float = 1 / 255
    mean: npt.ArrayLike = 0.0
    std: npt.ArrayLike = 1.0
    bits: int = 8
    signed: bool = False
    code: str = "bits"
    rounds: bool = False

    def __post_init__(self) -> None:
        scale = _numbers("scale", self.scale)
        if len(scale) != 1:
            raise UsageError(f"the scale of the input must be one number, got {list(scale)}")
        object.__setattr__(self, "scale", scale[0])
        for name in ("mean", "std"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        for name, values in (("scale", (self.scale,)), ("std", self._tuple("std"))):
            if min(values) <= 0:
                raise UsageError(f"the {name} of the input must be above 0, got {_said(values)}")
        if len({1, len(self._tuple("mean")), len(self._tuple("std"))}) > 2:
            raise UsageError(
                f"the mean of the input has {len(self._tuple('mean'))} numbers, the std {len(self._tuple('std'))}; "
                "give one, or as many of both as the input has channels"
            )
        if type(self.bits) is not int or not 1 <= self.bits <= MAX_INPUT_BITS:
            raise UsageError(f"the bits of the input must be an integer in 1..{MAX_INPUT_BITS}, got {self.bits!r}")
        if self.code not in (*CODES, *STEPWISE):
            raise UsageError(
                f"the code of the input must be one of {', '.join((*CODES, *STEPWISE))}, got '{self.code}'"
            )
        self.neuron()  # refuses what no input can be, such as signed values in code ttfs

    def require_word(self) -> None:
        """Refuse codes that send a number in every step: a network without time takes one word of each sample."""
        if self.code not in CODES:
            raise UsageError(
                f"the code of the input must be one of {', '.join(CODES)}: '{self.code}' is for networks with a time "
                "loop of their own"
            )

    @classmethod
    def of_data(cls, samples: Any, bits: int | None = None, code: str = "bits") -> "Encoding":
        """Return an encoding that fits samples, such as those that calibrate (`converters/fitting.py` says how)."""
        from spikerun.converters.fitting import fitted

        return fitted(samples, bits, code)

    @classmethod
    def of(cls, meta: Mapping[str, Any], name: str) -> "Encoding":
        """Return what a converted network says of its input `name`; the default where it says nothing."""
        given = real.known(meta, name)
        try:
            return cls(**{key: _numbers(key, str(value).split()) for key, value in given.items()})  # type: ignore[arg-type]
        except UsageError as error:
            raise DataError(f"the network's meta on its input '{name}': {error}") from None

    @property
    def stepwise(self) -> bool:
        """Return whether samples have an integer for each step."""
        return self.neuron().word.stepwise

    @property
    def steps(self) -> int:
        """Return the time steps that one integer takes."""
        return word_steps(self.code, self.bits)

    def gain(self, channels: int) -> Array:
        """Return g (C,) float64, such that the model sees g * integer + shift."""
        return self.scale / self._channels("std", channels)

    def shift(self, channels: int) -> Array:
        """Return the shift (C,) float64."""
        return -self._channels("mean", channels) / self._channels("std", channels)

    def real(self, samples: Array) -> Array:
        """Return what the model sees of integers (batch, C, ...), of `frames` (batch, steps, C, ...), float64."""
        return self._at_each_step(samples, self._real)

    def _at_each_step(self, samples: Array, function: Callable[[Array], Array]) -> Array:
        """Apply a function of integers (batch, C, ...), to each step of `frames`."""
        if not self.stepwise or samples.ndim < 3:
            return function(samples)
        return function(samples.reshape(-1, *samples.shape[2:])).reshape(samples.shape)

    def _real(self, samples: Array) -> Array:
        gain, shift = (f(samples.shape[1]).reshape(-1, *(1,) * (samples.ndim - 2)) for f in (self.gain, self.shift))
        real: Array = samples * gain + shift
        return real

    def neuron(self) -> Input:
        """Return the kind of population that the input is."""
        return Input(self.bits, self.code, self.signed)

    def meta(self, name: str) -> dict[str, str | int | float]:
        """Return what the network says of its input `name`."""
        said: dict[str, str | int | float] = {"scale": self.scale}
        for key, default in (("mean", (0.0,)), ("std", (1.0,))):
            if self._tuple(key) != default:
                said[key] = " ".join(map(_text, self._tuple(key)))
        return real.named(name, said)

    def integers(self, samples: npt.ArrayLike, what: str) -> Array:
        """Return samples as integers (batch, C, H, W) or (batch, F), of `frames` (batch, steps, ...).

        Real samples are taken as what the model sees, and must be integers so encoded, unless they are rounded. Raises
        DataError for what they cannot be.
        """
        if isinstance(samples, Encoded) and self.stepwise and not self.signed and samples.encoder.bits <= self.bits:
            return cast(Array, samples)  # looks like an array, and is in range
        array = as_array(samples, what)
        if not array.shape:
            raise DataError(f"{what} are a {type(samples).__name__}; give an array of (N, C, H, W) or (N, F)")
        if self.stepwise and array.ndim not in (3, 5):
            raise DataError(
                f"{what} have the shape {array.shape}; frames are (N, T, C, H, W) or (N, T, F), T the steps"
            )
        return self._at_each_step(array, lambda one: self._integers(one, what))

    def cut(self, samples: npt.ArrayLike) -> float:
        """Return the share of the values of real samples (batch, C, ...) that lie beyond the range, and are cut."""
        array, (low, high), outside = np.asarray(on_host(samples)), word_range(self.bits, self.signed), 0
        if array.dtype.kind != "f" or not array.size:
            return 0.0
        for first in range(0, len(array), AT_ONCE):
            part = array[first : first + AT_ONCE]
            whole = np.rint(real.integers(part, self.scale, self._tuple("mean"), self._tuple("std")))
            outside += int(((whole < low) | (whole > high)).sum())
        return outside / array.size

    def _integers(self, array: Array, what: str) -> Array:
        signals = self.code in CODES  # where there are steps, a third axis would be theirs
        if array.ndim not in ((2, 3, 4) if signals else (2, 4)) or not array.size:
            advice = "give an array of (N, C, H, W) or (N, F)"
            if array.ndim == 3:
                advice = (
                    "images need their channel axis: samples[:, None]; signals (N, C, L) are taken as images of height "
                    "1, samples[:, :, None], by a model of Conv2d with kernels (1, k)"
                )
            elif signals:
                advice = "give an array of (N, C, H, W), (N, C, L) or (N, F)"
            raise DataError(f"{what} have the shape {array.shape}; {advice}")
        for name in ("mean", "std"):
            self._channels(name, array.shape[1])
        if array.dtype.kind == "f":
            array = self._whole(array, what)
        elif array.dtype.kind not in "iu":
            raise DataError(f"{what} have dtype {array.dtype}; give the raw integers")
        low, high = word_range(self.bits, self.signed)
        if array.min() < low or array.max() > high:
            raise DataError(
                f"{what} hold values from {array.min()} to {array.max()}; "
                f"inputs are {self.bits}-bit integers, {low}..{high}"
            )
        return array

    def _whole(self, array: Array, what: str) -> Array:
        exact = real.integers(array, self.scale, self._tuple("mean"), self._tuple("std"))
        if self.rounds:
            return real.encoded(exact, *word_range(self.bits, self.signed), what)
        whole = np.rint(exact)
        if not bool((np.abs(exact - whole) <= NEAR).all()):
            raise DataError(
                f"{what} have dtype {array.dtype} and are not (integer * scale - mean) / std for scale "
                f"{self.scale:.6g}, mean {self.mean} and std {self.std}; "
                f"give the raw samples, {self.bits}-bit integers, and what the model's input was normalised by: "
                "Encoding(scale, mean, std), for the command --scale, --mean and --std"
            )
        integers: Array = whole.astype(np.int64)
        return integers

    def _tuple(self, name: str) -> tuple[float, ...]:
        values: tuple[float, ...] = getattr(self, name)
        return values

    def _channels(self, name: str, channels: int) -> Array:
        values = self._tuple(name)
        if len(values) not in (1, channels):
            raise UsageError(
                f"the {name} of the input has {len(values)} numbers ({_said(values)}); give one"
                + (f", or {channels} (one a channel)" if channels > 1 else ": the samples have one channel")
            )
        return np.broadcast_to(np.array(values), (channels,))


def as_array(values: Any, what: str) -> Array:
    """Return values as an array; raises DataError for what is none, such as ragged lists."""
    try:
        return np.asarray(on_host(values))
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: tensors that need a gradient
        raise DataError(f"{what} are a {type(values).__name__} that is no array: {error}") from error


def _text(value: float) -> str:
    """Return the shortest text that is read back as this number."""
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e9 else repr(value)


def _said(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    try:
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"the {name} of the input must be a number or numbers, got {value!r:.80}") from None
    if values.ndim > 1 or not values.size or not np.isfinite(values).all():
        raise UsageError(
            f"the {name} of the input must be finite: one number, or one for each channel; got {value!r:.80}"
        )
    return tuple(values.reshape(-1).tolist())
