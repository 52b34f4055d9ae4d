# SPDX-License-Identifier: Apache-2.0
"""In which form a network takes samples that may be images with an axis of length 1, or signals without it.

Forms are told apart on noise: on blank or symmetric samples a network that reads them otherwise may answer the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from spikerun.converters.graph import Array
from spikerun.converters.source import Source

__all__ = ["Form", "form_of", "noise"]

TRIED = (2, 3)  # samples, with which a form is tried: one alone may be taken for a sample without a batch
SEED = 0


@dataclass(frozen=True)
class Form:
    """What a network takes.

    signals: the inputs whose samples lose their axis. size: values that it gives for a sample. refused: what it said
    of the first form, where it takes none. several: whether it takes more than one; differ: with other results.
    """

    signals: frozenset[str] = frozenset()
    size: int = 0
    refused: Exception | None = None
    several: bool = False
    differ: bool = False


def noise(samples: Array) -> Array:
    """Return a few samples of the shape of these, between the smallest and the largest value; integers of integers."""
    shape, rng = (max(TRIED), *samples.shape[1:]), np.random.default_rng(SEED)
    if samples.dtype.kind != "f":
        low, high = int(samples.min()), int(samples.max())
        return rng.integers(low, high + (2 if low == high else 1), shape)
    finite = samples[np.isfinite(samples)]
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return rng.uniform(least, most if most > least else least + 1, shape)


def form_of(source: Source, images: Mapping[str, Array], axes: Mapping[str, int], signals_first: bool) -> Form:
    """Return the form that a network takes: images where it gives the same for signals, or takes no signals.

    images: `noise` as real numbers by input, of which those in `axes` may lose the axis of length 1 named there. Of
    several forms with other results, it is that of most signals where these are first, else images.
    """
    forms = [frozenset(name for name, plain in zip(axes, flags, strict=True) if plain)
             for flags in product((False, True), repeat=len(axes))]  # fmt: skip
    counts = TRIED if len(forms) > 1 else (1,)
    taken: dict[frozenset[str], list[dict[str, Array]]] = {}
    refused: list[Exception] = []
    for form in forms:
        batch = {name: values.squeeze(axes[name]) if name in form else values for name, values in images.items()}
        try:
            results = [source.logits({name: values[:n] for name, values in batch.items()}) for n in counts]
        except Exception as error:  # whatever a user's own forward raises
            refused.append(error)
            continue
        if all(len(values) == n for n, found in zip(counts, results, strict=True) for values in found.values()):
            taken[form] = results
        else:
            refused.append(ValueError("the results have another number of samples"))
    if not taken:
        return Form(refused=refused[0])
    first, last = next(iter(taken)), next(reversed(taken))
    differ = not all(_same(results, taken[last]) for results in taken.values())
    chosen = last if differ and signals_first else first
    size = sum(values[0].size for values in taken[chosen][0].values())
    return Form(chosen, size, several=len(taken) > 1, differ=differ)


def _same(a: list[dict[str, Array]], b: list[dict[str, Array]]) -> bool:
    """Return whether results are the same, but for the axes of length 1."""
    return all(
        x.keys() == y.keys() and all(_equal(x[name].squeeze(), y[name].squeeze()) for name in x)
        for x, y in zip(a, b, strict=True)
    )


def _equal(x: Array, y: Array) -> bool:
    return x.shape == y.shape and np.allclose(x, y, rtol=1e-4, atol=1e-4 * float(np.abs(x).max(initial=0)))
