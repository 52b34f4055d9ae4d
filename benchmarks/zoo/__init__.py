# SPDX-License-Identifier: Apache-2.0
"""The trained networks of the benchmarks: how each is built and trained, and its weights beside this file.

Weights are NAME-SEED.safetensors, what has one dimension in float32 and all else in float16: `zoo_training.py`
makes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from zoo.parts import keywords, mobile, plain, residual

__all__ = ["NETWORKS", "Trained", "loaded", "stored", "weights_of"]

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Trained:
    """A network and its training: SGD with Nesterov's momentum, the rate rises for a tenth and falls along a cosine.

    data: a data set of `spikerun.datasets`. seeds: those whose weights are stored.
    """

    build: Callable[[], nn.Module]
    data: str = "fashion-mnist"
    epochs: int = 40
    rate: float = 0.2
    decay: float = 5e-4
    batch: int = 256
    seeds: tuple[int, ...] = (0,)


NETWORKS = {
    "resnet20": Trained(lambda: residual(3, (16, 32, 64), nn.ReLU), epochs=60, seeds=(0, 1)),
    "mobilenetv2": Trained(mobile, epochs=60, decay=1e-4, seeds=(0, 1)),
    "silu": Trained(lambda: residual(1, (16, 32, 64), nn.SiLU)),
    "gelu": Trained(lambda: plain(nn.GELU)),
    "tanh": Trained(lambda: plain(nn.Tanh)),
    "leaky": Trained(lambda: plain(nn.LeakyReLU)),
    "keywords": Trained(keywords, "fsdd", epochs=80, rate=0.05, batch=64),
}


def weights_of(name: str, seed: int) -> Path:
    """Return the file of the weights of a network."""
    return FOLDER / f"{name}-{seed}.safetensors"


def stored(model: nn.Module, file: Path) -> None:
    """Write the weights of a trained network, without what only training needs."""
    kept = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    halved = {key: value.half() if value.ndim > 1 else value.float() for key, value in kept.items()}
    save_file({key: value.cpu().contiguous() for key, value in halved.items()}, file)


def loaded(name: str, file: Path) -> nn.Module:
    """Return a network with these weights, to be evaluated, in float32."""
    model = NETWORKS[name].build()
    found: dict[str, torch.Tensor] = {key: value.float() for key, value in load_file(file).items()}
    lacking = model.load_state_dict(found, strict=False)
    missing = [key for key in lacking.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or lacking.unexpected_keys:
        raise ValueError(f"{file} is not of the network {name}: lacks {missing}, has {lacking.unexpected_keys} beside")
    return model.eval()
