# SPDX-License-Identifier: Apache-2.0
"""Accuracy against T of other converters beside this one: the same weights, the same images, one table.

    python -m pip install --no-deps --target FOLDER "$(grep ^sinabs constraints.txt)" pbr
    PYTHONPATH=FOLDER python benchmarks/peers_accuracy.py [--images N] [--record]

sinabs lies in a folder of its own, for it pins what other packages have left. The network is that of
`examples/fashion_average.py`, which has average pools: the others do not convert max pools rightly. 1,000 training
images calibrate SpikingJelly, in batches, 512 spikerun; sinabs takes none. The others get the same real-valued image in
each of T steps, and what their last layer gives is summed; a step of ours is a bit of a word.
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from record import ROOT, record
from torch import nn

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.torch.user_model import load_model

NAME = "peers_accuracy"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
STEPS = (1, 2, 3, 4, 5, 6, 8, 16, 32)
BATCH = 250
Images = torch.Tensor  # (N, 1, 28, 28), real
Stepped = Callable[[Images], Iterator[torch.Tensor]]  # the outputs (N, 10) of one step after the other


def fashion() -> nn.Module:
    """Return the network."""
    example = ROOT / "examples" / "fashion_average"
    return load_model(f"{example.with_suffix('.py')}:build", example.with_suffix(".safetensors")).eval()


def spikingjelly(model: nn.Module, calibration: Images, setting: str) -> Stepped:
    """Return SpikingJelly's network by one of its recipes."""
    from spikingjelly.activation_based import ann2snn, functional

    batches = [(batch, torch.zeros(len(batch))) for batch in calibration.split(100)]
    if setting == "LTB":
        recipe = ann2snn.LocalThresholdBalancingRecipe(batches)
    elif setting == "max":
        recipe = ann2snn.RateCodingRecipe(batches, mode="Max")
    else:
        half = setting.endswith("half threshold")
        recipe = ann2snn.RateCodingRecipe(batches, mode="99.9%", channel_wise=half, half_threshold=half)
    snn = ann2snn.Converter(recipe=recipe, device=DEVICE).convert(model).eval()

    def steps(x: Images) -> Iterator[torch.Tensor]:
        functional.reset_net(snn)
        while True:
            yield snn(x)

    return steps


def sinabs(model: nn.Module, calibration: Images, setting: str) -> Stepped:
    """Return sinabs's network; its neurons send several spikes in a step."""
    from sinabs.from_torch import from_model

    snn = from_model(model, input_shape=(1, 28, 28), batch_size=1, add_spiking_output=False).spiking_model.to(DEVICE)

    def steps(x: Images) -> Iterator[torch.Tensor]:
        for module in snn.modules():
            if hasattr(module, "reset_states"):
                module.reset_states()
        for module in snn.modules():
            if hasattr(module, "batch_size"):
                module.batch_size = len(x)
        while True:
            yield snn(x)

    return steps


PEERS: dict[str, tuple[Callable[[nn.Module, Images, str], Stepped], str]] = {
    "SpikingJelly, max": (spikingjelly, "max"),
    "SpikingJelly, 99.9 %": (spikingjelly, "99.9 %"),
    "SpikingJelly, 99.9 %, channels, half threshold": (spikingjelly, "99.9 %, half threshold"),
    "SpikingJelly, local threshold balancing": (spikingjelly, "LTB"),
    "sinabs, several spikes a step": (sinabs, ""),
}


@torch.no_grad()
def accuracies(steps: Stepped, images: Images, labels: torch.Tensor) -> dict[int, float]:
    """Return the accuracy in percent after each number of steps."""
    right = dict.fromkeys(STEPS, 0)
    for x, y in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        total: Any = 0
        for step, output in zip(range(1, max(STEPS) + 1), steps(x), strict=False):
            total = total + output
            if step in right:
                right[step] += int((total.argmax(1) == y).sum())
    return {step: 100 * count / len(labels) for step, count in right.items()}


def ours(count: int) -> tuple[float, dict[int, float]]:
    """Return the accuracies of the ANN and of its conversion, by the bits of its words."""
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    converter = Converter(TorchSource(fashion()), train.samples[:512], Encoding(train.scale))
    evaluation = converter.evaluation(test.samples[:count], np.asarray(test.require_labels())[:count])
    found: dict[int, float] = {}
    ann = 0.0
    for bits in (step for step in STEPS if step <= 8):
        accuracy = converter.measured(converter.convert(Settings(bits)), evaluation).report.accuracy
        assert accuracy is not None
        ann, found[bits] = accuracy.ann, accuracy.snn
    return ann, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="the first so many test images")
    parser.add_argument("--record", action="store_true", help="append figures to results.csv")
    asked = parser.parse_args()
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    real = [torch.from_numpy(np.asarray(data.samples[:count])).float().to(DEVICE) * data.scale
            for data, count in ((train, 1000), (test, asked.images))]  # fmt: skip
    labels = torch.from_numpy(np.asarray(test.require_labels(), np.int64)[: asked.images]).to(DEVICE)
    ann, found = ours(asked.images)
    print(f"ANN {ann:.2f} %, {asked.images} images\n\n| T | " + " | ".join(map(str, STEPS)) + " |")
    print("|---" * (len(STEPS) + 1) + "|")
    rows = {"spikerun": found}
    print(line("spikerun", found), flush=True)
    for name, (make, setting) in PEERS.items():
        try:
            steps = make(copy.deepcopy(fashion()).to(DEVICE), real[0], setting)
        except ImportError as error:
            print(f"| {name} | not installed: {error} |")
            continue
        rows[name] = accuracies(steps, real[1], labels)
        print(line(name, rows[name]), flush=True)
    for name, accuracy in rows.items() if asked.record else ():
        for step, value in accuracy.items():
            record(NAME, f"{name}, T={step}, {asked.images} images", value, "%")


def line(name: str, accuracy: dict[int, float]) -> str:
    """Return a row of the table."""
    return f"| {name} | " + " | ".join(f"{accuracy[t]:.1f}" if t in accuracy else "-" for t in STEPS) + " |"


if __name__ == "__main__":
    main()
