# SPDX-License-Identifier: Apache-2.0
"""An encoding from the data: what integers stand for where nobody says it.

Integers stay as they are, in 8 bits, or as many more as they need, up to 16, signed where there are negative ones.
Those of 0..255 are taken as pixels, one being worth 1/255, all others as what the model sees itself.

Real numbers are what the model sees, whatever it was normalised by. Where those of each channel are multiples of a
step, as samples of 8 bits are once they have been divided and standardised, they are encoded exactly: integers are the
steps above the smallest. All others are rounded, in 8 bits unless told, on a scale on which 0 stays 0, so that silence
is free: from 0 to the largest value, signed where there are negative ones; a scale for each channel where their ranges
are far apart.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.codes import MAX_INPUT_BITS, word_range
from spikerun.converters.encoding import NEAR, Encoding, as_array
from spikerun.converters.graph import Array
from spikerun.converters.report import Accuracy
from spikerun.errors import DataError, UsageError

__all__ = ["by_chance", "cut_said", "fitted", "notes_on"]

BITS = 8
FEWEST_STEPS = 8  # of a channel, from which on multiples of a step are no coincidence
APART = 4.0  # how many times as large the ranges of channels may be before each gets its own scale
MOST_CHANNELS = 256  # of those with scales of their own
LOOKED_AT = 2**17  # values of a channel, for the step between them


def fitted(samples: Any, bits: int | None = None, code: str = "bits") -> Encoding:
    """Return the encoding of samples (batch, C, ...). bits: of real numbers, else 8; of integers at least.

    Raises DataError for what has no such encoding.
    """
    array = as_array(samples, "the samples")
    if bits is not None and (type(bits) is not int or not 1 <= bits <= MAX_INPUT_BITS):
        raise UsageError(f"the bits of the input must be an integer in 1..{MAX_INPUT_BITS}, got {bits!r:.80}")
    if array.ndim < 2 or not array.size or array.dtype.kind not in "iuf":
        raise DataError(
            f"an encoding is made from samples (N, C, ...) of numbers, got {array.dtype} of shape {array.shape}"
        )
    if array.dtype.kind != "f":
        return _of_integers(array, bits, code)
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise DataError(f"the samples: {count} of {array.size} values are NaN or infinite; give finite numbers")
    channels = np.moveaxis(array, 1, 0).reshape(array.shape[1], -1)
    return _pixels(array, bits, code) or _steps(channels, bits, code) or _rounded(channels, bits or BITS, code)


def notes_on(encodings: Mapping[str, Encoding], samples: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of encodings that were made from samples; of pixels, which most are, nothing."""
    usual = [Encoding(code=encoding.code, rounds=rounds) for encoding in encodings.values() for rounds in (False, True)]
    return [_described(one, samples[name], name) for name, one in encodings.items() if one not in usual]


def by_chance(accuracy: Accuracy | None, encodings: Mapping[str, Encoding]) -> str:
    """Return what is to be said of an ANN that is right no more often than by chance."""
    right = "" if accuracy is None else f"in {accuracy.ann:.2f} % of {accuracy.samples} samples, "
    taken = "; ".join(map(_formula, encodings.values()))
    return (
        f"the ANN itself is right {right}no more often than by chance: most likely its samples were scaled or "
        f"standardised otherwise in training. They are taken here as {taken}: say by --scale, --mean and --std, or "
        "Encoding(scale, mean, std), what it was. Or the weights or the labels are not those of this model."
    )


def cut_said(name: str, share: float, encoding: Encoding) -> str:
    """Return what is to be said where so large a share of the values that measure is cut."""
    low, high = word_range(encoding.bits, encoding.signed)
    return (
        f"of the values for '{name}' of the samples that measure {share:.1%} are cut, for the ANN too: they lie beyond "
        f"what {low}..{high} stand for, real value {_formula(encoding)}. The accuracy is that on samples so cut: "
        "calibrate on samples of their range, or give more --input-bits or a larger --scale."
    )


def _described(encoding: Encoding, samples: Any, name: str) -> str:
    """Return what is to be said of an encoding that was made from samples."""
    array = as_array(samples, "the samples")
    kind = f"{'signed ' if encoding.signed else ''}{encoding.bits}-bit integers"
    said = f"no encoding was given for '{name}': its samples are taken as {kind}, real value {_formula(encoding)}"
    if array.dtype.kind != "f":
        return f"{said}; say what else the model saw of them: Encoding(scale, mean, std), --scale, --mean and --std."
    values = array.astype(np.float64)
    error = values - encoding.real(encoding.integers(array, "the samples"))
    noise = float(np.square(error).mean())
    power = float(np.square(values - values.mean()).mean())
    if noise <= (NEAR * encoding.scale) ** 2:
        return f"{said}, exactly."
    return f"{said}, {10 * np.log10(max(power, 1e-300) / noise):.1f} dB above the error of rounding."


