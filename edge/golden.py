# SPDX-License-Identifier: Apache-2.0
"""Golden samples: what the reference computes for some frames, which a bundle has to compute as well."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spikerun.codes import word_range
from spikerun.edge.target import Frames
from spikerun.errors import DataError
from spikerun.inputs import by_name, checked, events, sample_shape
from spikerun.network import Network
from spikerun.plan import blockable
from spikerun.reference import Stepper, Turn, blocked, stepped
from spikerun.result import classes_of

__all__ = ["Activity", "Golden", "Seen", "activity", "frames_of", "make", "random_frames", "seen", "steps", "turns"]

IntArray = npt.NDArray[np.int64]
Seen = Mapping[tuple[str, str], IntArray]
"""What can be seen of a network: (population, `sent`) is what it sends, (population, key) its state."""


@dataclass(frozen=True, eq=False)
class Golden:
    """Frames and their results, int64: by input (samples, *shape), by output (samples, *shape), and (samples,)."""

    frames: Mapping[str, IntArray]
    outputs: Mapping[str, IntArray]
    classes: IntArray

    @property
    def count(self) -> int:
        """Return the number of samples."""
        return len(self.classes)

    def frame(self, k: int) -> dict[str, IntArray]:
        """Return the k-th sample by input."""
        return {name: array[k] for name, array in self.frames.items()}


def frames_of(net: Network, samples: Frames | int) -> dict[str, IntArray]:
    """Return the samples by input, checked; a number means so many random ones.

    Raises DataError where they are outside the range of the input's words, not equally many, or none.
    """
    if isinstance(samples, int | np.integer):
        if isinstance(samples, bool) or samples < 1:
            raise DataError(f"samples are arrays of integers, or the number of random ones, 1 or more; got {samples}")
        return random_frames(net, int(samples))
    given = {name: checked(net, name, array, batch=True) for name, array in by_name(net, samples).items()}
    counts = {len(array) for array in given.values()}
    if len(counts) != 1 or counts == {0}:
        raise DataError(f"samples must be at least one, and equally many for each input; got {sorted(counts)}")
    return {name: array.astype(np.int64) for name, array in given.items()}


def random_frames(net: Network, count: int, seed: int = 0) -> dict[str, IntArray]:
    """Return random samples over the whole range of each input; every other one is sparse."""
    rng = np.random.default_rng(seed)
    frames = {}
    for name in net.inputs:
        sender = net.sender_of(name)
        assert sender is not None
        low, high = word_range(sender.bits, sender.signed)
        values = rng.integers(low, high + 1, (count, *sample_shape(net, name)))
        keep = rng.random(values.shape) < np.where(np.arange(count) % 2, 0.2, 1.0).reshape(-1, *[1] * (values.ndim - 1))
        frames[name] = np.where(keep, values, 0)
    return frames


class Activity(NamedTuple):
    """How active a population is: the share of its neurons that send, and how many spikes one of these sends.

    Spikes are those of a word's binary digits, one for each digit that is 1.
    """

    share: float
    spikes: float


def activity(net: Network, frames: Mapping[str, IntArray], count: int = 4) -> dict[str, float]:
    """Return the share of neurons of each population that are active in the first samples; see `seen`."""
    return {name: found.share for name, found in seen(net, frames, count).items()}


def seen(net: Network, frames: Mapping[str, IntArray], count: int = 4) -> dict[str, Activity]:
    """Return how active each population is in the first samples: in a window, or in a step where there are steps."""
    whole, found = blockable(net), dict[str, list[IntArray]]()
    for k in range(min(count, len(next(iter(frames.values()))))):
        for name, turn in turns(net, {name: array[k] for name, array in frames.items()}).items():
            found.setdefault(name, []).append(turn.word if whole else turn.events)
    return {name: _activity([np.abs(each.ravel()) for each in words]) for name, words in found.items()}


def _activity(words: list[IntArray]) -> Activity:
    shares = [(word != 0).mean() for word in words]
    active = np.concatenate(words)
    active = active[active != 0]
    digits = np.unpackbits(active.astype("<u4").view(np.uint8)).sum() if active.size else 0
    return Activity(float(np.mean(shares)), float(digits / max(1, active.size)))


def make(net: Network, samples: Frames | int) -> Golden:
    """Run the samples through the reference."""
    frames = frames_of(net, samples)
    count = len(next(iter(frames.values())))
    found: dict[str, list[IntArray]] = {name: [] for name in net.outputs}
    for k in range(count):
        done = turns(net, {name: array[k] for name, array in frames.items()})
        for name in net.outputs:
            found[name].append(done[name].answer)
    outputs = {name: np.stack(values) for name, values in found.items()}
    first = net.outputs[0]
    return Golden(frames, outputs, classes_of(net.populations[first], outputs[first]))


def turns(net: Network, frame: Mapping[str, IntArray]) -> dict[str, Turn]:
    """Return what each population does with a frame."""
    return (blocked if net.feedforward else stepped)(net, frame)


def steps(
    net: Network, frames: Iterator[Mapping[str, IntArray]], tail: int = 0
) -> Iterator[tuple[dict[str, IntArray], Seen]]:
    """Go through frames step by step, without rest between them, then `tail` more steps.

    Yield the events given in each step, by input, and what can be seen after it.
    """
    stepper = Stepper(net)
    silent = {name: np.zeros(net.populations[name].shape, np.int64) for name in net.inputs}
    for given in _events(net, frames, [silent] * tail):
        sent = stepper.step(given)
        seen = {(name, key): values for name, state in stepper.state.items() for key, values in state.items()}
        yield given, {**seen, **{(name, "sent"): values for name, values in sent.items()}}


def _events(
    net: Network, frames: Iterator[Mapping[str, IntArray]], tail: list[dict[str, IntArray]]
) -> Iterator[dict[str, IntArray]]:
    for frame in frames:
        given = {name: events(net, name, values, batch=False) for name, values in frame.items()}
        yield from ({name: array[t] for name, array in given.items()} for t in range(net.window))
    yield from tail
