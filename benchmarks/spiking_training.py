# SPDX-License-Identifier: Apache-2.0
"""Data for the spiking networks, their training and their own results, on a GPU where there is one."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from spiking_networks import Trained, forward, scores
from torch import nn

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.datasets.packed import train_mask

__all__ = ["DEVICE", "Data", "Part", "events", "images", "own_scores", "trained"]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
HELD_OUT = 10_000  # of the training images, to choose constants by
FRAMES = datasets.Bins(steps=30, dt_us=10_000)
EVALUATED = 500  # samples at a time

# Results are to be those of float32, not of the shorter mantissa that convolutions may take.
torch.backends.cudnn.allow_tf32 = False


@dataclass(frozen=True)
class Part:
    """Integer samples (N, *shape) uint8 and their labels (N,) int64."""

    samples: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def first(self, count: int | None) -> "Part":
        """Return the first samples."""
        return Part(self.samples[:count], self.labels[:count])


@dataclass(frozen=True)
class Data:
    """What trains and what tests."""

    train: Part
    test: Part
    encoding: Encoding


def images(folder: Path | None, held_out: bool) -> Data:
    """Return Fashion-MNIST (N, 1, 28, 28); the last training images in the place of the test images if held_out."""
    parts = []
    for split in ("train",) if held_out else ("train", "test"):
        found = datasets.load("fashion-mnist", folder, split)
        parts.append(Part(found.samples.astype(np.uint8), np.asarray(found.require_labels(), np.int64)))
    if held_out:
        whole = parts[0]
        parts = [Part(whole.samples[where], whole.labels[where]) for where in (np.s_[:-HELD_OUT], np.s_[-HELD_OUT:])]
    return Data(parts[0], parts[1], Encoding(1 / 255, code="current"))


def events(file: Path, held_out: bool) -> Data:
    """Return recordings of N-MNIST as counts of events in frames (N, 30, 2, 34, 34).

    Of each label the first 80 % train and the others test, as in docs/datasets.md; if held_out, the last fifth of
    those that train.
    """
    parts = [binned(file, split) for split in (("train",) if held_out else ("train", "test"))]
    if held_out:
        first = train_mask(parts[0].labels)
        parts = [Part(parts[0].samples[where], parts[0].labels[where]) for where in (first, ~first)]
    return Data(parts[0], parts[1], Encoding(1, code="frames"))


def binned(file: Path, split: str) -> Part:
    """Return a split of recordings."""
    found = datasets.load(file, split=split, encoder=FRAMES)
    return Part(np.asarray(found.samples), found.require_labels())


def _real(network: Trained, data: Data, samples: torch.Tensor) -> torch.Tensor:
    """Return what a network sees of samples that lie on the device."""
    real = (samples.double() * data.encoding.scale).float()
    return real.flatten(1) if network.flat else real


def trained(network: Trained, data: Data, seed: int, epochs: float) -> nn.Module:
    """Return the network, trained; its rate falls to zero along a cosine."""
    torch.manual_seed(seed)
    net = network.build().to(DEVICE).train()
    x, y = torch.from_numpy(data.train.samples).to(DEVICE), torch.from_numpy(data.train.labels).to(DEVICE)
    parts = math.ceil(len(x) / network.batch)
    total = max(1, math.ceil(epochs * parts))
    optimiser = torch.optim.Adam(net.parameters(), network.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)
    order = torch.empty(0, dtype=torch.int64)
    for k in range(total):
        if k % parts == 0:
            order = torch.randperm(len(x)).to(DEVICE)
        chosen = order[k % parts * network.batch :][: network.batch]
        optimiser.zero_grad()
        loss = network.loss(forward(network, net, _real(network, data, x[chosen])), y[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return net.eval()


def own_scores(network: Trained, net: nn.Module, data: Data, part: Part) -> npt.NDArray[np.float64]:
    """Return what the package itself gives for samples (N, 10)."""
    net = net.to(DEVICE).eval()
    found = []
    with torch.no_grad():
        for first in range(0, len(part.samples), EVALUATED):
            samples = torch.from_numpy(part.samples[first : first + EVALUATED]).to(DEVICE)
            found.append(scores(forward(network, net, _real(network, data, samples))).double().cpu().numpy())
    return np.concatenate(found)
