# SPDX-License-Identifier: Apache-2.0
"""Whole networks, beside their own ANN in ONNX Runtime int8, ONNX Runtime float32 and torch eager, and beside others.

    python benchmarks/cpu/networks.py [PART ...] [--rounds 15] [--folder FOLDER]

Parts, all by default:

vgg      a network like VGG of random weights, 153 MMAC, few-spikes words of T = 5, at seven activities of what layers
         read; the same in 4 steps of integrate-and-fire neurons at 5 %. `vgg.py` says how activity is chosen.
fashion  the CNN of `examples/`, converted as it is at T = 5; it and a residual net tuned for silence, on test images.
lite     EfficientNet-Lite0 at 224x224, T = 6, on photos (`zoo/foreign.py` says what it needs).
batches  batches of 256 images, the networks of `fashion`.
peers    SpikingJelly and sinabs beside ours, each in the steps that it needs for the accuracy (`peers.py`).
stream   1,000 events of a millisecond pushed into a convolutional network of integrate-and-fire neurons.
memory   what the network like VGG needs beside the bytes of its int8 weights, in a new process.

Batch 1 unless it says otherwise. A rival in int8 is quantised by ONNX Runtime's tools, weights by channel, calibrated
on training samples (of vgg: on other random images), in the faster of its two forms. Contestants take turns of eight
inputs in one process; of one thread its CPU time counts, of two the clock. Times are medians of rounds, ratios medians
of the rounds' own ratios. Calls are whole: Python's part is in them, of all contestants.
--folder keeps converted networks, and takes those that are there.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import events
import numpy as np
import vgg
from beside import Case, active, batches, named, rivals_of, single
from record import ROOT, WEIGHTS, record
from turns import Array

from spikerun import Network, convert, datasets, load, save
from spikerun.commands.footprint import peak_bytes
from spikerun.converters.rivals import INT8, ONNX, TORCH
from spikerun.converters.torch.user_model import load_model
from spikerun.kernels.cpu.native import isa

NAME = "cpu_networks"
THREADS = (1, 2)
ACTIVE = (0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 1.0)
CALIBRATED = 256
ALL = (INT8, ONNX, TORCH)
EXAMPLES = ROOT / "examples"
FASHION = {
    "Fashion-MNIST CNN, T = 5": ("fashion_mnist.py:build", WEIGHTS, ("--bits", "5")),
    "tuned Fashion-MNIST CNN": ("tuned.py:cnn", EXAMPLES / "tuned_cnn.safetensors", ()),
    "tuned ResNet-8": ("tuned.py:resnet8", EXAMPLES / "tuned_resnet8.safetensors", ()),
}
LITE_BITS, LITE_CALIBRATED, LITE_SAMPLES, LITE_ROUNDS = 6, 40, 4, 7


def vgg_part(rounds: int, folder: Path) -> None:
    """Measure the network like VGG."""
    samples, other = vgg.images(8), vgg.images(32, seed=3)
    with rivals_of(vgg.ann(), samples / 255, other / 255, ALL) as rivals:
        for share in ACTIVE:
            net = vgg.words(share)
            name = f"VGG-like, words, {share:.0%} active"
            found = active(net, samples)
            read = [value for key, value in found.items() if key in ("conv0", "pool1", "conv2", "pool3", "conv4")]
            record(NAME, f"{name}: active of what layers read", float(np.mean(read)), "share")
            for threads in THREADS:
                single(Case(NAME, name, net, samples, rivals), threads, rounds)
        net = vgg.stepped(0.05)
        for threads in THREADS:
            single(Case(NAME, "VGG-like, 4 steps, 5% active", net, samples, rivals), threads, rounds)


def converted(name: str, folder: Path) -> Network:
    """Return a network of FASHION, as `spikerun convert` makes it; it stays in the folder."""
    model, weights, more = FASHION[name]
    file = folder / f"{weights.stem}.snn"
    if not file.exists():
        words = ["convert", f"{EXAMPLES / model}", "--weights", str(weights), "--calibration", "fashion-mnist", *more]
        command = [sys.executable, "-m", "spikerun", *words, "--limit", "100", "--quiet", "-o", str(file)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return load(file)


def fashion(folder: Path, measure: Callable[[Case], None]) -> None:
    """Measure the networks for Fashion-MNIST."""
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    samples = np.asarray(test.samples[:256])
    real, calibration = (np.asarray(x) * test.scale for x in (samples, train.samples[:CALIBRATED]))
    for name, (model, weights, _) in FASHION.items():
        net = converted(name, folder)
        with rivals_of(load_model(f"{EXAMPLES / model}", weights), real, calibration, ALL) as rivals:
            measure(Case(NAME, name, net, samples, rivals))


def fashion_part(rounds: int, folder: Path) -> None:
    """Measure them on single images, and how active they are."""

    def measure(case: Case) -> None:
        found = active(case.net, case.samples)
        record(NAME, f"{case.name}: active words", _share(case.net, found), "share")
        for threads in THREADS:
            single(case, threads, 3 * rounds)

    fashion(folder, measure)


def batches_part(rounds: int, folder: Path) -> None:
    """Measure them on batches."""
    fashion(folder, lambda case: batches(case, 2))


def photos(folder: Path) -> tuple[Array, Array]:
    """Return photos that are measured, and some that calibrate; they stay in the folder, for reading all takes long."""
    from zoo.foreign import efficientnet_lite0

    file = folder / "photos.npz"
    if not file.exists():
        case = efficientnet_lite0()
        measured = case.samples[:: len(case.samples) // LITE_SAMPLES][:LITE_SAMPLES]
        np.savez(file, samples=measured, calibration=case.calibration[:: len(case.calibration) // LITE_CALIBRATED])
    with np.load(file) as found:
        return found["samples"], found["calibration"]


def lite_part(rounds: int, folder: Path) -> None:
    """Measure EfficientNet-Lite0."""
    from zoo.foreign import LITE0, lite0

    samples, calibration = photos(folder)
    model, file = lite0(), folder / "lite.snn"
    if not file.exists():
        save(convert(model, calibration, bits=LITE_BITS, encoding=LITE0).network, file)
    net = load(file)
    name = "EfficientNet-Lite0, T = 6"
    found = active(net, samples)
    record(NAME, f"{name}: active words", _share(net, found), "share")
    with rivals_of(model, LITE0.real(samples), LITE0.real(calibration), ALL) as rivals:
        for threads in THREADS:
            single(Case(NAME, name, net, samples, rivals), threads, LITE_ROUNDS)


def _share(net: Network, found: dict[str, float]) -> float:
    """Return the share of all words that are not 0, the input's left out."""
    inner = [name for name in found if not net.populations[name].neuron.is_input]
    sizes = [net.populations[name].size for name in inner]
    return float(np.average([found[name] for name in inner], weights=sizes))


