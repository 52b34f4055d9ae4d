# SPDX-License-Identifier: Apache-2.0
"""Every neuron of the frameworks keeps its spikes: all of them in real numbers, all or nearly all in integers."""

from dataclasses import replace

import pytest
from exactness import CASES, measured

from spikerun.errors import ConversionError


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.dyadic and not case.shows])
def test_integers_send_the_spikes_of_the_package_where_they_hold_its_numbers(name: str) -> None:
    row = measured(CASES[name], dyadic=True)
    assert row.spikes > 100
    assert (row.cell, row.integers) == (100, 100)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.shows])
def test_other_numbers_differ_near_the_threshold_only(name: str) -> None:
    row = measured(CASES[name], dyadic=False)
    assert row.spikes > 100
    assert row.cell == 100
    assert row.integers >= 99.5
    assert row.near, f"{row.distance} units from the threshold, by roundings it may be {row.room}"


@pytest.mark.parametrize("dyadic", [True, False])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.shows])
def test_membranes_that_are_read_are_off_by_roundings_only(name: str, dyadic: bool) -> None:
    row = measured(CASES[name], dyadic)
    assert row.cell == 100
    assert row.distance > 0
    assert row.near, f"off by {row.distance} units, by roundings it may be {row.room}"


@pytest.mark.parametrize(
    "name",
    ["snnTorch RLeaky subtract delayed", "snnTorch Synaptic subtract at once", "snnTorch RSynaptic zero delayed",
     "Norse LIFRecurrentCell value at once", "SpikingJelly IFNode subtract at once"],
)  # fmt: skip
def test_with_one_fraction_bit_more_spikes_differ_and_all_of_them_near_the_threshold(name: str) -> None:
    row = measured(CASES[name], dyadic=False, fraction_bits=1)
    assert row.integers < 99.9
    assert row.near and row.distance > 0


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky"])
def test_a_membrane_that_passes_twice_its_threshold_is_refused_where_snntorch_compares_with_twice(kind: str) -> None:
    case = replace(CASES[f"snnTorch {kind} subtract at once"], drive=(0.5, 0.5))
    with pytest.raises(ConversionError, match="'neuron' passes twice its threshold in one step on these samples"):
        measured(case, dyadic=True)
