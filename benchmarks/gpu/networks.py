# SPDX-License-Identifier: Apache-2.0
"""Whole networks on a GPU, beside torch.compile, SpikingJelly, snnTorch and Norse, and beside the ANN they come from.

    python benchmarks/gpu/networks.py [PART ...] [--folder FOLDER] [--against NAME]

Parts, all by default:

vgg      VGG-11 on 32x32 of random weights, integrate-and-fire neurons of which 10 % fire in a step, T = 4 and 8, one
         image and 256; before anything is timed the logits are those of the CPU, and those of torch in float64.
fashion  the CNN of `examples/`, converted at T = 5, beside itself in torch.compile, fp16; one image and 1,024.
resnet18 a residual network of the size of ResNet-18, 11.2 million weights, trained on Fashion-MNIST if FOLDER has no
         weights of it (a minute), converted at T = 5, likewise.

Times of the GPU are of one replay of a CUDA graph, by events; those of the wall are whole calls from Python: the image
lies on the GPU for all contestants, and the logits stay there. Medians of 30 after 5. What is not installed is left
out, and said.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[1] / "cpu"))

import clock
import numpy as np
import others
import torch
import vgg
from clock import record
from record import ROOT, WEIGHTS
from torch import nn
from zoo import NETWORKS, Trained, loaded, stored
from zoo.parts import residual

from spikerun import Network, Session, convert, datasets, load, save
from spikerun.converters import Encoding
from spikerun.converters.torch.user_model import load_model

NAME = "gpu_networks"
STEPS, IMAGES, BATCHES = (4, 8), (1, 256), (1, 1024)
BITS, CALIBRATED = 5, 512
ACTIVE = 0.1


def of_vgg(folder: Path, against: list[str]) -> None:
    """Measure VGG-11."""
    del folder
    chosen = [one for one in others.OTHERS if not against or any(name in one.name for name in against)]
    for steps in STEPS:
        net = vgg.stepped(ACTIVE, vgg.VGG11, steps, sent=True)
        session = Session(net, device="cuda")
        module = session.as_torch()
        for count in IMAGES:
            pixels = torch.from_numpy(vgg.images(count, seed=count)).cuda()
            check(session, net, pixels)
            what = f"VGG-11, T = {steps}, batch {count}"
            ours = measured(what, "spikerun", lambda: module(pixels))  # noqa: B023
            for other in chosen:
                run = other.make(*others.layers(net, other.dtype), steps, other.dtype)
                x = pixels.to(other.dtype).contiguous(memory_format=torch.channels_last)
                beside(what, other.name, lambda: run(x), ours)  # noqa: B023


def check(session: Session, net: Network, pixels: torch.Tensor) -> None:
    """Raise where our logits are not those of the CPU, or not those of torch in float64, where sums are exact."""
    got = np.asarray(session.run(pixels.cpu().numpy()).logits)
    if not np.array_equal(got, Session(net, device="cpu").run(pixels.cpu().numpy()).logits):
        raise AssertionError("logits differ from those of the CPU")
    with torch.inference_mode():
        run = others.stepwise(*others.layers(net, torch.float64), net.window, torch.float64)
        expected = run(pixels[:1].double()).cpu().numpy() * others.UNIT
    if not np.array_equal(got[:1], expected):
        raise AssertionError(f"logits differ from torch's by up to {np.abs(got[:1] - expected).max()}")


def of_fashion(folder: Path, against: list[str]) -> None:
    """Measure the example."""
    del folder, against
    model = load_model(f"{ROOT / 'examples' / 'fashion_mnist.py'}:build", WEIGHTS)
    against_ann("Fashion-MNIST CNN", model, None)


def of_resnet18(folder: Path, against: list[str]) -> None:
    """Measure the residual network."""
    del against
    name = "resnet18"
    NETWORKS[name] = Trained(lambda: residual(2, (64, 128, 256, 512), nn.ReLU), epochs=10, rate=0.1)
    weights = folder / f"{name}-0.safetensors"
    if not weights.exists():
        from zoo_training import parts, trained

        folder.mkdir(parents=True, exist_ok=True)
        stored(trained(NETWORKS[name], parts("fashion-mnist", None, False)[0], 0, NETWORKS[name].epochs), weights)
    against_ann("ResNet-18", loaded(name, weights), folder / f"{name}.snn")


def against_ann(name: str, model: nn.Module, file: Path | None) -> None:
    """Measure a network, and the ANN that it comes from; file: where the converted network is kept."""
    test = datasets.load("fashion-mnist", split="test")
    if file is not None and file.exists():
        net = load(file)
    else:
        train = datasets.load("fashion-mnist", split="train")
        net = convert(model, train.samples[:CALIBRATED], bits=BITS, encoding=Encoding(train.scale)).network
        if file is not None:
            save(net, file)
    session = Session(net, device="cuda")
    module = session.as_torch()
    samples, labels = np.asarray(test.samples), np.asarray(test.require_labels())
    right = session.run(samples).classes == labels
    record(NAME, f"{name}, T = {BITS}: accuracy on the test images", 100 * float(right.mean()), "%")
    ann = model.half().cuda().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fast = torch.compile(ann)
    for count in BATCHES:
        pixels = torch.from_numpy(samples[:count]).cuda()
        x = (pixels.half() * test.scale).contiguous(memory_format=torch.channels_last)
        what = f"{name}, T = {BITS}, batch {count}"
        ours = measured(what, "spikerun", lambda: module(pixels))  # noqa: B023
        beside(what, "its ANN in torch.compile, fp16", lambda: fast(x), ours)  # noqa: B023


def measured(what: str, name: str, call: Callable[[], object]) -> tuple[float, float]:
    """Record the microseconds of the GPU and of the wall."""
    with torch.inference_mode():
        found = clock.replay_us(call), clock.wall_us(call)
    record(NAME, f"{what}: {name}, GPU", found[0], "us")
    record(NAME, f"{what}: {name}, wall", found[1], "us")
    return found


def beside(what: str, name: str, call: Callable[[], object], ours: tuple[float, float]) -> None:
    """Record another's microseconds, and theirs over ours."""
    try:
        found = measured(what, name, call)
    except ImportError as error:
        print(f"{name} is left out: {error}")
        return
    record(NAME, f"{what}: {name} over spikerun, GPU", found[0] / ours[0], "x")
    record(NAME, f"{what}: {name} over spikerun, wall", found[1] / ours[1], "x")


PARTS = {"vgg": of_vgg, "fashion": of_fashion, "resnet18": of_resnet18}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; else all")
    parser.add_argument("--folder", type=Path, default=Path("gpu-networks"), help="where trained weights are kept")
    parser.add_argument("--against", action="append", default=[], help="of vgg's rivals those with this in their name")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for part in asked.parts or PARTS:
        PARTS[part](asked.folder, asked.against)


if __name__ == "__main__":
    main()
