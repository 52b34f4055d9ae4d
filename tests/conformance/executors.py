# SPDX-License-Identifier: Apache-2.0
"""The table of executors: each row runs a network and shows all that can be seen of it beside the reference.

A new executor is one row of EXECUTORS: its name, which networks it takes, and what can be seen of it. `slow` rows,
which compile something for each network, are left to scripts/conformance and to slow tests.
"""

import importlib.util
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from conformance.truth import STREAMED, Array, Truth, outputs

from spikerun.connections import Random
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy
from spikerun.edge.mcu.memory import report
from spikerun.edge.mcu.model import compose
from spikerun.edge.mcu.printer import source
from spikerun.kernels.cpu import native
from spikerun.network import Network
from spikerun.neurons import Input, Poisson
from spikerun.outputs import Reading
from spikerun.reference import stepped
from spikerun.session import Session
from spikerun.stream import Stream


@dataclass(frozen=True, eq=False)
class Shown:
    """Something that an executor computed, beside what the reference says.

    spikes: how many spikes the expected values stand for; values: how many values were compared, where that is more
    than `expected` holds (checksums).
    """

    what: str
    got: Array
    expected: Array
    spikes: int = 0
    values: int = 0


@dataclass
class Tally:
    """What was compared: networks, spikes, values (words, membranes, outputs); and what differed, in words."""

    networks: int = 0
    spikes: int = 0
    values: int = 0
    mismatches: int = 0
    first: str = ""

    def add(self, other: "Tally") -> None:
        """Add what another one counted."""
        self.networks += other.networks
        self.spikes += other.spikes
        self.values += other.values
        self.mismatches += other.mismatches
        self.first = self.first or other.first


class Executor(ABC):
    """A row of the table, called device/schedule/options."""

    name: str
    device = "cpu"
    slow = False

    def missing(self) -> str:
        """Return which tool this machine lacks for it, or nothing."""
        if self.device == "cuda" and not all(map(importlib.util.find_spec, ("torch", "triton"))):
            return "torch or triton is not on this machine"
        return ""

    def takes(self, net: Network) -> bool:
        """Return whether it has kernels for a network; it must not refuse those."""
        return True

    @abstractmethod
    def show(self, truth: Truth) -> Iterator[Shown]:
        """Yield everything that can be seen of what it computes."""


@dataclass(frozen=True)
class Blocked(Executor):
    """The blocked schedule of a device, traced: every word and membrane of every sample, and the spikes counted."""

    kernels: str
    threads: int
    device: str = "cpu"
    layout: str = "auto"

    @property
    def name(self) -> str:  # type: ignore[override]
        return _name(self.device, "blocked", self.kernels, self.threads, self.layout)

    def takes(self, net: Network) -> bool:
        neurons = [population.neuron for population in net.populations.values()]
        coded = all(neuron.word.coded for neuron in neurons if isinstance(neuron, Input | Poisson))
        return net.feedforward and coded and all(n.integrates != "step" for n in neurons)

    def show(self, truth: Truth) -> Iterator[Shown]:
        session = Session(
            truth.net, schedule="blocked", **_options(self.device, self.kernels, self.threads, self.layout)
        )
        result = session.run(truth.samples, trace=True)
        for name, population in truth.net.populations.items():
            turns = [turn[name] for turn in truth.turns]
            if population.neuron.fires:
                words, spikes = np.stack([turn.word for turn in turns]), sum(turn.spikes for turn in turns)
                yield Shown(f"words of {name}", result.words[name], words, spikes)
            membranes = [turn.membrane for turn in turns if turn.membrane is not None]
            if membranes:
                yield Shown(f"membranes of {name}", result.membranes[name], np.stack(membranes))
        yield from _outputs(truth, result.outputs)
        yield from _counts(truth, {name: p.spikes for name, p in result.activity.populations.items()})


@dataclass(frozen=True)
class Stepped(Executor):
    """The stepped schedule of a device: the outputs of every sample, and the number of spikes."""

    kernels: str
    threads: int
    device: str = "cpu"
    layout: str = "auto"

    @property
    def name(self) -> str:  # type: ignore[override]
        return _name(self.device, "stepped", self.kernels, self.threads, self.layout)

    def show(self, truth: Truth) -> Iterator[Shown]:
        session = Session(
            truth.net, schedule="stepped", **_options(self.device, self.kernels, self.threads, self.layout)
        )
        result = session.run(truth.samples)
        yield from _outputs(truth, result.outputs)
        yield from _counts(truth, {name: p.spikes for name, p in result.activity.populations.items()}, spikes=True)


