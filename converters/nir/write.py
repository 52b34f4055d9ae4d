# SPDX-License-Identifier: Apache-2.0
"""A network as a NIR file, as far as NIR can say it.

Membranes are in units of the weights. NIR has real numbers and seconds: `tau = dt / (1 - keep)` and `r = tau / dt`, so
that a step by Euler's method keeps `keep` and adds the current as it is.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from spikerun.atomic import PathLike, require_writable, write_atomically
from spikerun.connections import Connection
from spikerun.converters.graph import Array
from spikerun.errors import UnsupportedError, UsageError
from spikerun.hdf5 import image
from spikerun.network import Network, Population, Projection
from spikerun.neurons import V_LIMIT
from spikerun.neurons.answer import shift
from spikerun.neurons.leaky import KEEP_ALL, WIDE_LIMIT

__all__ = ["write_nir"]

VERSION = "1.0.8"  # of the NIR package whose files these are like
MAX_DENSE = 2**26  # weights of a sparse connection written as a matrix
MEMBRANES = ("last", "max", "mean")  # answers that tell of membranes
ROUNDED = "states are real numbers: they are neither rounded toward zero, nor clamped, nor wrapped"
HALVES = "thresholds lie half a unit between the integers that decide, so that no rounding does"
NIR = dict[str, Any]  # values of a node by name, `type` among them


def write_nir(net: Network, path: PathLike, dt: float, force: bool = False) -> tuple[str, ...]:
    """Write `net` for time steps of `dt` seconds; return in which ways the file says something else, a sentence each.

    Raises UnsupportedError, with the population or projection and the reason, for what NIR cannot say.
    """
    if not (math.isfinite(dt) and dt > 0):
        raise UsageError(f"the time step must be positive and finite, got {dt}: --dt 1ms")
    target = require_writable(path, force)
    writer = _Writer(net, float(dt))
    made = writer.graph()
    write_atomically(Path(target), image(lambda file: _fill(h5py.File(file), made)), force)
    return ROUNDED, HALVES, writer.unsaid()


def _fill(file: Any, graph: NIR) -> None:
    """Write nested values as groups and data sets, as the NIR package does."""
    text = h5py.string_dtype()
    file.create_dataset("version", data=VERSION, dtype=text)

    def write(group: Any, values: NIR) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                write(group.create_group(key, track_order=True), value)
            elif isinstance(value, str):
                group.create_dataset(key, data=value, dtype=text)
            elif isinstance(value, list):
                group.create_dataset(key, data=np.array(value, object).reshape(-1, 2), dtype=text)
            else:
                large = {"compression": "gzip"} if np.ndim(value) else {}
                group.create_dataset(key, data=value, **large)

    write(file.create_group("node"), graph)


@dataclass(eq=False)
class _Writer:
    """Makes nodes and edges of one network."""

    net: Network
    dt: float
    nodes: dict[str, NIR] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    biases: dict[str, Array] = field(default_factory=dict)  # still to be added by a projection into the population
    entries: dict[str, str] = field(default_factory=dict)  # where edges into a population go, if not to its own node
    answers: dict[str, str] = field(default_factory=dict)  # of populations, by name

    def graph(self) -> NIR:
        """Return the graph."""
        for name, population in self.net.populations.items():
            word = self.net.sender_of(name)
            if word is not None and word.coded:
                raise self._refused(name, f"sends words in the code '{word.code}': NIR knows single spikes only")
            if population.neuron.kind not in _NEURONS:
                raise self._refused(name, "is a neuron that NIR does not have")
            if "/" in name or name in (".", ""):
                raise self._refused(name, "has a name that cannot be that of a node in a file")
            _NEURONS[population.neuron.kind](self, name, population)
        for k, projection in enumerate(self.net.projections):
            self._projection(k, projection)
        for name in self.biases:
            raise self._refused(name, "has a bias, and no Dense or Conv projection into it to add it in NIR")
        for name in self.net.outputs:
            shape = np.array(self.net.populations[name].shape)
            self._to(name, self._add("output", {"type": "Output", "shape": shape}))
        return {"type": "NIRGraph", "nodes": self.nodes, "edges": self.edges}

    def unsaid(self) -> str:
        """Return what the graph does not say of the results."""
        listed = ", ".join(f"'{name}' {self.answers[name].replace('_', '-')}" for name in self.net.outputs)
        membranes = any(self._shows(name) for name in self.net.outputs)
        kept = "those of membranes are in their gains" if membranes else "they are left out"
        return (
            f"NIR says neither answers, which --readout chooses ({listed}), nor their scales ({kept}), nor the time "
            f"step ({self.dt:g} s, by --nir-writer euler)"
        )

    def _refused(self, name: str, why: str) -> UnsupportedError:
        return UnsupportedError(f"population '{name}' cannot be written as NIR: it {why}")

    def _add(self, name: str, values: NIR) -> str:
        """Add a node under a free name like `name`, and return that."""
        taken = self.nodes.keys() | self.net.populations.keys()
        free = next(n for k in range(len(taken) + 1) if (n := f"{name}{k or ''}") not in taken)
        self.nodes[free] = values
        return free

    def _to(self, source: str, target: str) -> None:
        self.edges.append((source, target))

    # --- populations -------------------------------------------------------------------------------------------------

    def input(self, name: str, population: Population) -> None:
        """Write an input."""
        self.nodes[name] = {"type": "Input", "shape": np.array(population.shape)}
        self.answers[name] = "count"

    def readout(self, name: str, population: Population) -> None:
        """Write a readout: an integrator, in units of its scale."""
        neuron: Any = population.neuron
        if neuron.bias.any():
            raise self._refused(name, "is a readout with a bias, which NIR's integrators do not have")
        r = population.spread(np.asarray(neuron.scale, np.float64)) / self.dt
        self.nodes[name] = {"type": "I", "r": r}
        self.answers[name] = "last"

    def integrate_and_fire(self, name: str, population: Population) -> None:
        """Write an IF, which fires where v >= threshold; NIR's where v > threshold."""
        neuron: Any = population.neuron
        self._plain(name, neuron, -V_LIMIT)
        self._later(name, population.spread(neuron.bias))
        threshold = population.spread(neuron.threshold) - 0.5
        r = np.full(population.shape, 1 / self.dt)
        self.nodes[name] = {"type": "IF", "r": r, "v_threshold": threshold, "v_reset": np.zeros(population.shape)}

    def leaky(self, name: str, population: Population) -> None:
        """Write a LIF: IF, LIF or CubaLIF, or without reset an integrator and a Threshold."""
        neuron: Any = population.neuron
        self._plain(name, neuron, -WIDE_LIMIT)
        if neuron.refractory or neuron.reset_interval:
            raise self._refused(name, "has a refractory time or a reset by the clock, which NIR's neurons do not have")
        unit = 1 / 2**neuron.fraction_bits
        worth = self._worth(name, population) if self._shows(name) else 1.0
        keep_v, keep_u = neuron.keep_v, neuron.keep_u
        leaks, synaptic = bool((keep_v < KEEP_ALL).all()), bool(keep_u.any())
        if not leaks and ((keep_v < KEEP_ALL).any() or synaptic):
            raise self._refused(name, "has a membrane without leak beside others, or behind a synaptic current")
        if (keep_u == KEEP_ALL).any():
            raise self._refused(name, "has a synaptic current that does not decay, which takes an infinite tau in NIR")
        bias, bias_u = (population.spread(values) * unit for values in (neuron.bias, neuron.bias_u))
        self._later(name, bias_u if synaptic else bias + bias_u)
        values = {"r": np.full(population.shape, worth / self.dt)}
        if leaks:
            share = population.spread(1 - keep_v / KEEP_ALL)
            values = {"tau_mem" if synaptic else "tau": self.dt / share, "r": worth / share}
            values["v_leak"] = bias * worth / share if synaptic else np.zeros(population.shape)
        if synaptic:
            share = population.spread(1 - keep_u / KEEP_ALL)
            values |= {"tau_syn": self.dt / share, "w_in": 1 / share}
        kind = "CubaLI" if synaptic else "LI" if leaks else "I"
        if self._shows(name):
            self.nodes[name] = {"type": kind, **values}
            return
        threshold = (population.spread(neuron.threshold) + 0.5 - neuron.inclusive) * unit
        if neuron.reset == "none":
            membrane = self._add(f"{name}.membrane", {"type": kind, **values})
            self.nodes[name] = {"type": "Threshold", "threshold": threshold}
            self._to(membrane, name)
            self.entries[name] = membrane
            return
        fires = {"v_threshold": threshold, "v_reset": population.spread(neuron.v_reset) * unit}
        self.nodes[name] = {"type": f"{kind}F", **values, **fires}

    def _shows(self, name: str) -> bool:
        """Return whether a population shows its membranes as a result."""
        return name in self.net.outputs and self.answers[name] in MEMBRANES

    def _worth(self, name: str, population: Population) -> Array:
        """Return what a membrane of one unit of the weights adds to the result, for each neuron."""
        neuron: Any = population.neuron
        if any(p.source == name for p in self.net.projections):
            raise self._refused(name, f"shows its membranes (answer '{neuron.answer}'), and its spikes are taken too")
        steps = self.net.window
        summed = steps / 2 ** shift(steps) if neuron.answer == "mean" else 1.0
        worth: Array = population.spread(neuron.scale) * np.float64(summed * 2**neuron.fraction_bits)
        return worth

    def _plain(self, name: str, neuron: Any, floor: int) -> None:
        """Keep the answer; refuse resets by subtraction or of shown membranes, floors, and starts other than 0."""
        if neuron.reset.startswith("subtract"):
            raise self._refused(name, f"has the reset '{neuron.reset}': NIR's neurons are set to a value at once")
        self.answers[name] = neuron.answer
        if self._shows(name) and neuron.reset != "none":
            why = "in NIR only neurons that never fire do: those of a LIF with the reset 'none'"
            raise self._refused(name, f"shows membranes with a reset (answer '{neuron.answer}'); {why}")
        if (neuron.v_min > floor).any():
            raise self._refused(name, "has a floor (v_min) of its membrane, which NIR's neurons do not have")
        if neuron.v_init.any():
            raise self._refused(name, "starts at v_init, and NIR does not say where membranes start")

    def _later(self, name: str, bias: Array) -> None:
        """Keep a bias for the projection that adds it."""
        if bias.any():
            self.biases[name] = bias

    # --- projections -------------------------------------------------------------------------------------------------

    def _projection(self, k: int, p: Projection) -> None:
        if p.target_channels is not None or p.connection.kind not in _CONNECTIONS:
            what = "leads to some channels only" if p.target_channels is not None else f"is a {p.connection.kind}"
            raise UnsupportedError(f"{p} cannot be written as NIR: it {what}, which NIR does not have")
        if p.connection.delay_range != (0, 0):
            why = "its synapses have delays of their own, and NIR's Delay is one for each neuron"
            raise UnsupportedError(f"{p} cannot be written as NIR: {why}")
        shape, last = self.net.populations[p.source].shape, p.source
        circular = p.source == p.target and p.delay == 1  # a cycle takes a step by itself
        if p.delay and not circular:
            delay = np.full(shape, p.delay * self.dt)
            last = self._next(last, f"{p.source}.delay", {"type": "Delay", "delay": delay})
        for kind, values in _CONNECTIONS[p.connection.kind](self, p, p.connection):
            last = self._next(last, f"{p.source}.{p.target}", {"type": kind, **values})
        self._to(last, self.entries.get(p.target, p.target))

    def _next(self, source: str, name: str, values: NIR) -> str:
        added = self._add(name, values)
        self._to(source, added)
        return added

    def bias(self, target: str, channels: bool) -> Array:
        """Return what a projection adds to its target, for each neuron or each channel: what nobody did before."""
        waiting, shape = self.biases.get(target), self.net.populations[target].shape
        of_channels = None if waiting is None else waiting.reshape(shape[0], -1)
        if of_channels is None or (channels and (of_channels != of_channels[:, :1]).any()):
            return np.zeros(shape[0] if channels else math.prod(shape))
        del self.biases[target]
        return of_channels[:, 0] if channels else of_channels.ravel()

    def matrix(self, p: Projection, weight: Array) -> list[tuple[str, NIR]]:
        """Return the nodes of a matrix (in, out)."""
        shape = self.net.populations[p.source].shape
        if len(self.net.populations[p.target].shape) != 1:
            raise UnsupportedError(
                f"{p} cannot be written as NIR: its target has shape (C, H, W), and a matrix gives (N,)"
            )
        flat = {"start_dim": 0, "end_dim": -1, "input_type": np.array(shape)}
        first = [("Flatten", flat)] if len(shape) > 1 else []
        values, bias = {"weight": weight.T.astype(np.float32) * _factor(p)}, self.bias(p.target, channels=False)
        return [*first, ("Affine", {**values, "bias": bias}) if bias.any() else ("Linear", values)]

    def scaled(self, gain: Array, shape: tuple[int, ...]) -> list[tuple[str, NIR]]:
        """Return the nodes that multiply each channel."""
        whole = gain.reshape((-1,) + (1,) * (len(shape) - 1)) * np.ones(shape, np.float32)
        return [("Scale", {"scale": whole.astype(np.float32)})]


