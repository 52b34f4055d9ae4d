"""The public names: an exact list, each of which resolves, and says what it is."""

import pytest

import spikerun

PUBLIC = """
IF LIF Activity Conv Dense Diagonal FewSpikes Input MaxPool Network Population Projection Reading Readout Result Session
Sparse Spike SpikerunError Stream SumPool Window __version__ load save
""".split()


def test_public_names_are_exactly_these() -> None:
    assert spikerun.__all__ == PUBLIC
    assert dir(spikerun) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_name_resolves_and_is_documented(name: str) -> None:
    found = getattr(spikerun, name)
    assert name == "__version__" or (found.__doc__ and found.__name__ == name)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        spikerun.nonsense  # noqa: B018