@dataclass(frozen=True)
class Streamed(Executor):
    """A stream of a device: what every population sends in every step, and its membrane after it.

    restored: at some steps another stream takes over from a snapshot.
    """

    kernels: str
    restored: bool = False
    device: str = "cpu"
    layout: str = "auto"

    @property
    def name(self) -> str:  # type: ignore[override]
        restored = "/restored" if self.restored else ""
        return f"{self.device}/stream/{self.kernels}{restored}{_suffix(self.layout)}"

    def show(self, truth: Truth) -> Iterator[Shown]:
        session = Session(truth.net, **_options(self.device, self.kernels, 1, self.layout))
        stream = session.stream()
        for t, step in enumerate(truth.steps):
            if self.restored and t % 3 == 2:
                stream = _moved(stream, session.stream())
            readings = {item.population: item.logits for item in stream.step(step.given) if isinstance(item, Reading)}
            yield Shown(f"outputs read at step {t}", np.array(sorted(readings)), np.array(sorted(step.readings)))
            for name, logits in step.readings.items():
                yield Shown(f"reading of {name}, step {t}", readings.get(name, np.zeros(0)), logits)
            for name, sent in step.sent.items():
                if truth.net.populations[name].neuron.fires:
                    yield Shown(f"spikes of {name}, step {t}", stream.spikes(name), sent, int(np.count_nonzero(sent)))
            for name, membrane in step.membranes.items():
                yield Shown(f"membrane of {name}, step {t}", stream.membrane(name), membrane)


@dataclass(frozen=True)
class Firmware(Executor):
    """The C that a board runs: every output, and checksums of the words and membranes of every population.

    It takes what fits the board with one sample, and as many samples as fit; all networks can be written as C but those
    in which synapses have delays of their own, or something is drawn.
    """

    board: str
    tools: tuple[tuple[str, ...], ...]  # programs or modules, one of each kind
    slow = True

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"c/{self.board}"

    def missing(self) -> str:
        for kind in self.tools:
            if not any(shutil.which(tool) or importlib.util.find_spec(tool.replace("-", "_")) for tool in kind):
                return f"{' or '.join(kind)} is not on this machine"
        return ""

    def takes(self, net: Network) -> bool:
        return not is_drawn(net) and self.room(net, 1) == 1

    def room(self, net: Network, count: int) -> int:
        """Return how many samples, `count` at most, fit the board together with the network; 0: not one."""
        board = boards.load(self.board)
        model = compose(net, features=board.features)
        made = source(model)
        return next((n for n in range(count, 0, -1) if report(model, made, board, n).verdict().fits), 0)

    def show(self, truth: Truth) -> Iterator[Shown]:
        truth = truth.first(self.room(truth.net, truth.count))
        with tempfile.TemporaryDirectory() as folder:
            run = deploy(truth.net, Path(folder) / "bundle", self.board, truth.samples, run=True).run
        assert run is not None
        spikes, values = sum(truth.spikes().values()), truth.count * sum(p.size for p in truth.net.populations.values())
        yield Shown("the self-test", np.array(run.mismatches), np.array(()), spikes, values)
        expected = [np.concatenate([v.ravel() for v in outputs(truth.net, turns).values()]) for turns in truth.turns]
        yield Shown("outputs", run.outputs, np.array(expected))


class ReferenceStepped(Executor):
    """The reference's other schedule; networks with delays have one only."""

    name = "reference/stepped"

    def takes(self, net: Network) -> bool:
        return net.feedforward

    def show(self, truth: Truth) -> Iterator[Shown]:
        for k, turns in enumerate(truth.turns[:STREAMED]):
            for name, turn in stepped(truth.net, truth.sample(k)).items():
                yield Shown(f"events of {name}, sample {k}", turn.events, turns[name].events, turn.spikes)
                yield Shown(f"answer of {name}, sample {k}", turn.answer, turns[name].answer)
                if turn.membrane is not None and (expected := turns[name].membrane) is not None:
                    yield Shown(f"membrane of {name}, sample {k}", turn.membrane, expected)


