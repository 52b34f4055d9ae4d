# SPDX-License-Identifier: Apache-2.0
"""What a tuning came to: a summary, tables, and a page with the frontier drawn."""

from collections.abc import Mapping
from typing import Any

from spikerun.converters.page import Point as Drawn
from spikerun.converters.page import chart, items, page, paragraph, section
from spikerun.converters.page import table as drawn_table
from spikerun.converters.report import Conversion
from spikerun.converters.report_page import layer_parts
from spikerun.converters.tuning.stages import Point
from spikerun.converters.tuning.tune import Tuning
from spikerun.text import table

__all__ = ["SCHEMA", "html", "payload", "summary", "text"]

SCHEMA = "spikerun.tune/1"
UNITS: Mapping[str, str] = {
    "synops": "synaptic operations / MAC",
    "events": "events / MAC",
    "spikes": "spikes / neuron",
    "latency": "synaptic operations / MAC",
}
HEADER = ("stage", "price", "epochs", "cost", "drop", "taken")


def _rows(points: tuple[Point, ...]) -> list[tuple[str, ...]]:
    return [
        (
            str(p.stage) if p.stage else "untuned", f"{p.price:.3g}", str(p.epochs), f"{p.cost:.4f}",
            f"{p.drop:+.2f} ± {p.standard_error:.2f}", "*" if p.taken else "",
        )
        for p in points
    ]  # fmt: skip


def _measured(name: str, one: Conversion) -> str:
    report, accuracy = one.report, one.report.accuracy
    if accuracy is None:
        return f"{name:<8} not measured: no evaluation data"
    return (
        f"{name:<8} {accuracy.snn:.2f} % (ANN {accuracy.ann:.2f} %, drop {accuracy.drop:+.2f} ± "
        f"{accuracy.standard_error:.2f}), {report.synops_per_mac or 0:.3f} synaptic operations / MAC, "
        f"{report.spikes_per_neuron or 0:.3f} spikes / neuron"
    )


def summary(tuning: Tuning) -> str:
    """Return what is printed: the network before and after on the test samples, and the frontier."""
    lines = [_measured("untuned", tuning.untuned), _measured("tuned", tuning.conversion)]
    lines.append(f"frontier ({UNITS[tuning.objective]}; drop in points on {tuning.judged_by}; * is written):")
    return "\n".join([*lines, table(list(HEADER), [list(row) for row in _rows(tuning.frontier)], right=range(1, 5))])


def text(tuning: Tuning) -> str:
    """Return the whole report: the summary, notes, and that of the conversion."""
    notes = "".join(f"note: {note}\n" for note in tuning.notes)
    return f"{summary(tuning)}\n{notes}\n{tuning.conversion.report.text()}"


def payload(tuning: Tuning) -> dict[str, Any]:
    """Return it for scripts."""

    def measured(one: Conversion) -> dict[str, Any]:
        accuracy = one.report.accuracy
        return {
            "ann_accuracy": accuracy.ann if accuracy else None,
            "snn_accuracy": accuracy.snn if accuracy else None,
            "drop": accuracy.drop if accuracy else None,
            "standard_error": accuracy.standard_error if accuracy else None,
            "samples": accuracy.samples if accuracy else None,
            "synops_per_mac": one.report.synops_per_mac,
            "spikes_per_neuron": one.report.spikes_per_neuron,
        }

    return {
        "objective": tuning.objective, "unit": UNITS[tuning.objective], "judged_by": tuning.judged_by,
        "kept": tuning.kept, "untuned": measured(tuning.untuned), "tuned": measured(tuning.conversion),
        "frontier": [vars(point) for point in tuning.frontier], "notes": list(tuning.notes),
    }  # fmt: skip


def html(tuning: Tuning, name: str) -> str:
    """Return a page that stands alone, with the frontier drawn."""
    points = [
        Drawn(p.cost, p.drop, p.drop - 1.96 * p.standard_error, p.drop + 1.96 * p.standard_error, p.taken)
        for p in tuning.frontier
    ]
    return page(
        f"{name}: tuned",
        [
            section("In short", items([_measured("untuned", tuning.untuned), _measured("tuned", tuning.conversion)])),
            section(
                "The frontier",
                chart(points, UNITS[tuning.objective], "drop, points (lower is better)"),
                paragraph(f"Bars are paired 95 % intervals, on {tuning.judged_by}.", faint=True),
                drawn_table(HEADER, _rows(tuning.frontier), right=range(1, 5)),
                items(tuning.notes),
            ),
            *layer_parts(tuning.conversion.report),
        ],
    )
