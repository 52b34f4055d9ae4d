# SPDX-License-Identifier: Apache-2.0
"""Record what Lava makes of one random graph of each family (`tests/chip_graphs.py`): digests of all events and states.

SPIKERUN_LAVA_PYTHON=... PYTHONPATH=.:tests python tests/data/make_lava_graphs.py
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from chip_graphs import FAMILIES, random_graph, random_samples, write_bundle

from spikerun.edge.loihi import lava

FILE = Path(__file__).with_name("lava_graphs.json")
SEED = 0


def digest(arrays: Mapping[str, Any]) -> str:
    """Return a digest of arrays of integers and of their names."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name], np.int32)
        found.update(f"{name} {values.shape} ".encode() + values.tobytes())
    return found.hexdigest()


def main() -> None:
    """Run all in Lava."""
    recorded = {}
    for family in FAMILIES:
        graph = random_graph(family, SEED)
        with tempfile.TemporaryDirectory() as folder:
            bundle = write_bundle(Path(folder) / "bundle", graph, random_samples(graph, SEED))
            out = Path(folder) / "got.npz"
            lava.run_all([bundle], lava.find(), 100, ("--states", "--out", str(out)))
            with np.load(out) as file:
                recorded[family] = digest({name: file[name] for name in file.files})
        print(family, recorded[family], flush=True)
    FILE.write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
