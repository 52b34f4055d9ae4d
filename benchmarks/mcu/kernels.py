# SPDX-License-Identifier: Apache-2.0
"""Instructions of the kernels of firmware on every core, counted by QEMU, beside dense int8 of CMSIS-NN.

    python benchmarks/mcu/kernels.py FOLDER [board]...

What an active row of a linear map 784x128 costs, as spikes and as words of 5 and of 8 bits; the depthwise layer of 64
channels, 25x5, half of its neurons active; and the networks of `networks.py`, whose weights are kept in FOLDER, with
inputs of 5 bits, on test images. What CMSIS-NN takes is read from results.csv, where `cmsis_nn.py` has put it.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import networks
from record import record
from shapes import dense

from spikerun import datasets
from spikerun.connections import Conv, Dense
from spikerun.converters import Encoding, convert
from spikerun.edge.mcu import deploy
from spikerun.network import Network, Population, Projection
from spikerun.neurons import Input, Readout
from spikerun.session import Session

NAME = "mcu_kernels"
BOARDS = tuple(
    f"generic-{core}" for core in ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imac")
)
BITS = {"mlp": 5, "cnn": 4}
IMAGES = 16
TOP = 31  # the largest word of an input of 5 bits


def one_layer(connection: Dense | Conv, source: tuple[int, ...], target: tuple[int, ...], bits: int) -> Network:
    """Return a network of one map."""
    populations = {"in": Population(source, Input(bits)), "out": Population(target, Readout())}
    return Network(populations, [Projection("in", "out", connection)], ["out"], 8)


def counted(net: Network, board: str, frames: np.ndarray) -> dict[str, float]:
    """Return the measures of firmware that runs the frames; it must be identical with the reference."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = deploy(net, Path(folder) / "fw", board, frames, run=True, toolchain="gcc", emulator="qemu")
    assert bundle.run is not None
    assert bundle.run.identical, bundle.run.mismatches
    parts = bundle.run.parts.rows if bundle.run.parts is not None else ()
    found = {key: float(value) for key, value in bundle.measures.items() if not isinstance(value, str)}
    return found | {f"of {part[0]}": float(part[1]) for part in parts}


def row(board: str, bits: int) -> float:
    """Return what an active row of 784x128 costs, from its reading on: the difference of 128 active inputs.

    With Helium of 64, for where more are active a dense kernel is taken.
    """
    tried = (8, 72) if board == "generic-cortex-m55" else (128, 256)
    rng = np.random.default_rng(1)
    net = one_layer(Dense(rng.integers(-128, 128, (784, 128)).astype(np.int8)), (784,), (128,), bits)
    frames = []
    for active in tried:
        frame = np.zeros(784, np.int64)
        frame[rng.permutation(784)[:active]] = rng.integers(1, 2**bits, active)
        frames.append(frame)
    few, many = (counted(net, board, frame[None])["instructions_per_inference"] for frame in frames)
    return (many - few) / (tried[1] - tried[0])


def depthwise(board: str) -> float:
    """Return the instructions of a depthwise 3x3 layer of 64 channels, 25x5, with those that copy its results."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-128, 128, (64, 1, 3, 3)).astype(np.int8)
    net = one_layer(Conv(weight, padding=(1, 1), groups=64), (64, 25, 5), (64, 25, 5), 5)
    frames = np.where(rng.random((1, 64, 25, 5)) < 0.5, rng.integers(1, 32, (1, 64, 25, 5)), 0)
    return counted(net, board, frames)["of out"]


def converted(name: str, folder: Path) -> tuple[Network, np.ndarray, float, float]:
    """Return a network with words of few bits, test images, its accuracy, and that of the real numbers."""
    model = networks.load(name, folder)
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))

    def five_bits(samples: np.ndarray) -> np.ndarray:
        return np.rint(samples.astype(np.float64) * TOP / 255).astype(np.uint8)

    net = convert(model, five_bits(train.samples[:512]), bits=BITS[name], encoding=Encoding(1 / TOP, bits=5)).network
    images = five_bits(test.samples)
    right = float((Session(net).run(images).classes == test.labels).mean())
    return net, images, right, networks.accuracy(model)[0]


def main(folder: Path, boards: tuple[str, ...]) -> None:
    """Print and record all figures."""
    for board in boards:
        core = board.removeprefix("generic-")
        for bits in (1, 5, 8):
            record(NAME, f"{core}: 784x128, an active row, {bits} bits", row(board, bits), "instructions")
        record(NAME, f"{core}: depthwise 3x3, 64 channels, 25x5", depthwise(board), "instructions")
    for name in ("mlp", "cnn"):
        net, images, right, real = converted(name, folder)
        record(NAME, f"{name}: accuracy, {BITS[name]} bits", right, "")
        record(NAME, f"{name}: accuracy in real numbers", real, "")
        for board in boards:
            core, measures = board.removeprefix("generic-"), counted(net, board, images[:IMAGES])
            spent = measures["instructions_per_inference"]
            record(NAME, f"{core}: {name}, an image, median of {IMAGES}", spent, "instructions")
            beside = dense().get(f"{core.replace('imac', 'imc')}: {name}")
            if beside is not None:
                record(NAME, f"{core}: {name}, dense int8 of CMSIS-NN beside it", beside / spent, "times")
            record(NAME, f"{core}: {name}, RAM with the stack", measures["ram_bytes"], "bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or BOARDS)
