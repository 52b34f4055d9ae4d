# SPDX-License-Identifier: Apache-2.0
"""Pack event recordings in two splits: 64 that calibrate, as `train`, and all others, as `test`.

    python benchmarks/stream/recordings.py recordings.npz nmnist.npz

recordings.npz is packed as docs/datasets.md says, in one split. The network of NIR's paper (github.com/neuromorphs/NIR,
paper/02_cnn) is then converted by

    spikerun convert cnn_sinabs.nir --nir-writer sinabs --input events --dt 1ms --duration 300 --bins count
        --calibration nmnist.npz --samples 64 -o cnn_sinabs.snn
"""

import sys
from pathlib import Path

import numpy as np

CALIBRATE = 64


def main(source: Path, target: Path) -> None:
    """Write the recordings of `source` in two splits, of which a permutation of seed 0 decides."""
    with np.load(source) as arrays:
        offset, label = arrays["offset"], arrays["label"]
        columns = {key: arrays[key] for key in "txyp"}
    order = np.random.default_rng(0).permutation(len(label))
    found = {"shape": np.array([2, *(int(columns[axis].max()) + 1 for axis in "yx")])}
    for split, chosen in (("test", np.sort(order[:-CALIBRATE])), ("train", np.sort(order[-CALIBRATE:]))):
        events = np.concatenate([np.arange(offset[k], offset[k + 1]) for k in chosen])
        found |= {f"{split}_{key}": column[events] for key, column in columns.items()}
        found[f"{split}_offset"] = np.concatenate([[0], np.cumsum(np.diff(offset)[chosen])])
        found[f"{split}_label"] = label[chosen]
    np.savez(target, **found)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
