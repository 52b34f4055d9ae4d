# SPDX-License-Identifier: Apache-2.0
"""Accuracy against bits: the table of all, and the fewest bits that keep a budget.

Both are measured on samples to choose by, which are not those on which the result is reported.
"""

from collections.abc import Iterable
from dataclasses import replace

from spikerun.converters.evaluate import Evaluation
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.report import Conversion, SweepRow
from spikerun.errors import CheckFailed, UsageError

__all__ = ["BITS", "checked_budget", "fewest_bits", "sweep"]

BITS = range(2, 9)


def checked_budget(max_drop: object) -> float:
    """Return a budget in points of a percent; raises UsageError for what is none."""
    if isinstance(max_drop, bool) or not isinstance(max_drop, int | float) or not 0 <= max_drop <= 100:
        raise UsageError(f"max_drop is in points of a percent, 0..100, got {max_drop!r:.80}")
    return float(max_drop)


def sweep(converter: Converter, settings: Settings, validation: Evaluation) -> tuple[SweepRow, ...]:
    """Return what the network is like with every number of bits."""
    return tuple(row for _, row in _measured(converter, settings, validation))


def fewest_bits(converter: Converter, settings: Settings, validation: Evaluation, max_drop: float) -> Conversion:
    """Return the conversion with the fewest bits whose drop on `validation` is at most `max_drop` points.

    The table in its report holds the drops on those samples, with their paired 95 % intervals; a note says so where the
    interval reaches beyond the budget. Raises CheckFailed where no number of bits keeps it.
    """
    max_drop = checked_budget(max_drop)
    rows: list[SweepRow] = []
    for conversion, row in _measured(converter, settings, validation):
        rows.append(row)
        if row.accuracy.drop <= max_drop:
            return _explained(conversion, rows, max_drop)
    best = min(rows, key=lambda row: row.accuracy.drop)
    raise CheckFailed(
        f"no network keeps the budget of {max_drop:g} points on {len(validation.labels)} held-out samples; "
        f"the best has {best.bits}-bit activations, a drop of {best.accuracy.drop:.2f} "
        f"(ANN {best.accuracy.ann:.2f} %, SNN {best.accuracy.snn:.2f} %). "
        "Allow a larger drop, or give more calibration samples."
    )


def _measured(
    converter: Converter, settings: Settings, validation: Evaluation
) -> Iterable[tuple[Conversion, SweepRow]]:
    for bits in BITS:
        conversion = converter.convert(replace(settings, bits=bits))
        report = converter.measured(conversion, validation).report
        assert report.accuracy is not None
        yield (
            conversion,
            SweepRow(bits, report.accuracy, report.spikes_per_neuron or 0.0, report.synops_per_mac or 0.0),
        )


def _explained(conversion: Conversion, rows: list[SweepRow], max_drop: float) -> Conversion:
    report = replace(conversion.report, sweep=tuple(rows))
    accuracy = rows[-1].accuracy
    if accuracy.bounds[1] > max_drop:
        report = report.with_notes(
            f"the drop of {accuracy.drop:+.2f} points on the held-out samples keeps the budget of {max_drop:g}, but "
            f"its 95 % interval reaches {accuracy.bounds[1]:+.2f} ({accuracy.samples} samples). "
            "Take more bits to be safe."
        )
    return replace(conversion, report=report)
