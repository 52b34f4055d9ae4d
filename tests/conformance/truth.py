# SPDX-License-Identifier: Apache-2.0
"""What the reference makes of some samples, computed once and compared with every executor."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.inputs import events as events_of
from spikerun.network import Network
from spikerun.neurons import IF, LIF, Readout
from spikerun.reference import Stepper, Turn, blocked, stepped

Array = npt.NDArray[Any]
STREAMED = 2  # samples that are looked at step by step: that takes longest


@dataclass(frozen=True, eq=False)
class Step:
    """One step of time: what each input was given, what each population sent, and its membrane where it has one.

    readings: of each output whose state is reported and whose window ends here, as real numbers.
    """

    given: dict[str, Array]
    sent: dict[str, Array]
    membranes: dict[str, Array]
    readings: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Truth:
    """A network, samples for each of its inputs (B, ...), and what the reference makes of them."""

    net: Network
    samples: Mapping[str, Array]

    @property
    def count(self) -> int:
        """Return B."""
        return len(next(iter(self.samples.values())))

    def first(self, count: int) -> "Truth":
        """Return the same for the first samples only."""
        return self if count == self.count else Truth(self.net, {name: v[:count] for name, v in self.samples.items()})

    def sample(self, k: int) -> dict[str, Array]:
        """Return the k-th sample of each input."""
        return {name: values[k] for name, values in self.samples.items()}

    @cached_property
    def turns(self) -> list[dict[str, Turn]]:
        """Return, for each sample from rest, what every population did with it."""
        schedule = blocked if self.net.feedforward else stepped
        return [schedule(self.net, self.sample(k)) for k in range(self.count)]

    @cached_property
    def steps(self) -> list[Step]:
        """Return every step of a stream: the first samples, a window each, then silence until all of it came out."""
        net = self.net
        frames = [given for k in range(min(self.count, STREAMED)) for given in self._window(k)]
        silence = (
            (max(net.latency.values()) + 1) * net.window
            + min(max((p.delay for p in net.projections), default=0), 64)
            + 1
        )
        stepper, done = Stepper(net), []
        for given in [*frames, *[dict[str, Array]()] * silence]:
            sent = stepper.step(given)
            membranes = {name: state["v"].copy() for name, state in stepper.state.items() if "v" in state}
            done.append(Step(given, sent, membranes, self._readings(stepper)))
        return done

    def _readings(self, stepper: Stepper) -> dict[str, Array]:
        net, found = self.net, {}
        for name in net.outputs:
            population, ends = net.populations[name], stepper.t % net.window == 0
            if population.neuron.reported and ends and stepper.t > net.turn(name) * net.window:
                found[name] = population.real(stepper.state[name][population.neuron.reported])
        return found

    def _window(self, k: int) -> list[dict[str, Array]]:
        """Return what each input sends at each step of a window, for the k-th sample."""
        events = {name: events_of(self.net, name, values, batch=False) for name, values in self.sample(k).items()}
        return [{name: rows[t] for name, rows in events.items()} for t in range(self.net.window)]

    def spikes(self) -> dict[str, int]:
        """Return the spikes of each population, summed over the samples from rest."""
        return {name: sum(turn[name].spikes for turn in self.turns) for name in self.net.populations}


def outputs(net: Network, turns: Mapping[str, Turn]) -> dict[str, Array]:
    """Return what a run reports for one sample, by the definition of each kind's answer."""
    found: dict[str, Array] = {}
    for name in net.outputs:
        turn, neuron = turns[name], net.populations[name].neuron
        found[name] = turn.word
        if isinstance(neuron, Readout) and turn.membrane is not None:
            found[name] = turn.membrane
        elif isinstance(neuron, IF | LIF) and neuron.answer != "count" and turn.membrane is not None:
            v, shift, fired = turn.membrane, (net.window - 1).bit_length(), turn.events != 0
            found[name] = {
                "first_spike": np.where(fired.any(axis=0), net.window - fired.argmax(axis=0), 0),
                "last": v[-1],
                "max": v.max(axis=0),
                "mean": (v >> shift).sum(axis=0),
            }[neuron.answer]
    return found
