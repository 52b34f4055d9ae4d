# SPDX-License-Identifier: Apache-2.0
"""How far what `deploy --check` estimates is from what QEMU counts, and the mean cycles of an instruction.

    python benchmarks/mcu/estimates.py FOLDER [board]...

The networks of `networks.py`, whose weights are kept in FOLDER, and two of `examples/tuned.py`; each estimated with the
activity of the images that run afterwards. Cycles are those of the table [cycles] of the core, of what was counted:
their mean an instruction is what stands there as `mean`.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "examples"))
import networks
import tuned
from record import ROOT, record

from spikerun import datasets
from spikerun.converters import Encoding, convert
from spikerun.edge.mcu import McuOptions, McuTarget, deploy
from spikerun.edge.mcu import board as boards
from spikerun.network import Network

NAME = "mcu_estimates"
BOARDS = tuple(
    f"generic-{core}"
    for core in ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imac")
)
IMAGES = 2
BITS = {"mlp": 5, "cnn": 4, "resnet8": 4, "depthwise": 4}


def model(name: str, folder: Path) -> Any:
    """Return a trained network in real numbers."""
    if name in networks.BUILD:
        return networks.load(name, folder)
    builds: Mapping[str, Callable[[], Any]] = {"resnet8": tuned.resnet8, "depthwise": tuned.depthwise}
    built = builds[name]()
    built.load_state_dict(load_file(ROOT / "examples" / f"tuned_{name}.safetensors"))
    return built.eval()


def converted(name: str, folder: Path) -> Network:
    """Return a network with words of few bits."""
    train = datasets.load("fashion-mnist", split="train", limit=512)
    samples = train.samples.reshape(-1, 1, 28, 28)
    return convert(model(name, folder), samples, bits=BITS[name], encoding=Encoding(1 / 255)).network


def main(folder: Path, names: tuple[str, ...]) -> None:
    """Print and record all figures."""
    test = datasets.load("fashion-mnist", split="test", limit=IMAGES).samples
    errors: dict[str, list[float]] = {}
    means: dict[str, list[float]] = {}
    for name in BITS:
        net = converted(name, folder)
        images = test.reshape(-1, *net.populations[net.inputs[0]].shape)
        for board in names:
            core = board.removeprefix("generic-")
            verdict = McuTarget(boards.load(board)).check(net, McuOptions(toolchain="zig"), images)  # no stack
            with tempfile.TemporaryDirectory() as place:
                bundle = deploy(net, Path(place) / "fw", board, images, run=True, toolchain="gcc", emulator="qemu")
            assert bundle.run is not None and bundle.run.identical
            counted = float(bundle.measures["instructions_per_inference"])
            error = float(verdict.measures["instructions_per_inference"]) / counted - 1
            errors.setdefault(core, []).append(error)
            record(NAME, f"{core}: {name}, counted", counted, "instructions")
            record(NAME, f"{core}: {name}, estimated above it", 100 * error, "%")
            if "cycles_per_inference" in bundle.measures:
                means.setdefault(core, []).append(float(bundle.measures["cycles_per_inference"]) / counted)
    for core, found in errors.items():
        record(NAME, f"{core}: largest error of an estimate", 100 * float(np.abs(found).max()), "%")
    for core, found in means.items():
        record(NAME, f"{core}: cycles an instruction, mean of {len(found)}", float(np.mean(found)), "")


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or BOARDS)
