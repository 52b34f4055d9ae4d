# SPDX-License-Identifier: Apache-2.0
"""What the conversion of a trained spiking network says of itself: what was assumed, and which spikes are the same."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spikerun.converters.report import SCHEMA, Accuracy
from spikerun.converters.spiking.rate import RateLayer
from spikerun.network import Network
from spikerun.text import beside_macs, table

__all__ = ["CellReport", "ChipLayer", "SpikingConversion", "SpikingReport", "coarse"]

COARSE = 10.0  # percent of weights, from which rounding is remarked on


@dataclass(frozen=True)
class CellReport:
    """A population of spiking neurons beside the cells that it was made from, on the samples that verify.

    same_as_model: percent of the spikes of either that both have, at the same neuron and step, against the float
    network; same_as_float_state: against the same int8 weights with states in floating point. spikes: a sample; peak:
    the largest share of the range that a membrane used; silent, always: percent of the neurons that never fire, and
    that fire in every step.
    """

    name: str
    shape: tuple[int, ...]
    fraction_bits: int
    threshold: tuple[int, int]
    keep: tuple[float, float]
    reset: str
    spikes: float
    same_as_model: float
    same_as_float_state: float
    peak: float
    silent: float
    always: float


@dataclass(frozen=True)
class ChipLayer:
    """A layer in a chip's arithmetic: threshold and decays (None for sums), exponents of its projections.

    weight_error: percent of the weights of a projection, by their norm, that rounding has changed, in the worst one.
    """

    name: str
    vth: int | None
    du: int | None
    dv: int | None
    exponents: tuple[int, ...]
    weight_error: float


@dataclass(frozen=True)
class SpikingReport:
    """All that is known of a conversion; percentages are percent.

    same_as_read: the share of the network's own results that what was read of it gives too, in real numbers. limits:
    the chip whose arithmetic the network keeps to, and on_chip: its layers there. rates: of an ANN whose activations
    became rates, how near they are, and macs: its MACs.
    """

    source: str
    duration: int
    input_code: str
    readout: str
    calibration_samples: int
    verified_samples: int
    cells: tuple[CellReport, ...]
    same_as_read: float
    assumed: tuple[str, ...] = ()
    accuracy: Accuracy | None = None
    notes: tuple[str, ...] = ()
    limits: str | None = None
    on_chip: tuple[ChipLayer, ...] = ()
    rates: tuple[RateLayer, ...] = ()
    macs: int | None = None
    spikes_per_neuron: float | None = None
    synops_per_sample: float | None = None

    def json(self) -> dict[str, Any]:
        """Return the report as JSON's own types."""
        result: dict[str, Any] = {"schema": SCHEMA, **asdict(self)}
        if self.accuracy:
            result["accuracy"] |= {"drop": self.accuracy.drop, "drop_95": list(self.accuracy.bounds)}
        return result

    def summary(self) -> str:
        """Return what matters in a few lines."""
        lines = [
            f"a spiking network of {self.source}: {self.duration} time steps, input code '{self.input_code}', "
            f"readout '{self.readout}'",
            f"calibrated on {self.calibration_samples} samples, spikes compared on {self.verified_samples}",
        ]
        if not self.rates:
            lines.append(f"what was read of the network gives {self.same_as_read:.2f} % of its own results on these")
        lines += [f"in the arithmetic of {self.limits}"] if self.limits else []
        lines += [f"assumed: {sentence}" for sentence in self.assumed]
        if self.accuracy:
            a = self.accuracy
            low, high = a.bounds
            lines.append(
                f"accuracy on {a.samples} samples: the trained network {a.ann:.2f} %, in integers {a.snn:.2f} %, drop "
                f"{a.drop:+.2f} points (95 %: {low:+.2f} to {high:+.2f}), same class {a.agreement:.2f} %"
            )
        if self.synops_per_sample is not None:
            beside = beside_macs(self.synops_per_sample, self.macs)
            lines.append(
                f"one sample: {self.synops_per_sample:,.0f} synaptic operations{beside}, {self.spikes_per_neuron:.3f} "
                "spikes a neuron"
            )
        return "\n".join(lines)

    def html(self, name: str = "") -> str:
        """Return the report as a page, one file that needs no other; name: of the network."""
        from spikerun.converters.spiking.report_page import page_of

        return page_of(self, name)

    def text(self) -> str:
        """Return the report as plain text."""
        header = [
            "population", "shape", "F", "threshold", "keep", "reset", "spikes", "same as model %", "same state %",
            "peak %", "silent %", "always %",
        ]  # fmt: skip
        rows = [
            [
                cell.name,
                "x".join(map(str, cell.shape)),
                cell.fraction_bits,
                f"{cell.threshold[0]}..{cell.threshold[1]}",
                f"{cell.keep[0]:.4g}..{cell.keep[1]:.4g}",
                cell.reset,
                f"{cell.spikes:,.1f}",
                f"{cell.same_as_model:.2f}",
                f"{cell.same_as_float_state:.2f}",
                f"{cell.peak:.1f}",
                f"{cell.silent:.1f}",
                f"{cell.always:.1f}",
            ]
            for cell in self.cells
        ]
        notes = [f"note: {note}" for note in self.notes]
        parts = [
            self.summary(),
            table(header, rows, right=range(6, 12)),
            *self._rate_table(),
            *self._chip_table(),
            *notes,
        ]
        return "\n\n".join(parts) + "\n"

    def _rate_table(self) -> list[str]:
        """Return how near rates are to activations, if there are any."""
        rows = [
            [r.name, f"{r.threshold[0]:.4g}..{r.threshold[1]:.4g}", f"{r.keep:.4g}", f"{r.rate:.4f}",
             f"{r.signal_to_noise:.1f}"]
            for r in self.rates
        ]  # fmt: skip
        header = ["rates", "threshold in activations", "keep of currents", "spikes a step", "signal to noise dB"]
        return [table(header, rows, right=range(2, 5))] if rows else []

    def _chip_table(self) -> list[str]:
        """Return what the layers are on the chip, if there is one."""
        if not self.on_chip:
            return []
        rows = [
            [
                layer.name,
                *("-" if value is None else value for value in (layer.vth, layer.du, layer.dv)),
                " ".join(map(str, layer.exponents)),
                f"{layer.weight_error:.2f}",
            ]
            for layer in self.on_chip
        ]
        return [
            table([f"on {self.limits}", "vth", "du", "dv", "exponents", "weight error %"], rows, right=(1, 2, 3, 5))
        ]


def coarse(layers: Sequence[ChipLayer]) -> tuple[str, ...]:
    """Return a remark on each layer whose weights are rounded much."""
    return tuple(
        f"rounding changes the weights into '{layer.name}' by {layer.weight_error:.0f} %: its currents or "
        "membranes are large beside them, and a chip has little room for both (inputs of fewer bits, spikes by --input "
        "rate, or a leak help)"
        for layer in layers
        if layer.weight_error > COARSE
    )


@dataclass(frozen=True, eq=False)
class SpikingConversion:
    """The spiking network in integers, and what is known of it."""

    network: Network
    report: SpikingReport
