# SPDX-License-Identifier: Apache-2.0
"""The public names: an exact list, each of which resolves, and says what it is."""

import pytest

import spikerun

NEURONS = ["IF", "LIF", "FewSpikes", "Input", "Levels", "MaxPool", "Poisson", "Readout"]
CONNECTIONS = ["Conv", "Dense", "Diagonal", "PooledConv", "Random", "Sparse", "SumPool", "Window"]
NETWORK = ["Network", "Population", "Projection", "load", "save"]
RUNNING = ["Activity", "Comparison", "compare", "Outputs", "Reading", "Result", "Session", "Spike", "Stream"]
CONVERTING = ["Encoding", "convert", "convert_spiking", "to_torch"]
EVENTS = ["EVENT", "as_events", "sources"]
PUBLIC = [*NEURONS, *CONNECTIONS, *NETWORK, *RUNNING, *CONVERTING, *EVENTS, "SpikerunError", "__version__"]


def test_public_names_are_exactly_these() -> None:
    assert len(spikerun.__all__) == len(PUBLIC)
    assert set(spikerun.__all__) == set(PUBLIC)
    assert dir(spikerun) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_name_resolves_and_is_documented(name: str) -> None:
    found = getattr(spikerun, name)
    if name == "sources":
        assert found.__doc__ and found.__name__ == "spikerun.sources"
    elif name not in ("EVENT", "__version__"):
        assert found.__doc__ and found.__name__ == name


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        spikerun.nonsense  # noqa: B018
