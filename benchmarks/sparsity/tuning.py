# SPDX-License-Identifier: Apache-2.0
"""Tune the networks of `networks.py` for silence, and measure what came out on all test samples.

    python benchmarks/sparsity/tuning.py                          measures the tuned networks of examples/
    python benchmarks/sparsity/tuning.py --train FOLDER [--network NAME]... [--seed N]... [--device cuda]
    python benchmarks/sparsity/tuning.py --measure FOLDER         those that were trained, with means over seeds

Recipes (price, epochs) were chosen on held-out training samples and one seed. Drops are paired, against the ANN.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from record import ROOT, record
from safetensors.torch import load_file, save_file
from sparsity.networks import NETWORKS, built, data_of, trained

from spikerun import Session
from spikerun.converters import Encoding, convert, to_torch, tune
from spikerun.converters.resuming import Recipe
from spikerun.converters.tuning.fit import KEY, Tuned
from spikerun.network import Network as Spiking
from spikerun.paired import standard_error

CALIBRATED = 512
AT_ONCE = 500


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="tune, and write NAME-SEED.safetensors there")
    parser.add_argument("--measure", type=Path, metavar="FOLDER", help="measure NAME-SEED.safetensors there")
    parser.add_argument("--network", action="append", choices=list(NETWORKS), help="several times for more; else all")
    parser.add_argument("--seed", type=int, action="append", help="several times for more; else 0, 1, 2")
    parser.add_argument("--epochs", type=int, help="else those of the network's row")
    parser.add_argument("--price", type=float, help="else that of the network's row")
    parser.add_argument("--objective", default="synops")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def tuned(name: str, seed: int, folder: Path, options: argparse.Namespace) -> None:
    """Tune a network on the train split, and write its weights and words."""
    row, begun = NETWORKS[name], time.monotonic()
    samples, labels, scale = data_of(row.data, "train")
    recipe = Recipe(options.epochs or row.epochs, 0.006, seed=seed)
    tuning = tune(
        trained(name, seed), (samples, labels), price=options.price or row.price, recipe=recipe,
        objective=options.objective, encoding=Encoding(scale), device=options.device,
        journal=folder / f"{name}-{seed}.tuning.pt",
    )  # fmt: skip
    assert tuning.state is not None, "torch modules take weights back"
    kept = {key: value for key, value in tuning.state.items() if not key.endswith("num_batches_tracked")}
    save_file(kept, folder / f"{name}-{seed}.safetensors", {KEY: tuning.tuned.text()})
    last = tuning.frontier[-1]
    print(json.dumps({"network": name, "seed": seed, "seconds": time.monotonic() - begun, **vars(last)}), flush=True)


def measured(name: str, seed: int, file: Path) -> tuple[float, float, float, float, float, float]:
    """Return (ANN %, points, standard error, synops, events and untuned synops per MAC) on the test samples."""
    row = NETWORKS[name]
    calibrate = data_of(row.data, "train")[0][:CALIBRATED]
    samples, labels, scale = data_of(row.data, "test")
    before = trained(name, seed)
    with torch.no_grad():
        parts = [before(torch.from_numpy(samples[k : k + AT_ONCE]) * scale) for k in range(0, len(samples), AT_ONCE)]
    ann = torch.cat(parts).argmax(1).numpy() == labels
    model = built(name)
    model.load_state_dict(load_file(file), strict=False)
    network = convert(model.eval(), calibrate, encoding=Encoding(scale), tuned=Tuned.of_file(file)).network
    result = Session(network).run(samples)
    right = result.classes == labels
    untuned = Session(convert(before, calibrate, encoding=Encoding(scale), bits=4).network).run(samples)
    synops = (result.activity.synops_per_mac or 0, untuned.activity.synops_per_mac or 0)
    points = 100 * float(right.mean() - ann.mean())
    return (
        100 * float(ann.mean()),
        points,
        standard_error(ann.astype(float), right.astype(float)),
        synops[0],
        events(network, samples),
        synops[1],
    )


def events(network: Spiking, samples: np.ndarray) -> float:
    """Return the words that are not 0, times their fan-out, over the MACs: what kernels of words pay."""
    module, total = to_torch(network), 0.0
    for first in range(0, len(samples), AT_ONCE):
        with torch.no_grad():
            words = module.words(samples[first : first + AT_ONCE])
        for name, population in network.populations.items():
            if population.neuron.fires:
                active = (words[name] != 0).sum(0).numpy()
                total += sum(
                    float((active * link.connection.fan_out(population.shape)).sum()) for link in network.out_of(name)
                )
    return total / len(samples) / (network.macs or 1)


def main() -> None:
    """Train, or measure."""
    options = arguments()
    names, seeds = options.network or list(NETWORKS), options.seed or [0, 1, 2]
    if options.train:
        options.train.mkdir(parents=True, exist_ok=True)
        for name in names:
            for seed in seeds:
                tuned(name, seed, options.train, options)
        return
    for name in names:
        files = {0: ROOT / "examples" / f"tuned_{name}.safetensors"}
        if options.measure:
            files = {seed: options.measure / f"{name}-{seed}.safetensors" for seed in seeds}
        rows = [measured(name, seed, file) for seed, file in files.items() if file.exists()]
        for seed, (ann, points, error, synops, active, untuned) in zip(files, rows, strict=False):
            print(f"{name} seed {seed}: ANN {ann:.2f} %, {points:+.2f} ± {error:.2f} points, synops {synops:.3f}, "
                  f"events {active:.3f} per MAC; untuned at 4 bits {untuned:.3f}", flush=True)  # fmt: skip
        if rows:
            mean = np.mean(rows, axis=0)
            several = f"{name}, mean of {len(rows)}" if len(rows) > 1 else name
            record("sparsity_tuning", f"{several}: points", float(mean[1]), "points")
            record("sparsity_tuning", f"{several}: synops", float(mean[3]), "per MAC")
            record("sparsity_tuning", f"{several}: events", float(mean[4]), "per MAC")


if __name__ == "__main__":
    main()
