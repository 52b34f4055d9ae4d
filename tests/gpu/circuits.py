# SPDX-License-Identifier: Apache-2.0
"""Programs of recurrent networks, and what they send according to NumPy, operation by operation."""

from typing import Any

import numpy as np

from spikerun.kernels.operations import (
    Apply,
    Arrive,
    Copy,
    Count,
    Delay,
    Fill,
    IfStep,
    LifStep,
    Map,
    Operation,
    Poisson,
    Scatter,
)
from spikerun.kernels.philox import POISSON, looked_up, philox
from spikerun.kernels.program import Program, Register
from spikerun.kernels.synapses import expanded

LIF: dict[str, Any] = {
    "threshold": 6000, "keep_v": 64884, "keep_u": 53656, "bias": 0, "bias_u": 0, "v_reset": 0, "v_min": -(2**29 - 1),
    "fraction_bits": 3, "reset": "value", "refractory": 3, "limits": "wide", "reset_interval": 0, "reset_offset": 0,
    "inclusive": True,
}  # fmt: skip
IF: dict[str, Any] = {"threshold": 300, "bias": 0, "v_min": -(2**23 - 1), "reset": "subtract"}
VALUES = {"threshold", "keep_v", "keep_u", "bias", "bias_u", "v_reset", "v_min"}


class Builder:
    """Registers and operations of a stepped program, population by population."""

    def __init__(self) -> None:
        self.registers: dict[str, Register] = {}
        self.sources: list[Operation] = []
        self.pasts: list[Operation] = []
        self.neurons: dict[str, tuple[list[Operation], list[Operation], list[Operation]]] = {}
        self.slots = 64
        self.counted: list[str] = []

    def register(self, name: str, dtype: Any, *shape: int, initial: Any = None) -> str:
        start = None if initial is None else np.asarray(initial, np.int32)
        self.registers.setdefault(name, Register(name, dtype, shape, name, start))
        return name

    def poisson(self, name: str, size: int, thresholds: Any, seed: int) -> None:
        self.register(name, "uint8", size)
        self.sources += [Poisson(name, np.asarray(thresholds, np.uint32), seed), self.count(name, 2)]

    def population(self, name: str, size: int, kind: str = "lif", initial: Any = None, **different: Any) -> None:
        self.register(name, "uint8", size)
        state = {"lif": ("i", "u", "v", "wait", "pending"), "if": ("i", "v")}[kind]
        given: dict[str, Any] = {"s": name}
        for key in state:
            start = initial if key == "v" else None
            given[key] = self.register(f"{name}:{key}", "uint8" if key == "pending" else "int32", size, initial=start)
        numbers = ({"lif": LIF, "if": IF}[kind]) | different
        given |= {k: np.asarray(v, np.int32) if k in VALUES else v for k, v in numbers.items()}
        step: Operation = LifStep(**given) if kind == "lif" else IfStep(**given)
        fill: Operation = Fill(f"{name}:i", np.array(0, np.int32))
        self.neurons[name] = [fill], [step, self.count(name, size)], []

    def count(self, name: str, fan_out: int) -> Operation:
        self.counted.append(name)
        return Count(name, np.array(fan_out, np.int32), "nonzero", 1, len(self.counted) - 1)

    def apply(self, source: str, target: str, kind: str, lag: int, parameters: dict[str, Any]) -> None:
        x = source
        m = self.map(source, target, kind, parameters)
        if lag:
            name = f"{source}>{target}>{len(self.pasts)}"
            x = self.register(f"{name}:delayed", "uint8", *m.source)
            if lag == 1:
                self.pasts.append(Copy(source, x))
            else:
                ring = self.register(f"{name}:past", "uint8", lag, *m.source)
                self.pasts.append(Delay(source, ring, x, lag))
        self.neurons[target][0].append(Apply(x, f"{target}:i", m))

    def scatter(self, source: str, target: str, kind: str, delay: int, parameters: dict[str, Any]) -> None:
        m = self.map(source, target, kind, parameters)
        ring = self.register(f"{target}:ring", "int32", self.slots, *m.target)
        operation = Scatter(source, ring, m, delay, 0, self.slots)
        if source in self.neurons:
            self.neurons[source][2].append(operation)
        else:
            self.sources.append(operation)
        arrive = Arrive(ring, f"{target}:i", self.slots)
        if arrive not in self.neurons[target][0]:
            self.neurons[target][0].append(arrive)

    def map(self, source: str, target: str, kind: str, parameters: dict[str, Any]) -> Map:
        shapes = self.registers[source].shape, self.registers[target].shape
        parameters = {"delays": None, **parameters}
        return Map(kind, *shapes, (0, shapes[1][0]), tuple(parameters.items()))

    def program(self) -> Program:
        operations = [*self.pasts, *self.sources]
        for before, step, after in self.neurons.values():
            operations += [*before, *step, *after]
        outputs = tuple((name, name) for name in self.neurons)
        registers = tuple(self.registers.values())
        return Program(registers, tuple(operations), 1, (), outputs, (), tuple(self.counted), endless=True)


