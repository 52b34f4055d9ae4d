# SPDX-License-Identifier: Apache-2.0
"""The trained spiking networks on an emulated Cortex-M4: every spike and membrane compared with the reference's.

    python benchmarks/spiking_accuracy.py --keep WEIGHTS
    python benchmarks/spiking_microcontroller.py WEIGHTS [network]...

Instructions are those that QEMU counts; it models neither flash wait states nor caches, so they are no time.
"""

import sys
import tempfile
from pathlib import Path

from record import record
from safetensors.torch import load_file
from spiking_accuracy import CALIBRATED, NMNIST, built
from spiking_networks import NETWORKS
from spiking_training import events, images

from spikerun import edge
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.torch.source import source_of
from spikerun.edge.target import parse
from spikerun.session import Session

NAME = "spiking_microcontroller"
TARGET, SAMPLES = "generic-cortex-m4", 4


def main(weights: Path, names: list[str]) -> None:
    """Convert, deploy, run in QEMU, compare."""
    data = {"images": images(None, held_out=False)}
    target = edge.load(TARGET)
    for name in names or [name for name in NETWORKS if (weights / f"{name}-0.safetensors").exists()]:
        network = NETWORKS[name]
        if network.data not in data:
            data[network.data] = events(NMNIST, held_out=False)
        of = data[network.data]
        source = source_of(built(network, load_file(weights / f"{name}-0.safetensors")))
        converter = StepConverter(source, of.train.samples[:CALIBRATED], of.encoding, network.duration)  # type: ignore[arg-type]
        converted = converter.convert({}).network
        (samples,) = converter.shaped(of.test.samples[:SAMPLES]).values()
        options = parse(TARGET, target.options, {"emulator": "qemu", "toolchain": "gcc"})
        with tempfile.TemporaryDirectory() as folder:
            bundle = target.deploy(converted, Path(folder) / "firmware", samples, options, run=True)
        assert bundle.run is not None
        cpu = Session(converted).run(samples).outputs[converted.outputs[0]].reshape(len(samples), -1)
        same = int((bundle.run.outputs == cpu).all(axis=1).sum())
        record(NAME, f"{name}: results equal to the CPU's", same, f"of {SAMPLES}")
        record(NAME, f"{name}: spikes and membranes equal to the reference's", str(bundle.run.identical), "")
        for measure, unit in (("flash_bytes", "bytes"), ("ram_bytes", "bytes"), ("instructions_per_inference", "")):
            record(NAME, f"{name}: {measure.replace('_', ' ')}", bundle.measures[measure], unit)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
