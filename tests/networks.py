# SPDX-License-Identifier: Apache-2.0
"""Random networks of every kind, for property tests: built from a seed that hypothesis draws, so failures shrink."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikerun.codes import word_range, word_steps
from spikerun.connections import Conv, Dense, Diagonal, PooledConv, Random, Sparse, SumPool, Window
from spikerun.inputs import sample_shape
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, Levels, MaxPool, Neuron, Poisson, Readout
from spikerun.neurons.leaky import WIDE_LIMIT
from spikerun.timing import derive

Shape = tuple[int, ...]
Rng = np.random.Generator


def weights(rng: Rng, *shape: int) -> Any:
    """Return random int8 weights, the extremes among them."""
    return rng.integers(-128, 128, shape).astype(np.int8)


def word(rng: Rng, code: str, steps: int) -> tuple[int, bool]:
    """Return bits of a word that a window of so many steps has room for, and whether it is signed."""
    room = [bits for bits in range(1, 9) if word_steps(code, bits) <= steps]
    signed = bool(rng.integers(2)) and code != "ttfs" and len(room) > 1
    bits = int(rng.choice(room)) if rng.integers(4) else 1
    return (max(bits, 2), True) if signed else (bits, False)


def few_spikes(rng: Rng, shape: Shape, steps: int, size: int = 1) -> FewSpikes:
    """Return a few-spikes neuron with thresholds near the sizes that random currents have in networks of this size."""
    code = str(rng.choice(["bits", "bits", "ttfs", "graded"]))
    bits, signed = word(rng, code, steps)
    kept = int(rng.integers(1, bits + 1)) if code != "ttfs" and rng.integers(3) == 0 else None
    per = [(), shape[:1], shape][rng.integers(3)]
    threshold = rng.integers(1, 3000, per) * size ** int(rng.integers(0, 3))
    return FewSpikes(bits, threshold, rng.integers(-2000, 2000, per), signed, kept, code)


def levels(rng: Rng, shape: Shape, steps: int, size: int = 1) -> Levels:
    """Return a neuron that looks its word up, with levels near the sizes that random currents have, and beyond."""
    code = str(rng.choice(["bits", "bits", "ttfs", "graded"]))
    bits, signed = word(rng, code, steps)
    tabled = bool(rng.integers(2))
    most = int(rng.choice([3, 40, 1023], p=[0.45, 0.45, 0.1]))
    count = int(rng.integers(1, most + 1)) if tabled else 2**bits - 1
    of_levels, of_table = ((shape[:1] if rng.integers(2) else ()) for _ in range(2))
    values = rng.integers(-30_000, 30_000, (*of_levels, count)) * size ** int(rng.integers(0, 3))
    if rng.integers(4) == 0:
        values[..., -1], values[..., 0] = 2**31 - 1, -(2**31)
    low, high = word_range(bits, signed)
    table = rng.integers(low, high + 1, (*of_table, count + 1)) if tabled else None
    bias = rng.integers(-2000, 2000, [(), shape[:1], shape][rng.integers(3)])
    return Levels(bits, np.sort(values), table, bias, signed, code)


def integrate_and_fire(rng: Rng, shape: Shape) -> IF:
    """Return an IF neuron of either reset, sometimes with a floor."""
    floor = rng.integers(-500, 1, shape[:1]) if rng.integers(2) else np.int32(-(2**23) + 1)
    reset = str(rng.choice(["subtract", "zero"]))
    return IF(rng.integers(1, 800, shape[:1]), rng.integers(-50, 50, shape), floor, rng.integers(-90, 90, ()), reset)


def leaky(rng: Rng, shape: Shape) -> LIF:
    """Return a LIF neuron with any decay, reset, refractory period and phased reset, within either limits."""
    rest = (int(rng.integers(0, 3)), int(rng.choice([0, 0, 3, 5])), int(rng.integers(0, 7)))
    if rng.integers(2):
        return LIF.loihi(
            rng.integers(0, 600, shape[:1]),
            rng.integers(-3000, 3000, shape),
            rng.choice([0, 1, 400, 4095, 4096], shape[:1]),
            rng.choice([0, 1, 400, 4095, 4096], shape),
            str(rng.choice(["zero", "subtract", "subtract_after_leak"])),
            *rest,
        )
    f, (refractory, interval, offset) = int(rng.integers(0, 13)), rest
    return LIF(
        rng.integers(0, 300 << f, shape[:1]),
        rng.choice([0, 1, 30_000, 65_000, 65_535, 65_536], shape),
        rng.choice([0, 1, 30_000, 65_535, 65_536], shape[:1]),
        rng.integers(-40 << f, 40 << f, shape),
        rng.integers(-20 << f, 20 << f, shape[:1]),
        rng.integers(-9 << f, 9 << f, shape),
        np.int32(0) if interval else rng.integers(-90 << f, 90 << f, shape[:1]),
        np.int32(-(90 << f) if rng.integers(2) else -WIDE_LIMIT),
        f,
        str(rng.choice(["value", "subtract", "subtract_after_leak", "none"])),
        refractory,
        str(rng.choice(["wide", "wide", "chip"])),
        interval,
        offset,
        bool(rng.integers(2)),
    )


def connect(rng: Rng, source: Shape, kinds: str = "dcvsgp", size: int = 1) -> tuple[Any, Shape]:
    """Return a random connection from a source of this shape, and the shape of its target."""
    kind = rng.choice(list(kinds if len(source) == 3 else "dsg"))
    n = int(np.prod(source))
    if kind in "ds":
        shape: Shape = (int(rng.integers(1, 9)) * size,) if rng.integers(3) else (2, 3, 2 * size)
        targets = int(np.prod(shape))
        dense = weights(rng, n, targets)
        if kind == "d":
            return Dense(dense), shape
        mask = rng.random((n, targets)) < 0.3
        indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
        return Sparse(indptr, np.nonzero(mask)[1].astype(np.int32), dense[mask], targets), shape
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


def pooled(rng: Rng, conv: Conv, source: Shape) -> PooledConv:
    """Return a convolution with a random max pool of its sums."""
    sums = conv.target_shape(source)[1:]
    kernel = tuple(int(rng.integers(1, min(n, 3) + 1)) for n in sums)
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    dilation = tuple(
        int(rng.integers(1, 3)) if k > 1 and n > 2 * (k - 1) else 1 for k, n in zip(kernel, sums, strict=True)
    )
    window = (kernel, _two(rng, 1, 4), *(value for _, value in conv.parameters()[1:]), padding, dilation)
    return PooledConv(conv.weight, *window)  # type: ignore[arg-type]


def _two(rng: Rng, low: int, high: int) -> tuple[int, int]:
    return int(rng.integers(low, high)), int(rng.integers(low, high))


MANY = 2**18  # synapses
# Names that could be taken for the parts of one another.
INPUTS = ("in", "in.v", "h.in")
NAMES = ("h", "h.weighed", "h.v", "projection0.past", "in.weighed")


@dataclass
class Draft:
    """A network that grows: `words` holds the neuron whose code a population sends in, None for plain spikes."""

    rng: Rng
    kind: str
    steps: int
    size: int = 1
    tables: bool = True
    populations: dict[str, Population] = field(default_factory=dict)
    projections: list[Projection] = field(default_factory=list)
    words: dict[str, FewSpikes | Levels | Input | None] = field(default_factory=dict)

    def add(self, name: str, shape: Shape, neuron: Neuron, source: str = "") -> None:
        """Add a population; a max_pool sends in the code of its source."""
        self.populations[name] = Population(shape, neuron)
        self.words[name] = neuron if isinstance(neuron, (FewSpikes, Levels, Input)) else self.words.get(source)

    def project(self, source: str, target: str, connection: Any, channels: tuple[int, int] | None = None) -> None:
        """Add a projection without delay, a few of them with an exponent."""
        exponent = int(self.rng.integers(1, 4)) if self.rng.integers(4) == 0 else 0
        exponent *= connection.linear and not connection.alone
        self.projections.append(Projection(source, target, connection, 0, channels, exponent))

    def plain(self, name: str) -> bool:
        """Return whether every spike of a population is worth 1."""
        sent = self.words[name]
        return sent is None or sent.word.plain

    def coded(self, name: str) -> bool:
        """Return whether a population sends words."""
        sent = self.words[name]
        return sent is not None and sent.word.coded

    def images(self) -> list[str]:
        """Return the populations that a max_pool can take."""
        return [
            n
            for n in self.populations
            if len(self.populations[n].shape) == 3 and min(self.populations[n].shape[1:]) > 1
        ]

    def any_to_any(self, source: str, shape: Shape) -> Dense | Sparse:
        """Return random weights from a population to neurons of this shape; two of each neuron where there are many."""
        n, targets = self.populations[source].size, int(np.prod(shape))
        if n * targets < MANY:
            return Dense(weights(self.rng, n, targets))
        indices = self.rng.integers(0, targets, 2 * n).astype(np.int32)
        return Sparse(np.arange(0, 2 * n + 1, 2, dtype=np.int64), indices, weights(self.rng, 2 * n), targets)

    def input(self, name: str) -> None:
        """Add an input, in a code that the kind of network has."""
        rng = self.rng
        words, plain = ["bits", "graded", "ttfs"], ["spikes", "current", "frames"]
        code = str(rng.choice({"words": words, "spikes": plain, "mixed": words + plain}[self.kind]))
        bits, signed = (1, False) if code == "spikes" else word(rng, code, self.steps)
        image = (int(rng.integers(1, 4)), int(rng.integers(2, 7)) * self.size, int(rng.integers(2, 7)) * self.size)
        vector = (int(rng.integers(1, 20)) * self.size**2,)
        self.add(name, image if rng.integers(4) else vector, Input(bits, code, signed))

    def grow(self, name: str) -> None:
        """Add a population behind random ones: a max_pool, or neurons that one or two projections reach."""
        if self.images() and self.rng.integers(3) == 0:
            self.pool(name, str(self.rng.choice(self.images())))
            return
        few = self.kind == "words" or (self.kind == "mixed" and self.rng.integers(2) == 0)
        sources = [n for n in self.populations if few or self.plain(n)]
        if sources:
            self.neurons(name, few, sources)

    def pool(self, name: str, source: str) -> None:
        """Add a max_pool."""
        window = Window(2, _two(self.rng, 1, 3), int(self.rng.integers(0, 2)))
        self.add(name, window.target_shape(self.populations[source].shape), MaxPool(), source)
        self.project(source, name, window)

    def pooled(self, name: str, source: str) -> None:
        """Add neurons that a convolution with a max pool of its sums reaches, and nothing else."""
        image = self.populations[source].shape
        conv, _ = connect(self.rng, image, "c")
        connection = pooled(self.rng, conv, image)
        shape = connection.target_shape(image)
        self.add(name, shape, _spiking(self.rng, shape))
        self.project(source, name, connection)

    def neurons(self, name: str, few: bool, sources: list[str]) -> None:
        """Add neurons: one projection fills them or a slice of them, a second one adds to any slice."""
        rng, source = self.rng, str(self.rng.choice(sources))
        if not few and len(self.populations[source].shape) == 3 and rng.integers(3) == 0:
            self.pooled(name, source)
            return
        connection, target = connect(rng, self.populations[source].shape, size=self.size)
        first, behind = rng.integers(0, 3, 2).tolist() if rng.integers(2) else (0, 0)
        shape = (first + target[0] + behind, *target[1:])
        coded = levels if few and self.tables and rng.integers(3) == 0 else few_spikes
        self.add(name, shape, coded(rng, shape, self.steps, self.size) if few else _spiking(rng, shape))
        self.project(source, name, connection, (first, first + target[0]) if first + behind else None)
        if rng.integers(2):
            source, first = str(rng.choice(sources)), int(rng.integers(shape[0]))
            channels = first, int(rng.integers(first + 1, shape[0] + 1))
            self.project(source, name, self.any_to_any(source, (channels[1] - channels[0], *shape[1:])), channels)

    def network(self, outputs: list[str]) -> Network:
        """Return what has grown so far; fixed point gets no more fractional bits than its currents leave room for."""
        bounds = derive(self.populations, tuple(self.projections), self.steps).bounds
        for name, population in self.populations.items():
            neuron = population.neuron
            if isinstance(neuron, LIF) and bounds[name] > neuron.largest_current:
                room = (WIDE_LIMIT // bounds[name]).bit_length() - 1
                fitting = IF(np.int32(9)) if room < 0 else replace(neuron, fraction_bits=room)
                self.populations[name] = replace(population, neuron=fitting)
        return Network(self.populations, self.projections, outputs, self.steps)

    def widen(self, rng: Rng) -> None:
        """Give some inputs words of up to 16 bits, as many as windows and accumulators have room for."""
        for name, population in list(self.populations.items()):
            neuron = population.neuron
            if not isinstance(neuron, Input) or neuron.code in ("ttfs", "spikes") or rng.integers(3):
                continue
            if neuron.code == "bits" and neuron.word.plain:  # IF and LIF may take it
                continue
            bits = int(rng.integers(9, 17))
            bits = min(bits, self.steps) if neuron.code == "bits" else bits
            while bits > 8:
                wide = replace(neuron, bits=bits, signed=bool(rng.integers(2)))
                self.populations[name] = replace(population, neuron=wide)
                bounds = derive(self.populations, tuple(self.projections), self.steps).bounds
                if max(bounds.values(), default=0) <= IF(np.int32(9)).largest_current:  # the least of all kinds but LIF
                    break
                self.populations[name] = population
                bits -= 1

    def delay(self) -> None:
        """Close a cycle, or shorten a path, by one more projection; hold some projections back."""
        rng, latency = self.rng, self.network(list(self.populations)).latency
        fixed = (Input, MaxPool, Readout)
        sources = [n for n, p in self.populations.items() if not isinstance(p.neuron, Readout)]
        alone = {p.target for p in self.projections if p.connection.alone}
        targets = [n for n, p in self.populations.items() if not isinstance(p.neuron, fixed) and n not in alone]
        if targets:
            source, target = str(rng.choice(sources)), str(rng.choice(targets))
            if self.plain(source) or isinstance(self.populations[target].neuron, FewSpikes | Levels):
                self.project(source, target, self.any_to_any(source, self.populations[target].shape))
        for k, p in enumerate(self.projections):
            if rng.integers(3) == 0 or p is self.projections[-1]:
                pooled = isinstance(self.populations[p.target].neuron, MaxPool)
                whole = not self.plain(p.source) or (pooled and self.coded(p.source))
                delay = int(rng.integers(1, 4)) * (self.steps if whole else 1) + latency[p.source] * self.steps
                self.projections[k] = replace(p, delay=delay)

    def draw(self, rng: Rng) -> None:
        """Give synapses delays of their own, and add some that a seed and a rule say, and what sends by itself."""
        latency = self.network(list(self.populations)).latency
        for k, p in enumerate(self.projections):
            if isinstance(p.connection, Dense | Sparse) and not self.coded(p.source) and rng.integers(2):
                weight = p.connection.weight if isinstance(p.connection, Dense) else p.connection.data
                self.projections[k] = replace(p, connection=replace(p.connection, delays=_delays(rng, weight.shape)))
        alone = {p.target for p in self.projections if p.connection.alone}
        targets = [n for n, p in self.populations.items() if p.neuron.integrates and n not in alone]
        if not targets:
            return
        shape = (3, 2, 2) if rng.integers(2) else (int(rng.integers(1, 12)),)
        rate = rng.choice([0.0, 0.1, 1.7, 20.0], [(), shape[:1]][rng.integers(2)])
        self.add("noise", shape, Poisson.of(rate, int(rng.integers(2**63))))
        target = str(rng.choice(targets))
        self.projections.append(Projection("noise", target, self.ruled(rng, "noise", target)))
        senders = [n for n in targets if self.populations[n].neuron.fires and not self.coded(n)]
        if senders:
            source, target = str(rng.choice(senders)), str(rng.choice(targets))
            delay = int(rng.integers(1, 4)) + latency[source] * self.steps
            self.projections.append(Projection(source, target, self.ruled(rng, source, target), delay))

    def ruled(self, rng: Rng, source: str, target: str) -> Random:
        """Return random synapses from a population to another one."""
        ends = self.populations[source].size, self.populations[target].size
        tables = [np.sort(rng.integers(0, 2**32, int(rng.integers(0, 5)), np.uint32)) for _ in range(2)]
        many, seed = int(rng.integers(1, 4 * ends[0] + 2)), int(rng.integers(2**63))
        delays = _delays(rng, (len(tables[1]) + 1,))
        return Random(*ends, many, seed, weights(rng, len(tables[0]) + 1), tables[0], delays, tables[1])


def _delays(rng: Rng, shape: Shape) -> Any:
    """Return delays of synapses, the largest of all sometimes among them."""
    first, most = int(rng.choice([0, 0, 1, 5])), int(rng.choice([1, 2, 6, 251]))
    return (first + rng.integers(0, most, shape)).astype(np.uint8)


def _spiking(rng: Rng, shape: Shape) -> Neuron:
    neuron = integrate_and_fire(rng, shape) if rng.integers(2) else leaky(rng, shape)
    answer = str(rng.choice(["count", "first_spike", "last", "max", "mean"]))
    return replace(neuron, answer=answer, scale=np.float32(0.25) if rng.integers(2) else np.float32(1))


def random_network(seed: int, kind: str, size: int = 1, tables: bool = True) -> Network:
    """Return a network of `kind` words (few-spikes, levels, pools: no delays), spikes (IF, LIF), or mixed (all).

    kind `drawn`: spikes or mixed, with delays of each synapse, and with synapses and spikes that are drawn. Half of
    those with spikes have delays and cycles. Inputs are one to three, windows of 1 to 17 steps. size: how many times as
    high and wide images are; a large network may be one that the contract refuses (NetworkError).
    tables: whether words may be looked up, which chips cannot.
    """
    rng, drawn = np.random.default_rng(seed), kind == "drawn"
    kind = str(rng.choice(["spikes", "mixed"])) if drawn else kind
    draft = Draft(rng, kind, int(rng.integers(1, 18)), size, tables)
    for name in INPUTS[: rng.choice([1, 1, 2, 3])]:
        draft.input(name)
    for name in NAMES[: rng.integers(1, 6)]:
        draft.grow(name)
    if rng.integers(3):
        source = str(rng.choice(list(draft.populations)))
        connection, target = connect(rng, draft.populations[source].shape, "ds")
        draft.add("readout", target, Readout(np.float32(0.5), rng.integers(-99, 99, target[:1])))
        draft.project(source, "readout", connection)
    ends = {p.source for p in draft.projections}
    outputs = [name for name in draft.populations if name not in ends or rng.integers(6) == 0]
    if kind != "words" and rng.integers(2):
        draft.delay()
    if drawn:
        draft.draw(np.random.default_rng([seed, 17]))
    draft.widen(np.random.default_rng([seed, 16]))
    return draft.network(outputs)


def random_inputs(net: Network, seed: int, batch: int, density: float) -> dict[str, np.ndarray[Any, Any]]:
    """Return samples for each input, with about `density` of the values not zero."""
    rng = np.random.default_rng(seed)
    samples = {}
    for name in net.inputs:
        neuron = net.populations[name].neuron
        assert isinstance(neuron, Input)
        shape = (batch, *sample_shape(net, name))
        low, high = word_range(neuron.bits, neuron.signed)
        samples[name] = np.where(rng.random(shape) < density, rng.integers(low, high + 1, shape), 0)
    return samples


seeds = st.integers(0, 2**32 - 1)
densities = st.sampled_from([0.0, 0.05, 0.3, 1.0])
