# SPDX-License-Identifier: Apache-2.0
"""What a conversion says about itself: operators, layers, accuracy, cost, decisions; as JSON, as text, as a page."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spikerun.converters.accuracy import Accuracy
from spikerun.converters.found import Found
from spikerun.converters.quantise import Quantised
from spikerun.gone import Gone
from spikerun.memory import NONE, Memory
from spikerun.network import Network
from spikerun.text import beside_macs, plural, table

__all__ = ["SCHEMA", "Accuracy", "Conversion", "Decision", "LayerReport", "OperatorReport", "Report", "SweepRow"]

SCHEMA = "spikerun.convert/2"


@dataclass(frozen=True)
class OperatorReport:
    """An operator of the model that was converted, and where it stands."""

    operator: str
    module: str
    line: str
    code: str


@dataclass(frozen=True)
class Decision:
    """What was decided for the whole network, and why."""

    about: str
    choice: str
    reason: str


@dataclass(frozen=True)
class LayerReport:
    """A population: its words, how well they stand for the ANN's values, and what it sends.

    chosen_by: the step sizes, `channel` or `population`. signal_to_noise (dB), cosine, relative_error (a share): of the
    words' values against the ANN's, on `Report.error_samples` samples; None where there is nothing to compare. bound:
    the largest magnitude of its accumulator in the worst case. spikes, synops: means for one sample; None without
    evaluation. dense: what `synops` were if each neuron sent one spike. sources: the layers that it reads; operators:
    of the model, that it computes; reasons: sentences on what was decided for it. gone: how many channels of it were
    left out, for each reason of `spikerun.gone`. weights: how many lead to it; zeros: how many of these are 0.
    layouts: how they lie in memory and their bytes, where the CPU of this computer has a choice and many are 0; empty
    without evaluation.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    bits: int
    code: str
    chosen_by: str
    threshold: tuple[int, int] | None
    bound: int
    signal_to_noise: float | None
    spikes: float | None = None
    synops: float | None = None
    cosine: float | None = None
    relative_error: float | None = None
    dense: int = 0
    memory: Memory = NONE
    sources: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    gone: Mapping[str, int] = field(default_factory=dict)
    weights: int = 0
    zeros: int = 0
    layouts: tuple[tuple[str, int], ...] = ()

    @property
    def neurons(self) -> int:
        """Return the number of neurons."""
        return math.prod(self.shape)

    @property
    def layout(self) -> str:
        """Return how its weights lie in memory, in words."""
        return ", ".join(f"{name} ({size:,} bytes)" for name, size in self.layouts)


@dataclass(frozen=True)
class SweepRow:
    """What the network is like with `bits` bits."""

    bits: int
    accuracy: Accuracy
    spikes_per_neuron: float
    synops_per_mac: float


