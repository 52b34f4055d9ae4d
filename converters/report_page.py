# SPDX-License-Identifier: Apache-2.0
"""The report of a conversion as a page."""

from collections.abc import Sequence
from dataclasses import astuple

from spikerun.converters.page import (
    Bar,
    Point,
    bars,
    chart,
    facts,
    items,
    page,
    paragraph,
    section,
    table,
)
from spikerun.converters.report import Accuracy, LayerReport, Report
from spikerun.converters.search_page import search_parts
from spikerun.text import beside_macs, plural

__all__ = ["accuracy_facts", "layer_parts", "page_of", "verdicts"]


def page_of(report: Report, name: str = "") -> str:
    """Return the page of a report; name: of the network."""
    held_out = f"{plural(report.error_samples, 'sample')} that did not calibrate"
    measured = held_out if report.held_out else f"{report.error_samples} of the calibration samples: none were held out"
    return page(
        f"Conversion of {name}" if name else "Conversion",
        [
            section("In short", facts(_short(report)), items(verdicts(report))),
            section("The search", *search_parts(report.search)),
            section("Accuracy against bits", *_sweep(report)),
            section(
                "Error against the ANN",
                paragraph(
                    "The norm of the difference between what the words of a layer stand for and the ANN's values, over "
                    "the norm of the latter; what earlier layers lost is part of it. Measured on "
                    f"{measured}.",
                    faint=True,
                ),
                bars(
                    [Bar(one.name, _percent(one.relative_error), (one.relative_error or 0,)) for one in _known(report)]
                ),
                table(
                    ("layer", "relative error", "cosine", "signal to noise dB"),
                    [
                        (
                            one.name,
                            _percent(one.relative_error),
                            _number(one.cosine, 5),
                            _number(one.signal_to_noise, 1),
                        )
                        for one in _known(report)
                    ],
                    right=(1, 2, 3),
                ),
            ),
            *layer_parts(report),
            section(
                "Decisions",
                table(("about", "choice", "why"), [(d.about, d.choice, d.reason) for d in report.decisions]),
            ),
            section("Layers", *_layers(report)),
            section(
                "Operators of the model",
                table(
                    ("operator", "module", "line", "code"),
                    [(op.operator, op.module or "-", op.line or "-", op.code or "-") for op in report.operators],
                ),
            ),
            section("Notes", items(report.notes)),
        ],
    )


def layer_parts(report: Report) -> list[str]:
    """Return what each layer sends and holds."""
    return [
        section("Activity", *_activity(report)),
        section("Synaptic operations", *_synops(report)),
        section("Memory", *_memory(report)),
    ]


def accuracy_facts(accuracy: Accuracy | None, own: str = "ANN", made: str = "SNN") -> list[tuple[str, str]]:
    """Return what is said of an accuracy; own, made: what was converted, and what it became."""
    if accuracy is None:
        return [("accuracy", "not measured: there were no labelled samples")]
    low, high = accuracy.bounds
    return [
        (
            "accuracy",
            f"{own} {accuracy.ann:.2f} %, {made} {accuracy.snn:.2f} % on {plural(accuracy.samples, 'sample')}",
        ),
        ("drop", f"{accuracy.drop:+.2f} points, paired 95 % interval {low:+.2f} to {high:+.2f}"),
        ("same class", f"{accuracy.agreement:.2f} %"),
    ]


def verdicts(report: Report) -> list[str]:
    """Return in words which layers cost most, and which lost most."""
    found = []
    total = sum(layer.synops or 0 for layer in report.layers)
    costly = sorted((one for one in report.layers if one.synops), key=lambda one: -(one.synops or 0))
    if total and costly:
        shares = [f"'{one.name}' ({100 * (one.synops or 0) / total:.0f} %)" for one in costly[:3]]
        found.append(f"Most synaptic operations are caused by the spikes of {', '.join(shares)}.")
    known = _known(report)
    if known and (worst := max(known, key=lambda one: one.relative_error or 0)).relative_error:
        found.append(
            f"Furthest from the ANN is '{worst.name}', with a relative error of {_percent(worst.relative_error)}."
        )
        grown = max(known, key=lambda one: _growth(report, one))
        found.append(
            f"The error grows most at '{grown.name}': {_percent(_before(report, grown))} in what it reads, "
            f"{_percent(grown.relative_error)} in what it computes."
        )
    heavy = max(report.layers, key=lambda one: one.memory.weights, default=None)
    if heavy is not None and heavy.memory.weights:
        share = 100 * heavy.memory.weights / report.memory.weights
        found.append(f"Most weights lead into '{heavy.name}': {heavy.memory.weights:,} bytes, {share:.0f} % of all.")
    return found


def _known(report: Report) -> list[LayerReport]:
    return [layer for layer in report.layers if layer.relative_error is not None]


def _before(report: Report, layer: LayerReport) -> float:
    """Return the largest error among the layers that one reads."""
    errors = {one.name: one.relative_error or 0.0 for one in report.layers}
    return max((errors.get(name, 0.0) for name in layer.sources), default=0.0)


