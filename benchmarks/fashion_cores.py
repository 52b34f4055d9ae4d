# SPDX-License-Identifier: Apache-2.0
"""The example network on every core, in QEMU: every result, word and membrane compared, and what an image takes.

1,000 test images on the Cortex-M4, 100 on the others. Counts are those of the plugin for QEMU: instructions, values
loaded and stored, branches taken, each the median. They are no time: QEMU models neither flash wait states nor caches.
"""

import tempfile
from pathlib import Path

from record import MODEL, WEIGHTS, record

from spikerun import datasets
from spikerun.converters import Encoding, convert
from spikerun.converters.torch.user_model import load_model
from spikerun.edge.mcu import board, deploy

NAME = "fashion_cores"
MANY, SAMPLES = {"generic-cortex-m4": 1000}, 100


def main() -> None:
    """Convert once; deploy to each generic board, run, compare."""
    model = load_model(MODEL, WEIGHTS)
    train = datasets.load("fashion-mnist", split="train")
    net = convert(model, train.samples[:512], bits=5, encoding=Encoding(train.scale)).network
    for name in board.boards():
        if name.startswith("generic-"):
            images = datasets.load("fashion-mnist", split="test", limit=MANY.get(name, SAMPLES)).samples
            with tempfile.TemporaryDirectory() as folder:
                run = deploy(net, Path(folder) / "fw", name, images, run=True, toolchain="gcc", emulator="qemu").run
            assert run is not None
            record(NAME, f"{name}: images with everything equal", len(run.outputs) * run.identical, f"of {len(images)}")
            for key in ("instructions", "loads", "stores", "branches", "vectors"):
                if f"{key}_per_inference" in run.measures:
                    record(NAME, f"{name}: {key} for an image", run.measures[f"{key}_per_inference"], "")


if __name__ == "__main__":
    main()
