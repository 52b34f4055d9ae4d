# SPDX-License-Identifier: Apache-2.0
"""Trained spiking networks in integers beside the package that trained them, on the same test samples.

    python benchmarks/spiking_accuracy.py [--network NAME]... [--keep FOLDER | --weights FOLDER] [--json FILE]

Networks: `spiking_networks.py`; Fashion-MNIST, and recordings of N-MNIST (--nmnist FILE, packed as docs/datasets.md
says). Constants of the training are to be chosen with --held-out, which keeps away from the test samples. Where there
is a GPU, it trains and gives the package's own results; integers run on the CPU.
"""

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import machine, record, versions
from safetensors.torch import load_file, save_file
from spiking_networks import NETWORKS, Trained
from spiking_training import DEVICE, Data, events, images, own_scores, trained
from torch import nn

from spikerun.converters.evaluate import Evaluation, snn_logits
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.torch.source import source_of

NAME = "spiking_accuracy"
DATA = {"images": images, "events": events}
CALIBRATED = 64  # training samples, on which spikes are compared too
NMNIST = Path(os.environ.get("SPIKERUN_SHARED", ".")) / "data" / "nmnist-train" / "train1000.npz"


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--network", action="append", choices=list(NETWORKS), help="one of them; several times for more"
    )
    parser.add_argument("--seeds", type=int, help="how many of each; by default as its row says")
    parser.add_argument("--epochs", type=float, help="by default as its row says")
    parser.add_argument("--images", type=int, help="at most so many test samples")
    parser.add_argument("--data-dir", type=Path, help="the folder of Fashion-MNIST")
    parser.add_argument("--nmnist", type=Path, default=NMNIST, help="recordings of N-MNIST, .npz")
    parser.add_argument("--keep", type=Path, help="save trained weights here, NETWORK-SEED.safetensors")
    parser.add_argument("--weights", type=Path, help="take trained weights from here, and train where there are none")
    parser.add_argument("--held-out", action="store_true", help="test on training samples that do not train")
    parser.add_argument("--json", type=Path, help="write everything that was found here")
    parser.add_argument("--record", action="store_true", help="append figures to results.csv")
    return parser.parse_args()


def weights_of(name: str, seed: int, data: Data, asked: argparse.Namespace) -> dict[str, torch.Tensor]:
    """Return the trained weights of a network, on the CPU."""
    network = NETWORKS[name]
    file = f"{name}-{seed}.safetensors"
    if asked.weights is not None and (asked.weights / file).exists():
        return load_file(asked.weights / file)
    net = trained(network, data, seed, network.epochs if asked.epochs is None else asked.epochs)
    found = {key: value.detach().cpu().contiguous().clone() for key, value in net.state_dict().items()}
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
        save_file(found, asked.keep / file)
    return found


def built(network: Trained, weights: dict[str, torch.Tensor]) -> nn.Module:
    """Return a network of its own with these weights, on the CPU."""
    net = network.build()
    net.load_state_dict(weights)
    return net.eval()


