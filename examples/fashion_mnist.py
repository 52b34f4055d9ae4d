# SPDX-License-Identifier: Apache-2.0
"""Train a small CNN on Fashion-MNIST (a few minutes on two cores), convert it, and compare: the whole way in one file.

python examples/fashion_mnist.py            trains, writes fashion_mnist.safetensors beside this file, converts
spikerun convert examples/fashion_mnist.py:build --weights examples/fashion_mnist.safetensors \
    --calibration fashion-mnist -o fashion.snn
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from spikerun import datasets, file
from spikerun.converters import Encoding, convert

EPOCHS, BATCH = 14, 128


def build() -> nn.Sequential:
    """Return the untrained network: 216 thousand weights, 3.0 million multiply-accumulates."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    features = [*block(1, 16), nn.MaxPool2d(2), *block(16, 32), *block(32, 32), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Train in place with Adam, one learning-rate cycle, mirrored images."""
    optimiser = torch.optim.Adam(model.parameters(), weight_decay=1e-5)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=EPOCHS * steps)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images))
        for batch in order[: steps * BATCH].view(steps, BATCH):
            mirror = torch.rand(BATCH, 1, 1, 1) < 0.5
            x = torch.where(mirror, images[batch].flip(3), images[batch])
            loss = nn.functional.cross_entropy(model(x), labels[batch], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {loss.item():.3f}", flush=True)


if __name__ == "__main__":
    torch.manual_seed(0)
    data, test = datasets.load("fashion-mnist", split="train"), datasets.load("fashion-mnist", split="test")
    model = build()
    train(model.train(), torch.from_numpy(data.samples).float() * data.scale, torch.from_numpy(data.labels))
    save_file(model.state_dict(), Path(__file__).with_suffix(".safetensors"))
    seen = (test.samples, test.labels)
    converted = convert(model.eval(), data.samples[:512], encoding=Encoding(data.scale), evaluation=seen)
    print(converted.report.text())
    file.save(converted.network, "fashion.snn", force=True)
