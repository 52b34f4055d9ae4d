# SPDX-License-Identifier: Apache-2.0
"""`spikerun convert` for trained networks with a time loop of their own."""

from collections.abc import Callable
from typing import Any

from spikerun.converters.encoding import Encoding
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.spiking.report import SpikingConversion, SpikingReport
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.spiking.step import Readout
from spikerun.datasets import Dataset
from spikerun.errors import CheckFailed
from spikerun.text import seconds

__all__ = ["check_drop", "convert_steps", "readout_of", "time_step"]


def readout_of(rule: str | None, classes: int | None) -> Readout | None:
    """Return the readout that was asked for, if one was."""
    if rule is None and classes is None:
        return None
    return Readout("count" if rule is None else rule, 1 if classes is None else classes)


def time_step(text: str | None) -> float | None:
    """Return a duration such as 1ms, 100us or 0.001 in seconds."""
    return None if text is None else seconds(text, "--dt")


def convert_steps(
    source: StepSource,
    train: Dataset,
    chosen: Any,
    test: Dataset,
    encoding: Encoding,
    duration: int | None,
    readout: Readout | None,
    tell: Callable[[str, int, int], None],
    limits: str | None = None,
) -> SpikingConversion:
    """Return the network of a source in integers, measured on the test samples where they have labels."""
    converter = StepConverter(source, train.samples.take(chosen, axis=0), encoding, duration, readout, tell, limits)
    if not test.labelled:
        return converter.convert({})
    evaluation = converter.evaluation(test.samples, test.require_labels())
    return converter.measured(converter.convert({}), evaluation)


def check_drop(report: SpikingReport, most: float | None) -> None:
    """Raise CheckFailed where a conversion loses more points than `most`."""
    if most is not None and report.accuracy is not None and report.accuracy.drop > most:
        raise CheckFailed(
            f"the integers lose {report.accuracy.drop:.2f} points on {report.accuracy.samples} samples, and --max-drop "
            f"allows {most:g}: see the report for the population whose spikes differ"
        )
