# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the example network on all 10,000 Fashion-MNIST test images, training-free, for some numbers of bits T.

The limit is the ANN: the network is the quantised ANN, integer for integer, so only quantisation can cost accuracy.
Beside it, the best that a peer reaches on a network of this size (SpikingJelly 2.0, rate code): 87.6 % at T = 4, 90.0 %
at T = 8, and the ANN's accuracy at T = 32.
"""

from record import MODEL, WEIGHTS, record

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.torch.user_model import load_model

NAME = "fashion_accuracy"


def main() -> None:
    """Convert with T = 3..6, and print what each costs."""
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    source = TorchSource(load_model(MODEL, WEIGHTS))
    converter = Converter(source, train.samples[:512], Encoding(train.scale))
    evaluation = converter.evaluation(test.samples, test.labels)
    for bits in (3, 4, 5, 6):
        report = converter.measured(converter.convert(Settings(bits)), evaluation).report
        accuracy = report.accuracy
        assert accuracy is not None and report.synops_per_sample is not None and report.spikes_per_neuron is not None
        if bits == 3:
            record(NAME, "ANN accuracy", accuracy.ann, "%")
        record(NAME, f"T={bits} accuracy", accuracy.snn, "%")
        record(NAME, f"T={bits} points lost", accuracy.drop, "points")
        record(NAME, f"T={bits} standard error of that, paired", accuracy.standard_error, "points")
        record(NAME, f"T={bits} spikes per neuron", report.spikes_per_neuron, "")
        record(NAME, f"T={bits} synaptic operations per MAC", report.synops_per_sample / report.macs, "")


if __name__ == "__main__":
    main()
