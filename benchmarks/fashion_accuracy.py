"""Accuracy of the example network on all 10,000 Fashion-MNIST test images, training-free, for each number of steps.

The limit is the ANN: the network is the quantised ANN, integer for integer, so only quantisation can cost accuracy.
Beside it, the best that a peer reaches on a network of this size (SpikingJelly 2.0, rate code): 87.6 % at T = 4, 90.0 %
at T = 8, and the ANN's accuracy at T = 32.
"""

from record import MODEL, WEIGHTS, record

from spikerun import datasets
from spikerun.converters import convert
from spikerun.converters.user_model import load_model

NAME = "fashion_accuracy"


def main() -> None:
    """Convert with T = 3..6, and print what each costs."""
    model = load_model(MODEL, WEIGHTS)
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    for steps in (3, 4, 5, 6):
        evaluation = (test.samples, test.labels)
        report = convert(model, train.samples[:512], steps=steps, input_scale=train.scale, evaluation=evaluation).report
        accuracy = report.accuracy
        assert accuracy is not None and report.synops_per_sample is not None and report.spikes_per_neuron is not None
        if steps == 3:
            record(NAME, "ANN accuracy", accuracy.ann, "%")
        record(NAME, f"T={steps} accuracy", accuracy.snn, "%")
        record(NAME, f"T={steps} points lost", accuracy.drop, "points")
        record(NAME, f"T={steps} standard error of that, paired", accuracy.standard_error, "points")
        record(NAME, f"T={steps} spikes per neuron", report.spikes_per_neuron, "")
        record(NAME, f"T={steps} synaptic operations per MAC", report.synops_per_sample / report.macs, "")


if __name__ == "__main__":
    main()
