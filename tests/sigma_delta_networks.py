# SPDX-License-Identifier: Apache-2.0
"""Random networks that a chip runs as sigma-delta networks, built from a seed; few of their words are cut at 255."""

from typing import Any

import numpy as np

from spikerun.connections import Connection, Conv, Dense, Diagonal, SumPool
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Readout

Rng = np.random.Generator
Shape = tuple[int, ...]


def weights(rng: Rng, *shape: int) -> Any:
    """Return weights around 0, the extremes among them."""
    return np.clip(rng.normal(0, 50, shape), -127, 127).astype(np.int8)


def connection(rng: Rng, source: Shape) -> tuple[Connection, Shape]:
    """Return a connection and the shape of its target."""
    kind = str(rng.choice(list("dcpg" if len(source) == 3 else "dg")))
    if kind == "d":
        shape: Shape = [(7,), (2, 3, 4)][rng.integers(2)]
        return Dense(weights(rng, int(np.prod(source)), int(np.prod(shape)))), shape
    if kind == "g":
        return Diagonal(rng.integers(1, 128, source[:1]).astype(np.int32)), source
    c, h, w = source
    if kind == "p":
        pool = SumPool((min(2, h), min(2, w)), (2, 2), (0, 0), rng.integers(1, 128, (c,)).astype(np.int32))
        return pool, pool.target_shape(source)
    conv = Conv(weights(rng, int(rng.integers(1, 4)), c, min(3, h), min(2, w)), (int(rng.integers(1, 3)), 1), (1, 1))
    return conv, conv.target_shape(source)


def sigma_delta_network(seed: int) -> Network:
    """Return a network of one to four layers, with residuals, and a readout."""
    rng = np.random.default_rng(seed)
    shape: Shape = (2, 5, 4) if rng.integers(3) else (9,)
    shapes, projections = {"in": shape}, []
    for k in range(int(rng.integers(1, 5))):
        source = list(shapes)[-1]
        made, shape = connection(rng, shapes[source])
        shapes[f"l{k}"] = shape
        projections.append(Projection(source, f"l{k}", made, exponent=1))
    names = list(shapes)
    for early, late in zip(names, names[2:], strict=False):  # shortcuts
        if shapes[early] == shapes[late] or rng.integers(3) == 0:
            size = int(np.prod(shapes[late]))
            diagonal = shapes[early] == shapes[late]
            dense = Dense(weights(rng, int(np.prod(shapes[early])), size))
            projections.append(
                Projection(early, late, Diagonal(np.array(100, np.int32)) if diagonal else dense, exponent=1)
            )
    populations = {"in": Population(shapes["in"], Input(8, "graded"))}
    for name in names[1:]:
        per = [(), shapes[name][:1], shapes[name]][rng.integers(3)]
        largest = int(10 ** rng.uniform(1, 5.2))
        bias = rng.integers(-largest, largest, per).astype(np.int32) * int(rng.integers(3) > 0)
        populations[name] = Population(shapes[name], FewSpikes(8, 2 ** int(rng.integers(6, 13)), bias, code="graded"))
    populations["out"] = Population((3,), Readout(bias=rng.integers(-99, 99, 3).astype(np.int32)))
    projections.append(Projection(names[-1], "out", Dense(weights(rng, int(np.prod(shape)), 3)), exponent=1))
    return Network(populations, projections, ["out"], 1, {"coding": "sdnn"})


def frames(net: Network, seed: int, count: int) -> Any:
    """Return random samples (count, *shape) of the input, a third of their values zero."""
    rng = np.random.default_rng(seed)
    shape = (count, *net.populations["in"].shape)
    return rng.integers(0, 256, shape) * (rng.random(shape) > 0.33)