def _formula(encoding: Encoding) -> str:
    parts = []
    for values in (encoding.mean, encoding.std):
        numbers = np.asarray(values).reshape(-1)
        parts.append(f"{numbers[0]:.6g}" if numbers.size == 1 else "that of the channel")
    if parts == ["0", "1"]:
        return f"integer * {encoding.scale:.6g}"
    return f"(integer * {encoding.scale:.6g} - {parts[0]}) / {parts[1]}"


def _of_integers(array: Array, bits: int | None, code: str) -> Encoding:
    low, high = int(array.min()), int(array.max())
    signed = low < 0
    needed = max((-low - 1).bit_length(), high.bit_length()) + 1 if signed else high.bit_length()
    if needed > MAX_INPUT_BITS:
        raise DataError(
            f"the samples hold integers from {low} to {high}, inputs have at most {MAX_INPUT_BITS} bits: give real "
            "numbers, which are rounded, or divide them"
        )
    if bits is not None and needed > bits:
        raise DataError(f"the samples hold integers from {low} to {high}, which take {needed} bits, not {bits}")
    chosen = bits or max(needed, BITS)
    return Encoding(1.0 if signed or chosen > BITS else 1 / 255, bits=chosen, signed=signed, code=code)


def _pixels(array: Array, bits: int | None, code: str) -> Encoding | None:
    """Return the encoding of pixels of 8 bits, if the samples are such divided by 255."""
    whole = array.astype(np.float64) * 255
    inside = bits in (None, BITS) and whole.min() >= -NEAR and whole.max() <= 255 + NEAR
    if not inside or not bool((np.abs(whole - np.rint(whole)) <= NEAR).all()):
        return None
    return Encoding(code=code, rounds=True)


def _steps(channels: Array, bits: int | None, code: str) -> Encoding | None:
    """Return the exact encoding of channels (C, n) that are multiples of a step, if they are."""
    values = channels.astype(np.float64)
    lowest, chosen = values.min(axis=1), bits or BITS
    steps = np.array([_step(row[:: -(-len(row) // LOOKED_AT)], 2**chosen) for row in values])
    if len(channels) > MOST_CHANNELS or (steps == 0).all():
        return None
    steps[steps == 0] = steps[steps > 0].min()  # channels of one value
    count = np.rint((values.max(axis=1) - lowest) / steps)
    if count.max() < FEWEST_STEPS or count.max() >= 2**chosen:
        return None
    exact = (values - lowest[:, None]) / steps[:, None]
    if not bool((np.abs(exact - np.rint(exact)) <= 10 * NEAR).all()):
        return None
    ends = np.rint(lowest / steps), np.rint(values.max(axis=1) / steps)
    if bool((np.abs(lowest / steps - ends[0]) <= 10 * NEAR).all()):  # 0 is one of them, and may stay 0
        for signed in (False, True)[:chosen]:
            low, high = word_range(chosen, signed)
            if low <= ends[0].min() and ends[1].max() <= high:
                return _encoding(steps, np.zeros(1), chosen, signed, code)
    return _encoding(steps, -lowest, chosen, False, code)


def _step(row: Array, most: int) -> float:
    """Return the step between neighbouring values, 0 where there is one value, or more than so many."""
    distinct = np.unique(row)
    gaps = np.diff(distinct)
    gaps = gaps[gaps > 1e-5 * max(float(np.abs(distinct).max()), 1e-30)]  # not what float32 makes of one value
    if not gaps.size or len(gaps) >= most:
        return 0.0
    span = float(distinct[-1] - distinct[0])
    return span / float(np.rint(span / gaps.min()))


def _rounded(channels: Array, bits: int, code: str) -> Encoding:
    low, high = channels.min(axis=1).astype(np.float64), channels.max(axis=1).astype(np.float64)
    signed = bool(low.min() < 0)
    smallest, largest = word_range(max(bits, 2) if signed else bits, signed)
    needed = np.maximum(high / largest, low / smallest if signed else 0.0)
    if not needed.max() > 0:
        return Encoding(1.0, bits=max(bits, 2) if signed else bits, signed=signed, code=code, rounds=True)
    needed = np.where(needed > 0, needed, needed.max())
    if len(needed) > MOST_CHANNELS or needed.max() <= APART * needed.min():
        needed = np.full(1, needed.max())
    return _encoding(needed, np.zeros(1), max(bits, 2) if signed else bits, signed, code)


def _encoding(
    steps: npt.NDArray[np.float64], offset: npt.NDArray[np.float64], bits: int, signed: bool, code: str
) -> Encoding:
    """Return the encoding real = integer * step - offset, steps and offsets (1,) or (C,)."""
    if np.ptp(steps) <= 1e-6 * steps.max() and np.ptp(offset) <= NEAR * steps.max():
        steps, offset = steps[:1], offset[:1]
    scale = float(steps[0])
    std = np.broadcast_to(scale / steps, max(steps.shape, offset.shape))
    mean = np.broadcast_to(offset * std, std.shape)
    return Encoding(scale, tuple(mean.tolist()), tuple(std.tolist()), bits, signed, code, rounds=True)
