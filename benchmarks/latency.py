# SPDX-License-Identifier: Apache-2.0
"""Batch-1 latency of the session beside torch and the reference, import time, and peak memory.

The physical limit: at T = 5 an image of the example network meets 1.25 million synapses with an active word (3.0
million MACs if all were active). An event-driven loop over int8 weights in the first-level cache adds up about 100 of
them in a nanosecond on one core with AVX-512 VNNI: 0.013 ms. Weights (216 kB) and words stay in the second-level cache.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from record import MODEL, WEIGHTS, record

from spikerun import datasets
from spikerun.converters import Encoding, convert
from spikerun.converters.torch.user_model import load_model
from spikerun.file import save

NAME = "latency"
IMPORT = "import time; t = time.perf_counter(); import spikerun; print(time.perf_counter() - t)"
RUN = """
import sys, numpy as np, spikerun
from spikerun.session import Session

def peak():  # of this process alone; getrusage would count what its parent had used
    return next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))

before = peak()
session = Session(spikerun.load(sys.argv[1]))
session.run(np.zeros((1, 1, 28, 28), np.uint8))
print(before, peak())
"""


def python(*words: str) -> str:
    """Return what a fresh interpreter prints."""
    return subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Time single images for 1 thread and for all cores; then import and memory, each in fresh processes."""
    train = datasets.load("fashion-mnist", split="train")
    net = convert(load_model(MODEL, WEIGHTS), train.samples[:512], bits=5, encoding=Encoding(train.scale)).network
    with tempfile.TemporaryDirectory() as folder:
        path = str(save(net, Path(folder) / "fashion.snn"))
        for threads in ("1", "2"):
            words = ["-m", "spikerun", "bench", path, "--data", "fashion-mnist", "--threads", threads, "--json"]
            words += ["--against", MODEL, "--weights", str(WEIGHTS), "--repeat", "400"]
            words += ["--reference"] if threads == "1" else []
            for row in json.loads(python(*words))["results"]:
                what = f"{row['name']}, {threads} threads"
                for key in ("p20_ms", "p50_ms", "p80_ms"):
                    record(NAME, f"{what}: one image, {key[:3]}", row[key], "ms")
                record(NAME, f"{what}: p50 over the session's", row["times_spikerun"], "x")
                if row["samples_per_second"]:
                    record(NAME, f"{what}: batches of 256", row["samples_per_second"], "images/s")
        before, peak = (int(n) for n in python("-c", RUN, path).split())
    record(
        NAME,
        "import spikerun, median of 9 processes",
        float(np.median([float(python("-c", IMPORT)) for _ in range(9)])),
        "s",
    )
    record(NAME, "memory: numpy, h5py and spikerun imported", before / 1024, "MiB")
    record(NAME, "memory: peak of loading, preparing and running one image", peak / 1024, "MiB")


if __name__ == "__main__":
    main()
