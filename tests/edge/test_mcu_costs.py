# SPDX-License-Identifier: Apache-2.0
"""What kernels cost on a core is a table of its file; a layer costs what it counts, times that."""

import math

import numpy as np
import pytest

from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import costs
from spikerun.kernels.operations import Map

LINEAR = Map("dense", (6,), (4,), (0, 4), (("weight", np.ones((6, 4), np.int8)),))


def test_a_layer_costs_what_it_counts_times_the_costs_of_the_core() -> None:
    of_dense = {"word": 1.0, "active": 10.0, "spike": 100.0, "event": 200.0, "target": 1e3, "pixel": 1e4}
    found = costs.of_map({"dense": of_dense}, "dense", LINEAR, 0.5, True)
    assert found == 6 * 1 + 3 * 10 + 12 * 100 + 4 * 1e3 + 1e4
    assert costs.of_map({"dense": of_dense}, "dense", LINEAR, 0.5, False) == found + 12 * 100
    assert costs.of_neurons({"fire": {"neuron": 2.0, "active": 3.0}}, "fire", (4, 2), 0.25) == 8 * 2 + 2 * 3


def test_of_what_has_no_costs_nothing_is_told() -> None:
    assert costs.of_map({}, "dense", LINEAR, 0.5, True) is None
    assert costs.of_map({"dense": {"word": 1.0}}, "dense", LINEAR, 0.5, True) is None
    assert costs.of_neurons({}, "fire", (4,)) is None


@pytest.mark.parametrize("values", [{"magic": {}}, {"dense": {"word": -1}}, {"dense": {"wrod": 1}}, {"dense": 3}])
def test_a_table_that_says_nothing_sensible_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\[costs"):
        costs.read(values)


@pytest.mark.parametrize("name", [name for name in boards.boards() if name.startswith("generic-")])
def test_every_core_has_costs_of_the_kernels_that_it_takes(name: str) -> None:
    found = costs.of_map(boards.load(name).core.costs, "dense", LINEAR, 0.5, True)
    assert found is not None
    assert math.isfinite(found)
