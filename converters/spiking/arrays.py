# SPDX-License-Identifier: Apache-2.0
"""`convert_spiking` in Python: of models and arrays."""

from collections.abc import Mapping
from typing import Any

from spikerun.converters.arguments import require_functions, source_of
from spikerun.converters.encoding import Encoding
from spikerun.converters.evaluate import Metric, top1
from spikerun.converters.samples import Progress, gathered, labelled
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.spiking.rate_source import check_neuron, rate_source
from spikerun.converters.spiking.report import SpikingConversion
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.spiking.step import Readout
from spikerun.errors import UsageError

__all__ = ["convert_spiking_arrays"]


def convert_spiking_arrays(
    model: Any,
    data: Any,
    *,
    duration: int | None,
    readout: Readout | str | None,
    encoding: Encoding | Mapping[str, Encoding] | None,
    evaluation: Any,
    metric: Metric | None,
    on_progress: Progress | None,
    limits: str | None,
    neuron: str | None,
    reset: str | None,
) -> SpikingConversion:
    """Return what `convert_spiking` does: see there."""
    require_functions({"metric": metric, "on_progress": on_progress})
    tested = labelled(evaluation, "evaluation")
    if isinstance(readout, str):
        readout = Readout(readout)
    elif readout is not None and not isinstance(readout, Readout):
        raise UsageError(f"a readout is a name, such as 'count', or a Readout(name, groups), got {readout!r:.80}")
    source = source_of(model)
    if check_neuron(neuron, reset, {}):
        data = gathered(data)
        source = rate_source(source, data, encoding, reset)
    if not isinstance(source, StepSource):
        raise UsageError(
            f"this is no network with a time loop of its own, but {type(source).__name__}: use convert, or give it "
            "neurons (neuron='if')"
        )
    converter = StepConverter(source, data, encoding, duration, readout, on_progress, limits)
    if tested is None:
        return converter.convert({})
    measured = converter.evaluation(*tested, metric or top1)
    return converter.measured(converter.convert({}), measured)
