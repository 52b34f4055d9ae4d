# SPDX-License-Identifier: Apache-2.0
"""Networks that the tests of the targets share."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from spikerun.connections import Conv, Dense, Diagonal, PooledConv, Sparse, SumPool, Window
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, Levels, MaxPool, Readout


@pytest.fixture(scope="session")
def tiny() -> Network:
    """Two inputs, three hidden neurons, two classes; small enough to read its C."""
    hidden = FewSpikes(2, np.array([10, 20, 30], np.int32), np.array([5, 10, 15], np.int32))
    first = Dense(np.array([[1, -2, 3], [4, 5, -6]], np.int8))
    second = Dense(np.array([[7, -7], [1, 2], [-3, 3]], np.int8))
    return Network(
        {"in": Population((2,), Input()), "hidden": Population((3,), hidden), "out": Population((2,), Readout())},
        [Projection("in", "hidden", first), Projection("hidden", "out", second)],
        ["out"],
        8,
    )


@pytest.fixture(scope="session")
def everything() -> Network:
    """Every connection and every kind that the target runs, in one network with two outputs."""
    rng = np.random.default_rng(7)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-128, 128, shape).astype(np.int8)

    mask = rng.random((48, 20)) < 0.3
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    sparse = Sparse(indptr, np.nonzero(mask)[1].astype(np.int32), weights(int(mask.sum())), 20)
    populations = {
        "in": Population((2, 8, 8), Input()),
        "conv": Population((8, 8, 8), FewSpikes(4, rng.integers(300, 2000, (8,)), np.int32(500), max_spikes=2)),
        "depthwise": Population((8, 4, 4), FewSpikes(5, np.int32(100), rng.integers(-99, 99, (8, 4, 4)), signed=True)),
        "pool": Population((8, 4, 4), MaxPool()),
        "signed pool": Population((8, 2, 2), MaxPool()),
        "joined": Population((12, 4, 4), FewSpikes(3, rng.integers(50, 900, (12, 4, 4)), code="ttfs")),
        "sums": Population((12, 2, 2), FewSpikes(6, np.int32(20), code="graded")),
        "thin": Population((20,), FewSpikes(8, np.int32(40), signed=True, max_spikes=3)),
        "out": Population((5,), Readout(rng.random(5).astype(np.float32) + 0.1, rng.integers(-99, 99, 5))),
    }
    populations = {name.replace(" ", "."): p for name, p in populations.items()}
    projections = [
        Projection("in", "conv", Conv(weights(8, 2, 3, 3), padding=(1, 1))),
        Projection("conv", "depthwise", Conv(weights(8, 1, 3, 2), (2, 2), (1, 1), (1, 2), groups=8)),
        Projection("conv", "pool", Window((3, 3), (2, 2), (1, 1))),
        Projection("pool", "joined", Diagonal(rng.integers(1, 300, 8).astype(np.int32)), target_channels=(0, 8)),
        Projection("depthwise", "joined", Conv(weights(4, 8, 1, 1)), target_channels=(8, 12)),
        Projection("in", "joined", Dense(weights(128, 192))),
        Projection("depthwise", "signed.pool", Window((2, 2), (2, 2))),
        Projection("joined", "sums", SumPool((2, 2), (2, 2), gain=np.arange(1, 13, dtype=np.int32))),
        Projection("sums", "thin", sparse),
        Projection("signed.pool", "thin", Dense(weights(32, 12)), target_channels=(8, 20)),
        Projection("thin", "out", Dense(weights(20, 5))),
    ]
    return Network(populations, projections, ["out", "signed.pool"], 8)


@pytest.fixture(scope="session")
def spiking() -> Network:
    """IF and LIF neurons of every reset, delays, a cycle, two inputs, and a readout."""
    rng = np.random.default_rng(11)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-128, 128, shape).astype(np.int8)

    floor = IF(rng.integers(50, 400, 4), rng.integers(-20, 20, (4, 5, 5)), np.int32(-100), np.int32(7))
    zero = IF(np.int32(90), v_init=np.arange(6, dtype=np.int32), reset="zero", answer="max")
    leaky = {
        "zero": LIF.loihi(np.int32(60), rng.integers(-900, 900, 8), np.int32(400), np.int32(100), refractory=2),
        "subtract": LIF.loihi(rng.integers(20, 90, 8), du=np.int32(4095), dv=np.int32(1), reset="subtract"),
        "late": LIF.loihi(np.int32(40), dv=np.int32(64), reset="subtract_after_leak", reset_interval=5, reset_offset=8),
    }
    leaky["late"] = replace(leaky["late"], answer="mean", scale=np.float32(0.5))
    populations = {
        "events": Population((2, 5, 5), Input(1, "spikes")),
        "values": Population((3,), Input(3, "current", signed=True)),
        "floor": Population((4, 5, 5), floor),
        "plain": Population((6,), zero),
        "pooled": Population((3, 2, 2), LIF(np.int32(200), np.int32(60_000), inclusive=True)),
        **{name: Population((8,), neuron) for name, neuron in leaky.items()},
        "out": Population((3,), Readout(np.float32(1), np.array([5, 0, -5], np.int32))),
    }
    projections = [
        Projection("events", "floor", Conv(weights(4, 2, 3, 3), padding=(1, 1))),
        Projection("events", "floor", Conv(weights(4, 2, 1, 1)), delay=3),
        Projection("values", "plain", Dense(weights(3, 6))),
        Projection("events", "pooled", PooledConv(weights(3, 2, 2, 2), 3, 2, pool_padding=1), delay=2),
        Projection("pooled", "zero", Dense(weights(12, 8))),
        Projection("floor", "zero", Dense(weights(100, 8))),
        Projection("plain", "subtract", Dense(weights(6, 8))),
        Projection("zero", "subtract", Dense(weights(8, 8)), delay=2),
        Projection("subtract", "plain", Dense(weights(8, 6)), delay=1),
        Projection("subtract", "subtract", Dense(weights(8, 8)), delay=4),
        Projection("zero", "late", Dense(weights(8, 8)), delay=1),
        Projection("late", "out", Dense(weights(8, 3))),
        Projection("subtract", "out", Dense(weights(8, 3)), delay=1),
    ]
    return Network(populations, projections, ["out", "late", "plain"], 12)


@pytest.fixture(scope="session")
def mixed() -> Network:
    """Words and spikes in one network: every code, a pool that compares spike by spike, IF and LIF, delays, a cycle."""
    rng = np.random.default_rng(5)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-128, 128, shape).astype(np.int8)

    looked_up = [[-900, -500, 0, 100, 500], [-90, 0, 60, 90, 900]]
    populations = {
        "image": Population((3, 6, 5), Input(4, "bits", signed=True)),
        "conv": Population((4, 6, 5), FewSpikes(3, rng.integers(200, 900, 4), signed=True)),
        "pool": Population((4, 3, 2), MaxPool()),
        "timed": Population((10,), FewSpikes(2, np.int32(200), code="ttfs")),
        "payload": Population((6,), FewSpikes(4, np.int32(30), np.int32(200), code="graded")),
        "events": Population((2, 3, 3), Input(1, "spikes")),
        "leaky": Population((5,), LIF.loihi(np.int32(90), du=np.int32(900), dv=np.int32(200), refractory=1)),
        "fires": Population((7,), IF(np.int32(90), v_min=np.int32(-500), v_init=np.int32(20))),
        "looked_up": Population(
            (2, 2, 2), Levels(3, looked_up, [[-1, 3, -4, 2, 0, 1], [3, 2, 1, 0, -1, -2]], signed=True)
        ),
        "counts": Population((4,), FewSpikes(5, np.int32(100), np.int32(300))),
        "out": Population((3,), Readout(np.float32(0.25))),
    }
    projections = [
        Projection("image", "conv", Conv(weights(4, 3, 3, 3), padding=(1, 1))),
        Projection("conv", "pool", Window((2, 2), (2, 2))),
        Projection("pool", "timed", Dense(weights(24, 10))),
        Projection("timed", "payload", Dense(weights(10, 6))),
        Projection("events", "leaky", Dense(weights(18, 5)), delay=2),
        Projection("payload", "fires", Dense(weights(6, 7))),
        Projection("leaky", "fires", Dense(weights(5, 7)), delay=16),
        Projection("fires", "leaky", Dense(weights(7, 5)), delay=40),
        Projection("fires", "counts", Dense(weights(7, 4))),
        Projection("image", "counts", Dense(weights(90, 4)), delay=16),
        Projection("image", "looked_up", Conv(weights(2, 3, 3, 2), stride=(2, 3))),
        Projection("looked_up", "counts", Dense(weights(8, 4)), delay=8),
        Projection("counts", "out", Dense(weights(4, 3))),
    ]
    return Network(populations, projections, ["out", "fires", "payload"], 8)


@pytest.fixture(scope="session")
def pruned() -> Network:
    """Every map that can be packed, most of its weights 0: rows that are empty, gaps over 255, words of two bytes."""
    rng = np.random.default_rng(3)

    def weights(*shape: int, zeros: float = 0.9) -> np.ndarray:
        return np.where(rng.random(shape) < zeros, 0, rng.integers(-128, 128, shape)).astype(np.int8)

    far = np.zeros((20, 700), np.int8)
    far[::3, 690:], far[4, 256], far[5, 255], far[7, [0, 511]] = 90, 91, 92, -93
    indptr = np.array([0, 3, 3, *range(4, 31), 40], np.int64)
    indices = np.array([9, 2, 2, *rng.integers(0, 10, 37)], np.int32)  # in no order, and one of them twice
    populations = {
        "in": Population((2, 9, 8), Input()),
        "wide": Population((30,), Input(12, "graded", signed=True)),
        "conv": Population((24, 9, 8), FewSpikes(4, rng.integers(100, 900, 24), np.int32(90))),
        "strided": Population((20, 5, 3), FewSpikes(5, np.int32(90), np.int32(100), signed=True)),
        "flat": Population((20,), FewSpikes(4, np.int32(200), np.int32(90), signed=True)),
        "far": Population((700,), FewSpikes(3, np.int32(90), np.int32(50))),
        "out": Population((10,), Readout(np.float32(0.5))),
    }
    projections = [
        Projection("in", "conv", Conv(weights(24, 2, 3, 3), padding=(1, 1))),
        Projection(
            "conv", "strided", Conv(weights(16, 12, 3, 2), (2, 2), (1, 0), (1, 3), groups=2), target_channels=(0, 16)
        ),
        Projection("wide", "strided", Dense(weights(30, 60)), target_channels=(16, 20)),
        Projection("strided", "flat", Dense(weights(300, 20, zeros=0.8))),
        Projection("flat", "far", Dense(far)),
        Projection("wide", "out", Sparse(indptr, indices, weights(40, zeros=0.3), 10)),
        Projection("far", "out", Dense(weights(700, 10, zeros=0.95))),
    ]
    return Network(populations, projections, ["out"], 8)


@pytest.fixture(scope="session")
def needs() -> Callable[[str], None]:
    """Return a function that skips the test unless a program or a module is on this machine."""

    def check(*names: str) -> None:
        for name in names:
            if not shutil.which(name) and not importlib.util.find_spec(name.replace("-", "_")):
                pytest.skip(f"{name} is not on this machine")

    return check
