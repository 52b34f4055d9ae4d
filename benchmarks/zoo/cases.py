# SPDX-License-Identifier: Apache-2.0
"""Every network of the benchmarks of conversion, by name, with the samples that calibrate and that measure it."""

from collections.abc import Callable

import numpy as np

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.converters.torch.user_model import load_model
from zoo import NETWORKS, loaded, weights_of
from zoo.foreign import FOREIGN, Case

__all__ = ["CASES", "HELD_OUT"]

CALIBRATED = 512  # training samples
HELD_OUT = 5000  # training samples that neither calibrate nor test, to choose constants by


def case(build: Callable[[], object], data: str, held_out: bool) -> Case:
    """Return a network with a data set: the first training samples calibrate, the test samples measure.

    held_out: training samples that do not calibrate measure instead.
    """
    train = datasets.load(data, split="train")
    test = train if held_out else datasets.load(data, split="test")
    part = slice(CALIBRATED, CALIBRATED + HELD_OUT) if held_out else slice(None)
    samples = [np.asarray(found) for found in (train.samples[:CALIBRATED], test.samples[part])]
    calibration, measured = (found.reshape(len(found), 1, *found.shape[-2:]) for found in samples)
    labels = np.asarray(test.require_labels())[part]
    return Case(build(), Encoding(train.scale), calibration, measured, labels)  # type: ignore[arg-type]


def example() -> object:
    """Return the network of the example."""
    from record import MODEL, WEIGHTS

    return load_model(MODEL, WEIGHTS)


def cases() -> dict[str, Callable[[bool], Case]]:
    """Return the table: a function of `held_out` for each network."""
    found: dict[str, Callable[[bool], Case]] = {"fashion": lambda held: case(example, "fashion-mnist", held)}
    for name, network in NETWORKS.items():
        for seed in network.seeds:
            found[f"{name} seed {seed}"] = lambda held, name=name, seed=seed, data=network.data: case(  # type: ignore[misc]
                lambda: loaded(name, weights_of(name, seed)), data, held
            )
    return found | {name: lambda held, made=made: made() for name, made in FOREIGN.items()}  # type: ignore[misc]


CASES = cases()
