# SPDX-License-Identifier: Apache-2.0
"""What every benchmark shares: the example network, and a row in results.csv with machine and versions."""

import csv
import datetime
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results.csv")
WEIGHTS = ROOT / "examples" / "fashion_mnist.safetensors"
MODEL = f"{ROOT / 'examples' / 'fashion_mnist.py'}:build"
COLUMNS = ("date", "benchmark", "metric", "value", "unit", "machine", "versions")


def record(
    benchmark: str, metric: str, value: float | str, unit: str, on: str | None = None, by: str | None = None
) -> None:
    """Print a figure, and append it to results.csv.

    on: what it was measured on, else this computer; by: the versions that it depends on, else those of the CPU.
    """
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    print(f"{metric:<58} {shown:>12} {unit}", flush=True)
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        row = (datetime.date.today().isoformat(), benchmark, metric, shown, unit, on or machine(), by or versions())
        writer.writerow(row)


def machine() -> str:
    """Return the processor and the number of cores that this process may use."""
    from spikerun.kernels.cpu.processor import model
    from spikerun.kernels.cpu.threads import default_threads

    return f"{model()}, {default_threads()} cores"


def versions() -> str:
    """Return the versions that a figure depends on."""
    found = [f"{name} {version(name)}" for name in ("spikerun", "torch", "numpy")]
    return ", ".join([f"python {sys.version.split()[0]}", *found])
