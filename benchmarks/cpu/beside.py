# SPDX-License-Identifier: Apache-2.0
"""Whole networks beside the float and int8 networks that they stand for: calls that take turns, and rows of figures."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from record import record
from torch import nn
from turns import Array, Call, in_turns, over

from spikerun import Network, Session
from spikerun.converters.rivals import INT8, ONNX, TORCH, Given, Rival, open_rivals
from spikerun.converters.torch.source import TorchSource
from spikerun.kernels.cpu.native import isa

__all__ = ["Case", "active", "batches", "named", "rivals_of", "single"]

SNN = "spikerun"
RUNTIMES = {INT8: "onnxruntime int8", ONNX: "onnxruntime float32", TORCH: "torch eager"}
BATCH, BATCH_ROUNDS = 256, 7
SECONDS = 8.0  # after which there are no more rounds: threads that spin on a machine under load take forever
WATCHED = 16  # samples whose words are looked at


@dataclass(frozen=True, eq=False)
class Case:
    """A spiking network with samples that it takes, and its rivals, which have the same as real numbers."""

    benchmark: str
    name: str
    net: Network
    samples: Array
    rivals: Mapping[str, Rival]


@contextmanager
def rivals_of(
    model: nn.Module, values: Array, calibration: Array, wanted: tuple[str, ...]
) -> Iterator[dict[str, Rival]]:
    """Yield a model in these runtimes, real samples and some that calibrate given; its files last as long."""
    with tempfile.TemporaryDirectory() as folder:
        given = Given(TorchSource(model.eval()), "a module", None, values, calibration)
        yield {rival.name: rival for rival in open_rivals(given, Path(folder), wanted)}


def named(name: str, threads: int) -> str:
    """Return how the metrics of a network begin."""
    return f"{name}, {threads} thread{'' if threads == 1 else 's'}, {isa()}"


def single(case: Case, threads: int, rounds: int) -> None:
    """Record the time of single samples, and the rivals' over it: of one thread its CPU time, else the clock's."""
    session = Session(case.net, threads=threads)
    count = min(8, len(case.samples))
    given = [case.samples[k : k + 1] for k in range(count)]
    calls: list[Call] = [lambda k: session.run(given[k])]
    calls += [_one(rival.runner(threads)) for rival in case.rivals.values()]
    times = in_turns(calls, rounds, count, wall=threads > 1, seconds=SECONDS)
    _record(case, named(case.name, threads), times)


def batches(case: Case, threads: int) -> None:
    """Record the time of batches of 256, by the clock, in microseconds a sample, and the rivals' over it."""
    session = Session(case.net, threads=threads)
    samples = case.samples[:BATCH]
    calls: list[Call] = [lambda k: session.run(samples)]
    calls += [_all(rival.runner(threads), len(samples)) for rival in case.rivals.values()]
    times = in_turns(calls, BATCH_ROUNDS, 1, wall=True, seconds=SECONDS) / len(samples)
    _record(case, f"{named(case.name, threads)}, batches of {len(samples)}", times)


def active(net: Network, samples: Array) -> dict[str, float]:
    """Return the share of words that are not 0, by population that sends any."""
    result = Session(net, threads=1).run(samples[:WATCHED], trace=True)
    fires = [name for name, population in net.populations.items() if population.neuron.fires]
    return {name: float(np.mean(result.words[name] != 0)) for name in fires}


def _one(run: Callable[[int, int], object]) -> Call:
    return lambda k: run(k, k + 1)


def _all(run: Callable[[int, int], object], count: int) -> Call:
    return lambda k: run(0, count)


def _record(case: Case, what: str, times: Array) -> None:
    names = [SNN, *(RUNTIMES[name] for name in case.rivals)]
    for name, column in zip(names, times.T, strict=True):
        record(case.benchmark, f"{what}: {name}", float(np.median(column)), "us")
    for which, name in enumerate(names[1:], 1):
        record(case.benchmark, f"{what}: {name} over {SNN}", over(times, which, 0), "x")
