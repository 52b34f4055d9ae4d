# SPDX-License-Identifier: Apache-2.0
"""The floor of a run: what an inference takes before, beside and after its sums; one image at a time, one thread.

    python benchmarks/cpu/floor.py [ROUNDS]

First a run that computes nothing, of one population; then, line by line, where the time of an image goes in the
example's network at T = 5, and in the same tuned for silence. The budget is 0.2 ms. Calls take turns with all images;
the lower quartile counts, which other processes disturb less.
The lines of the C++ part are timed by its own clock, in place, 20 to 40 ns of each the clock itself; "the rest" is what
begins and ends the call: the input loaded, outputs and counters made.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from record import MODEL, ROOT, WEIGHTS, record

from spikerun import Input, Network, Population, Session, datasets, load
from spikerun.kernels.operations import Count, Fire

NAME = "cpu_floor"
IMAGES, ROUNDS, NOTHING = 50, 40, 20
NETWORKS = {
    "T = 5": [MODEL, "--weights", str(WEIGHTS), "--bits", "5"],
    "tuned": [f"{ROOT / 'examples' / 'tuned.py'}:cnn", "--weights", str(ROOT / "examples" / "tuned_cnn.safetensors")],
}

Array = np.ndarray[Any, Any]


def converted(words: list[str], folder: str) -> Network:
    """Return the network that `spikerun convert` makes with these words."""
    file = Path(folder) / "network.snn"
    command = [sys.executable, "-m", "spikerun", "convert", *words, "--calibration", "fashion-mnist", "--limit", "100"]
    subprocess.run([*command, "-o", str(file), "--quiet", "--force"], check=True, stdout=subprocess.DEVNULL)
    return load(file)


def quartile(calls: list[Callable[[Array], Any]], samples: list[Array], rounds: int) -> list[float]:
    """Return the time of each call in microseconds: the lower quartile of each sample's times, on average."""
    times: list[list[list[int]]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, times, strict=True):
            taken.append([])
            for sample in samples:
                begin = time.perf_counter_ns()
                call(sample)
                taken[-1].append(time.perf_counter_ns() - begin)
    return [float(np.sort(taken, axis=0)[rounds // 4].mean()) / 1000 for taken in times]


def single(session: Session) -> Callable[[Array], Any]:
    """Return the one call into C++ of a run."""
    assert session._single is not None
    return session._single


def nothing(rounds: int) -> None:
    """Record a run of one population, and the parts of it."""
    net = Network({"input": Population((1, 28, 28), Input(8))}, [], ["input"], 8)
    session = Session(net, threads=1)
    samples = [np.zeros((1, 1, 28, 28), np.uint8)] * NOTHING
    whole, native = quartile([session.run, single(session)], samples, 10 * rounds)
    record(NAME, "one population, 784 words: Session.run", whole, "us")
    record(NAME, "one population, 784 words: its call into C++", native, "us")


def budget(name: str, net: Network, images: Array, rounds: int) -> None:
    """Record the lines of a network's budget."""
    session = Session(net, threads=1)
    executor: Any = session._executor
    program, samples = executor.program, [images[k : k + 1] for k in range(IMAGES)]
    work = executor.workspace()
    clocks: list[list[int]] = []

    def clocked(sample: Array) -> None:
        work.reset()
        work.write(net.inputs[0], sample[0])
        clocks.append(executor._program.timed_step(work._work))

    whole, classes, native, _ = quartile(
        [session.run, lambda x: session.run(x).classes, single(session), clocked], samples, rounds
    )
    by_image = np.reshape(clocks, (rounds, IMAGES, -1))
    chosen = np.argsort(by_image.sum(axis=2), axis=0)[rounds // 4]
    lines = by_image[chosen, np.arange(IMAGES)].mean(axis=0) / 1000
    record(NAME, f"{name}: Session.run, one image", whole, "us")
    record(NAME, f"{name}: classes of its result", classes - whole, "us")
    record(NAME, f"{name}: Python around the call into C++", whole - native, "us")
    record(NAME, f"{name}: the rest of the call", native - float(lines.sum()), "us")
    for what in dict.fromkeys(operation.name for operation in program.operations):
        of_kind = [(o, t) for o, t in zip(program.operations, lines.tolist(), strict=True) if o.name == what]
        record(NAME, f"{name}: {what}, {len(of_kind)} times", sum(t for _, t in of_kind), "us")
        if what == "apply":
            for operation, taken in of_kind:
                record(NAME, f"{name}:   {operation.map}", taken, "us")
    sizes = {register.name: register.size for register in program.registers}
    for what, kinds in {"a scan (count)": (Count,), "fire and count": (Fire, Count)}.items():
        of_kinds = [(o, t) for o, t in zip(program.operations, lines.tolist(), strict=True) if isinstance(o, kinds)]
        looked_at = sum(sizes[o.word] for o, _ in of_kinds if isinstance(o, kinds[0]))
        record(NAME, f"{name}: {what}, a word", 1000 * sum(t for _, t in of_kinds) / looked_at, "ns")


def main() -> None:
    """Measure and record all."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    nothing(rounds)
    images = datasets.load("fashion-mnist", split="test", limit=IMAGES).samples
    with tempfile.TemporaryDirectory() as folder:
        for name, words in NETWORKS.items():
            budget(name, converted(words, folder), images, rounds)


if __name__ == "__main__":
    main()