def is_drawn(net: Network) -> bool:
    """Return whether synapses have delays of their own, or something follows from a seed."""
    ruled = any(isinstance(link.connection, Random) or link.scattered for link in net.links)
    return ruled or net.roots != net.inputs


KERNELS, THREADS = ("event", "dense", "auto"), (1, 5)
FUSED: tuple[Executor, ...] = (Blocked("dense", 1, "cuda"), Stepped("dense", 1, "cuda"))
GPU: tuple[Executor, ...] = (  # or Triton's interpreter where there is none: it takes long for kernels of its own
    Blocked("auto", 1, "cuda"),
    Stepped("auto", 1, "cuda"),
    Streamed("auto", True, "cuda"),
    *((*FUSED, Blocked("event", 1, "cuda"), Stepped("event", 1, "cuda")) if Path("/dev/nvidiactl").exists() else ()),
)

BOARDS: tuple[Executor, ...] = (
    Firmware("generic-cortex-m4", (("arm-none-eabi-gcc", "ziglang"), ("qemu-system-arm", "unicorn"))),
    Firmware("host", (("cc", "gcc", "clang", "ziglang"),)),
)

EXECUTORS: tuple[Executor, ...] = (
    ReferenceStepped(),
    *(kind(kernels, threads) for kind in (Blocked, Stepped) for kernels in KERNELS for threads in THREADS),
    *(Streamed(kernels) for kernels in KERNELS),
    Streamed("event", restored=True),
    *(kind(kernels, 1, layout="blocks") for kind in (Blocked, Stepped) for kernels in ("event", "dense")),
    *(Blocked(kernels, 1, layout="csr") for kernels in ("event", "dense")),
    Streamed("event", layout="blocks"),
    Streamed("event", layout="csr"),
    *GPU,
    *BOARDS,
)


def compare(executor: Executor, truth: Truth) -> Tally:
    """Return what an executor computes of a network that it takes, beside the reference."""
    tally = Tally(networks=1)
    for shown in executor.show(truth):
        tally.spikes += shown.spikes
        tally.values += shown.values or shown.expected.size
        if not np.array_equal(shown.got, shown.expected):
            tally.mismatches += 1
            tally.first = tally.first or f"{executor.name}: {shown.what}: {_difference(shown)}"
    return tally


def _name(device: str, schedule: str, kernels: str, threads: int, layout: str) -> str:
    shares = f"/{threads}" if device == "cpu" else ""
    return f"{device}/{schedule}/{kernels}{shares}{_suffix(layout)}"


def _options(device: str, kernels: str, threads: int, layout: str) -> dict[str, Any]:
    """Return the options of a session; threads and layouts are those of the CPU."""
    own = {"threads": threads, "layout": layout} if device == "cpu" else {}
    return {"device": device, "kernels": kernels, **own}


def _suffix(layout: str) -> str:
    return "" if layout == "auto" else f"/{layout}"


def _difference(shown: Shown) -> str:
    got, expected = shown.got, shown.expected
    if got.shape != expected.shape:
        return f"got {got.tolist() if got.size < 10 else got.shape}, expected shape {expected.shape}"
    places = np.argwhere(got != expected)
    first = tuple(places[0].tolist())
    return f"{len(places)} of {got.size} differ, the first at {first}: got {got[first]}, expected {expected[first]}"


def _outputs(truth: Truth, got: dict[str, Array]) -> Iterator[Shown]:
    expected = [outputs(truth.net, turns) for turns in truth.turns]
    for name in truth.net.outputs:
        yield Shown(f"output {name}", got[name], np.stack([found[name] for found in expected]))


def _counts(truth: Truth, got: dict[str, int], spikes: bool = False) -> Iterator[Shown]:
    for name, expected in truth.spikes().items():
        yield Shown(f"number of spikes of {name}", np.array(got[name]), np.array(expected), expected if spikes else 0)


def _moved(old: Stream, new: Stream) -> Stream:
    new.restore(old.snapshot())
    return new


def instruction_set() -> str:
    """Return the instruction set that the CPU kernels were loaded for."""
    return str(native.isa())
