# SPDX-License-Identifier: Apache-2.0
"""Train the networks of `zoo/`, and write their weights; on a GPU where there is one.

    python benchmarks/zoo_training.py [--network NAME]... [--seed N] [--keep FOLDER] [--held-out]

Images are mirrored (not spectrograms) and moved by up to 2 pixels. The test samples are looked at once, at the end; to
choose constants of a training, take --held-out, which tests on every sixth training sample and trains without them.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from zoo import FOLDER, NETWORKS, Trained, loaded, stored

from spikerun import datasets

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MOVED = 2  # pixels, or frames and bands
SMOOTHED = 0.05
Part = tuple[torch.Tensor, torch.Tensor]  # real samples (N, 1, H, W), labels (N,)


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", choices=list(NETWORKS), help="several times for more; else all")
    parser.add_argument("--seed", type=int, action="append", help="several times for more; else those of its row")
    parser.add_argument("--epochs", type=int, help="else those of its row")
    parser.add_argument("--keep", type=Path, default=FOLDER, help="the folder of the weights")
    parser.add_argument("--data-dir", type=Path, help="the folder of the data set")
    parser.add_argument("--held-out", action="store_true", help="test on training samples that do not train")
    return parser.parse_args()


def parts(name: str, folder: Path | None, held_out: bool) -> tuple[Part, Part]:
    """Return what trains and what tests, on the device."""
    train = part(datasets.load(name, folder, "train"))
    if not held_out:
        return train, part(datasets.load(name, folder, "test"))
    held = torch.arange(len(train[0]), device=DEVICE) % 6 == 5
    return (train[0][~held], train[1][~held]), (train[0][held], train[1][held])


def part(data: datasets.Dataset) -> Part:
    """Return a split of a data set on the device."""
    samples = torch.from_numpy(np.asarray(data.samples)).float() * data.scale
    samples = samples.reshape(len(samples), 1, *samples.shape[-2:])
    return samples.to(DEVICE), torch.from_numpy(np.asarray(data.require_labels(), np.int64)).to(DEVICE)


def augmented(x: torch.Tensor, mirrored: bool) -> torch.Tensor:
    """Return images moved by up to MOVED places, each its own way, and mirrored or not."""
    count, _, height, width = x.shape
    padded = F.pad(x[:, 0], (MOVED,) * 4)
    down, right = (torch.randint(0, 2 * MOVED + 1, (count, 1), device=x.device) for _ in range(2))
    columns = torch.arange(width, device=x.device).expand(count, width)
    if mirrored:
        columns = torch.where(torch.rand(count, 1, device=x.device) < 0.5, columns.flip(1), columns)
    rows = (torch.arange(height, device=x.device) + down)[:, :, None]
    return padded[torch.arange(count, device=x.device)[:, None, None], rows, (columns + right)[:, None]][:, None]


def trained(network: Trained, data: Part, seed: int, epochs: int) -> nn.Module:
    """Return the network, trained."""
    torch.manual_seed(seed)
    model = network.build().to(DEVICE, memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(model.parameters(), network.rate, 0.9, weight_decay=network.decay, nesterov=True)
    steps = len(data[0]) // network.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, network.rate, total_steps=epochs * steps, pct_start=0.1, cycle_momentum=False
    )
    run = model
    if DEVICE.type == "cuda":  # a graph of its kernels: they are too short to be launched one by one
        like = data[0][: network.batch].contiguous(memory_format=torch.channels_last)
        run = torch.cuda.make_graphed_callables(model, (like,))
    for _ in range(epochs):
        order = torch.randperm(len(data[0])).to(DEVICE)
        for chosen in order[: steps * network.batch].view(steps, network.batch):
            x = augmented(data[0][chosen], network.data != "fsdd").contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(run(x), data[1][chosen], label_smoothing=SMOOTHED)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, data: Part) -> float:
    """Return the share of samples in percent whose class is right."""
    model = model.to(DEVICE)
    right = [(model(x).argmax(1) == y).float() for x, y in zip(*(part.split(500) for part in data), strict=True)]
    return 100 * float(torch.cat(right).mean())


def main() -> None:
    """Train what was asked for, and print how it does before and after its weights are stored."""
    asked = arguments()
    torch.set_float32_matmul_precision("high")
    asked.keep.mkdir(parents=True, exist_ok=True)
    for name in asked.network or NETWORKS:
        network = NETWORKS[name]
        train, test = parts(network.data, asked.data_dir, asked.held_out)
        for seed in asked.seed or network.seeds:
            begin = time.perf_counter()
            model = trained(network, train, seed, asked.epochs or network.epochs)
            seconds, file = time.perf_counter() - begin, asked.keep / f"{name}-{seed}.safetensors"
            stored(model, file)
            before, after = accuracy(model, test), accuracy(loaded(name, file), test)
            size = sum(p.numel() for p in model.parameters())
            print(f"{name:<12} seed {seed}: {before:.2f} %, from its file {after:.2f} %, {size:,} weights, "
                  f"{file.stat().st_size:,} bytes, {seconds:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
