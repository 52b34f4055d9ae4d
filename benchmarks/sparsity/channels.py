# SPDX-License-Identifier: Apache-2.0
"""What half of the channels buy: the example's CNN beside the same with half of the channels of each hidden layer.

    python benchmarks/sparsity/channels.py

The channels that stay are random, and nothing is trained: it is the time that is measured, of two networks that the
converter made in the same way (512 images, T = 5). Fashion-MNIST test images one at a time, one thread, in turns.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from record import MODEL, WEIGHTS, record
from torch import nn
from turns import medians

from spikerun import Session, datasets
from spikerun.converters import Encoding, convert
from spikerun.converters.torch.user_model import load_model

NAME = "sparsity_channels"
BITS, IMAGES, SEEDS = 5, 100, (0, 1, 2)


def halved(model: nn.Sequential, rng: np.random.Generator) -> nn.Sequential:
    """Return the network with a random half of the channels of each layer but the last, and their weights."""
    layers: list[nn.Module] = []
    last = [k for k, layer in enumerate(model) if isinstance(layer, nn.Conv2d | nn.Linear)][-1]
    kept = torch.arange(1)
    for k, layer in enumerate(model):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            out = len(layer.weight)
            inputs = kept if isinstance(layer, nn.Conv2d) or len(kept) == layer.in_features // 2 else None
            if inputs is None:  # behind Flatten: all places of the channels that stay
                places = int(layer.in_features) // (2 * len(kept))
                inputs = (kept[:, None] * places + torch.arange(places)).flatten()
            chosen = np.sort(rng.permutation(out)[: out if k == last else out // 2])
            kept = torch.from_numpy(chosen)
            made = _like(layer, layer.weight[kept][:, inputs])
            if layer.bias is not None and made.bias is not None:
                made.bias.data = layer.bias[kept]
            layers.append(made)
        elif isinstance(layer, nn.BatchNorm2d):
            norm = nn.BatchNorm2d(len(kept))
            norm.load_state_dict({n: v[kept] if v.ndim else v for n, v in layer.state_dict().items()})
            layers.append(norm)
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval()


def _like(layer: nn.Conv2d | nn.Linear, weight: torch.Tensor) -> nn.Conv2d | nn.Linear:
    made: nn.Conv2d | nn.Linear
    if isinstance(layer, nn.Conv2d):
        made = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, bias=layer.bias is not None)
    else:
        made = nn.Linear(weight.shape[1], weight.shape[0])
    made.weight.data = weight.clone()
    return made


def _native(session: Session) -> Callable[[Any], Any]:
    """Return the call into C++ that a run makes."""
    assert session._single is not None
    return session._single


def main() -> None:
    """Measure and record both, for some choices of channels."""
    train = datasets.load("fashion-mnist", split="train")
    images = datasets.load("fashion-mnist", split="test", limit=IMAGES).samples
    model = load_model(MODEL, WEIGHTS)
    assert isinstance(model, nn.Sequential)
    halves = [halved(model, np.random.default_rng(seed)) for seed in SEEDS]
    encoding = Encoding(train.scale)
    converted = [convert(one, train.samples[:512], bits=BITS, encoding=encoding) for one in (model, *halves)]
    sessions = [Session(one.network, threads=1) for one in converted]
    singles = [images[k : k + 1] for k in range(IMAGES)]
    whole, *parts = medians([s.run for s in sessions], singles, 10)
    kernels = medians([_native(s) for s in sessions], singles, 10)
    record(NAME, "all channels: one image", whole, "us")
    for seed, session, taken, alone in zip(SEEDS, sessions[1:], parts, kernels[1:], strict=True):
        some, all_ = (s.run(images).activity.synops_per_sample for s in (session, sessions[0]))
        record(NAME, f"half of the channels, {seed}: one image", taken, "us")
        record(NAME, f"half of the channels, {seed}: synaptic operations beside all", some / all_, "")
        record(NAME, f"half of the channels, {seed}: times as fast", whole / taken, "x")
        record(NAME, f"half of the channels, {seed}: times as fast, the C++ part alone", kernels[0] / alone, "x")


if __name__ == "__main__":
    main()
