# SPDX-License-Identifier: Apache-2.0
"""What functions of Python are given, and what commands have checked already: models, metrics, functions, paths."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikerun.atomic import as_path
from spikerun.converters.metrics import METRICS, Metric
from spikerun.converters.source import Source, Trained
from spikerun.errors import UsageError, unknown_name

__all__ = ["metric_of", "path_of", "require_functions", "source_of", "timeless"]


def source_of(model: Any) -> Trained:
    """Return the source of a model: itself, what an importer opens, or a torch module."""
    if isinstance(model, str):
        from spikerun.converters import open_source

        return open_source(model)
    from torch import nn

    if not isinstance(model, nn.Module) and isinstance(model, Trained):
        return model
    from spikerun.converters.torch import source

    return source.source_of(model) if isinstance(model, nn.Module) else source.TorchSource(model)


def timeless(model: Any) -> Source:
    """Return the source of a model that is to be tuned, which has no time loop of its own."""
    source = source_of(model)
    if not isinstance(source, Source):
        raise UsageError(f"this network ({source.name}) has a time loop of its own: what is tuned is one without")
    return source


def metric_of(metric: Metric | str | None) -> Metric | None:
    """Return a metric that may be given by its name."""
    if isinstance(metric, str):
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
        return METRICS[metric]
    require_functions({"metric": metric})
    return metric


def require_functions(given: Mapping[str, Any]) -> None:
    """Refuse what are no functions, by the names of the arguments."""
    for name, function in given.items():
        if function is not None and not callable(function):
            raise UsageError(f"{name} is a function, got {function!r:.80}")


def path_of(journal: str | os.PathLike[str] | None) -> Path | None:
    """Return the path of a journal that may be given."""
    return None if journal is None else as_path(journal)
