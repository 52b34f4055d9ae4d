# SPDX-License-Identifier: Apache-2.0
"""Flash and instructions of the example network on an emulated Cortex-M4, its weights pruned: packed beside dense.

    python benchmarks/sparsity/flash.py [--weights FILE.safetensors]

The weights of smallest magnitude among all layers are set to 0 at once, and nothing is trained afterwards: sizes do
not depend on that, and outputs are compared with the reference of the same network. --weights: pruned weights, as they
are. Every row runs the same images; logits, membranes and words must equal the reference's, and packed outputs the
dense ones.
Instructions are those that QEMU counts; it models neither flash wait states nor caches, so they are no time.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils import prune

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from record import MODEL, WEIGHTS, record

from spikerun import datasets
from spikerun.converters import Encoding, convert
from spikerun.converters.torch.user_model import load_model
from spikerun.edge.mcu import deploy
from spikerun.edge.target import Bundle
from spikerun.network import Network

NAME = "sparsity_flash"
SAMPLES = 50
TARGET = "generic-cortex-m4"
SPARSITIES = (0.0, 0.8, 0.9, 0.95)
PACKINGS = ("dense", "auto", "small")


def pruned(weights: str | Path, sparsity: float) -> Any:
    """Return the example network, the share `sparsity` of the weights of all layers set to 0, the smallest first."""
    model = load_model(MODEL, Path(weights))
    layers = [(m, "weight") for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    if sparsity:
        prune.global_unstructured(layers, prune.L1Unstructured, amount=sparsity)
        for layer, name in layers:
            prune.remove(layer, name)
    return model


def run(net: Network, images: np.ndarray[Any, Any], packing: str) -> Bundle:
    """Deploy a network, run it in QEMU, and hold it to the reference."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = deploy(net, Path(folder) / "firmware", TARGET, images, run=True, packing=packing, emulator="qemu")
    assert bundle.run is not None
    if not bundle.run.identical:
        raise SystemExit(f"packing {packing}: {bundle.run.mismatches[:3]}")
    return bundle


def main() -> None:
    """Prune, convert, deploy with each packing, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="pruned weights of examples/fashion_mnist.py")
    given = parser.parse_args().weights
    train = datasets.load("fashion-mnist", split="train")
    images = datasets.load("fashion-mnist", split="test", limit=SAMPLES).samples
    whole = 0.0
    for weights, sparsity in [(WEIGHTS, 0.0), (given, 0.0)] if given else [(WEIGHTS, share) for share in SPARSITIES]:
        model = pruned(weights, sparsity)
        net = convert(model, train.samples[:512], bits=5, encoding=Encoding(train.scale)).network
        bundles = {packing: run(net, images, packing) for packing in PACKINGS}
        dense = bundles["dense"]
        rows = dense.verdict.json()["table"]
        zeros = sum(int(row["zeros"]) for row in rows) / sum(int(row["weights"]) for row in rows)
        whole = whole or float(dense.measures["flash_bytes"])
        what = Path(weights).stem if weights == given else f"{sparsity:.0%} pruned"
        record(NAME, f"{what}: int8 weights that are 0", 100 * zeros, "%")
        for packing, bundle in bundles.items():
            assert bundle.run is not None and dense.run is not None
            assert (bundle.run.outputs == dense.run.outputs).all()
            measures, text = bundle.measures, f"{what}, {packing}"
            chosen = " ".join(str(row["packing"]) for row in bundle.verdict.json()["table"] if int(row["weights"]))
            record(NAME, f"{text}: packings", chosen, "")
            record(NAME, f"{text}: flash", measures["flash_bytes"], "bytes")
            record(NAME, f"{text}: of it weights", measures["weight_bytes"], "bytes")
            record(NAME, f"{text}: flash of the dense, over this", whole / float(measures["flash_bytes"]), "x")
            record(NAME, f"{text}: instructions for an image", measures["instructions_per_inference"], "")


if __name__ == "__main__":
    main()
