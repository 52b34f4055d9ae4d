"""Random networks of every kind, for property tests: built from a seed that hypothesis draws, so failures shrink."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikerun.connections import Conv, Dense, Diagonal, Sparse, SumPool, Window
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, MaxPool, Neuron, Readout

Shape = tuple[int, ...]
Rng = np.random.Generator


def weights(rng: Rng, *shape: int) -> Any:
    """Return random int8 weights, the extremes among them."""
    return rng.integers(-128, 128, shape).astype(np.int8)


def few_spikes(rng: Rng, shape: Shape, code: str | None = None) -> FewSpikes:
    """Return a few-spikes neuron with thresholds near the sizes that random currents have."""
    code = code or str(rng.choice(["bits", "bits", "ttfs", "graded"]))
    signed = bool(rng.integers(2)) and code != "ttfs"
    bits = int(rng.integers(2 if signed else 1, 4 if code == "ttfs" else 9))
    per = [(), shape[:1], shape][rng.integers(3)]
    return FewSpikes(
        bits,
        rng.integers(1, 3000, per),
        rng.integers(-2000, 2000, per),
        signed,
        int(rng.integers(1, bits + 1)) if code != "ttfs" and rng.integers(3) == 0 else None,
        code,
    )


def integrate_and_fire(rng: Rng, shape: Shape) -> IF:
    """Return an IF neuron of either reset, sometimes with a floor."""
    floor = rng.integers(-500, 1, shape[:1]) if rng.integers(2) else np.int32(-(2**23) + 1)
    reset = str(rng.choice(["subtract", "zero"]))
    return IF(rng.integers(1, 800, shape[:1]), rng.integers(-50, 50, shape), floor, rng.integers(-90, 90, ()), reset)


def leaky(rng: Rng, shape: Shape) -> LIF:
    """Return a LIF neuron with any decay, reset, refractory period and phased reset."""
    return LIF(
        rng.integers(0, 600, shape[:1]),
        rng.integers(-3000, 3000, shape),
        rng.choice([0, 1, 400, 4095, 4096], shape[:1]),
        rng.choice([0, 1, 400, 4095, 4096], shape),
        str(rng.choice(["zero", "subtract", "subtract_after_leak"])),
        int(rng.integers(0, 3)),
        int(rng.choice([0, 0, 3, 5])),
        int(rng.integers(0, 7)),
    )


def connect(rng: Rng, source: Shape, kinds: str = "dcvsgp") -> tuple[Any, Shape]:
    """Return a random connection from a source of this shape, and the shape of its target."""
    kind = rng.choice(list(kinds if len(source) == 3 else "dsg"))
    n = int(np.prod(source))
    if kind in "ds":
        shape: Shape = (int(rng.integers(1, 9)),) if rng.integers(3) else (2, 3, 2)
        size = int(np.prod(shape))
        dense = weights(rng, n, size)
        if kind == "d":
            return Dense(dense), shape
        mask = rng.random((n, size)) < 0.3
        indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
        return Sparse(indptr, np.nonzero(mask)[1].astype(np.int32), dense[mask], size), shape
    if kind == "g":
        return Diagonal(rng.integers(-70000, 70000, source[:1] if rng.integers(2) else ()).astype(np.int32)), source
    c, h, w = source
    if kind == "p":
        kernel = (int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1)))
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        pool = SumPool(kernel, _two(rng, 1, 3), padding, rng.integers(-9, 10, (c,)).astype(np.int32))
        return pool, pool.target_shape(source)
    groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
    kernel, dilation, padding = _two(rng, 1, 4), _two(rng, 1, 3), _two(rng, 0, 4)
    kernel = tuple(
        k if d * (k - 1) + 1 <= n + 2 * p else 1 for k, d, n, p in zip(kernel, dilation, (h, w), padding, strict=True)
    )  # type: ignore[assignment]
    weight = weights(rng, groups * int(rng.integers(1, 4)), c // groups, *kernel)
    conv = Conv(weight, _two(rng, 1, 4), padding, dilation, groups)
    return conv, conv.target_shape(source)


def _two(rng: Rng, low: int, high: int) -> tuple[int, int]:
    return int(rng.integers(low, high)), int(rng.integers(low, high))


def random_network(seed: int, kind: str) -> Network:
    """Return a network of `kind` words (few-spikes, pools), spikes (IF, LIF, cycles, delays), or mixed."""
    rng = np.random.default_rng(seed)
    shape: Shape = (int(rng.integers(1, 4)), int(rng.integers(2, 7)), int(rng.integers(2, 7)))
    shape = shape if rng.integers(4) else (int(rng.integers(1, 20)),)
    populations = {"in": Population(shape, _input(rng, kind))}
    projections: list[Projection] = []
    for k in range(int(rng.integers(1, 5))):
        _grow(rng, kind, k, populations, projections)
    last = list(populations)[-1]
    ends = {p.source for p in projections}
    if kind == "spikes":
        _recur(rng, populations, projections)
    outputs = [name for name in populations if name not in ends and name != "in"] or [last]
    if not isinstance(populations[last].neuron, Readout) and rng.integers(3):
        c, target = connect(rng, populations[last].shape, "ds")
        populations["readout"] = Population(target, Readout(np.float32(0.5), rng.integers(-99, 99, target[:1])))
        projections.append(Projection(last, "readout", c))
        outputs = [*(o for o in outputs if o != last), "readout"]
    steps = 15 if kind != "spikes" else int(rng.integers(1, 9))
    return Network(populations, projections, outputs, steps)


def _input(rng: Rng, kind: str) -> Input:
    if kind == "spikes":
        return Input(1, "spikes") if rng.integers(2) else Input(3, "current", bool(rng.integers(2)))
    code = str(rng.choice(["bits", "graded", "ttfs"])) if kind == "words" else "graded"
    return Input(3 if code == "ttfs" else 8, code, bool(rng.integers(2)) and code != "ttfs")


def _neuron(rng: Rng, kind: str, shape: Shape) -> Neuron:
    if kind == "words":
        return few_spikes(rng, shape)
    if kind == "mixed":
        choice = rng.integers(3)
        return few_spikes(rng, shape, "graded") if choice == 0 else _spiking(rng, shape)
    return _spiking(rng, shape)


def _spiking(rng: Rng, shape: Shape) -> Neuron:
    return integrate_and_fire(rng, shape) if rng.integers(2) else leaky(rng, shape)


def _grow(rng: Rng, kind: str, k: int, populations: dict[str, Population], projections: list[Projection]) -> None:
    """Add a population behind a random earlier one, sometimes with a second projection, a pool, or a slice."""
    source = str(rng.choice(list(populations)))
    shape = populations[source].shape
    name = f"p{k}"
    sends_words = isinstance(populations[source].neuron, (FewSpikes, MaxPool)) or kind == "words"
    if sends_words and len(shape) == 3 and min(shape[1:]) > 1 and rng.integers(3) == 0:
        window = Window(2, _two(rng, 1, 3), int(rng.integers(0, 2)))
        populations[name] = Population(window.target_shape(shape), MaxPool())
        projections.append(Projection(source, name, window))
        return
    connection, target = connect(rng, shape)
    extra = int(rng.integers(0, 3)) if len(target) == 3 and rng.integers(3) == 0 else 0
    full = (target[0] + extra, *target[1:])
    delay = int(rng.integers(0, 4)) if kind == "spikes" else 0
    populations[name] = Population(full, _neuron(rng, kind, full))
    channels = (0, target[0]) if extra else None
    projections.append(Projection(source, name, connection, delay, channels))
    if rng.integers(3) == 0:  # a second projection that adds up, from anywhere
        other = str(rng.choice([n for n in populations if n != name]))
        n = int(np.prod(populations[other].shape))
        projections.append(Projection(other, name, Dense(weights(rng, n, int(np.prod(full))))))


def _recur(rng: Rng, populations: dict[str, Population], projections: list[Projection]) -> None:
    """Close a cycle, with a delay."""
    names = [n for n in populations if n != "in"]
    source, target = str(rng.choice(names)), str(rng.choice(names))
    n, m = (int(np.prod(populations[x].shape)) for x in (source, target))
    projections.append(Projection(source, target, Dense(weights(rng, n, m)), int(rng.integers(1, 4))))


def random_inputs(net: Network, seed: int, batch: int, density: float) -> np.ndarray[Any, Any]:
    """Return samples for the input `in`, with about `density` of the values not zero."""
    rng = np.random.default_rng(seed)
    population = net.populations["in"]
    neuron = population.neuron
    assert isinstance(neuron, Input)
    shape = (batch, *((net.steps,) if neuron.code == "spikes" else ()), *population.shape)
    low, high = (-(2 ** (neuron.bits - 1)), 2 ** (neuron.bits - 1)) if neuron.signed else (0, 2**neuron.bits)
    values = rng.integers(low, high, shape)
    return np.where(rng.random(shape) < density, values, 0)


seeds = st.integers(0, 2**32 - 1)
densities = st.sampled_from([0.0, 0.05, 0.3, 1.0])
