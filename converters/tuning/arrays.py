# SPDX-License-Identifier: Apache-2.0
"""`tune` and `tunable` in Python: of models and arrays."""

import os
from collections.abc import Mapping
from typing import Any

from spikerun.converters.arguments import metric_of, path_of, require_functions, timeless
from spikerun.converters.encoding import Encoding
from spikerun.converters.evaluate import Metric, top1
from spikerun.converters.pipeline import INPUT, Converter
from spikerun.converters.resuming import Recipe
from spikerun.converters.samples import Progress, by_name, checked, encodings_of, gathered, labelled, quiet
from spikerun.converters.source import Source
from spikerun.converters.tuning import EPOCHS, RATE
from spikerun.converters.tuning.stages import Aim
from spikerun.converters.tuning.tunable import Tunable
from spikerun.converters.tuning.tune import Tuning, recode, tuned
from spikerun.errors import UsageError

__all__ = ["tunable_of", "tune_arrays"]

CALIBRATED = 512


def converter_of(
    source: Source, given: Any, encoding: Encoding | Mapping[str, Encoding] | None, aim: Aim, tell: Progress
) -> Converter:
    """Return the converter of a source for samples, the first of which calibrate."""
    named = by_name(gathered(given, None), (INPUT,))
    few = {name: values[:CALIBRATED] for name, values in named.items()}
    encodings = encodings_of(encoding, few, "bits")
    return Converter(source, few, encodings, tell, recode=recode(encodings, aim))


def tunable_of(model: Any, data: Any, encoding: Encoding | Mapping[str, Encoding] | None, aim: Aim) -> Tunable:
    """Return the module that a training of one's own trains."""
    converter = converter_of(timeless(model), data, encoding, aim, quiet)
    return Tunable(converter, aim.bits, recode(converter.encodings, aim), aim.objective)


def tune_arrays(
    model: Any, data: Any, aim: Aim, recipe: Recipe | None, *, encoding: Encoding | Mapping[str, Encoding] | None,
    evaluation: Any, validation: Any, metric: Metric | str | None, device: str,
    journal: str | os.PathLike[str] | None, force: bool, tell: Progress | None,
) -> Tuning:  # fmt: skip
    """Return what `tune` does: see there."""
    score = metric_of(metric) or top1
    require_functions({"on_progress": tell})
    source = timeless(model)
    pair = labelled(data, "data") if isinstance(data, tuple) or not _arrays(data) else (data, None)
    assert pair is not None
    samples, labels = pair
    tested, judged = labelled(evaluation, "evaluation"), labelled(validation, "validation")
    converter = converter_of(source, samples, encoding, aim, tell or quiet)
    named = checked(by_name(samples, (INPUT,)), converter.encodings, "the training data", converter.samples)
    if aim.max_drop is not None and judged is None:
        raise UsageError("max_drop needs samples that the trained network has not seen: validation=(samples, labels)")
    labels = None if labels is None else converter.checked(named, labels)[1]
    return tuned(
        converter, named, labels, aim, recipe or Recipe(EPOCHS, RATE), device=device,
        validation=None if judged is None else converter.checked(*judged),
        evaluation=None if tested is None else converter.evaluation(*tested, score),
        journal=path_of(journal), force=force, tell=tell or quiet,
    )  # fmt: skip


def _arrays(data: Any) -> bool:
    return isinstance(data, Mapping) or hasattr(data, "shape")
