# SPDX-License-Identifier: Apache-2.0
"""Samples as they are given: of the only input or by name, arrays or a loader, integers or real numbers."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.converters.encoding import Encoding, as_array
from spikerun.converters.graph import Array
from spikerun.errors import DataError, UsageError

__all__ = [
    "Progress",
    "Samples",
    "by_name",
    "checked",
    "checked_labels",
    "count_of",
    "counter",
    "encodings_of",
    "from_samples",
    "gathered",
    "labelled",
    "quiet",
]

LOADED_SAMPLES = 512  # of a loader
Progress = Callable[[str, int, int], None]  # what is being done, how much of it is done, of how much (0: unknown)
Samples = npt.ArrayLike | Mapping[str, npt.ArrayLike]  # of the only input, or by name


def by_name(samples: Any, inputs: tuple[str, ...]) -> Mapping[str, Any]:
    """Return samples by the names of the inputs."""
    if isinstance(samples, Mapping):
        return samples
    if len(inputs) != 1:
        raise UsageError(f"the network has the inputs {', '.join(inputs)}: give a dict by name")
    return {inputs[0]: samples}


def gathered(samples: Any, limit: int | None = LOADED_SAMPLES) -> Any:
    """Return the first samples of a loader, which gives batches of them or of (samples, labels); others as they are."""
    if not _is_loader(samples):
        return samples
    batches: list[Array] = []
    for batch in samples:
        batches.append(as_array(batch[0] if isinstance(batch, tuple | list) else batch, "the samples of the loader"))
        if limit is not None and sum(map(len, batches)) >= limit:
            break
    return np.concatenate(batches)[:limit] if batches else np.zeros(0)


def labelled(given: Any, what: str) -> tuple[Any, Any] | None:
    """Return (samples, labels) of such a pair, or all of a loader that gives batches of them; None of None."""
    if given is None:
        return None
    if isinstance(given, tuple) and len(given) == 2:
        return gathered(given[0], None), given[1]
    batches = list(given) if _is_loader(given) else []
    if not batches or not all(isinstance(batch, tuple | list) and len(batch) == 2 for batch in batches):
        raise UsageError(
            f"{what} is a pair of (samples, labels), got {type(given).__name__}; a loader of such batches will do too"
        )
    samples, labels = ([as_array(batch[k], f"the batches of {what}") for batch in batches] for k in (0, 1))
    return np.concatenate(samples), np.concatenate(labels)


def _is_loader(samples: Any) -> bool:
    return hasattr(samples, "dataset") and hasattr(samples, "__iter__")


def encodings_of(
    given: Encoding | Mapping[str, Encoding] | None, inputs: Mapping[str, Any], code: str = "bits"
) -> dict[str, Encoding]:
    """Return the encoding of each input: one for all, or by name; where nobody says, one in `code` from the samples."""
    if given is None:
        found = {name: from_samples(values, code) for name, values in inputs.items()}
    else:
        found = dict(given) if isinstance(given, Mapping) else dict.fromkeys(inputs, given)
    for encoding in found.values():
        if not isinstance(encoding, Encoding):
            raise UsageError(f"an encoding is an Encoding, such as Encoding(scale=1 / 16), got {encoding!r:.80}")
    return found


def from_samples(samples: Any, code: str) -> Encoding:
    """Return an encoding that fits samples; the usual one for what are no samples, which is refused later."""
    array = as_array(samples, "the calibration data")
    if array.ndim < 2 or not array.size or array.dtype.kind not in "iuf":
        return Encoding(code=code)
    return Encoding.of_data(array, code=code)


def checked(
    samples: Mapping[str, Any],
    encodings: Mapping[str, Encoding],
    what: str,
    like: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Return samples as integers, as many for each input; like: the calibration data, whose shapes they must have."""
    if not samples:
        raise DataError(f"{what} are for no input: give samples, or a dict of them by the names of the inputs")
    if samples.keys() != encodings.keys():
        raise DataError(f"{what} are for {', '.join(samples)}; the inputs are {', '.join(encodings)}")
    found = {name: encodings[name].integers(values, what) for name, values in samples.items()}
    if len({len(values) for values in found.values()}) > 1:
        raise DataError(f"{what} have { {name: len(v) for name, v in found.items()} } samples; give as many of each")
    for name, values in found.items() if like is not None else ():
        if like is not None and values.shape[1:] != like[name].shape[1:]:
            raise DataError(
                f"{what} have samples of shape {values.shape[1:]}, the calibration data {like[name].shape[1:]}"
            )
    return found


def count_of(samples: Mapping[str, Array]) -> int:
    """Return the number of samples."""
    return len(next(iter(samples.values())))


def checked_labels(labels: npt.ArrayLike, count: int) -> Array:
    """Return the labels of so many samples as an array."""
    found = as_array(labels, "labels")
    if found.shape[:1] != (count,):
        raise DataError(f"there must be labels for {count} samples, got {found.dtype} of shape {found.shape}")
    return found


def counter(tell: Progress, stage: str, total: int) -> Callable[[int], None]:
    """Return what adds up the samples of a stage that are done, and tells."""
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        tell(stage, done, total)

    advance(0)
    return advance


def quiet(stage: str, done: int, total: int) -> None:
    """Take the place of a listener."""
