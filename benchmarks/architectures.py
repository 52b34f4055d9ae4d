# SPDX-License-Identifier: Apache-2.0
"""Forty networks in the manner of other people's (`zoo/architectures.py`), trained for moments, then converted.

    python benchmarks/architectures.py [--network NAME]... [--bits T] [--steps N] [--record]

For each: the ANN's and the SNN's accuracy on 2,000 Fashion-MNIST test images and how often both give the same class, or
for results that are no classes their correlation; or why it is refused, and the same for what the advice comes to.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
from record import record
from torch import nn
from torch.nn import functional as F
from zoo.architectures import ARCHITECTURES, Architecture

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.converters.evaluate import ann_logits, snn_logits
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.torch.source import TorchSource
from spikerun.errors import SpikerunError

NAME = "architectures"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CALIBRATED, MEASURED, BATCH = 256, 2000, 128
SHAPES = {"images": (1, 28, 28), "columns": (28, 1, 28), "signals": (28, 28), "pixels": (1, 28, 28)}
Array = np.ndarray[Any, Any]


def data(task: str) -> tuple[Array, Array, Array, Array, float]:
    """Return integer samples and targets that train and that measure, and the scale of the samples."""
    if task == "table":
        from sklearn.datasets import load_diabetes

        x, y = load_diabetes(return_X_y=True)
        low, high = x.min(0), x.max(0)
        integers, y = np.rint((x - low) / (high - low) * 255).astype(np.uint8), (y - y.mean()) / y.std()
        return integers[::2], y[::2], integers[1::2], y[1::2], 1 / 255
    if task == "noise":
        rng = np.random.default_rng(0)
        drawn = [rng.integers(0, 256, (count, 64)).astype(np.uint8) for count in (CALIBRATED, 500)]
        return drawn[0], np.zeros(len(drawn[0])), drawn[1], np.zeros(len(drawn[1])), 1 / 255
    found: list[Array] = []
    for split in ("train", "test"):
        whole = datasets.load("fashion-mnist", split=split)
        found += [np.asarray(whole.samples).reshape(-1, *SHAPES[task]), np.asarray(whole.require_labels(), np.int64)]
    return found[0], found[1], found[2][:MEASURED], found[3][:MEASURED], 1 / 255


def trained(architecture: Architecture, make: Any, x: Array, y: Array, scale: float, steps: int) -> nn.Module:
    """Return the network, trained for some steps: on classes, on the image itself, or on real numbers."""
    torch.manual_seed(0)
    model: nn.Module = make().to(DEVICE).train()
    if architecture.task == "noise":
        return model.cpu().eval()
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        chosen = rng.integers(0, len(x), BATCH)
        seen = torch.from_numpy(x[chosen]).to(DEVICE).float() * scale
        result = model(seen)
        if architecture.task == "pixels":
            loss = F.mse_loss(result, seen)
        elif architecture.task == "table":
            loss = F.mse_loss(result[:, 0], torch.from_numpy(y[chosen]).to(DEVICE).float())
        else:
            loss = F.cross_entropy(result, torch.from_numpy(y[chosen]).to(DEVICE))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return model.cpu().eval()


def compared(architecture: Architecture, make: Any, bits: int, steps: int) -> str:
    """Return how ANN and SNN do; raises ConversionError where it is refused."""
    x, y, test, labels, scale = data(architecture.task)
    model = trained(architecture, make, x, y, scale, steps)
    source, encoding = TorchSource(model), Encoding(scale)
    converter = Converter(source, x[:CALIBRATED], encoding)
    samples = {name: test for name in converter.samples}
    ann = next(iter(ann_logits(source, samples, {name: encoding for name in samples}).values()))
    snn = next(iter(snn_logits(converter.convert(Settings(bits)).network, samples)[0].values()))
    if architecture.task in ("images", "columns", "signals"):
        same = 100 * float((ann.argmax(1) == snn.argmax(1)).mean())
        right = [100 * float((logits.argmax(1) == labels).mean()) for logits in (ann, snn)]
        return f"{right[0]:.2f} | {right[1]:.2f} | {right[0] - right[1]:+.2f} | {same:.1f}"
    together = float(np.corrcoef(ann.ravel(), snn.ravel())[0, 1])
    return f"- | - | - | correlation {together:.4f}"


def main() -> None:
    """Try all, or those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help="how its name begins; several times for more")
    parser.add_argument("--bits", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400, help="of the training, of 128 samples")
    parser.add_argument("--record", action="store_true", help="append counts to results.csv")
    asked = parser.parse_args()
    print(
        "| network | ANN % | SNN % | points lost | same class % | seconds | before: ANN, SNN, same |\n"
        + "|---" * 7
        + "|"
    )
    outcomes = {"converted": 0, "refused": 0, "refused, and so is what its advice comes to": 0}
    for name, architecture in ARCHITECTURES.items():
        if asked.network and not name.startswith(tuple(asked.network)):
            continue
        begin, outcome = time.perf_counter(), "converted"
        try:
            said = compared(architecture, architecture.build, asked.bits, asked.steps)
        except SpikerunError as error:
            outcome, said = "refused", f"refused: {' '.join(str(error).split())[:300]} | | |"
            if architecture.instead is not None:
                try:
                    said += f" as advised: {compared(architecture, architecture.instead, asked.bits, asked.steps)}"
                except SpikerunError as again:
                    outcome = "refused, and so is what its advice comes to"
                    said += f" as advised: refused: {' '.join(str(again).split())[:200]}"
        outcomes[outcome] += 1
        print(f"| {name} | {said} | {time.perf_counter() - begin:.0f} | {architecture.before} |", flush=True)
    for outcome, count in outcomes.items():
        if asked.record:
            record(NAME, f"T={asked.bits}: {outcome}", count, "networks")
        else:
            print(f"{outcome}: {count}")


if __name__ == "__main__":
    main()
