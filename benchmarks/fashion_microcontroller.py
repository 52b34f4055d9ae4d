"""The example network on an emulated Cortex-M4: 100 test images, every logit compared with the CPU session's.

Instructions are those that QEMU counts; it models neither flash wait states nor caches, so they are no time.
"""

import tempfile
from pathlib import Path

import numpy as np
from record import MODEL, WEIGHTS, record

from spikerun import datasets, edge
from spikerun.converters import Encoding, convert
from spikerun.converters.torch.user_model import load_model
from spikerun.session import Session

NAME = "fashion_microcontroller"
SAMPLES = 100


def main() -> None:
    """Convert, deploy, run in the emulators that are here, compare."""
    model = load_model(MODEL, WEIGHTS)
    train = datasets.load("fashion-mnist", split="train")
    images = datasets.load("fashion-mnist", split="test", limit=SAMPLES).samples
    net = convert(model, train.samples[:512], bits=5, encoding=Encoding(train.scale)).network
    on_cpu = Session(net).run(images)
    integers = on_cpu.outputs[net.outputs[0]].reshape(SAMPLES, -1)
    for emulator, toolchain in (("qemu", "gcc"), ("unicorn", "zig")):
        with tempfile.TemporaryDirectory() as folder:
            target = edge.load("generic-cortex-m4")
            options = {"run": True, "emulator": emulator, "toolchain": toolchain}
            bundle = target.deploy(net, Path(folder) / "firmware", images, **options)
        run, where = bundle.run, f"{emulator}, {toolchain}"
        assert run is not None
        same = int((run.outputs == integers).all(axis=1).sum())
        record(NAME, f"{where}: images with all logits equal to the CPU's", same, f"of {SAMPLES}")
        record(NAME, f"{where}: membranes and words equal to the reference's", str(run.identical), "")
        record(NAME, f"{where}: flash", bundle.report["flash_bytes"], "bytes")
        record(NAME, f"{where}: RAM", bundle.report["ram_bytes"], "bytes")
        if run.instructions is not None:
            record(NAME, f"{where}: instructions for an image", float(np.median(run.instructions)), "")


if __name__ == "__main__":
    main()
