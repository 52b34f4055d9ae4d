# SPDX-License-Identifier: Apache-2.0
"""The trained networks that are tuned: how each is built and trained, and its weights.

The weights of the example lie beside it, those of the keyword net in `zoo/`; the rest here, NAME-SEED, in float16.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from record import ROOT, WEIGHTS
from safetensors.torch import load_file, save_file
from torch import nn
from zoo import weights_of

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.converters.examples import Examples
from spikerun.converters.torch.user_model import load_model

__all__ = ["NETWORKS", "Network", "built", "data_of", "fit", "trained"]

FOLDER = Path(__file__).parent
Array = np.ndarray


@dataclass(frozen=True)
class Network:
    """data: a data set. weights: of a seed, where they are not beside this file. price, epochs: of its tuning."""

    data: str = "fashion-mnist"
    weights: Callable[[int], Path] | None = None
    price: float = 0.2
    epochs: int = 60


NETWORKS = {
    "cnn": Network(weights=lambda seed: WEIGHTS, price=0.17),  # of examples/: 0.2
    "resnet8": Network(),
    "depthwise": Network(price=0.1, epochs=90),
    "keywords": Network("fsdd", lambda seed: weights_of("keywords", 0)),
}


def built(name: str) -> nn.Module:
    """Return a network as `examples/tuned.py` builds it."""
    return load_model(f"{ROOT / 'examples' / 'tuned.py'}:{name}")


def data_of(name: str, split: str) -> tuple[Array, Array, float]:
    """Return samples (N, 1, H, W), labels and the real value of one integer."""
    data = datasets.load(name, split=split)
    samples = np.asarray(data.samples)
    return samples.reshape(len(samples), 1, *samples.shape[-2:]), np.asarray(data.require_labels()), data.scale


def file_of(name: str, seed: int) -> Path:
    """Return the file of the weights of a network."""
    found = NETWORKS[name].weights
    return FOLDER / f"{name}-{seed}.safetensors" if found is None else found(seed)


def trained(name: str, seed: int) -> nn.Module:
    """Return a trained network, in inference mode."""
    model = built(name)
    state = {key: value.float() for key, value in load_file(file_of(name, seed)).items()}
    model.load_state_dict(state, strict=False)  # counts of batches are not stored
    return model.eval()


def fit(name: str, seed: int, device: str, epochs: int = 30) -> None:
    """Train a network with AdamW, one cycle, mirrored images moved by a pixel, and write its weights."""
    samples, labels, scale = data_of(NETWORKS[name].data, "train")
    torch.manual_seed(seed)
    model = built(name).train().to(device)
    examples = Examples({"input": samples}, labels, {"input": Encoding(scale)}, device)
    examples.training = torch.arange(len(samples), device=device)  # nothing is held out
    examples.trained = len(samples)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=5e-4)
    steps = examples.steps(256) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for epoch in range(epochs):
        for batch in examples.batches(256, seed, epoch, "shift+mirror"):
            x = examples.seen(batch.x)["input"]
            loss = nn.functional.cross_entropy(model(x), batch.labels, label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    kept = {key: value.cpu() for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    halved = {key: value.half() if value.ndim > 1 else value.float() for key, value in kept.items()}
    save_file({key: value.contiguous() for key, value in halved.items()}, FOLDER / f"{name}-{seed}.safetensors")
