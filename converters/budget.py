"""Accuracy against bits: the table of all, and the fewest bits that keep a budget."""

from dataclasses import replace

import numpy as np

from spikerun.converters.pipeline import Converter, Evaluation
from spikerun.converters.quantise import Settings
from spikerun.converters.report import Conversion, SweepRow
from spikerun.errors import CheckFailed, UsageError

__all__ = ["STEPS", "fewest_steps", "sweep"]

STEPS = range(2, 9)


def sweep(converter: Converter, settings: Settings, evaluation: Evaluation) -> tuple[SweepRow, ...]:
    """Return what the network is like with every number of bits."""
    return tuple(_row(converter.convert(replace(settings, steps=t), evaluation)) for t in STEPS)


def fewest_steps(converter: Converter, settings: Settings, evaluation: Evaluation, max_drop: float) -> Conversion:
    """Return the conversion with the fewest bits whose measured drop is at most `max_drop` points.

    The drop is the one measured on the evaluation data; the report holds its paired 95 % interval, and says so where
    that reaches beyond the budget. Raises CheckFailed where no number of bits keeps it.
    """
    if not (np.isfinite(max_drop) and -100 <= max_drop <= 100):
        raise UsageError(f"max_drop is in points of a percent, got {max_drop}")
    rows: list[SweepRow] = []
    for steps in STEPS:
        conversion = converter.convert(replace(settings, steps=steps), evaluation)
        rows.append(_row(conversion))
        if rows[-1].accuracy.drop <= max_drop:
            return _explained(conversion, rows, max_drop)
    best = min(rows, key=lambda row: row.accuracy.drop)
    raise CheckFailed(
        f"no network keeps the budget of {max_drop:g} points on {len(evaluation.labels)} samples; "
        f"the best is T = {best.steps}, a drop of {best.accuracy.drop:.2f} "
        f"(ANN {best.accuracy.ann:.2f} %, SNN {best.accuracy.snn:.2f} %). "
        "Allow a larger drop, or give more calibration samples."
    )


def _row(conversion: Conversion) -> SweepRow:
    report = conversion.report
    assert report.accuracy is not None
    return SweepRow(report.steps, report.accuracy, report.spikes_per_neuron or 0.0, report.synops_per_mac or 0.0)


def _explained(conversion: Conversion, rows: list[SweepRow], max_drop: float) -> Conversion:
    report = replace(conversion.report, sweep=tuple(rows))
    accuracy = rows[-1].accuracy
    if accuracy.bounds[1] > max_drop:
        report = report.with_notes(
            f"the measured drop of {accuracy.drop:+.2f} points keeps the budget of {max_drop:g}, but its 95 % interval "
            f"reaches {accuracy.bounds[1]:+.2f} ({accuracy.samples} samples). Take more steps to be safe."
        )
    return replace(conversion, report=report)
