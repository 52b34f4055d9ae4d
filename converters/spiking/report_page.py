# SPDX-License-Identifier: Apache-2.0
"""The report of a trained spiking network's conversion as a page."""

from spikerun.converters.page import Bar, bars, facts, items, page, paragraph, section, table
from spikerun.converters.report_page import accuracy_facts
from spikerun.converters.spiking.report import SpikingReport
from spikerun.text import beside_macs, plural

__all__ = ["page_of"]


def page_of(report: SpikingReport, name: str = "") -> str:
    """Return the page of a report; name: of the network."""
    return page(
        f"Conversion of {name}" if name else "Conversion",
        [
            section("In short", facts(_short(report)), items(_verdicts(report))),
            section("Spikes beside the trained network", *_same(report)),
            section("Activity", *_activity(report)),
            section("Populations", _populations(report)),
            section("Rates beside activations", _rates(report)),
            section(f"On {report.limits}", _on_chip(report)),
            section("Assumed", items(report.assumed)),
            section("Notes", items(report.notes)),
        ],
    )


def _short(report: SpikingReport) -> list[tuple[str, str]]:
    rows = accuracy_facts(report.accuracy, "the trained network", "in integers")
    rows += [
        ("network of", report.source),
        ("time", f"{plural(report.duration, 'step')}, input code '{report.input_code}', readout '{report.readout}'"),
        ("calibrated on", plural(report.calibration_samples, "sample")),
        ("spikes compared on", plural(report.verified_samples, "sample")),
    ]
    if not report.rates:
        rows.append(("own results", f"what was read of the network gives {report.same_as_read:.2f} % of them"))
    if report.synops_per_sample is not None:
        beside = beside_macs(report.synops_per_sample, report.macs)
        rows += [
            ("one sample takes", f"{report.synops_per_sample:,.0f} synaptic operations{beside}"),
            ("spikes", f"{report.spikes_per_neuron or 0:.3f} a neuron and sample"),
        ]
    return rows


def _verdicts(report: SpikingReport) -> list[str]:
    """Return in words which population spikes most, and which differs most."""
    found = []
    if report.cells and (busy := max(report.cells, key=lambda cell: cell.spikes)).spikes:
        found.append(f"Most spikes are those of '{busy.name}', {busy.spikes:,.1f} a sample.")
    if report.cells and (worst := min(report.cells, key=lambda cell: cell.same_as_model)).same_as_model < 100:
        found.append(
            f"Least like the trained network is '{worst.name}': {worst.same_as_model:.2f} % of its spikes agree."
        )
    return found


def _same(report: SpikingReport) -> list[str]:
    said = (
        "Percent of the spikes of either that both have, at the same neuron and step: against the trained network, and "
        "against the same integer weights with states in floating point."
    )
    rows = [
        Bar(cell.name, f"{cell.same_as_model:.2f} % / {cell.same_as_float_state:.2f} %", (cell.same_as_model,))
        for cell in report.cells
    ]
    return [paragraph(said, faint=True), bars(rows, full=100.0)] if rows else []


def _activity(report: SpikingReport) -> list[str]:
    rows = [Bar(cell.name, f"{cell.spikes:,.1f}", (cell.spikes,)) for cell in report.cells]
    drawn = bars(rows)
    return [paragraph("Spikes of a sample, of each population.", faint=True), drawn] if drawn else []


def _populations(report: SpikingReport) -> str:
    return table(
        ("population", "shape", "fractional bits", "threshold", "keep", "reset", "peak %", "silent %", "always %"),
        [
            (
                cell.name, "x".join(map(str, cell.shape)), cell.fraction_bits, "{}..{}".format(*cell.threshold),
                "{:.4g}..{:.4g}".format(*cell.keep), cell.reset, f"{cell.peak:.1f}", f"{cell.silent:.1f}",
                f"{cell.always:.1f}",
            )
            for cell in report.cells
        ],
        right=(2, 6, 7, 8),
    )  # fmt: skip


def _rates(report: SpikingReport) -> str:
    return table(
        ("layer", "threshold in activations", "keep of currents", "spikes a step", "signal to noise dB"),
        [
            (
                rate.name, "{:.4g}..{:.4g}".format(*rate.threshold), f"{rate.keep:.4g}", f"{rate.rate:.4f}",
                f"{rate.signal_to_noise:.1f}",
            )
            for rate in report.rates
        ],
        right=(2, 3, 4),
    )  # fmt: skip


def _on_chip(report: SpikingReport) -> str:
    return table(
        ("layer", "vth", "du", "dv", "exponents", "weight error %"),
        [
            (
                layer.name, *("-" if value is None else value for value in (layer.vth, layer.du, layer.dv)),
                " ".join(map(str, layer.exponents)), f"{layer.weight_error:.2f}",
            )
            for layer in report.on_chip
        ],
        right=(1, 2, 3, 5),
    )  # fmt: skip
