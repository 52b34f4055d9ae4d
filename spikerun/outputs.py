# SPDX-License-Identifier: Apache-2.0
"""What the outputs of a network sent in some steps: arrays, and the spikes and readings one by one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

__all__ = ["Outputs", "Reading", "Spike", "joined"]

Readings = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


class Spike(NamedTuple):
    """A spike of an output population: its step, the neuron's index in (C, H, W) order, and its payload."""

    step: int
    population: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    value: int


class Reading(NamedTuple):
    """What an output says at the end of a window: `logits`, float32 of the population's shape."""

    step: int
    population: str
    logits: npt.NDArray[np.float32]

    def __eq__(self, other: object) -> bool:
        """Return whether steps, populations and all logits are equal."""
        if not isinstance(other, tuple) or len(other) != len(self):
            return False
        return self[:2] == other[:2] and np.array_equal(self.logits, other[2])

    def __ne__(self, other: object) -> bool:
        return not self == other


class Outputs(Sequence[Spike | Reading]):
    """What was sent, as a sequence of `Spike` and `Reading`, by step and in the order of the outputs.

    Its arrays, which cost nothing to look at:
    spikes:   by population, a structured array (spikes,) of step int64, index int32 in (C, H, W) order, value int16
    readings: by population, the steps, int64 (k,), and the logits, float32 (k, *shape)
    """

    __slots__ = ("_items", "_order", "readings", "spikes")

    def __init__(
        self, order: Sequence[str], spikes: Mapping[str, npt.NDArray[np.void]], readings: Mapping[str, Readings]
    ) -> None:
        self._order, self.spikes, self.readings = order, spikes, readings
        self._items: list[Spike | Reading] | None = None

    def __len__(self) -> int:
        return sum(map(len, self.spikes.values())) + sum(len(steps) for steps, _ in self.readings.values())

    def __iter__(self) -> Iterator[Spike | Reading]:
        return iter(self._listed())

    @overload
    def __getitem__(self, key: int) -> Spike | Reading: ...
    @overload
    def __getitem__(self, key: slice) -> list[Spike | Reading]: ...
    def __getitem__(self, key: int | slice) -> Spike | Reading | list[Spike | Reading]:
        return self._listed()[key]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(map(_same, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> Any:
        """Return both, one after the other: Outputs, or a list where the other is one."""
        if isinstance(other, Outputs):
            return joined([self, other])
        return [*self, *other] if isinstance(other, list) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return [*other, *self] if isinstance(other, list) else NotImplemented

    def __repr__(self) -> str:
        return repr(self._listed())

    def _listed(self) -> list[Spike | Reading]:
        if self._items is None:
            found: list[tuple[int, int, Spike | Reading]] = []
            for place, name in enumerate(self._order):
                if name in self.spikes:
                    found += [(t, place, Spike(t, name, *one)) for t, *one in self.spikes[name].tolist()]
                else:
                    steps, logits = self.readings[name]
                    found += [(t, place, Reading(t, name, one)) for t, one in zip(steps.tolist(), logits, strict=True)]
            if len(self.spikes) + len(self.readings) > 1:
                found.sort(key=lambda item: item[:2])
            self._items = [item for _, _, item in found]
        return self._items


def _same(a: Any, b: Any) -> bool:
    return bool(type(a) is type(b) and a == b)


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Return what was sent in all parts, at least one and of the same outputs, one after the other."""
    if len(parts) == 1:
        return parts[0]
    spikes = {name: np.concatenate([one.spikes[name] for one in parts]) for name in parts[0].spikes}
    readings = {}
    for name in parts[0].readings:
        steps, logits = zip(*(one.readings[name] for one in parts), strict=True)
        readings[name] = np.concatenate(steps), np.concatenate(logits)
    return Outputs(parts[0]._order, spikes, readings)
