# SPDX-License-Identifier: Apache-2.0
"""`convert` in Python: of models and arrays."""

import os
from collections.abc import Mapping
from typing import Any

from spikerun.converters import budget
from spikerun.converters.arguments import metric_of, path_of, require_functions, source_of
from spikerun.converters.encoding import Encoding
from spikerun.converters.metrics import Metric, top1
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.report import Conversion
from spikerun.converters.samples import Progress, Samples, labelled
from spikerun.converters.sigma_delta import graded
from spikerun.converters.source import Source, check_bits
from spikerun.converters.tuning.fit import Tuned
from spikerun.converters.validation import Validation
from spikerun.errors import UsageError

__all__ = ["NO_LIMITS", "convert_arrays"]

NO_LIMITS = (
    "limits are those of chips, whose neurons spike step by step, and this network has no time loop: say "
    "--neuron if beside --limits, which makes one of it; or --coding sdnn in place of --limits, for a sigma-delta "
    "network on Loihi 2; or leave --limits out"
)


def convert_arrays(
    model: Any,
    data: Samples,
    *,
    bits: int | None,
    code: str | None,
    coding: str,
    overrides: Mapping[str, int] | None,
    zones: Mapping[str, int] | None,
    encoding: Encoding | Mapping[str, Encoding] | None,
    evaluation: Any,
    validation: Any,
    max_drop: float | None,
    objective: str,
    confidence: float,
    dead_zones: bool | None,
    journal: str | os.PathLike[str] | None,
    metric: Metric | str | None,
    on_progress: Progress | None,
    limits: str | None,
    tuned: Tuned | None,
) -> Conversion:
    """Return what `convert` does: see there."""
    if limits is not None:
        raise UsageError(NO_LIMITS)
    settings = Settings.of(coding, bits, code, overrides, search=max_drop is not None, zones=zones)
    score = metric_of(metric) or top1
    require_functions({"on_progress": on_progress})
    tested, checked = labelled(evaluation, "evaluation"), labelled(validation, "validation")
    aim = None
    if max_drop is not None:
        aim = budget.Aim(max_drop, objective, confidence, code, dead_zones)
        budget.check_journal(path_of(journal), score)
        if overrides or zones:
            raise UsageError("max_drop chooses the words of every layer: leave out overrides and zones")
        if validation is None:
            raise UsageError("max_drop needs labelled samples to choose by: give validation=(samples, labels)")
    elif dead_zones is not None:
        raise UsageError("dead_zones says how max_drop searches: give the points that may be lost, or zones by name")
    if tuned is not None:
        asked = {"bits": bits, "overrides": overrides, "max_drop": max_drop, "zones": zones}
        tuned.require_alone(*(name for name, value in asked.items() if value is not None))
        settings = tuned.settings(code or "bits")
    source = source_of(model)
    check_bits(source, bits, overrides, max_drop)
    if not isinstance(source, Source):
        raise UsageError(f"this network ({source.name}) spikes already, in a time loop of its own: use convert_spiking")
    sdnn = coding == "sdnn"
    if encoding is not None and sdnn:
        encoding = graded(encoding)
    converter = Converter(source, data, encoding, on_progress, "graded" if sdnn else "bits", tuned)
    measured = None if tested is None else converter.evaluation(*tested, score)
    if aim is not None and checked is not None:
        held = Validation(converter, *checked, score)
        conversion = budget.search(converter, aim, held, path_of(journal))
    else:
        conversion = converter.convert(settings)
    held_out = checked or tested
    conversion = converter.compared(conversion, None if held_out is None else held_out[0])
    return conversion if measured is None else converter.measured(conversion, measured)
