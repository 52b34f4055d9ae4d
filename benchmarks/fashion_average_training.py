# SPDX-License-Identifier: Apache-2.0
"""Train examples/fashion_average.py on the training images of Fashion-MNIST, a seed a run: 8 minutes on one core."""

import argparse
from pathlib import Path

import torch
from record import ROOT
from safetensors.torch import save_file
from torch import nn

from spikerun import datasets
from spikerun.converters.torch.user_model import load_model

EPOCHS, BATCH = 14, 128


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Train in place with Adam, one learning-rate cycle, mirrored images."""
    optimiser = torch.optim.Adam(model.parameters(), weight_decay=1e-5)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=EPOCHS * steps)
    for epoch in range(EPOCHS):
        for batch in torch.randperm(len(images))[: steps * BATCH].view(steps, BATCH):
            mirror = torch.rand(BATCH, 1, 1, 1) < 0.5
            x = torch.where(mirror, images[batch].flip(3), images[batch])
            loss = nn.functional.cross_entropy(model(x), labels[batch], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {loss.item():.3f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the weights to write, .safetensors")
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    data = datasets.load("fashion-mnist", split="train")
    model = load_model(f"{ROOT / 'examples' / 'fashion_average.py'}:build", None)
    train(model.train(), torch.from_numpy(data.samples).float() * data.scale, torch.from_numpy(data.labels))
    save_file(model.state_dict(), given.output)
