# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny's networks as firmware, layer by layer beside dense int8 of CMSIS-NN.

    python benchmarks/mcu/mlperf.py [network]... [core=cortex-m4]...

The networks are converted as they are, to words of 8 bits, and run samples in QEMU: those of the benchmark, or photos
where it has none (`benchmarks/zoo/foreign.py`). What CMSIS-NN takes is read from results.csv, where
`benchmarks/mcu/cmsis_nn.py` has put it; layers are those of `shapes.py`, in the same order.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "zoo"))
from foreign import FOREIGN
from record import record
from shapes import NETWORKS, Layer, dense

from spikerun.converters import convert
from spikerun.edge.mcu import deploy
from spikerun.network import Network

NAME = "mcu_mlperf"
BITS = 8
SAMPLES = 1
RAM, FLASH = 640 * 1024, 2 * 1024 * 1024  # of the STM32L4R5 of the published results


def converted(name: str) -> tuple[Network, dict[str, object]]:
    """Return a network and its samples."""
    case = FOREIGN[f"mlperf-tiny {name}"]()
    net = convert(case.model, case.calibration, bits=BITS, encoding=case.encoding).network
    return net, {net.inputs[0]: case.samples[:SAMPLES]}


def merged(layers: list[Layer]) -> list[list[str]]:
    """Return the layers of each population: additions and shortcuts belong to what they end."""
    found: list[list[str]] = []
    held: list[str] = []
    for layer in layers:
        if layer.name.startswith("shortcut"):
            held.append(layer.name)
        elif layer.kind == "add":
            found[-1] += [layer.name, *held]
            held = []
        else:
            found.append([layer.name])
    return found


def measured(name: str, net: Network, samples: dict[str, object], core: str) -> None:
    """Deploy and run a network on a core; print and record."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = deploy(
            net, Path(folder) / "fw", f"generic-{core}", samples, run=True, toolchain="gcc", emulator="qemu"
        )
    assert bundle.run is not None
    assert bundle.run.identical, bundle.run.mismatches
    assert bundle.run.parts is not None
    for note in bundle.verdict.notes:
        print(f"  {note}")
    known, parts = dense(), bundle.run.parts.rows
    rows = merged(NETWORKS[name])
    for k, (population, instructions, *_) in enumerate(parts):
        layers = rows[k] if k < len(rows) and len(parts) == len(rows) else []
        beside = sum(known.get(f"{core}: {name}, {layer}", 0.0) for layer in layers)
        said = "+".join(layers) or str(population)
        record(NAME, f"{core}: {name}, {said}", float(instructions), "instructions")
        if beside:
            record(NAME, f"{core}: {name}, {said}, over CMSIS-NN", float(instructions) / beside, "times")
    whole = float(bundle.measures["instructions_per_inference"])
    record(NAME, f"{core}: {name}", whole, "instructions")
    if f"{core}: {name}" in known:
        record(NAME, f"{core}: {name}, over CMSIS-NN", whole / known[f"{core}: {name}"], "times")
    for key, limit in (("flash_bytes", FLASH), ("ram_bytes", RAM)):
        size = float(bundle.measures[key])
        record(NAME, f"{core}: {name}, {key}", size, "bytes")
        assert size <= limit


if __name__ == "__main__":
    cores = [word.removeprefix("core=") for word in sys.argv[1:] if word.startswith("core=")] or ["cortex-m4"]
    wanted = [word for word in sys.argv[1:] if not word.startswith("core=")] or ["keywords", "wake words", "images"]
    for each in wanted:
        converted_net, given = converted(each)
        for on in cores:
            measured(each, converted_net, given, on)
