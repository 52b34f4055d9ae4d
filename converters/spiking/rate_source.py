# SPDX-License-Identifier: Apache-2.0
"""An ANN as a source of a time loop: its rectifiers become integrate-and-fire neurons (`rate.py`)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Array, Shape
from spikerun.converters.last import Shortened, shortened
from spikerun.converters.ranges import without
from spikerun.converters.samples import by_name, checked, encodings_of
from spikerun.converters.simplify import simplify
from spikerun.converters.source import Source, Trained
from spikerun.converters.spiking.inputs import encoders_of, usual
from spikerun.converters.spiking.rate import RESETS, RateLayer, rates
from spikerun.converters.spiking.report import SpikingReport
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.spiking.step import Readout, Step
from spikerun.converters.verify import check_reading
from spikerun.datasets import Bins, Latency
from spikerun.errors import UsageError, unknown_name

__all__ = ["NEURONS", "RateSource", "check_neuron", "rate_source"]

NEURONS = ("if",)  # the names of --neuron
CHECKED_SAMPLES = 8


class RateSource(StepSource):
    """A network with no time of its own, and the real samples by input by which its rates are fitted.

    Samples are (N, *shape), of a timed input (N, steps, *shape), of which the ANN itself is given the mean; those of
    `signals` are (C, 1, L), and the ANN takes them as (C, L).
    """

    approximate = True

    def __init__(
        self, ann: Source, samples: Mapping[str, Array], reset: str, timed: frozenset[str] = frozenset(),
        signals: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self.ann, self.samples, self.reset, self.timed, self.signals = ann, samples, reset, timed, signals
        self.layers: tuple[RateLayer, ...] = ()
        self.left_out: tuple[str, ...] = ()
        self._shapes: Mapping[str, Shape] = {}

    @property
    def name(self) -> str:
        return self.ann.name

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.samples)

    def step(self, shapes: Mapping[str, Shape], steps: int | None) -> Step:
        """Return one step of the network of spikes; raises ConversionError with what cannot be one."""
        if steps is None:
            steps = next((self.samples[name].shape[1] for name in self.timed), None)
        if steps is None:
            raise UsageError("how many time steps are there for rates? Say --duration, such as --duration 32")
        self._shapes = {
            name: shape[::2] if name in self.signals and len(shape) == 3 else shape for name, shape in shapes.items()
        }
        graph = self.ann.graph(self._shapes)
        few = self._still({name: values[:CHECKED_SAMPLES] for name, values in self.samples.items()})
        check_reading(graph, few, self.ann.logits(few))
        shaped = {
            name: values.reshape(*values.shape[: 1 + (name in self.timed)], *shapes[name])
            for name, values in self.samples.items()
        }
        short, left_out = shortened(graph)
        if left_out:
            self.ann, self.left_out = Shortened(self.ann.name, short), left_out
        found, self.layers = rates(simplify(without(short)), shaped, steps, self.reset, self.timed)
        self.macs = short.macs()
        said = ("the ANN is given the mean of the spikes of all steps",) if self.timed else ()
        return Step(found, dict.fromkeys(found.outputs, Readout("mean")), steps, assumed=said)

    def told(self, report: SpikingReport) -> SpikingReport:
        """Return the report with how near the rates are to the activations, and what of the ANN was left out."""
        return replace(report, rates=self.layers, notes=(*report.notes, *self.left_out))

    def results(self, batch: Mapping[str, Array], steps: int, asked: Step) -> dict[str, Array]:
        """Return the results of the ANN."""
        found = self.ann.logits(self._still(batch))
        return {name: found[name].reshape(len(found[name]), -1) for name in asked.readouts}

    def _still(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Return samples as the ANN takes them."""
        means = {name: values.mean(axis=1) if name in self.timed else values for name, values in batch.items()}
        return {name: values.reshape(len(values), *self._shapes[name]) for name, values in means.items()}


def check_neuron(neuron: str | None, reset: str | None, others: Mapping[str, object]) -> bool:
    """Return whether an ANN is to become neurons with rates.

    Raises UsageError for neurons and resets that there are not, and for options of others, by their names.
    """
    if neuron is None:
        if reset is not None:
            raise UsageError("--reset is that of --neuron if: say this too, or leave --reset out")
        return False
    if neuron not in NEURONS:
        raise unknown_name("kind of neuron", neuron, NEURONS)
    if reset is not None and reset not in RESETS:
        raise unknown_name("reset", reset, tuple(RESETS))
    if given := [name for name, value in others.items() if value]:
        raise UsageError(
            f"{', '.join(given)} and --neuron {neuron} exclude each other: its activations are rates over --duration "
            "time steps, and have no bits"
        )
    return True


def rate_source(
    source: Trained, data: Any, encoding: Encoding | Mapping[str, Encoding] | None, reset: str | None,
    signals: frozenset[str] = frozenset(),
) -> RateSource:  # fmt: skip
    """Return an ANN as rates, fitted to integer samples, as `convert_spiking` takes them; reset: usually `subtract`.

    signals: the inputs whose samples (C, 1, L) are signals (C, L) to the ANN.
    """
    if not isinstance(source, Source):
        raise UsageError(f"--neuron makes spiking neurons of an ANN, and this network ({source.name}) spikes already")
    named = by_name(data, ("input",))
    encodings = encodings_of(usual(named) if encoding is None else encoding, named)
    if any(isinstance(encoder, Latency | Bins) for encoder in encoders_of(named).values()):
        raise UsageError("rates do not tell when a spike comes: with --neuron, take --input current or rate")
    given = checked(named, encodings, "the calibration data")
    real = {name: encodings[name].real(values[: len(values)]) for name, values in given.items()}
    timed = frozenset(name for name, one in encodings.items() if one.stepwise)
    return RateSource(source, real, reset or "subtract", timed, signals)
