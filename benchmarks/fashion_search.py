# SPDX-License-Identifier: Apache-2.0
"""Cheap networks of the example network: ttfs, mixed bits, and the search for the cheapest that keeps a budget.

Chosen on Fashion-MNIST training images; the 10,000 test images measure what was chosen.
"""

import numpy as np
from record import MODEL, WEIGHTS, record

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.converters.budget import Aim, BudgetMissed, chain, search, settings_of
from spikerun.converters.journal import Journal
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.report import Conversion
from spikerun.converters.sensitivity import prices
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.torch.user_model import load_model
from spikerun.converters.validation import Validation

NAME = "fashion_search"
BUDGET = 0.1  # points, on training images
RATIO = 0.45  # synaptic operations per MAC


def main() -> None:
    """Print ttfs of all layers alike, the richest settings of the frontier that cost little, and two searches."""
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    order = np.random.default_rng(0).permutation(len(train))
    chosen, rest = np.sort(order[:512]), np.sort(order[512:])
    converter = Converter(TorchSource(load_model(MODEL, WEIGHTS)), train.samples[chosen], Encoding(train.scale))
    evaluation = converter.evaluation(test.samples, test.labels)

    def tell(what: str, conversion: Conversion) -> None:
        report = converter.measured(conversion, evaluation).report
        accuracy = report.accuracy
        assert accuracy is not None and report.synops_per_mac is not None
        record(NAME, f"{what}: window", report.window, "steps")
        record(NAME, f"{what}: drop on test images", accuracy.drop, "points")
        record(NAME, f"{what}: standard error of that, paired", accuracy.standard_error, "points")
        record(NAME, f"{what}: synaptic operations per MAC", report.synops_per_mac, "")

    for bits in (3, 4, 5):
        tell(f"ttfs, {bits} bits", converter.convert(Settings(bits, "ttfs")))
    for code in (None, "ttfs"):
        table = prices(converter.calibration, code, "synops", True, Journal(None, ""), lambda done, total: None)
        one = next(one for one in chain(*table) if one.expected <= RATIO * converter.macs)
        what = f"{code or 'bits and ttfs'}, {' '.join(map(str, one.choices.values()))}"
        tell(what, converter.convert(settings_of(one.choices)))
    validation = Validation(converter, train.samples[rest], train.labels[rest])
    for code in (None, "ttfs"):
        try:
            conversion = search(converter, Aim(BUDGET, code=code), validation)
        except BudgetMissed as missed:
            conversion = missed.conversion
        found = conversion.report.search
        assert found is not None
        one = found.frontier[found.chosen]
        assert one.accuracy is not None
        what = f"search, {code or 'bits and ttfs'}, {' '.join(map(str, one.choices.values()))}"
        record(NAME, f"{what}: drop on training images", one.accuracy.drop, "points")
        record(NAME, f"{what}: at most, by the 95 % bound", one.upper or 0.0, "points")
        tell(what, conversion)


if __name__ == "__main__":
    main()
