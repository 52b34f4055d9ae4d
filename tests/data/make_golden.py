# SPDX-License-Identifier: Apache-2.0
"""Make the golden files: contractN.snn and contractN.npz, once for each contract N; and drawn.snn and drawn.npz.

The latter have what contract 2 gained: delays of synapses, synapses and spikes that follow from seeds. Later versions
read them all, and never make them anew. Those of contract 1 are called golden.snn (container 1), golden2.snn
(container 2) and golden.npz; their network had no population `lif_wide`.
"""

from pathlib import Path

import numpy as np

from spikerun.connections import Conv, Dense, Diagonal, Random, Sparse, SumPool, Window
from spikerun.draws import normal
from spikerun.file import CONTRACT, save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, MaxPool, Poisson, Readout
from spikerun.reference import Stepper, stepped

FOLDER = Path(__file__).resolve().parent


def network() -> Network:
    """Return a network with every kind of neuron, connection and code, a skip, a slice, delays and a cycle."""
    rng = np.random.default_rng(11)

    def weights(*shape: int) -> np.ndarray:  # type: ignore[type-arg]
        return rng.integers(-128, 128, shape).astype(np.int8)

    mask = rng.random((72, 6)) < 0.2
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    sparse = Sparse(indptr, np.nonzero(mask)[1].astype(np.int32), weights(72, 6)[mask], 6)
    wide = LIF(
        threshold=rng.integers(9, 90, 6) << 10,
        keep_v=np.int32(62_259),
        keep_u=rng.integers(30_000, 2**16, 6),
        bias=np.int32(-700),
        bias_u=np.int32(300),
        v_reset=np.int32(-2000),
        v_init=rng.integers(-9000, 9000, 6),
        v_min=np.int32(-(2**16)),
        fraction_bits=10,
        refractory=1,
    )
    populations = {
        "in": Population((2, 6, 6), Input(4, "graded")),
        "drive": Population((6,), Input(3, "current", signed=True)),
        "conv": Population((4, 6, 6), FewSpikes(4, rng.integers(40, 90, 4), np.int32(20), max_spikes=3)),
        "pool": Population((4, 3, 3), MaxPool()),
        "sums": Population((2, 3, 3), FewSpikes(5, np.int32(3), signed=True)),
        "both": Population((6, 3, 3), FewSpikes(3, np.int32(5), rng.integers(-9, 9, (6, 3, 3)), code="ttfs")),
        "graded": Population((6,), FewSpikes(6, np.int32(30), signed=True, code="graded")),
        "if": Population((6,), IF(np.int32(50), rng.integers(-3, 9, 6), np.int32(-80), np.int32(5))),
        "if_zero": Population((6,), IF(np.int32(40), reset="zero")),
        "lif": Population(
            (6,), LIF.loihi(np.int32(90), np.int32(99), np.int32(900), rng.integers(0, 999, 6), refractory=1)
        ),
        "lif_soft": Population((6,), LIF.loihi(np.int32(9), np.int32(200), reset="subtract", reset_interval=5)),
        "lif_late": Population(
            (6,), LIF.loihi(np.int32(9), dv=np.int32(400), reset="subtract_after_leak", reset_offset=2)
        ),
        "lif_wide": Population((6,), wide),
        "out": Population((3,), Readout(rng.random(3).astype(np.float32), np.array([5, -7, 0]))),
    }
    projections = [
        Projection("in", "conv", Conv(weights(4, 1, 3, 3), 1, 1, 1, 2)),
        Projection("conv", "pool", Window(2, 2)),
        Projection("in", "sums", SumPool(2, 2, 0, np.array([1, -2], np.int32))),
        Projection("pool", "both", Diagonal(np.int32(4)), target_channels=(0, 4)),
        Projection("sums", "both", Diagonal(np.array([3, -3], np.int32)), target_channels=(4, 6)),
        Projection("in", "graded", sparse),
        Projection("graded", "if", Diagonal(np.int32(9))),
        Projection("drive", "if", Diagonal(np.int32(20))),
        Projection("if", "if_zero", Dense(weights(6, 6))),
        Projection("if_zero", "if_zero", Dense(weights(6, 6)), 2),
        Projection("drive", "lif", Dense(weights(6, 6)), 1),
        Projection("lif", "lif_soft", Dense(weights(6, 6))),
        Projection("lif_soft", "lif_late", Dense(weights(6, 6))),
        Projection("if_zero", "out", Dense(weights(6, 3))),
        Projection("lif_late", "out", Dense(weights(6, 3))),
        Projection("both", "out", Dense(weights(54, 3))),
        Projection("drive", "lif_wide", Dense(weights(6, 6))),
        Projection("lif_wide", "out", Dense(weights(6, 3))),
    ]
    return Network(
        populations, projections, ["out", "lif", "lif_wide"], 8, {"made_by": "spikerun", "loss": 0.25, "epochs": 3}
    )


