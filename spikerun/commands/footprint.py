# SPDX-License-Identifier: Apache-2.0
"""The memory that a network needs to run, measured where nothing else is: in a new process of its own.

What counts is by how much the resident memory of the process grows at its peak, from when its libraries are imported
until it has opened the network and run some samples one by one: the file as it is read, weights as they are packed,
buffers, and what libraries take when they are first used, pages of their code among it. Samples are not counted.
"""

import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SAMPLES", "peak_bytes"]

log = logging.getLogger(__name__)

SAMPLES = 8
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"

Array = npt.NDArray[Any]
Run = Callable[[Array], object]


def peak_bytes(fresh: tuple[str, str, str], samples: Array, threads: int) -> int | None:
    """Return what a contestant needs, in bytes; None where the system does not tell, or the process fails.

    fresh: its kind (`spikerun`, `torch` or `onnx`), its file, its weights. samples: as it takes them, the first count.
    """
    if not STATUS.is_file():
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples.npy"
        np.save(file, samples[:SAMPLES])
        words = [sys.executable, "-m", "spikerun.commands.footprint", *fresh, str(file), str(threads)]
        path = os.pathsep.join(one for one in sys.path if one)
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        log.warning("the memory of '%s' is not known, its process ended with %d: %s", fresh[1], done.returncode, said)
        return None
    return int(json.loads(lines[-1]))


def _spikerun(file: str, weights: str, threads: int) -> Callable[[], Run]:
    import spikerun

    for library in ("h5py", "spikerun.kernels.cpu.native"):
        importlib.import_module(library)
    return lambda: spikerun.Session(spikerun.load(file), threads=threads).run


def _torch(where: str, weights: str, threads: int) -> Callable[[], Run]:
    import torch

    from spikerun.converters.torch.user_model import load_model

    def opened() -> Run:
        torch.set_num_threads(threads)
        model = load_model(where, Path(weights) if weights else None)

        def run(sample: Array) -> object:
            with torch.inference_mode():
                return model(torch.from_numpy(sample).float())

        return run

    return opened


def _onnx(file: str, weights: str, threads: int) -> Callable[[], Run]:
    import onnxruntime  # type: ignore[import-untyped]  # noqa: F401

    from spikerun.converters.onnx.runtime import Opened

    def opened() -> Run:
        session = Opened.of(Path(file), threads)
        return lambda sample: session.run(session.typed(sample))

    return opened


OPENERS = {"spikerun": _spikerun, "torch": _torch, "onnx": _onnx}


def _resident(key: str) -> int:
    """Return a size of this process in bytes: VmRSS now, VmHWM at its peak."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


def _before() -> int:
    """Return the memory in use, and let the peak begin anew where the system can do that."""
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return _resident("VmHWM")  # what went before then counts for nothing, and may hide what comes
    return _resident("VmRSS")


def main(words: list[str]) -> None:
    """Print what the contestant needs that the words name."""
    kind, file, weights, samples, threads = words
    opener = OPENERS[kind](file, weights, int(threads))
    values = np.load(samples)
    before = _before()
    run = opener()
    for k in range(len(values)):
        run(values[k : k + 1])
    print(max(0, _resident("VmHWM") - before))


if __name__ == "__main__":
    main(sys.argv[1:])
