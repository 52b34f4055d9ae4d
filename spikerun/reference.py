"""The law: what a network computes, in the plainest NumPy. Every kernel and every target must equal it, bit for bit.

Two schedules, one result. `blocked`: a frame goes through the network population by population, each taking its whole
window at once. `Stepper`: time goes on step by step, all populations take part in each, and state is kept. `stepped`
runs one frame through a Stepper and gives what `blocked` gives.

All arithmetic is int64 here, on values that the contract confines to int32. One sample at a time, and no speed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikerun.codes import encode, keep_most_significant, word_range
from spikerun.connections import Window
from spikerun.errors import NetworkError
from spikerun.inputs import events as events_of
from spikerun.linear import apply, windows
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, V_LIMIT, FewSpikes, Input, MaxPool, Readout

__all__ = ["Stepper", "Turn", "blocked", "stepped"]

IntArray = npt.NDArray[np.int64]
State = dict[str, IntArray]


@dataclass(frozen=True, eq=False)
class Turn:
    """What one population did with one frame, in the windows that are its own.

    events: (W, *shape), 0/1 or payloads; word: the integers they carry (for kinds without a code, the spike count);
    membrane: v at the end of the window (few_spikes, readout), or after each of its steps (if, lif): (W, *shape).
    """

    events: IntArray
    word: IntArray
    membrane: IntArray | None
    spikes: int


# --- neurons: one step, or one window, of one kind -----------------------------------------------------------------


def fire(population: Population, neuron: FewSpikes, v: IntArray) -> IntArray:
    """Return the integers q that few-spikes neurons compute from their membranes."""
    low, high = word_range(neuron.bits, neuron.signed)
    q = np.clip(v // population.spread(neuron.threshold).astype(np.int64), low, high)
    return keep_most_significant(q, neuron.bits, neuron.signed, neuron.kept_bits)


def send(population: Population, neuron: FewSpikes, state: State, g: int) -> IntArray:
    """Send one step of the words held in `u`, by restoring division: compare and subtract only."""
    u, left = state["u"], state["left"]
    threshold = population.spread(neuron.threshold).astype(np.int64)
    if g == 0:
        return np.zeros_like(u)
    if neuron.code == "graded":
        return fire(population, neuron, u)
    s = ((u < 0) if g < 0 else (u >= threshold * g)) & (left > 0)
    state["u"] = u - threshold * g * s
    state["left"] = left - s
    return s.astype(np.int64)


def if_step(population: Population, neuron: IF, state: State, i: IntArray) -> IntArray:
    """Update integrate-and-fire membranes by one step; return the spikes."""
    threshold, bias, v_min = (
        population.spread(a).astype(np.int64) for a in (neuron.threshold, neuron.bias, neuron.v_min)
    )
    v = np.clip(state["v"] + i + bias, np.maximum(v_min, -V_LIMIT), V_LIMIT)
    s: IntArray = (v >= threshold).astype(np.int64)
    state["v"] = v - threshold * s if neuron.reset == "subtract" else np.where(s, 0, v)
    return s


def decayed(x: IntArray, decay: IntArray) -> IntArray:
    """Return x (1 - decay / 4096), truncated toward zero."""
    shrunk: IntArray = np.sign(x) * ((np.abs(x) * (4096 - decay)) >> 12)
    return shrunk


def wrap24(x: IntArray) -> IntArray:
    """Return x modulo 2^24, in (-2^23, 2^23]."""
    wrapped: IntArray = 2**23 - (2**23 - x) % 2**24
    return wrapped


def lif_step(population: Population, neuron: LIF, state: State, i: IntArray, t: int) -> IntArray:
    """Update leaky integrate-and-fire neurons by one step, the t-th of their own; return the spikes."""
    threshold, bias, du, dv = (
        population.spread(a).astype(np.int64) for a in (neuron.threshold * 64, neuron.bias, neuron.du, neuron.dv)
    )
    if neuron.reset_interval and t % neuron.reset_interval == neuron.reset_offset % neuron.reset_interval:
        for key in ("u", "v", "wait", "pending"):
            state[key] = np.zeros_like(state[key])
    state["u"] = wrap24(decayed(state["u"], du) + 64 * i)
    awake = state["wait"] == 0
    v = decayed(state["v"], dv) + state["u"] + bias - threshold * state["pending"]
    v = np.where(awake, np.clip(v, -V_LIMIT, V_LIMIT), state["v"])
    s: IntArray = ((v > threshold) & awake).astype(np.int64)
    if neuron.reset == "zero":
        v = np.where(s, 0, v)
    elif neuron.reset == "subtract":
        v = v - threshold * s
    else:
        state["pending"] = np.where(awake, s, state["pending"])
    state["v"] = v
    state["wait"] = np.where(s, neuron.refractory, np.maximum(state["wait"] - 1, 0))
    return s


def pool_taps(x: IntArray, target: Population, window: Window, fill: int) -> IntArray:
    """Return the candidates of every window, (kh * kw, *target shape); `fill` stands outside the image."""
    out = (target.shape[1], target.shape[2])
    taps = windows(x, out, window.kernel, window.stride, window.padding, window.dilation, fill)
    return taps.astype(np.int64)


def compare(target: Population, window: Window, state: State, x: IntArray, g: int, first: bool) -> IntArray:
    """Send one step of the largest word of each window: candidates that are silent where another fires have lost."""
    if first:
        inside = np.ones_like(x)
        state["alive"] = pool_taps(inside, target, window, 0)
    taps, alive = pool_taps(x, target, window, 0), state["alive"] == 1
    # in the sign step of signed words the candidates without a spike are the larger ones
    s: IntArray = np.where(alive, taps, 1).min(axis=0) if g < 0 else np.where(alive, taps, -(2**31)).max(axis=0)
    state["alive"] = (alive & (taps == s)).astype(np.int64)
    return s


# --- one frame, population by population ---------------------------------------------------------------------------


def blocked(net: Network, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Turn]:
    """Run one frame, each population taking its whole window at once; needs a network without delays.

    inputs: for each input population, integers of its shape, or events (W, *shape) where its code is `spikes`.
    """
    if not net.feedforward:
        raise NetworkError("the blocked schedule needs a network without delays: use `stepped` or a Stepper")
    turns: dict[str, Turn] = {}
    for name in net.order:
        population, neuron = net.populations[name], net.populations[name].neuron
        state = initial_state(population)
        membrane: IntArray | None = None
        if isinstance(neuron, Input):
            events = events_of(net, name, np.asarray(inputs[name]), batch=False)
        elif isinstance(neuron, (FewSpikes, Readout)):
            membrane = population.spread(neuron.bias).astype(np.int64)
            for p in net.into(name):
                membrane = membrane + _placed(net, p, _word(net, p.source, turns[p.source].events))
            if isinstance(neuron, FewSpikes):
                q = fire(population, neuron, membrane)
                events = encode(q, neuron.code, neuron.bits, neuron.signed, net.window)
            else:
                events = np.zeros((net.window, *population.shape), dtype=np.int64)
        elif isinstance(neuron, MaxPool):
            (p,) = net.into(name)
            assert isinstance(p.connection, Window)
            word = net.sender_of(name)
            assert word is not None
            taps = pool_taps(_word(net, p.source, turns[p.source].events), population, p.connection, -(2**31))
            events = encode(taps.max(axis=0), word.code, word.bits, word.signed, net.window)
        else:
            events = np.zeros((net.window, *population.shape), dtype=np.int64)
            membrane = np.zeros_like(events)
            for t in range(net.window):
                i = sum(
                    (_placed(net, p, turns[p.source].events[t]) for p in net.into(name)),
                    np.zeros(population.shape, np.int64),
                )
                events[t] = update(population, state, i, t)
                membrane[t] = state["v"]
        turns[name] = _turn(net, name, events, membrane)
    return turns


def update(population: Population, state: State, i: IntArray, t: int) -> IntArray:
    """Update IF or LIF neurons by one step, the t-th of their own; return the spikes."""
    neuron = population.neuron
    if isinstance(neuron, IF):
        return if_step(population, neuron, state, i)
    assert isinstance(neuron, LIF)
    return lif_step(population, neuron, state, i, t)


def _turn(net: Network, name: str, events: IntArray, membrane: IntArray | None) -> Turn:
    return Turn(events, _word(net, name, events), membrane, int((events != 0).sum()))


def _word(net: Network, name: str, events: IntArray) -> IntArray:
    """Return what the events of a window carry: the sum of significance times event."""
    return np.tensordot(net.significance(name), events, axes=1)


def _placed(net: Network, p: Projection, x: IntArray) -> IntArray:
    """Return the currents of a projection for events `x`, of the target's shape, zero outside `target_channels`."""
    target = net.populations[p.target]
    first, end = p.target_channels or (0, target.shape[0])
    current = np.zeros(target.shape, dtype=np.int64)
    current[first:end] = apply(p.connection, x).reshape((end - first, *target.shape[1:]))
    return current