def drawn() -> Network:
    """Return a network in which synapses have delays, and synapses and spikes follow from seeds."""
    rng = np.random.default_rng(14)
    weight, weights = normal(9, 4, -128, 127)
    delay, delays = normal(6, 3, 1, 40)
    rule = Random(12, 8, 90, 21, weight.astype(np.int8), weights, delay.astype(np.uint8), delays)
    listed = Sparse(
        np.array([0, 2, 3, 6], np.int64),
        np.array([0, 5, 2, 7, 7, 1], np.int32),
        rng.integers(-20, 60, 6).astype(np.int8),
        8,
        np.array([0, 255, 7, 3, 3, 1], np.uint8),
    )
    back = Dense(rng.integers(-90, 60, (8, 12)).astype(np.int8), rng.integers(2, 30, (8, 12)).astype(np.uint8))
    populations = {
        "noise": Population((3,), Poisson.of([0.2, 0.0, 3.0], 2**60 + 1)),
        "a": Population(
            (12,), LIF(np.int32(60), np.int32(60_000), np.int32(50_000), v_init=np.arange(12), refractory=2)
        ),
        "b": Population((2, 2, 2), IF(np.int32(40))),
    }
    projections = [
        Projection("noise", "b", listed, 2),
        Projection("noise", "a", Dense(rng.integers(0, 40, (3, 12)).astype(np.int8)), 3),
        Projection("a", "b", rule, exponent=1),
        Projection("b", "a", back),
    ]
    return Network(populations, projections, ["a", "b"], 1, {"made_by": "spikerun"})


def main() -> None:
    """Write all four files."""
    save(drawn(), FOLDER / "drawn.snn")
    stepper = Stepper(drawn())
    sent = [stepper.step({}) for _ in range(400)]
    events = {name: np.stack([step[name] for step in sent]).astype(np.uint8) for name in stepper.net.populations}
    np.savez_compressed(FOLDER / "drawn.npz", **events)  # type: ignore[arg-type]
    net = network()
    save(net, FOLDER / f"contract{CONTRACT}.snn")
    frames = np.random.default_rng(12).integers(0, 16, (3, 2, 6, 6))
    drives = np.random.default_rng(13).integers(-4, 4, (3, 6))
    turns = [stepped(net, {"in": frame, "drive": drive}) for frame, drive in zip(frames, drives, strict=True)]
    arrays = {f"{name}.events": np.stack([turn[name].events for turn in turns]) for name in net.populations}
    readout = np.stack([membrane for turn in turns if (membrane := turn["out"].membrane) is not None])
    small = {name: values.astype(np.int16) for name, values in arrays.items()}
    given = {"given.in": frames.astype(np.uint8), "given.drive": drives.astype(np.int8)}
    np.savez_compressed(FOLDER / f"contract{CONTRACT}.npz", readout=readout, **given, **small)


if __name__ == "__main__":
    main()