def compared(name: str, seed: int, data: Data, asked: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one network; seconds of each stage among them."""
    network, test = NETWORKS[name], data.test.first(asked.images)
    clock = Clock()
    weights = weights_of(name, seed, data, asked)
    clock.stop("train")
    own = own_scores(network, built(network, weights), data, test)
    clock.stop("package")
    calibration = data.train.first(CALIBRATED).samples
    source: Any = source_of(built(network, weights))
    clock.start()
    converter = StepConverter(source, calibration, data.encoding, network.duration)
    clock.stop("read")
    conversion = converter.convert({})
    clock.stop("convert")
    net = conversion.network
    integers, _ = snn_logits(net, converter.shaped(test.samples))
    clock.stop("integers")
    accuracy = Evaluation({}, test.labels, {net.outputs[0]: own}).accuracy(integers)
    cells = [asdict(cell) for cell in conversion.report.cells]
    return {
        "network": name, "seed": seed, "samples": accuracy.samples, "float": accuracy.ann, "integers": accuracy.snn,
        "drop": accuracy.drop, "standard_error": accuracy.standard_error, "same_class": accuracy.agreement,
        "same_as_float_state": min(cell["same_as_float_state"] for cell in cells),
        "same_as_model": min(cell["same_as_model"] for cell in cells),
        "spikes": sum(cell["spikes"] for cell in cells), "seconds": clock.seconds, "cells": cells,
        "assumed": list(conversion.report.assumed),
    }  # fmt: skip


class Clock:
    """Seconds of stages that follow each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        """Begin a stage."""
        self._begin = time.perf_counter()

    def stop(self, stage: str) -> None:
        """End a stage, and begin the next."""
        self.seconds[stage] = round(time.perf_counter() - self._begin, 3)
        self.start()


def mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of a network over its seeds: means, the error of the mean drop, the smallest shares."""
    found = {key: float(np.mean([row[key] for row in rows])) for key in ("float", "integers", "drop", "same_class")}
    found["standard_error"] = float(np.sqrt(sum(row["standard_error"] ** 2 for row in rows)) / len(rows))
    found |= {key: min(row[key] for row in rows) for key in ("same_as_float_state", "same_as_model")}
    first = rows[0]
    seconds = {key: max(row["seconds"][key] for row in rows) for key in first["seconds"]}
    return {"network": first["network"], "seed": f"mean of {len(rows)}", "samples": first["samples"], **found,
            "seconds": seconds}  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """Return one line of what was found."""
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in row["seconds"].items())
    return (
        f"{row['network']:<16} seed {row['seed']!s:<9} n {row['samples']:<6} float {row['float']:.2f} % integers "
        f"{row['integers']:.2f} % drop {row['drop']:+.2f} +- {row['standard_error']:.2f} same class "
        f"{row['same_class']:.2f} % spikes: float state "
        f"{row['same_as_float_state']:.3f} % module {row['same_as_model']:.2f} % | s: {seconds}"
    )


def save(file: Path, rows: list[dict[str, Any]], means: list[dict[str, Any]]) -> None:
    """Write what was found so far, so that an interrupted run keeps it."""
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else platform.machine()
    packages = {name: version(name) for name in ("torch", "snntorch", "norse", "numpy")}
    said = {"machine": machine(), "device": device, "versions": versions(), "packages": packages}
    new = file.with_name(file.name + ".new")
    new.write_text(json.dumps({**said, "argv": sys.argv[1:], "runs": rows, "means": means}, indent=1) + "\n")
    new.replace(file)


def main() -> None:
    """Compare the networks that were asked for, all but `small` by default."""
    asked = arguments()
    if asked.json is not None:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, Data] = {}
    rows: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    for name in asked.network or [name for name in NETWORKS if name != "small"]:
        network = NETWORKS[name]
        if network.data not in known:
            where = {"events": asked.nmnist, "images": asked.data_dir}[network.data]
            known[network.data] = DATA[network.data](where, asked.held_out)
        ours = []
        for seed in range(asked.seeds or network.seeds):
            ours.append(compared(name, seed, known[network.data], asked))
            print(line(ours[-1]), flush=True)
            rows.append(ours[-1])
            if asked.json is not None:
                save(asked.json, rows, means)
        means.append(mean(ours))
    print()
    for row in means:
        print(line(row), flush=True)
        if asked.record:
            noted(row)
    if asked.json is not None:
        save(asked.json, rows, means)


def noted(row: dict[str, Any]) -> None:
    """Append the figures of a network to results.csv."""
    what = f"{row['network']}, {row['samples']} samples, {row['seed']}"
    for key, unit in (("float", "%"), ("integers", "%"), ("drop", "points"), ("standard_error", "points"),
                      ("same_class", "%"), ("same_as_float_state", "%"), ("same_as_model", "%")):  # fmt: skip
        record(NAME, f"{what}: {key.replace('_', ' ')}", float(row[key]), unit)


if __name__ == "__main__":
    main()
