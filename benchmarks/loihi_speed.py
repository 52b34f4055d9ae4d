# SPDX-License-Identifier: Apache-2.0
"""A network of Loihi's neurons: the CPU runtime and the emulator beside Lava's own fixed-point models, on this CPU.

    python benchmarks/loihi_speed.py

The 784-512-10 MLP and a small CNN (28 x 28: 8 kernels of 5 x 5, 16 of 3 x 3, both with stride 2, then 10 neurons) of
random weights; a tenth of the inputs in each of 1,000 steps, one call, one thread here. Lava runs as it does, a process
for each population and each group of synapses, its start not counted. In turns; the best run of Lava is compared.
"""

import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from record import record

from spikerun.connections import Conv, Dense
from spikerun.edge.loihi import lava
from spikerun.edge.loihi.emulate import emulate
from spikerun.edge.loihi.layout import lava_order
from spikerun.edge.loihi.mapping import to_graph
from spikerun.edge.loihi.store import save_graph
from spikerun.network import Network, Population, Projection
from spikerun.neurons import LIF, Input
from spikerun.session import Session

NAME = "loihi_speed"
STEPS, DENSITY, ROUNDS, RUNS = 1000, 0.1, 3, 20
WORKER = Path(__file__).with_name("loihi_speed_lava.py")


def mlp(rng: np.random.Generator) -> Network:
    """Return 784-512-10."""
    populations = {
        "in": Population((784,), Input(1, "spikes")),
        "hidden": Population((512,), LIF.loihi(200)),
        "out": Population((10,), LIF.loihi(200)),
    }
    first, second = (Dense(rng.integers(-32, 32, shape).astype(np.int8)) for shape in ((784, 512), (512, 10)))
    return Network(
        populations,
        [Projection("in", "hidden", first, exponent=1), Projection("hidden", "out", second, exponent=1)],
        ["out"], STEPS,
    )  # fmt: skip


def cnn(rng: np.random.Generator) -> Network:
    """Return the small CNN."""
    populations = {
        "in": Population((1, 28, 28), Input(1, "spikes")),
        "first": Population((8, 12, 12), LIF.loihi(100)),
        "second": Population((16, 5, 5), LIF.loihi(100)),
        "out": Population((10,), LIF.loihi(100)),
    }
    kernels = [rng.integers(-32, 32, shape).astype(np.int8) for shape in ((8, 1, 5, 5), (16, 8, 3, 3), (400, 10))]
    links = [Conv(kernels[0], stride=2), Conv(kernels[1], stride=2), Dense(kernels[2])]
    names = list(populations)
    pairs = zip(names, names[1:], links, strict=False)
    return Network(populations, [Projection(a, b, c, exponent=1) for a, b, c in pairs], ["out"], STEPS)


def seconds(work: object, runs: int = 1) -> float:
    """Return the best time of some runs."""
    best = float("inf")
    for _ in range(runs):
        begin = time.perf_counter()
        work()  # type: ignore[operator]
        best = min(best, time.perf_counter() - begin)
    return best


def main() -> None:
    """Time in turns; spikes of the last layer are the same in all three."""
    rng = np.random.default_rng(0)
    python = lava.find().python
    for name, net in (("MLP 784-512-10", mlp(rng)), ("small CNN", cnn(rng))):
        shape = net.populations["in"].shape
        x = (rng.random((1, STEPS, *shape)) < DENSITY).astype(np.uint8)
        graph, session = to_graph(net), Session(net, threads=1)
        streams = graph.streams({"in": lava_order(x, len(shape)).astype(np.int32)})
        ours, emulated, theirs = [], [], []
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            save_graph(graph, folder / "graph.h5")
            np.savez(folder / "streams.npz", allow_pickle=False, **streams)
            for _ in range(ROUNDS):
                ours.append(seconds(lambda s=session, x=x: s.run(x), RUNS))
                emulated.append(seconds(lambda g=graph, s=streams: emulate(g, s)))
                said = subprocess.run(
                    [python, WORKER, folder, lava.RUNNER], capture_output=True, text=True, check=True, timeout=600
                )
                took, spikes = said.stdout.split()[-2:]
                theirs.append(float(took))
        trace = emulate(graph, streams)
        assert int(spikes) == int(trace.events["out"].sum()) == session.run(x).activity.populations["out"].spikes
        steps = len(next(iter(streams.values())))
        record(NAME, f"{name}: CPU runtime, a step", round(1e6 * min(ours) / STEPS, 2), "us")
        record(NAME, f"{name}: emulator, a step", round(1e6 * min(emulated) / steps, 1), "us")
        record(NAME, f"{name}: Lava, a step, best of {ROUNDS}", round(1e6 * min(theirs), 1), "us")
        record(NAME, f"{name}: Lava over CPU runtime", round(min(theirs) * STEPS / min(ours), 1), "x")
        record(NAME, f"{name}: Lava over emulator", round(min(theirs) * steps / min(emulated), 1), "x")


if __name__ == "__main__":
    main()
