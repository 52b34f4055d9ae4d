# SPDX-License-Identifier: Apache-2.0
"""Random networks inside the chip's arithmetic, built from a seed that hypothesis draws."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikerun.connections import Connection, Conv, Dense, Diagonal, Sparse, SumPool
from spikerun.inputs import sample_shape
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, Input, Neuron, Readout

Rng = np.random.Generator
Shape = tuple[int, ...]
LARGEST_BIAS = 4095


def weights(rng: Rng, *shape: int) -> Any:
    """Return weights of which few reach the ends, so that neurons neither rest nor fire in every step."""
    return np.clip(rng.normal(4, 40, shape), -127, 127).astype(np.int8)


def lif(rng: Rng, shape: Shape) -> LIF:
    """Return a neuron of the chip, or of ours, with one threshold and one pair of decays."""
    mant, exp = rng.integers(-LARGEST_BIAS, LARGEST_BIAS, shape), rng.integers(0, 4, shape)
    return LIF.loihi(
        int(rng.integers(20, 900)),
        (mant << exp).astype(np.int32) if rng.integers(3) else np.int32(0),
        int(rng.choice([4096, 4096, 2000, 1, 0])),
        int(rng.choice([0, 0, 100, 4000, 4095])),
        str(rng.choice(["zero", "zero", "subtract", "subtract_after_leak"])),
    )


def integrate_and_fire(rng: Rng, shape: Shape) -> IF:
    """Return an IF neuron whose membrane has no floor."""
    return IF(int(rng.integers(30, 700)), rng.integers(-20, 20, shape), reset=str(rng.choice(["zero", "subtract"])))


@dataclass
class Draft:
    """A network that grows. more: draws slices, delays and further inputs apart, so that seeds keep the rest."""

    rng: Rng
    more: Rng
    populations: dict[str, Population] = field(default_factory=dict)
    projections: list[Projection] = field(default_factory=list)

    def connection(self, source: Shape) -> tuple[Connection, Shape, int]:
        """Return a connection, the shape of its target, and its exponent."""
        rng, n = self.rng, int(np.prod(source))
        kind = str(rng.choice(list("dscpg" if len(source) == 3 else "dsg")))
        if kind in "ds":
            shape: Shape = [(7,), (3, 4, 2), (2, 3, 3)][rng.integers(3)]
            dense, targets = weights(rng, n, int(np.prod(shape))), int(np.prod(shape))
            exponent = int(rng.integers(0, 3))
            if kind == "d":
                return Dense(dense), shape, exponent
            mask = rng.random(dense.shape) < 0.4
            indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
            return Sparse(indptr, np.nonzero(mask)[1].astype(np.int32), dense[mask], targets), shape, exponent
        if kind == "g":
            return Diagonal(rng.integers(-127, 128, source[:1]).astype(np.int32)), source, 1
        c, h, w = source
        if kind == "p":
            pool = SumPool(
                (min(2, h), min(2, w)), (2, 1), (0, min(1, w // 2)), rng.integers(1, 100, (c,)).astype(np.int32)
            )
            return pool, pool.target_shape(source), 1
        groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
        kernel = (int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1)))
        weight = weights(rng, groups * int(rng.integers(1, 3)), c // groups, *kernel)
        pair = lambda low, high: (int(rng.integers(low, high)), int(rng.integers(low, high)))  # noqa: E731
        conv = Conv(weight, pair(1, 3), pair(0, 2), groups=groups)
        if rng.integers(2) and kernel[0] * 2 - 1 <= h and kernel[1] * 2 - 1 <= w:
            conv = Conv(weight, pair(1, 3), pair(0, 2), (2, 2), groups)
        return conv, conv.target_shape(source), 1

    def grow(self, name: str, source: str, delay: int = 0) -> None:
        """Add a population behind another one, which feeds all of its channels or a slice of them."""
        connection, shape, exponent = self.connection(self.populations[source].shape)
        channels = None
        if self.more.integers(3) == 1:
            before, behind = self.more.integers(0, 3, 2).tolist()
            channels, shape = (before, before + shape[0]), (before + shape[0] + behind, *shape[1:])
        neuron: Neuron = lif(self.rng, shape) if self.rng.integers(4) else integrate_and_fire(self.rng, shape)
        self.populations[name] = Population(shape, neuron)
        self.projections.append(Projection(source, name, connection, delay, channels, exponent))

    def join(self, source: str, target: str, delay: int = 0) -> None:
        """Add an all-to-all projection beside what there is."""
        a, b = self.populations[source], self.populations[target]
        self.projections.append(Projection(source, target, Dense(weights(self.rng, a.size, b.size)), delay))

    def enter(self, name: str) -> None:
        """Add an input of spikes or of numbers."""
        bits = int(self.rng.choice([1, 1, 4]))
        code = "spikes" if bits == 1 else str(self.rng.choice(["current", "frames"]))
        signed = bits > 1 and bool(self.more.integers(2))
        shape: Shape = (2, 5, 4) if self.rng.integers(2) else (9,)
        self.populations[name] = Population(shape, Input(bits, code, signed))


def chip_network(seed: int, feedforward: bool = False) -> Network:
    """Return a network of one to four layers, with residuals, slices of channels, one or two inputs of any code.

    Unless `feedforward` there are delays, some longer than the network is deep, and cycles.
    """
    rng = np.random.default_rng(seed)
    draft = Draft(rng, np.random.default_rng([seed, 1]))
    draft.enter("in")
    layers = ["in"]
    for k in range(int(rng.integers(1, 5))):
        draft.grow(f"l{k}", layers[-1], 0 if feedforward else int(draft.more.choice([0, 0, 0, 2, 9])))
        layers.append(f"l{k}")
    if draft.more.integers(3) == 1:
        draft.enter("also")
        draft.join("also", str(rng.choice(layers[1:])))
    if len(layers) > 3:
        draft.join(layers[1], layers[3])
    if not feedforward:
        if rng.integers(2):
            draft.join(layers[-1], layers[-1], int(rng.integers(1, 4)))
        if len(layers) > 2 and rng.integers(2):
            draft.join(layers[2], layers[1], int(rng.integers(2, 5)))
        draft.join("in", layers[-1], int(rng.choice([0, 1, 3, 5, 40])))
    if rng.integers(2):
        draft.populations["out"] = Population((3,), Readout())
        draft.join(layers[-1], "out")
        layers.append("out")
    return Network(draft.populations, draft.projections, [layers[-1]], int(rng.integers(1, 9)))


def chip_samples(net: Network, seed: int, count: int = 3) -> dict[str, Any]:
    """Return random samples (count, *) of each input."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in net.inputs:
        word = net.sender_of(name)
        assert word is not None
        low, high = word.range
        values = rng.integers(low, high + 1, (count, *sample_shape(net, name)))
        found[name] = values * (rng.random(values.shape) < 0.5)
    return found