def _factor(p: Projection) -> np.float32:
    return np.float32(2**p.exponent)


def _dense(writer: _Writer, p: Projection, connection: Any) -> list[tuple[str, NIR]]:
    return writer.matrix(p, connection.weight)


def _sparse(writer: _Writer, p: Projection, connection: Any) -> list[tuple[str, NIR]]:
    rows = len(connection.indptr) - 1
    if rows * connection.size > MAX_DENSE:
        raise UnsupportedError(f"{p} cannot be written as NIR: as a matrix it has {rows * connection.size} weights")
    weight = np.zeros((rows, connection.size), np.float32)
    np.add.at(weight, (np.repeat(np.arange(rows), np.diff(connection.indptr)), connection.indices), connection.data)
    return writer.matrix(p, weight)


def _conv(writer: _Writer, p: Projection, connection: Any) -> list[tuple[str, NIR]]:
    values = {"weight": connection.weight.astype(np.float32) * _factor(p), "groups": connection.groups}
    values |= {key: np.array(getattr(connection, key)) for key in ("stride", "padding", "dilation")}
    values["bias"] = writer.bias(p.target, channels=True)
    return [("Conv2d", {**values, "input_shape": np.array(writer.net.populations[p.source].shape[1:])})]


def _sum_pool(writer: _Writer, p: Projection, connection: Any) -> list[tuple[str, NIR]]:
    keys = {"kernel_size": "kernel", "stride": "stride", "padding": "padding"}
    pool = ("SumPool2d", {key: np.array(getattr(connection, ours)) for key, ours in keys.items()})
    gain = connection.gain * _factor(p)
    return [pool, *(writer.scaled(gain, writer.net.populations[p.target].shape) if (gain != 1).any() else [])]


def _diagonal(writer: _Writer, p: Projection, connection: Any) -> list[tuple[str, NIR]]:
    return writer.scaled(connection.gain * _factor(p), writer.net.populations[p.source].shape)


# FewSpikes, Levels and MaxPool send words, which are refused before; all others are refused by name.
_NEURONS: Mapping[str, Callable[[_Writer, str, Population], None]] = {
    "input": _Writer.input,
    "if": _Writer.integrate_and_fire,
    "lif": _Writer.leaky,
    "readout": _Writer.readout,
}
# A Window compares spikes, a PooledConv sums, a Random draws: all others are refused.
_CONNECTIONS: Mapping[str, Callable[[_Writer, Projection, Connection], list[tuple[str, NIR]]]] = {
    "dense": _dense,
    "sparse": _sparse,
    "conv": _conv,
    "sum_pool": _sum_pool,
    "diagonal": _diagonal,
}