def _growth(report: Report, layer: LayerReport) -> float:
    return (layer.relative_error or 0.0) - _before(report, layer)


def _short(report: Report) -> list[tuple[str, str]]:
    rows = accuracy_facts(report.accuracy)
    search = report.search
    bits = [choice.bits for choice in search.frontier[search.chosen].choices.values()] if search else []
    few, many = min(bits, default=report.bits), max(bits, default=report.bits)
    said = plural(many, "bit") if few == many else f"{few} to {many} bits"
    rows += [
        ("activations", f"{said} in code {report.codes}, input in code '{report.input_code}'"),
        ("window", plural(report.window, "time step")),
        ("calibrated on", plural(report.calibration_samples, "sample")),
    ]
    if report.synops_per_sample is not None:
        rows += [
            (
                "one sample takes",
                f"{report.synops_per_sample:,.0f} synaptic operations"
                f"{beside_macs(report.synops_per_sample, report.macs)}",
            ),
            ("spikes", f"{report.spikes_per_neuron or 0:.3f} a neuron and sample"),
        ]
    return rows


def _sweep(report: Report) -> list[str]:
    if not report.sweep:
        return []
    rows = [(row, row.accuracy, row.accuracy.bounds) for row in report.sweep]
    points = [Point(row.bits, a.snn, a.ann - high, a.ann - low) for row, a, (low, high) in rows]
    ann = rows[0][1].ann
    return [
        paragraph(
            f"On {plural(rows[0][1].samples, 'held-out training sample')}; bars are paired 95 % intervals.", faint=True
        ),
        chart(points, "bits of the activations", "accuracy of the SNN, %", (ann, f"ANN {ann:.2f} %")),
        table(
            ("bits", "SNN %", "drop", "95 %", "same class %", "spikes a neuron", "synops per MAC"),
            [
                (
                    row.bits, f"{a.snn:.2f}", f"{a.drop:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{a.agreement:.2f}",
                    f"{row.spikes_per_neuron:.3f}", f"{row.synops_per_mac:.3f}",
                )
                for row, a, (low, high) in rows
            ],
            right=range(7),
        ),
    ]  # fmt: skip


def _activity(report: Report) -> list[str]:
    rows = [(one, (one.spikes or 0) / one.neurons) for one in report.layers if one.spikes is not None and one.bits]
    return _drawn("Spikes a neuron and sample, of each layer that sends.", [
        Bar(one.name, f"{each:.3f}, {one.spikes or 0:,.0f} in all", (each,)) for one, each in rows
    ])  # fmt: skip


def _synops(report: Report) -> list[str]:
    rows = [one for one in report.layers if one.synops is not None and one.dense]
    drawn = [
        Bar(
            one.name,
            f"{one.synops or 0:,.0f} / {one.dense:,} = {(one.synops or 0) / one.dense:.3f}",
            (one.synops or 0.0, float(one.dense)),
        )
        for one in rows
    ]
    said = "What the spikes of a layer cause where they arrive, beside what one spike of each of its neurons would."
    return _drawn(said, drawn, ("synaptic operations", "dense operations"))


def _memory(report: Report) -> list[str]:
    total = report.memory
    return [
        paragraph(
            f"In all {total.total:,} bytes: {total.weights:,} of weights, {total.parameters:,} of thresholds, tables, "
            f"biases and gains, {total.state:,} of state (membranes, and what is still to be sent), {total.words:,} of "
            "words on their way. Targets say what they take beside it."
        ),
        table(
            (
                "layer",
                "weights",
                "zeros",
                "bytes of weights",
                "thresholds, tables, biases, gains",
                "state",
                "words",
                "layout on this computer",
            ),
            [
                (
                    one.name,
                    f"{one.weights:,}",
                    f"{100 * one.zeros / one.weights:.1f} %" if one.weights else "-",
                    *(f"{size:,}" for size in astuple(one.memory)),
                    one.layout or "-",
                )
                for one in report.layers
            ],
            right=(1, 2, 3, 4, 5, 6),
        ),
    ]


def _layers(report: Report) -> list[str]:
    rows = []
    for one in report.layers:
        threshold = "-" if one.threshold is None else "{}..{}".format(*one.threshold)
        words = f"{plural(one.bits, 'bit')}, {one.code}" if one.bits else "-"
        rows.append(
            (
                one.name, one.kind, "x".join(map(str, one.shape)), words, threshold, ", ".join(one.operators) or "-",
                " ".join(one.reasons) or "-",
            )
        )  # fmt: skip
    return [table(("layer", "kind", "shape", "words", "thresholds", "made of", "decided"), rows)]


def _drawn(said: str, rows: Sequence[Bar], keys: Sequence[str] = ()) -> list[str]:
    drawn = bars(rows, keys)
    return [paragraph(said, faint=True), drawn] if drawn else []


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
