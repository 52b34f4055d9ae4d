# SPDX-License-Identifier: Apache-2.0
"""The law: what a network computes, in the plainest NumPy. Every kernel and every target must equal it, bit for bit.

Two schedules over the laws of the kinds (`spikerun/neurons`, `spikerun/connections`), one result. `blocked`: a frame
goes through the network population by population, each taking its whole window at once. `Stepper`: time goes on step by
step, all populations take part in each, and state is kept. `stepped` runs one frame through a Stepper and gives what
`blocked` gives.

All arithmetic is int64 here, on values that the contract confines to int32. One sample at a time, and no speed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikerun.errors import NetworkError
from spikerun.inputs import by_name, checked_step
from spikerun.inputs import events as events_of
from spikerun.network import Link, Network
from spikerun.neurons import Now, State

__all__ = ["Stepper", "Turn", "blocked", "stepped"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Turn:
    """What one population did with one frame, in the windows that are its own.

    events: (W, *shape), 0/1 or payloads; word: the integers they carry (for kinds without a code, the spike count);
    membrane: v at the end of the window (few_spikes, levels, readout), or after each of its steps (if, lif), (W,
    *shape); answer: what a run reports of it.
    """

    events: IntArray
    word: IntArray
    membrane: IntArray | None
    spikes: int
    answer: IntArray


def blocked(net: Network, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Turn]:
    """Run one frame, each population taking its whole window at once; needs a network without delays.

    inputs: for each input population, integers of its shape, or events (W, *shape) where its code is `spikes`.
    """
    if not net.feedforward:
        raise NetworkError("the blocked schedule needs a network without delays: use `stepped` or a Stepper")
    given = by_name(net, inputs)
    turns: dict[str, Turn] = {}
    for name in net.order:
        neuron = net.populations[name].neuron
        if neuron.is_input:
            turns[name] = _turn(net, name, events_of(net, name, given[name], batch=False))
        elif neuron.integrates == "window" or net.taps(name):
            turns[name] = _at_once(net, name, turns)
        else:
            turns[name] = _step_by_step(net, name, turns)
    return turns


def _at_once(net: Network, name: str, turns: Mapping[str, Turn]) -> Turn:
    """Run a population that takes a window as words."""
    population, word = net.populations[name], net.sender_of(name)
    i = _sum(net, name, [_currents(net, link, turns[link.source].word) for link in net.into(name)])
    membrane, q = population.neuron.window(population.shape, i)
    events = np.zeros((net.window, *population.shape), np.int64) if word is None else word.encode(q, net.window)
    return _turn(net, name, events, membrane, membrane if population.neuron.reported else None)


def _step_by_step(net: Network, name: str, turns: Mapping[str, Turn]) -> Turn:
    """Run a population that takes its window step by step."""
    population = net.populations[name]
    state = population.neuron.initial(population.shape)
    events, membrane = np.zeros((2, net.window, *population.shape), dtype=np.int64)
    for t in range(net.window):
        i = _sum(net, name, [_currents(net, link, turns[link.source].events[t]) for link in net.into(name)])
        events[t] = population.neuron.step(population.shape, state, i, Now(t, t, 1, net.window))
        membrane[t] = state.get("v", events[t])
    return _turn(net, name, events, membrane if population.neuron.integrates else None, _reported(net, name, state))


def _reported(net: Network, name: str, state: State) -> IntArray | None:
    """Return what a run reports of a population's state at the end of its window; None: what it sent."""
    return state.get(net.populations[name].neuron.reported)


def _turn(
    net: Network, name: str, events: IntArray, membrane: IntArray | None = None, answer: IntArray | None = None
) -> Turn:
    word = np.tensordot(net.significance(name), events, axes=1)  # the sum of significance times event
    return Turn(events, word, membrane, int((events != 0).sum()), word if answer is None else answer)


def _currents(net: Network, link: Link, x: IntArray) -> IntArray:
    """Return what a projection makes of events `x`: currents of the target's shape, zero outside its channels.

    What compares takes its candidates as they are.
    """
    if not link.connection.linear:
        return link.connection.apply(x)
    shape, (first, end) = net.populations[link.target].shape, link.channels
    current = np.zeros(shape, dtype=np.int64)
    current[first:end] = link.connection.apply(x).reshape((end - first, *shape[1:]))
    return current << link.projection.exponent


def _sum(net: Network, name: str, currents: list[IntArray]) -> IntArray:
    return sum(currents[1:], currents[0]) if currents else np.zeros(net.populations[name].shape, np.int64)


