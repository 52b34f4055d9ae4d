# SPDX-License-Identifier: Apache-2.0
"""Small networks for microcontrollers, trained on Fashion-MNIST so that few neurons are active.

The loss has a term for the mean activation of each hidden layer beside cross-entropy.
`python benchmarks/mcu/networks.py FOLDER` trains both, with and without that term, and writes their weights.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from spikerun import datasets

__all__ = ["BUILD", "accuracy", "fit", "load", "train"]

SEED, BATCH = 0, {"mlp": 128, "cnn": 256}
EPOCHS = {"mlp": 12, "cnn": 4}
PENALTY = {"mlp": 0.02, "cnn": 2.5}  # of the mean activation of a layer


def mlp() -> nn.Sequential:
    """784-128-10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn() -> nn.Sequential:
    """Two convolutions of 3x3, stride 1, unpadded, with 8 and 16 channels, and a linear layer: 28x28 to 10."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(16 * 24 * 24, 10)),
    )


BUILD: Mapping[str, Callable[[], nn.Sequential]] = {"mlp": mlp, "cnn": cnn}


def _data(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    found = datasets.load("fashion-mnist", split=split)
    real = found.samples.astype(np.float32) * np.float32(found.scale)
    return torch.from_numpy(real).reshape(-1, 1, 28, 28), torch.from_numpy(np.asarray(found.labels).astype(np.int64))


def fit(
    model: nn.Sequential,
    data: tuple[torch.Tensor, torch.Tensor],
    optimiser: torch.optim.Optimizer,
    rate: float,
    epochs: int,
    batch: int,
    penalty: float,
    varied: Callable[[torch.Tensor], torch.Tensor] = lambda images: images,
) -> nn.Sequential:
    """Return a network, trained in place: cross-entropy, and a penalty on the mean activation of each hidden layer.

    rate: the highest of a cycle; varied: what is done to images before they are seen.
    """
    images, labels = data
    batches = len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs * batches)
    for _ in range(epochs):
        for picked in torch.randperm(len(images))[: batches * batch].split(batch):
            x, active = varied(images[picked]), torch.zeros(())
            for layer in model:
                x = layer(x)
                active = active + x.mean() if isinstance(layer, nn.ReLU) else active
            loss = nn.functional.cross_entropy(x, labels[picked]) + penalty * active
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def train(name: str, penalty: float) -> nn.Sequential:
    """Return a trained network."""
    torch.manual_seed(SEED)
    model = BUILD[name]()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    return fit(model, _data("train"), optimiser, 3e-3, EPOCHS[name], BATCH[name], penalty)


@torch.no_grad()
def accuracy(model: nn.Sequential) -> tuple[float, list[float]]:
    """Return the accuracy on the test images, and the share of active neurons after each ReLU."""
    images, labels = _data("test")
    right, shares = 0, []
    for picked in torch.arange(len(images)).split(1000):
        x, active = images[picked], []
        for layer in model:
            x = layer(x)
            active += [float((x > 0).float().mean())] if isinstance(layer, nn.ReLU) else []
        right += int((x.argmax(1) == labels[picked]).sum())
        shares.append(active)
    return right / len(images), np.mean(shares, axis=0).tolist()


def load(name: str, folder: Path) -> nn.Sequential:
    """Return a network with the weights of a folder, trained and written there if they are missing."""
    path, kind = folder / f"{name}.safetensors", name.removesuffix("_plain")
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_file(train(kind, 0.0 if name.endswith("_plain") else PENALTY[kind]).state_dict(), path)
    model = BUILD[kind]()
    model.load_state_dict(load_file(path))
    return model.eval()


if __name__ == "__main__":
    for each in ("mlp_plain", "mlp", "cnn_plain", "cnn"):
        print(each, accuracy(load(each, Path(sys.argv[1]))), flush=True)