@dataclass(frozen=True)
class Report:
    """All that is known of a conversion. Percentages are percent; costs are means for one sample.

    error_samples: on which the errors of the layers were measured; held_out: whether these did not calibrate.
    """

    bits: int
    window: int
    code: str
    input_code: str
    calibration_samples: int
    macs: int
    operators: tuple[OperatorReport, ...]
    layers: tuple[LayerReport, ...]
    accuracy: Accuracy | None = None
    spikes_per_neuron: float | None = None
    synops_per_sample: float | None = None
    sweep: tuple[SweepRow, ...] = ()
    notes: tuple[str, ...] = field(default=())
    decisions: tuple[Decision, ...] = ()
    error_samples: int = 0
    held_out: bool = False
    search: Found | None = None

    @property
    def memory(self) -> Memory:
        """Return what all populations take."""
        return sum((layer.memory for layer in self.layers), NONE)

    @property
    def synops_per_mac(self) -> float | None:
        """Return synaptic operations over the ANN's multiply-accumulates."""
        if self.synops_per_sample is None or not self.macs:
            return None
        return self.synops_per_sample / self.macs

    def with_notes(self, *notes: str) -> "Report":
        """Return the report with further remarks."""
        return replace(self, notes=(*self.notes, *notes))

    def json(self) -> dict[str, Any]:
        """Return the report as JSON's own types."""
        result: dict[str, Any] = {"schema": SCHEMA, **asdict(self)}
        result["synops_per_mac"] = self.synops_per_mac
        result["memory"] = asdict(self.memory)
        result["ann_accuracy"] = self.accuracy.ann if self.accuracy else None
        result["snn_accuracy"] = self.accuracy.snn if self.accuracy else None
        result["agreement"] = self.accuracy.agreement if self.accuracy else None
        if self.accuracy:
            result["accuracy"] |= {"drop": self.accuracy.drop, "drop_95": list(self.accuracy.bounds)}
        return result

    def html(self, name: str = "") -> str:
        """Return the report as a page, one file that needs no other; name: of the network."""
        from spikerun.converters.report_page import page_of

        return page_of(self, name)

    def text(self) -> str:
        """Return the report as plain text."""
        parts = [self.summary(), self._layer_table(), self._weight_table()]
        if self.sweep:
            parts.append(f"on {self.sweep[0].accuracy.samples} held-out samples:\n{self._sweep_table()}")
        if self.search:
            parts.append(self.search.text())
        parts.append(self._operator_table())
        decided = [f"{d.about}: {d.choice} ({d.reason})" for d in self.decisions]
        decided += [f"{layer.name}: {' '.join(layer.reasons)}" for layer in self.layers if layer.reasons]
        parts += ["\n".join(decided)] if decided else []
        parts += [f"note: {note}" for note in self.notes]
        return "\n\n".join(filter(None, parts)) + "\n"

    def summary(self) -> str:
        """Return what matters in a few lines."""
        lines = [
            f"{self._bits_said()}-bit activations in code {self.codes}, {plural(self.window, 'time step')}, "
            f"input code '{self.input_code}'",
            f"calibrated on {plural(self.calibration_samples, 'sample')}",
        ]
        if self.accuracy:
            a = self.accuracy
            low, high = a.bounds
            lines += [
                f"accuracy on {a.samples} sample{'' if a.samples == 1 else 's'}: ANN {a.ann:.2f} %, SNN {a.snn:.2f} %, "
                f"drop {a.drop:+.2f} points (95 %: {low:+.2f} to {high:+.2f}), same class {a.agreement:.2f} %",
            ]
        if self.synops_per_sample is not None:
            lines.append(
                f"one sample: {self.synops_per_sample:,.0f} synaptic operations"
                f"{beside_macs(self.synops_per_sample, self.macs)}, {self.spikes_per_neuron or 0:.3f} spikes a neuron"
            )
        return "\n".join(lines)

    def _bits_said(self) -> str:
        bits = (
            [choice.bits for choice in self.search.frontier[self.search.chosen].choices.values()] if self.search else []
        )
        return f"{min(bits)}- to {max(bits)}" if bits and min(bits) < max(bits) else str(self.bits)

    @property
    def codes(self) -> str:
        """Return the codes of the activations, as they are said."""
        chosen = self.search.frontier[self.search.chosen].choices.values() if self.search else ()
        return " and ".join(f"'{code}'" for code in sorted({choice.code for choice in chosen} or {self.code}))

    def _layer_table(self) -> str:
        header = [
            "population", "kind", "shape", "bits", "threshold", "chosen by", "SNR dB", "error %", "spikes", "synops",
        ]  # fmt: skip
        rows = [
            [
                layer.name,
                layer.kind,
                "x".join(map(str, layer.shape)),
                f"{layer.bits} {layer.code}" if layer.bits else "-",
                "-" if layer.threshold is None else f"{layer.threshold[0]}..{layer.threshold[1]}",
                layer.chosen_by or "-",
                "-" if layer.signal_to_noise is None else f"{layer.signal_to_noise:.1f}",
                "-" if layer.relative_error is None else f"{100 * layer.relative_error:.2f}",
                "-" if layer.spikes is None else f"{layer.spikes:,.1f}",
                "-" if layer.synops is None else f"{layer.synops:,.0f}",
            ]
            for layer in self.layers
        ]
        return table(header, rows, right=(6, 7, 8, 9))

    def _weight_table(self) -> str:
        header = [
            "weights into",
            "weights",
            "zeros %",
            "bytes of weights",
            "of gains, places, thresholds, tables, biases",
        ]
        laid_out = any(layer.layouts for layer in self.layers)
        header += ["layout on this computer"] if laid_out else []
        rows = [
            [
                layer.name,
                f"{layer.weights:,}",
                f"{100 * layer.zeros / layer.weights:.1f}" if layer.weights else "-",
                f"{layer.memory.weights:,}",
                f"{layer.memory.parameters:,}",
                *([layer.layout] if laid_out else []),
            ]
            for layer in self.layers
            if layer.sources
        ]
        return table(header, rows, right=range(1, 5)) if rows else ""

    def _sweep_table(self) -> str:
        header = ["bits", "SNN %", "drop", "95 %", "same class %", "spikes/neuron", "synops/MAC"]
        rows = [
            [
                row.bits,
                f"{row.accuracy.snn:.2f}",
                f"{row.accuracy.drop:+.2f}",
                "{:+.2f} to {:+.2f}".format(*row.accuracy.bounds),
                f"{row.accuracy.agreement:.2f}",
                f"{row.spikes_per_neuron:.3f}",
                f"{row.synops_per_mac:.3f}",
            ]
            for row in self.sweep
        ]
        return table(header, rows, right=range(7))

    def _operator_table(self) -> str:
        rows = [[op.operator, op.module or "-", op.line or "-", op.code] for op in self.operators]
        return table(["operator converted", "module", "line", "code"], rows)


@dataclass(frozen=True, eq=False)
class Conversion:
    """The spiking network, what is known of it, and the integers that it was built from.

    gone: what of these is not in the network, for it makes no difference.
    """

    network: Network
    report: Report
    quantised: Quantised
    gone: Gone