class Stepper:
    """All populations, one step of time after the other.

    t: steps done; state: of each population, by name; past: of each projection that lags, the events of its source,
    oldest first; under_way: of each population whose synapses have delays of their own, by name, the currents that
    arrive in the next steps. That is all that the contract knows of a network's past; it may be copied and put back.
    """

    def __init__(self, net: Network) -> None:
        self.net = net
        self.t = 0
        self.state: dict[str, State] = {
            name: p.neuron.initial(p.shape, net.taps(name)) for name, p in net.populations.items()
        }
        self.past = [np.zeros((k.held, *net.populations[k.source].shape), dtype=np.int64) for k in net.links]
        ahead = {name: net.under_way(name) for name in net.populations}
        self.under_way = {
            name: np.zeros((steps, *net.populations[name].shape), np.int64) for name, steps in ahead.items() if steps
        }

    def step(self, events: Mapping[str, npt.ArrayLike]) -> dict[str, IntArray]:
        """Advance by one step; `events` of each input population (absent: silent). Return the events of all.

        Raises DataError where they are not what the input may send.
        """
        given = by_name(self.net, events, all_of_them=False)
        sent: dict[str, IntArray] = {}
        for name, rows in self.under_way.items():  # of this step, and of those that its events reach
            self.under_way[name] = np.concatenate([rows, np.zeros_like(rows[:1])])
        for name in self.net.order:
            population = self.net.populations[name]
            if population.neuron.is_input:
                silent = np.zeros(population.shape, np.int64)
                sent[name] = checked_step(self.net, name, given[name]) if name in given else silent
            else:
                sent[name] = self._population(name, sent)
            self._scatter(name, sent[name])
        self.under_way = {name: rows[1:] for name, rows in self.under_way.items()}
        for k, link in enumerate(self.net.links):
            if link.held:
                self.past[k] = np.concatenate([self.past[k][1:], sent[link.source][None]])
        self.t += 1
        return sent

    def _population(self, name: str, sent: Mapping[str, IntArray]) -> IntArray:
        """Update one population; before its turn comes, nothing has reached it and it rests in its initial state."""
        population, window = self.net.populations[name], self.net.window
        begin, r = self.net.turn(name) * window, self.t % window
        if self.t < begin:
            return np.zeros(population.shape, dtype=np.int64)
        now = Now(self.t - begin, r, int(self.net.significance(name)[r]), window)
        weighed = population.neuron.integrates == "window"
        currents = [
            (int(link.significance[r]) if weighed else 1) * _currents(self.net, link, self._arriving(link, sent))
            for link in self.net.into(name)
            if not link.scattered
        ]
        if name in self.under_way:
            currents.append(self.under_way[name][0])
        return population.neuron.step(population.shape, self.state[name], _sum(self.net, name, currents), now)

    def _arriving(self, link: Link, sent: Mapping[str, IntArray]) -> IntArray:
        """Return the events that reach a projection in this step."""
        return self.past[link.number][0] if link.held else sent[link.source]

    def _scatter(self, name: str, x: IntArray) -> None:
        """Add what the events `x` of a population come to, synapse by synapse, to what is under way."""
        for link in self.net.out_of(name):
            if link.scattered:
                (first, end), least = link.channels, link.connection.delay_range[0]
                rows = self.under_way[link.target][link.lag : link.latest + 1, first:end]
                rows += link.connection.late(x)[least:].reshape(rows.shape) << link.projection.exponent


def stepped(net: Network, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Turn]:
    """Run one frame step by step from rest; return the same as `blocked`, for networks with delays too."""
    given = {name: events_of(net, name, values, batch=False) for name, values in by_name(net, inputs).items()}
    stepper, w, latency = Stepper(net), net.window, net.latency
    sent: dict[str, list[IntArray]] = {name: [] for name in net.populations}
    membranes: dict[str, list[IntArray]] = {name: [] for name in net.populations}
    answers: dict[str, IntArray | None] = {}
    for t in range((max(latency.values()) + 1) * w):
        events = stepper.step({name: g[t] for name, g in given.items()} if t < w else {})
        for name in net.populations:
            sent[name].append(events[name])
            membranes[name].append(stepper.state[name].get("v", events[name]))
            if t == (net.turn(name) + 1) * w - 1:
                answers[name] = _reported(net, name, stepper.state[name])
    turns = {}
    for name, population in net.populations.items():
        own, begin = latency[name] * w, net.turn(name) * w
        v = np.stack(membranes[name][begin : begin + w]) if population.neuron.integrates else None
        membrane = v[-1] if v is not None and population.neuron.integrates == "window" else v
        turns[name] = _turn(net, name, np.stack(sent[name][own : own + w]), membrane, answers[name])
    return turns
