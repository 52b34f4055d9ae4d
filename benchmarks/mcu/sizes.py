# SPDX-License-Identifier: Apache-2.0
"""Bytes of code of the runtime, as it is linked with gcc -O2 into the self-test of the networks of `networks.py`.

    python benchmarks/mcu/sizes.py FOLDER [board]...

Their weights are kept in FOLDER. Counted is what the linker's map says that the executable has of `runtime/`: functions
and their constants, without tables of the network, its calls, the self-test and start-up. The largest files follow.
"""

import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from record import record

from kernels import BOARDS, IMAGES, converted
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy
from spikerun.edge.mcu.build import build
from spikerun.network import Network

NAME = "mcu_sizes"
PLACED = re.compile(r"^ \.(?:text|rodata)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S+)$", re.MULTILINE)


def placed(linked: str) -> dict[str, int]:
    """Return the bytes of code and constants of each object of a linker's map, by the name of its file."""
    found: dict[str, int] = {}
    for size, path in PLACED.findall(linked[linked.index("Linker script and memory map") :]):
        found[Path(path).name] = found.get(Path(path).name, 0) + int(size, 16)
    return found


def linked(net: Network, board: str, images: object) -> dict[str, int]:
    """Return the bytes of each file of `runtime/` in the self-test of a network."""
    with tempfile.TemporaryDirectory() as made:
        bundle, table = Path(made) / "fw", Path(made) / "selftest.map"
        deploy(net, bundle, board, images)
        build(bundle, boards.load(board), "gcc", Path(made) / "selftest.elf", (f"-Wl,-Map={table}",))
        found = placed(table.read_text())
    return {name: size for name, size in found.items() if name.startswith("spikerun_") and size}


def main(folder: Path, names: tuple[str, ...]) -> None:
    """Print and record all figures."""
    for name in ("mlp", "cnn"):
        net, images, *_ = converted(name, folder)
        for board in names:
            sizes = linked(net, board, images[:IMAGES])
            record(NAME, f"{board.removeprefix('generic-')}: {name}, code of the runtime", sum(sizes.values()), "bytes")
            largest = sorted(sizes.items(), key=lambda item: -item[1])
            print("  " + ", ".join(f"{Path(file).stem} {size}" for file, size in largest))


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or BOARDS)
