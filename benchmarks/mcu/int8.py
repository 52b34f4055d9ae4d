# SPDX-License-Identifier: Apache-2.0
"""What dense layers of CMSIS-NN take on a core, fitted to the layers that `cmsis_nn.py` has counted.

    python benchmarks/mcu/int8.py [--write]

It prints the table [int8] of each core's file, and with --write puts it there. A core that was not counted has the
fits of one with the same instructions.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from shapes import NETWORKS, Layer, dense
from tables import replace_table

# the core whose counts a core has: the others lack nothing that the compiler or CMSIS-NN asks for
COUNTED = {
    "cortex-m0": "cortex-m0",
    "cortex-m0plus": "cortex-m0",
    "cortex-m3": "cortex-m3",
    "cortex-m33-nodsp": "cortex-m3",
    "cortex-m4": "cortex-m4",
    "cortex-m33": "cortex-m4",
    "cortex-m7": "cortex-m7",
    "cortex-m55": "cortex-m55",
    "rv32imc": "rv32imc",
    "rv32imac": "rv32imc",
}


def terms(layer: Layer) -> tuple[str, dict[str, int]] | None:
    """Return the kind of a layer and how many multiplications and results it has; None of one that has no kind."""
    results, taps = math.prod(layer.target), math.prod(layer.kernel)
    inputs = math.prod(layer.source)
    match layer.kind:
        case "conv":
            kind = "pointwise" if taps == 1 else "conv"
            return kind, {"mac": results * layer.source[0] * taps, "output": results}
        case "depthwise":
            return "depthwise", {"mac": results * taps, "output": results}
        case "linear":
            return "linear", {"mac": inputs * results, "output": results}
        case "add":
            return "add", {"output": results}
    return None  # of pools there is one in a network


def samples(core: str) -> Iterator[tuple[str, dict[str, int], float]]:
    """Yield the kind of each layer that was counted, its terms, and its instructions."""
    counted = dense()
    for network, layers in NETWORKS.items():
        for layer in layers:
            found = terms(layer)
            if found is not None and len(layers) > 1:
                yield *found, counted[f"{core}: {network}, {layer.name}"]


def fitted(core: str) -> tuple[dict[str, dict[str, float]], int, float]:
    """Return instructions by kind and term, of how many layers they are fits, and how far the worst is off."""
    kinds: dict[str, list[tuple[dict[str, int], float]]] = {}
    for kind, of, instructions in samples(core):
        kinds.setdefault(kind, []).append((of, instructions))
    found, worst = {}, 0.0
    for kind, layers in kinds.items():
        keys = list(layers[0][0])
        matrix = np.array([[of[key] / instructions for key in keys] for of, instructions in layers])
        fit, _ = nnls(matrix, np.ones(len(layers)))
        worst = max(worst, float(np.abs(matrix @ fit - 1).max()))
        found[kind] = dict(zip(keys, map(float, fit), strict=True))
    return found, sum(map(len, kinds.values())), worst


def text(core: str) -> str:
    """Return the table as it stands in the core's file."""
    counted = COUNTED[core]
    found, layers, worst = fitted(counted)
    of = "" if counted == core else f" on {counted}"
    lines = [
        f"{kind} = {{ {', '.join(f'{key} = {value:.3g}' for key, value in each.items())} }}"
        for kind, each in found.items()
    ]
    said = f"fits of {layers} layers of CMSIS-NN, gcc -O3, counted{of} by QEMU, {worst:.0%} off at most"
    return "\n".join(["[int8]", *lines, f'source = "{said} (benchmarks/mcu/int8.py)"', ""])


def main(write: bool) -> None:
    """Print, or write, the tables of all cores."""
    for core in COUNTED:
        print(f"# {core}\n{text(core)}", flush=True)
        if write:
            replace_table(core, "int8", text(core))


if __name__ == "__main__":
    main("--write" in sys.argv)
