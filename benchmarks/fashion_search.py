# SPDX-License-Identifier: Apache-2.0
"""The search for the cheapest network of mixed bits on the example network, for some budgets, with and without ttfs.

Chosen on Fashion-MNIST training images that do not calibrate; the 10,000 test images measure what was chosen.
"""

import numpy as np
from record import MODEL, WEIGHTS, record

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.converters.budget import Aim, BudgetMissed, search
from spikerun.converters.pipeline import Converter
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.torch.user_model import load_model
from spikerun.converters.validation import Validation

NAME = "fashion_search"
BUDGETS = (0.1, 0.3, 0.5, 1.0)
CODES = (None, "ttfs", "bits")


def main() -> None:
    """Search for each budget, and print what was found."""
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    order = np.random.default_rng(0).permutation(len(train))
    chosen, rest = np.sort(order[:512]), np.sort(order[512:])
    converter = Converter(TorchSource(load_model(MODEL, WEIGHTS)), train.samples[chosen], Encoding(train.scale))
    validation = Validation(converter, train.samples[rest], train.labels[rest])
    evaluation = converter.evaluation(test.samples, test.labels)
    for code in CODES:
        table = None
        for budget in BUDGETS:
            try:
                conversion = search(converter, Aim(budget, code=code), validation, table=table)
            except BudgetMissed as missed:
                conversion = missed.conversion
            found = conversion.report.search
            assert found is not None
            table, one = found.prices, found.frontier[found.chosen]
            report = converter.measured(conversion, evaluation).report
            accuracy = report.accuracy
            assert accuracy is not None and report.synops_per_mac is not None and one.accuracy is not None
            what = f"{code or 'bits and ttfs'}, budget {budget:g}"
            record(NAME, f"{what}: bits of each layer", " ".join(map(str, one.choices.values())), "")
            record(NAME, f"{what}: window", report.window, "steps")
            record(NAME, f"{what}: drop on training images", one.accuracy.drop, "points")
            record(NAME, f"{what}: at most, by the 95 % bound", one.upper or 0.0, "points")
            record(NAME, f"{what}: drop on test images", accuracy.drop, "points")
            record(NAME, f"{what}: standard error of that, paired", accuracy.standard_error, "points")
            record(NAME, f"{what}: synaptic operations per MAC", report.synops_per_mac, "")


if __name__ == "__main__":
    main()
