# SPDX-License-Identifier: Apache-2.0
"""Spoken digits on a microcontroller: a small network on log-mel spectrograms, trained, converted, run on an nRF52840.

    SPIKERUN_DATA=... python benchmarks/mcu/keywords.py FOLDER [seed]...

The data are FSDD (`datasets/fsdd.py`, whose split and front end are taken: a second of sound is 50 frames of 32 bands
of 8 bits). Networks are kept in FOLDER, trained where they are missing, with a term for the mean activation in the
loss; then they are converted by `spikerun convert`, and deployed with test samples, in emulation. What the spectrogram
takes on the board is not counted.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from networks import fit
from record import record

import spikerun
from spikerun import datasets
from spikerun.cli import main as command
from spikerun.edge.mcu import deploy
from spikerun.session import Session

NAME, BOARD = "mcu_keywords", "nrf52840"
SEEDS = (0, 1, 2)
EPOCHS, BATCH, PENALTY, BITS = 40, 64, 0.3, 4
WINDOW = 1.0  # seconds of sound that a spectrogram covers
SAMPLES = 16


def build() -> nn.Sequential:
    """Return the network: images (1, 50, 32), 0 to 1; three convolutions of stride 2 and a linear layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 24), (24, 32)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 7 * 4, 10))


def data(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return spectrograms, 0 to 1, and their digits."""
    found = datasets.load("fsdd", split=split)
    real = np.asarray(found.samples).astype(np.float32) * np.float32(found.scale)
    return torch.from_numpy(real).reshape(-1, 1, 50, 32), torch.from_numpy(np.asarray(found.labels).astype(np.int64))


def shifted(images: torch.Tensor) -> torch.Tensor:
    """Return spectrograms, each up to five frames later or louder by up to a tenth."""
    found = torch.zeros_like(images)
    for k, by in enumerate(torch.randint(0, 6, (len(images),)).tolist()):
        found[k, :, by:] = images[k, :, : 50 - by]
    louder = (torch.rand(len(images), 1, 1, 1) - 0.5) * 0.2
    return (found + louder * (found > 0)).clamp(0, 1)


def train(seed: int) -> nn.Sequential:
    """Return a trained network."""
    torch.manual_seed(seed)
    model = build()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3, weight_decay=1e-4)
    return fit(model, data("train"), optimiser, 4e-3, EPOCHS, BATCH, PENALTY, shifted)


@torch.no_grad()
def accuracy(model: nn.Sequential) -> float:
    """Return the share of test recordings that are recognised in real numbers."""
    images, labels = data("test")
    return float((model(images).argmax(1) == labels).float().mean())


def images(folder: Path) -> Path:
    """Return a file of the training spectrograms as images of one channel, which the network takes."""
    path, found = folder / "train.npz", datasets.load("fsdd", split="train")
    np.savez(path, samples=np.asarray(found.samples)[:, None], labels=np.asarray(found.labels))
    return path


def converted(seed: int, folder: Path) -> tuple[Path, float]:
    """Return the file of the spiking network of a seed, and the accuracy of its real numbers."""
    weights, net = folder / f"keywords{seed}.safetensors", folder / f"keywords{seed}.snn"
    if not weights.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_file(train(seed).state_dict(), weights)
    model = build()
    model.load_state_dict(load_file(weights))
    words = ["convert", f"{Path(__file__)}:build", "--weights", str(weights), "--calibration", str(images(folder))]
    words += ["--scale", str(1 / 255), "--bits", str(BITS), "-o", str(net), "--force", "--quiet"]
    assert command(words) == 0
    return net, accuracy(model.eval())


def main(folder: Path, seeds: tuple[int, ...]) -> None:
    """Print and record all figures."""
    test = datasets.load("fsdd", split="test")
    frames = np.asarray(test.samples)[:, None]
    reals, rights = [], []
    for seed in seeds:
        path, real = converted(seed, folder)
        net = spikerun.load(path)
        reals.append(real)
        rights.append(float((Session(net).run(frames).classes == test.labels).mean()))
        record(NAME, f"seed {seed}: accuracy, {BITS} bits", rights[-1], "")
        with tempfile.TemporaryDirectory() as place:
            bundle = deploy(net, Path(place) / "fw", BOARD, frames[:: len(frames) // SAMPLES][:SAMPLES], run=True)
        assert bundle.run is not None and bundle.run.identical, bundle.run
        measures = bundle.measures
        spent = float(measures["microseconds_per_inference"]) / 1e6
        record(NAME, f"seed {seed}: instructions, median of {SAMPLES}", measures["instructions_per_inference"], "")
        record(NAME, f"seed {seed}: estimated time at 64 MHz", 1e3 * spent, "ms")
        record(NAME, f"seed {seed}: estimated time over {WINDOW:g} s of sound", spent / WINDOW, "")
        record(NAME, f"seed {seed}: estimated energy", measures["microjoules_per_inference"], "uJ")
        record(NAME, f"seed {seed}: flash", measures["flash_bytes"], "bytes")
        record(NAME, f"seed {seed}: RAM with the stack", measures["ram_bytes"], "bytes")
    for name, found in (("in real numbers", reals), (f"{BITS} bits", rights)):
        record(NAME, f"accuracy {name}, mean of {len(found)} seeds", float(np.mean(found)), "")
        error = float(np.std(found, ddof=1) / len(found) ** 0.5) if len(found) > 1 else 0.0
        record(NAME, f"accuracy {name}, standard error over seeds", error, "")
    sampling = float((np.mean(rights) * (1 - np.mean(rights)) / len(frames)) ** 0.5)
    record(NAME, f"accuracy, standard error of {len(frames)} recordings", sampling, "")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), tuple(map(int, sys.argv[2:])) or SEEDS)