# --- step by step ---------------------------------------------------------------------------------------------------


def initial_state(population: Population) -> State:
    """Return the state of a population before anything has reached it."""
    neuron, zero = population.neuron, np.zeros(population.shape, dtype=np.int64)
    if isinstance(neuron, FewSpikes):
        return {"v": zero, "u": zero, "left": zero}
    if isinstance(neuron, IF):
        return {"v": population.spread(neuron.v_init).astype(np.int64)}
    if isinstance(neuron, LIF):
        return {"u": zero, "v": zero, "wait": zero, "pending": zero}
    return {"v": zero} if isinstance(neuron, Readout) else {}


class Stepper:
    """All populations, one step of time after the other.

    t: steps done; state: of each population, by name; past: of each projection that lags, the events of its source,
    oldest first. Both may be copied and put back.
    """

    def __init__(self, net: Network) -> None:
        self.net = net
        self.t = 0
        self.state = {name: initial_state(p) for name, p in net.populations.items()}
        self.past = [
            np.zeros((lag, *net.populations[p.source].shape), dtype=np.int64)
            for p, lag in zip(net.projections, net.lag, strict=True)
        ]

    def step(self, events: Mapping[str, npt.ArrayLike]) -> dict[str, IntArray]:
        """Advance by one step; `events` of each input population (absent: silent). Return the events of all."""
        sent: dict[str, IntArray] = {}
        for name in self.net.order:
            population = self.net.populations[name]
            if isinstance(population.neuron, Input):
                given = np.asarray(events.get(name, 0), dtype=np.int64)
                sent[name] = np.broadcast_to(given, population.shape).copy()
            else:
                sent[name] = self._population(name, population, sent)
        for k, p in enumerate(self.net.projections):
            if self.net.lag[k]:
                self.past[k] = np.concatenate([self.past[k][1:], sent[p.source][None]])
        self.t += 1
        return sent

    def _population(self, name: str, population: Population, sent: Mapping[str, IntArray]) -> IntArray:
        """Update one population; before its turn comes, nothing has reached it and it rests in its initial state."""
        neuron, state, r = population.neuron, self.state[name], self.t % self.net.window
        begin = self.net.turn(name) * self.net.window
        silent = np.zeros(population.shape, dtype=np.int64)
        if self.t < begin:
            return silent
        if isinstance(neuron, MaxPool):
            return self._pool(name, population, sent)
        if not isinstance(neuron, (FewSpikes, Readout)):
            i = sum((x for _, x in self._currents(name, sent)), silent)
            return update(population, state, i, self.t - begin)
        if r == 0:  # a window ends and the next begins: what was integrated is now sent
            if isinstance(neuron, FewSpikes) and self.t > begin:
                state["u"], state["left"] = state["v"], np.full(population.shape, neuron.spike_limit)
            state["v"] = population.spread(neuron.bias).astype(np.int64)
        state["v"] = sum((g * x for g, x in self._currents(name, sent)), state["v"])
        if isinstance(neuron, Readout):
            return silent
        return send(population, neuron, state, int(self.net.significance(name)[r]))

    def _pool(self, name: str, population: Population, sent: Mapping[str, IntArray]) -> IntArray:
        (p,) = self.net.into(name)
        assert isinstance(p.connection, Window)
        g = int(self.net.significance(name)[self.t % self.net.window])
        x = self._events(self.net.projections.index(p), sent)
        return compare(population, p.connection, self.state[name], x, g, self.t % self.net.window == 0)

    def _events(self, k: int, sent: Mapping[str, IntArray]) -> IntArray:
        """Return the events that reach the k-th projection in this step."""
        return self.past[k][0] if self.net.lag[k] else sent[self.net.projections[k].source]

    def _currents(self, name: str, sent: Mapping[str, IntArray]) -> list[tuple[int, IntArray]]:
        """Return the currents into a population, each with the significance of the spikes that caused it."""
        currents = []
        for k, p in enumerate(self.net.projections):
            if p.target == name:
                g = self.net.significance(p.source)[(self.t - self.net.lag[k]) % self.net.window]
                currents.append((int(g), _placed(self.net, p, self._events(k, sent))))
        return currents


def stepped(net: Network, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Turn]:
    """Run one frame step by step from rest; return the same as `blocked`, for networks with delays too."""
    given = {name: events_of(net, name, np.asarray(inputs[name]), batch=False) for name in net.inputs}
    stepper, w = Stepper(net), net.window
    sent: dict[str, list[IntArray]] = {name: [] for name in net.populations}
    membranes: dict[str, list[IntArray]] = {name: [] for name in net.populations}
    for t in range((max(net.latency.values()) + 1) * w):
        events = stepper.step({name: g[t] for name, g in given.items()} if t < w else {})
        for name in net.populations:
            sent[name].append(events[name])
            membranes[name].append(stepper.state[name].get("v", events[name]))
    turns = {}
    for name, population in net.populations.items():
        own, neuron = net.latency[name] * w, population.neuron
        v = np.stack(membranes[name][net.turn(name) * w : (net.turn(name) + 1) * w])
        membrane = v[-1] if isinstance(neuron, (FewSpikes, Readout)) else v if isinstance(neuron, (IF, LIF)) else None
        turns[name] = _turn(net, name, np.stack(sent[name][own : own + w]), membrane)
    return turns
