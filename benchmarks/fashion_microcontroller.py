# SPDX-License-Identifier: Apache-2.0
"""The example network on an emulated Cortex-M4: 100 test images, every logit compared with the CPU session's.

Instructions are those that QEMU counts; it models neither flash wait states nor caches, so they are no time.
"""

import tempfile
from pathlib import Path

from record import MODEL, WEIGHTS, record

from spikerun import datasets, edge
from spikerun.converters import Encoding, convert
from spikerun.converters.torch.user_model import load_model
from spikerun.edge.target import parse
from spikerun.session import Session

NAME = "fashion_microcontroller"
SAMPLES = 100
TARGET = "generic-cortex-m4"


def main() -> None:
    """Convert, deploy, run in the emulators that are here, compare."""
    model = load_model(MODEL, WEIGHTS)
    train = datasets.load("fashion-mnist", split="train")
    images = datasets.load("fashion-mnist", split="test", limit=SAMPLES).samples
    net = convert(model, train.samples[:512], bits=5, encoding=Encoding(train.scale)).network
    on_cpu = Session(net).run(images)
    integers = on_cpu.outputs[net.outputs[0]].reshape(SAMPLES, -1)
    target = edge.load(TARGET)
    for emulator, toolchain in (("qemu", "gcc"), ("unicorn", "zig")):
        options = parse(TARGET, target.options, {"emulator": emulator, "toolchain": toolchain})
        with tempfile.TemporaryDirectory() as folder:
            bundle = target.deploy(net, Path(folder) / "firmware", images, options, run=True)
        run, measures = bundle.run, bundle.measures
        assert run is not None
        same = int((run.outputs == integers).all(axis=1).sum())
        record(NAME, f"{run.where}: images with all logits equal to the CPU's", same, f"of {SAMPLES}")
        record(NAME, f"{run.where}: membranes, words and classes equal to the reference's", str(run.identical), "")
        record(NAME, f"{run.where}: flash", measures["flash_bytes"], "bytes")
        record(NAME, f"{run.where}: RAM", measures["ram_bytes"], "bytes")
        if "instructions_per_inference" in measures:
            record(NAME, f"{run.where}: instructions for an image", measures["instructions_per_inference"], "")


if __name__ == "__main__":
    main()
