# SPDX-License-Identifier: Apache-2.0
"""Layouts of weights that are mostly zero: each layout of a layer beside dense, which is planned, and a whole MLP.

    python benchmarks/sparsity/formats.py

Batch 1, one thread; 16 samples in which 15 % of the inputs have words, so that rows are not those of the time before.
Layouts take turns, medians count. Times of a layer are those of a call from Python, 0.4 us of it the call itself.

The physical limit is memory: of the rows of active inputs every byte is read once. Beside each time stands the rate at
which they were, and at which this core reads an array of the size of the layout (a dot product of one with itself).
"""

import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from record import record
from turns import medians

from spikerun import Network, Population, Projection, Session
from spikerun.connections import Dense
from spikerun.neurons import FewSpikes, Input, Readout

NAME = "sparsity_formats"
LAYOUTS = ("dense", "blocks", "csr")
SIZES, SPARSITIES, BITS = (4096, 1024), (0.8, 0.9, 0.95, 0.98), (4, 5)
PATTERNS = {"blocks of 16": 16, "unstructured": 1}
ACTIVE, SAMPLES, MLP = 0.15, 16, (784, 4096, 4096, 10)

Array = np.ndarray[Any, Any]


def weights(rng: np.random.Generator, n_in: int, n_out: int, zeros: float, block: int) -> Array:
    """Return random int8 weights of which this share is zero, in blocks of so many outputs."""
    keep = np.repeat(rng.random((n_in, -(-n_out // block))) >= zeros, block, axis=1)[:, :n_out]
    drawn = rng.integers(1, 128, (n_in, n_out)) * rng.choice([-1, 1], (n_in, n_out))
    return np.where(keep, drawn, 0).astype(np.int8)


def words(rng: np.random.Generator, n: int, bits: int) -> Array:
    """Return samples (SAMPLES, n) of words, 15 % of them active."""
    return np.where(rng.random((SAMPLES, n)) < ACTIVE, rng.integers(1, 2**bits, (SAMPLES, n)), 0).astype(np.int16)


def one_layer(weight: Array, bits: int) -> Network:
    """Return inputs, and what is read of them."""
    n_in, n_out = weight.shape
    populations = {"in": Population((n_in,), Input(bits)), "out": Population((n_out,), Readout())}
    return Network(populations, [Projection("in", "out", Dense(weight))], ["out"], bits)


def layer(rng: np.random.Generator, n: int, zeros: float, pattern: str, bits: int) -> None:
    """Measure and record the layouts of a layer of n x n weights."""
    weight, x = weights(rng, n, n, zeros, PATTERNS[pattern]), words(rng, n, bits)
    net, acc = one_layer(weight, bits), np.zeros(n, np.int32)
    sessions = [Session(net, threads=1, layout=layout) for layout in LAYOUTS]
    planned, expected = Session(net, threads=1), x.astype(np.int64) @ weight
    equal = all(np.array_equal(session.run(x).outputs["out"], expected) for session in (*sessions, planned))
    times = medians([_apply(session, acc) for session in sessions], list(x), 20 if n > 2000 else 100)
    what = f"{n}x{n}, {zeros:.0%} zeros, {pattern}, T={bits}"
    for session, layout, taken in zip(sessions, LAYOUTS, times, strict=True):
        record(NAME, f"{what}: {layout}, {_bytes(session) / 1024:.0f} KiB", taken, "us")
    ((chosen, size),) = planned.plan.layouts["out"]
    taken = times[LAYOUTS.index(chosen)]
    record(NAME, f"{what}: dense over planned, {chosen}", times[0] / taken, "x" if equal else "x, OTHER RESULTS")
    record(NAME, f"{what}: planned, read", ACTIVE * size / taken / 1000, "GB/s")


def _bytes(session: Session) -> int:
    """Return what the weights of a session take."""
    return sum(size for of_layer in session.plan.layouts.values() for _, size in of_layer)


def _apply(session: Session, acc: Array) -> Callable[[Array], None]:
    """Return the event-driven kernel of a session's only map."""
    device: Any = session.device
    (kernel,) = device._maps.values()
    return lambda x: kernel.linear.apply_event(x, acc)


def read_rates() -> None:
    """Record at which rate this core reads arrays of the sizes that layouts have."""
    for kib in (128, 512, 2048, 16384):
        array = np.ones(kib * 256, np.float32)
        (taken,) = medians([lambda _, a=array: a @ a], range(10), 100 if kib < 2000 else 20)
        record(NAME, f"one core reads an array of {kib} KiB", kib * 1024 / taken / 1000, "GB/s")


def mlp(rng: np.random.Generator, bits: int = 4) -> None:
    """Measure and record a whole MLP, 90 % of whose weights are zero in blocks; 15 % of all neurons are active."""
    x = words(rng, MLP[0], bits)
    sent, populations, projections = x, {"p0": Population((MLP[0],), Input(bits))}, []
    for k, (n_in, n_out) in enumerate(pairwise(MLP), 1):
        weight = weights(rng, n_in, n_out, 0.9, 16)
        projections.append(Projection(f"p{k - 1}", f"p{k}", Dense(weight)))
        current = sent.astype(np.int64) @ weight
        threshold = int(np.quantile(current, 1 - ACTIVE))
        last = k + 1 == len(MLP)
        populations[f"p{k}"] = Population((n_out,), Readout() if last else FewSpikes(bits, np.int32(threshold)))
        sent = np.clip(current // threshold, 0, 2**bits - 1) if not last else current
    net = Network(populations, projections, [f"p{len(MLP) - 1}"], bits)
    dense, planned = Session(net, threads=1, layout="dense"), Session(net, threads=1)
    print(planned.plan)
    equal = np.array_equal(planned.run(x).logits, sent) and np.array_equal(dense.run(x).logits, sent)
    samples = [x[k : k + 1] for k in range(SAMPLES)]
    first, second = medians([dense.run, planned.run], samples, 30)
    what = f"MLP {'-'.join(map(str, MLP))}, 90% zeros, blocks of 16, T={bits}"
    for name, session, taken in (("dense", dense, first), ("planned", planned, second)):
        record(NAME, f"{what}: {name}, one sample", taken, "us")
        record(NAME, f"{what}: {name}, weights", _bytes(session) / 1024, "KiB")
    record(NAME, f"{what}: dense over planned", first / second, "x" if equal else "x, OTHER RESULTS")


def main() -> None:
    """Measure and record all."""
    rng = np.random.default_rng(0)
    read_rates()
    for n in SIZES:
        for pattern in PATTERNS:
            for zeros in SPARSITIES:
                for bits in BITS:
                    layer(rng, n, zeros, pattern, bits)
    mlp(rng)


if __name__ == "__main__":
    main()
