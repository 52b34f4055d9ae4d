# SPDX-License-Identifier: Apache-2.0
"""What choosing between event-driven and dense costs: against the better of both, and the deciding alone.

    python benchmarks/cpu/dispatch.py [--rounds 5]

Regret is the time of an `apply` that chooses by the measured cost model over that of the better kernel, which somebody
told it: medians over rounds in which all take turns, with 8 inputs of each kind. Activity is 0 to 100 % of the inputs,
independent of each other, or by channel (rates of channels are Beta, most of them near 0 or 1). Deciding is the time of
the same kernel with and without the count. Networks are those of examples/ on photos of Fashion-MNIST: the sums of each
layer as dispatched, over the better kernel for that layer, and the whole run likewise.

Limits: to count a layer of 65,536 words is to read 128 KiB, 1.7 us from the L2 cache of a 2.4 GHz core at 32 bytes a
cycle; so 4,096 of them are looked at, which tells their share to within 0.8 points (one standard deviation, at 50 %).
Near the cut both kernels take the same time, so an error of e in it costs e of a layer's time at most. On a loaded
machine single medians scatter by 2 to 5 %, and the largest of hundreds by more.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from floor import NETWORKS, converted
from record import record

from spikerun import Network, Session, datasets
from spikerun.kernels.cpu.cost import calibrate
from spikerun.kernels.cpu.maps import Candidate
from spikerun.kernels.cpu.native import Linear, Program, isa

NAME = "cpu_dispatch"
ACTIVE = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
INPUTS, IMAGES = 8, 50

Array = np.ndarray[Any, Any]


class Layer(NamedTuple):
    """A map with its name, and the channels of its inputs."""

    name: str
    linear: Linear
    channels: int


def layers() -> list[Layer]:
    """Return the layers that are measured."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> Array:
        return np.clip(np.rint(rng.normal(0, 30, shape)), -127, 127).astype(np.int8)

    def conv(kernel: int, channels: int, side: int, groups: int = 1) -> Linear:
        image = (side, side, channels)
        padding = (kernel // 2, kernel // 2)
        values = weight(kernel, kernel, channels // groups, channels)
        return Linear.conv(values, image, image, padding=padding, groups=groups)

    return [
        *(Layer(f"conv 3x3, {c} at {s}x{s}", conv(3, c, s), c) for c, s in ((64, 32), (128, 16), (256, 8))),
        *(Layer(f"conv 1x1, {c} at {s}x{s}", conv(1, c, s), c) for c, s in ((128, 16), (256, 8))),
        *(Layer(f"depthwise 3x3, {c} at {s}x{s}", conv(3, c, s, c), c) for c, s in ((64, 32), (256, 8))),
        *(Layer(f"linear {n}", Linear.dense(weight(n, n)), n) for n in (512, 4096)),
    ]


def words(rng: np.random.Generator, layer: Layer, active: float, by_channel: bool, largest: int) -> Array:
    """Return inputs (INPUTS, n), channels last, of words of up to `largest`."""
    n = layer.linear.n_in
    rates: Any = active
    if by_channel and 0 < active < 1:
        rates = np.tile(rng.beta(active / 2, (1 - active) / 2, layer.channels), n // layer.channels)
    drawn = np.minimum(1 + rng.exponential(largest / 10, (INPUTS, n)), largest)
    return np.where(rng.random((INPUTS, n)) < rates, drawn, 0).astype(np.int16)


def clock(linear: Linear, cut: int) -> Callable[[Array], int]:
    """Return what runs an `apply` with this cut, and returns its nanoseconds."""
    program = Program([("int16", linear.n_in, 0), ("int32", linear.n_out, 0)])
    program.apply(x=0, acc=1, map=linear, cut=cut)
    work = program.workspace()

    def run(x: Array) -> int:
        program.write(work, 0, x)
        (taken,) = program.timed_step(work)
        return int(taken)

    return run


def in_turn(calls: Sequence[Callable[[Any], int]], inputs: Sequence[Any], rounds: int, apart: int = 3) -> Array:
    """Return the times (calls, rounds * inputs) of calls that take turns, in any order, with inputs so far apart.

    What ran before decides which weights are warm, so nobody is to follow the same one always.
    """
    rng, count = np.random.default_rng(0), rounds * len(inputs)
    times = np.zeros((len(calls), count))
    for k in range(count):
        for place in rng.permutation(len(calls)).tolist():
            times[place, k] = calls[place](inputs[(k + apart * place) % len(inputs)])
    return times


def over(times: Array, others: Array) -> float:
    """Return the median of how many times as long the one takes as the other."""
    return float(np.median(times / others))


def one_layer(layer: Layer, largest: int, rounds: int) -> list[float]:
    """Record the regret of a layer, and what deciding costs; return every regret."""
    rng, n = np.random.default_rng(1), layer.linear.n_in
    ((_, cost),) = calibrate([Candidate([layer.linear], largest)])
    cut = cost.cut(n)
    event, dense, dispatched, told = (clock(layer.linear, limit) for limit in (n, 0, cut, n - 1))
    regrets: dict[str, list[float]] = {"random": []} | ({"by channel": []} if layer.channels < n else {})
    always: dict[str, list[float]] = {"event-driven": [], "dense": []}
    for kind, found in regrets.items():
        for active in ACTIVE:
            x = list(words(rng, layer, active, kind != "random", largest))
            times = in_turn((event, dense, dispatched), x, rounds)
            better = times[int(np.median(times[1]) < np.median(times[0]))]
            found.append(over(times[2], better))
            for of_kernel, taken in zip(always.values(), times, strict=False):
                of_kernel.append(over(taken, better))
    x = list(words(rng, layer, 0.1, False, largest))
    with_count, without = in_turn((told, event), x, 4 * rounds, apart=0)  # the same kernel
    what = f"{isa()}, {layer.name}, {'binary' if largest == 1 else f'words to {largest}'}"
    record(NAME, f"{what}: cut", 100 * cut / n, "%")
    for name, found in (regrets | {f"always {name}": found for name, found in always.items()}).items():
        record(NAME, f"{what}: {name}, largest regret", max(found), "x")
    quiet = [float(np.quantile(taken, 0.1)) for taken in (with_count, without)]
    record(NAME, f"{what}: deciding", (quiet[0] - quiet[1]) / 1000, "us")
    return [one for found in regrets.values() for one in found]


def network(name: str, net: Network, images: Array, rounds: int) -> None:
    """Record the regret of each layer of a network on photos, and of the whole run."""
    sessions = [Session(net, threads=1, kernels=kernels) for kernels in ("event", "dense", "auto")]
    for session in sessions:
        for k in range(IMAGES):  # so that the plan has seen what it prints
            session.run(images[k : k + 1])
    executors: list[Any] = [session._executor for session in sessions]
    places = [row.choice.place for row in sessions[0].plan.maps if row.choice is not None]
    clocks: list[list[Any]] = [[] for _ in sessions]

    def timed(number: int) -> Callable[[Array], int]:
        work = executors[number].workspace()

        def run(x: Array) -> int:
            work.reset()
            work.write(net.inputs[0], x[0])
            clocks[number].append(executors[number]._program.timed_step(work._work))
            return sum(clocks[number][-1])

        return run

    samples = [images[k : k + 1] for k in range(IMAGES)]
    totals = in_turn([timed(number) for number in range(len(sessions))], samples, rounds, apart=7)
    event, dense, auto = (np.median(np.array(taken, float), axis=0) for taken in clocks)
    print(sessions[2].plan)
    for place, row in zip(places, sessions[2].plan.maps, strict=True):
        record(NAME, f"{isa()}, {name}, {row.population}: regret", auto[place] / min(event[place], dense[place]), "x")
    fixed = sum(t for k, t in enumerate(auto) if k not in places)  # what is not chosen
    best = fixed + sum(min(event[place], dense[place]) for place in places)
    record(NAME, f"{isa()}, {name}, the whole run: regret", sum(auto) / best, "x")
    for what, times in (("event-driven", totals[0]), ("dense", totals[1])):
        record(NAME, f"{isa()}, {name}, the whole run: always {what} over dispatched", over(times, totals[2]), "x")


def main() -> None:
    """Measure and record all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    images = datasets.load("fashion-mnist", split="test", limit=IMAGES).samples
    with tempfile.TemporaryDirectory() as folder:
        for name, options in NETWORKS.items():
            network(name, converted(options, folder), images, given.rounds)
    regrets: list[float] = []
    for layer in layers():
        for largest in (31, 1):
            regrets += one_layer(layer, largest, given.rounds)
    all_of_them = f"{isa()}, all {len(regrets)} points: regret"
    record(NAME, f"{all_of_them}, median", float(np.median(regrets)), "x")
    record(NAME, f"{all_of_them}, 95th percentile", float(np.quantile(regrets, 0.95)), "x")
    record(NAME, f"{all_of_them}, largest", max(regrets), "x")


if __name__ == "__main__":
    main()