def memory_part(rounds: int, folder: Path) -> None:
    """Record what a session of the network like VGG needs, and one of nothing."""
    file, least = folder / "vgg.snn", folder / "least.snn"
    net = vgg.words(0.15)
    save(net, file, force=True)
    save(events.least(), least, force=True)
    weights = sum(vars(p.connection)["weight"].size for p in net.projections if "weight" in vars(p.connection))
    samples = vgg.images(8)
    whole = peak_bytes(("spikerun", str(file), ""), samples, 1)
    floor = peak_bytes(("spikerun", str(least), ""), np.zeros((8, 4), np.uint8), 1)
    if whole is None or floor is None:
        raise RuntimeError("this system does not tell the memory of a process")
    what = f"VGG-like, memory, {isa()}"
    record(NAME, f"{what}: int8 weights", weights / 1e6, "MB")
    record(NAME, f"{what}: peak beyond imports", whole / 1e6, "MB")
    record(NAME, f"{what}: of it any network's, of four neurons", floor / 1e6, "MB")
    record(NAME, f"{what}: peak over weights", whole / weights, "x")
    record(NAME, f"{what}: peak beyond that of four neurons, over weights", (whole - floor) / weights, "x")


def peers_part(rounds: int, folder: Path) -> None:
    """Measure other packages for spiking networks."""
    import peers  # which needs those packages

    peers.measure(NAME, named)


def stream_part(rounds: int, folder: Path) -> None:
    """Measure a stream."""
    events.measure(NAME)


PARTS = {
    "vgg": vgg_part,
    "fashion": fashion_part,
    "lite": lite_part,
    "batches": batches_part,
    "peers": peers_part,
    "stream": stream_part,
    "memory": memory_part,
}


def main() -> None:
    """Measure the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--folder", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    if strange := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(strange))}; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as scratch:
        for part in asked.parts:
            record(NAME, f"{part}: processes that ran on this machine, mean of a minute", os.getloadavg()[0], "")
            PARTS[part](asked.rounds, asked.folder or Path(scratch))


if __name__ == "__main__":
    main()