def rule(sources: int, size: int, synapses: int, seed: int, weight: Any, delay: Any) -> dict[str, Any]:
    """Return the parameters of a random map: weights and delays are equally likely."""

    def thresholds(n: int) -> Any:
        return np.array([(k + 1) * 2**32 // n - 1 for k in range(n - 1)], np.uint32)

    return {
        "synapses": synapses, "sources": sources, "size": size, "seed": seed,
        "weight": np.asarray(weight, np.int8), "weight_thresholds": thresholds(len(weight)),
        "delays": np.asarray(delay, np.uint8), "delay_thresholds": thresholds(len(delay)),
    }  # fmt: skip


class Interpreter:
    """NumPy, operation by operation."""

    def __init__(self, program: Program) -> None:
        self.program, self.t = program, 0
        self.state = {
            r.name: np.zeros(r.shape, np.int64)
            if r.initial is None
            else np.broadcast_to(r.initial, r.shape).astype(np.int64)
            for r in program.registers
        }
        self.counts = np.zeros((len(program.counters), 2), np.int64)
        self.synapses: dict[int, Any] = {}

    def step(self) -> dict[str, Any]:
        """Return what is sent in a pass."""
        for o in self.program.operations:
            getattr(self, f"_{o.name}")(o)
        self.t += 1
        return {name: np.flatnonzero(self.state[name]) for name, _ in self.program.outputs}

    def _poisson(self, o: Any) -> None:
        n = np.arange(self.state[o.s].size)
        words = philox(o.seed, n, self.t >> 2 & 0xFFFFFFFF, self.t >> 34, POISSON)[self.t & 3]
        rows = np.broadcast_to(np.atleast_2d(o.thresholds), (len(n), o.thresholds.shape[-1]))
        self.state[o.s] = np.array([looked_up(row, word) for row, word in zip(rows, words, strict=True)], np.int64)

    def _copy(self, o: Any) -> None:
        self.state[o.y] = self.state[o.x].copy()

    def _delay(self, o: Any) -> None:
        place = self.t % o.steps
        self.state[o.y] = self.state[o.ring][place].copy()
        self.state[o.ring][place] = self.state[o.x]

    def _fill(self, o: Any) -> None:
        self.state[o.acc] = np.zeros_like(self.state[o.acc]) + o.value

    def _all(self, m: Map) -> Any:
        if id(m) not in self.synapses:
            if m.kind == "diagonal":
                n = np.arange(m.source[0])
                self.synapses[id(m)] = n, n, np.zeros(len(n), int) + m["gain"], np.zeros(len(n), int)
            else:
                found = expanded(m.kind, dict(m.parameters))
                source = np.repeat(np.arange(m.source[0]), np.diff(found.indptr))
                self.synapses[id(m)] = source, found.target, found.weight.astype(int), found.delay.astype(int)
        return self.synapses[id(m)]

    def _apply(self, o: Any) -> None:
        source, target, weight, _ = self._all(o.map)
        np.add.at(self.state[o.acc], target, weight * self.state[o.x][source])

    def _scatter(self, o: Any) -> None:
        source, target, weight, delay = self._all(o.map)
        where = (self.t + o.delay + delay) % o.slots
        np.add.at(self.state[o.ring], (where, target), weight * self.state[o.x][source])

    def _arrive(self, o: Any) -> None:
        place = self.t % o.slots
        self.state[o.acc] += self.state[o.ring][place]
        self.state[o.ring][place] = 0

    def _count(self, o: Any) -> None:
        spikes = (self.state[o.word] != 0).sum()
        self.counts[o.slot] += spikes, spikes * int(o.fan_out)

    def _if_step(self, o: Any) -> None:
        high = 2**23 - 1
        v = np.clip(self.state[o.v] + self.state[o.i] + o.bias, np.maximum(o.v_min, -high), high)
        s = v >= o.threshold
        self.state[o.s] = s.astype(np.int64)
        self.state[o.v] = np.where(s, 0 if o.reset == "zero" else v - o.threshold, v)

    def _lif_step(self, o: Any) -> None:
        limit = 2**23 - 1 if o.limits == "chip" else 2**29 - 1
        u, v, wait, pending = (self.state[name] for name in (o.u, o.v, o.wait, o.pending))
        if o.reset_interval and self.t % o.reset_interval == o.reset_offset % o.reset_interval:
            for a in (u, v, wait, pending):
                a[:] = 0
        u = _kept(u, o.keep_u) + (self.state[o.i] << o.fraction_bits) + o.bias_u
        u = 0x800000 - (0x800000 - u) % 2**24 if o.limits == "chip" else np.clip(u, -limit, limit)
        awake = wait <= 0
        late = o.threshold * (pending != 0) if o.reset == "subtract_after_leak" else 0
        new = np.maximum(np.clip(_kept(v, o.keep_v) + u + o.bias - late, -limit, limit), o.v_min)
        s = awake & ((new >= o.threshold) if o.inclusive else (new > o.threshold))
        if o.reset == "subtract_after_leak":
            self.state[o.pending] = np.where(awake, s, pending).astype(np.int64)
        after = {"value": o.v_reset, "subtract": new - o.threshold}.get(o.reset, new)
        self.state[o.u] = u
        self.state[o.v] = np.where(awake, np.where(s, after, new), v)
        self.state[o.wait] = np.where(s, o.refractory, wait - ~awake)
        self.state[o.s] = s.astype(np.int64)


def _kept(x: Any, k: Any) -> Any:
    return np.sign(x) * ((np.abs(x) * k) >> 16)
