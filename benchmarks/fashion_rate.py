# SPDX-License-Identifier: Apache-2.0
"""Accuracy of an ANN as rates of integrate-and-fire neurons, on all Fashion-MNIST test images, by reset and duration.

The limit is the ANN. Thresholds, gains and weights are fitted to training images alone; the integers are those of a
chip where --limits names one. Each row is one conversion; the points lost are paired, with their standard error.
"""

import argparse
from pathlib import Path

from record import ROOT, record

from spikerun import datasets
from spikerun.converters import Encoding, convert_spiking
from spikerun.converters.torch.user_model import load_model

NAME = "fashion_rate"
EXAMPLE = ROOT / "examples" / "fashion_average.py"


def main() -> None:
    """Convert for each reset and duration, and print what each costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=EXAMPLE.with_suffix(".safetensors"), help="of another seed")
    parser.add_argument("--label", default="seed 0", help="what these weights are called in the table")
    parser.add_argument("--limits", default="loihi2", help="loihi1, loihi2 or none")
    parser.add_argument("--resets", nargs="*", default=["zero", "subtract"])
    parser.add_argument("--durations", type=int, nargs="*", default=[8, 16, 32, 64])
    parser.add_argument("--samples", type=int, default=512, help="training images that fit")
    given = parser.parse_args()
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    model = load_model(f"{EXAMPLE}:build", given.weights)
    for reset in given.resets:
        for steps in given.durations:
            report = convert_spiking(
                model, train.samples[: given.samples], duration=steps, neuron="if", reset=reset,
                encoding=Encoding(train.scale, code="current"), evaluation=(test.samples, test.labels),
                limits=None if given.limits == "none" else given.limits,
            ).report  # fmt: skip
            accuracy = report.accuracy
            assert accuracy is not None and report.synops_per_sample is not None and report.macs
            row = f"{given.label} {given.limits} {reset} T={steps}"
            record(NAME, f"{row} ANN accuracy", accuracy.ann, "%")
            record(NAME, f"{row} accuracy", accuracy.snn, "%")
            record(NAME, f"{row} points lost", accuracy.drop, "points")
            record(NAME, f"{row} standard error of that, paired", accuracy.standard_error, "points")
            record(NAME, f"{row} spikes", sum(cell.spikes for cell in report.cells), "a sample")
            record(NAME, f"{row} synaptic operations per MAC", report.synops_per_sample / report.macs, "")


if __name__ == "__main__":
    main()
