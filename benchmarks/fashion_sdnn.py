# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the average-pool example as a sigma-delta network, on all 10,000 Fashion-MNIST test images.

The network on a CPU is the law: a test holds the chip's graph to it, word by word. They differ only where a word is cut
at 255, for which the images are counted with a word that may have been. Limits: the ANN, and the same network of 8 bits
without the chip's restrictions.
"""

from typing import Any

import numpy as np
from record import ROOT, record

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.sigma_delta import graded
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.torch.user_model import load_model
from spikerun.network import Network
from spikerun.session import Session

NAME = "fashion_sdnn"
EXAMPLE = ROOT / "examples" / "fashion_average.py"
BATCH = 500


def main() -> None:
    """Convert with and without the restrictions, and print what each costs."""
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    source = TorchSource(load_model(f"{EXAMPLE}:build", EXAMPLE.with_suffix(".safetensors")))
    converter = Converter(source, train.samples[:512], graded(Encoding(train.scale)))
    evaluation = converter.evaluation(test.samples, test.labels)
    for what, settings in (("8 bits", Settings(8, "graded")), ("sdnn", Settings(8, "graded", coding="sdnn"))):
        conversion = converter.measured(converter.convert(settings), evaluation)
        report = conversion.report
        assert report.accuracy is not None and report.synops_per_sample is not None
        if what == "8 bits":
            record(NAME, "ANN accuracy", report.accuracy.ann, "%")
        record(NAME, f"{what}: accuracy", report.accuracy.snn, "%")
        record(NAME, f"{what}: points lost", report.accuracy.drop, "points")
        record(NAME, f"{what}: standard error of that, paired", report.accuracy.standard_error, "points")
        record(NAME, f"{what}: synaptic events an image", report.synops_per_sample, "")
        record(NAME, f"{what}: synaptic events per MAC", report.synops_per_sample / report.macs, "")
    record(NAME, "sdnn: images with a word that may be cut", cut(conversion.network, test.samples), "of 10,000")


def cut(network: Network, samples: Any) -> int:
    """Return how many samples have a word of 255 behind the input."""
    session, count = Session(network), 0
    names = [name for name, p in network.populations.items() if p.neuron.fires and not p.neuron.is_input]
    for first in range(0, len(samples), BATCH):
        words = session.run(samples[first : first + BATCH], trace=True).words
        count += int(
            np.any([words[name].reshape(len(words[name]), -1).max(axis=1) == 255 for name in names], axis=0).sum()
        )
    return count


if __name__ == "__main__":
    main()
