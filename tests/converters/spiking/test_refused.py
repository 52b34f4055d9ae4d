# SPDX-License-Identifier: Apache-2.0
"""What no spiking network can be converted from, or with: one sentence says so before the work."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from steps import Given, two_layers

from spikerun.converters import convert_spiking
from spikerun.converters.encoding import Encoding
from spikerun.converters.spiking.step import Readout, Step
from spikerun.datasets import Encoded, Rate
from spikerun.errors import UsageError

SAMPLES = np.random.default_rng(0).integers(0, 256, (8, 30))


def step(**cell: Any) -> Step:
    return two_layers(np.random.default_rng(0), **cell)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duration": 2.5}, r"--duration is an integer in 1\.\.32767, got 2\.5"),
        ({"duration": "25"}, r"--duration is an integer in 1\.\.32767, got '25'"),
        ({"duration": True}, r"--duration is an integer in 1\.\.32767, got True"),
        ({"duration": 0}, r"--duration is an integer in 1\.\.32767, got 0"),
        ({"duration": 40000}, r"--duration is an integer in 1\.\.32767, got 40000"),
        ({"readout": "counts"}, r"unknown readout 'counts'\. Did you mean 'count'\?"),
        ({"readout": 3}, r"a readout is a name, such as 'count', or a Readout\(name, groups\), got 3"),
        ({"evaluation": SAMPLES}, r"evaluation is a pair of \(samples, labels\), got ndarray"),
        ({"metric": "top1"}, "metric is a function, got 'top1'"),
        ({"on_progress": 3}, "on_progress is a function, got 3"),
    ],
)
def test_options_of_a_conversion_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        convert_spiking(Given(step()), SAMPLES, **{"duration": 5} | options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("foo",), "unknown readout 'foo'"),
        (("count", 0), r"the groups \(--classes\) of a readout are an integer from 1 on, got 0"),
        (("count", -1), r"from 1 on, got -1"),
        (("count", True), r"from 1 on, got True"),
    ],
)
def test_a_readout_is_checked(given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Readout(*given)


def test_a_readout_may_be_said_by_its_name() -> None:
    report = convert_spiking(Given(replace(step(), readouts={})), SAMPLES, duration=np.int64(5), readout="mean").report
    assert report.readout == "mean"


def test_more_steps_than_a_network_has_are_refused_wherever_they_come_from() -> None:
    with pytest.raises(UsageError, match=r"the number of time steps is an integer in 1\.\.32767, got 40000"):
        convert_spiking(Given(replace(step(), steps=40000)), SAMPLES)
    frames = np.zeros((1, 40000, 30), np.uint8)
    with pytest.raises(UsageError, match=r"the number of time steps is an integer in 1\.\.32767, got 40000"):
        convert_spiking(Given(step()), frames, encoding=Encoding(code="frames"))
    with pytest.raises(UsageError, match=r"steps into which 'input' is encoded is an integer in .*, got 40000"):
        convert_spiking(Given(step()), Encoded(SAMPLES, Rate(40000), np.arange(8)))
