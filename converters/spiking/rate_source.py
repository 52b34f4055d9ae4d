# SPDX-License-Identifier: Apache-2.0
"""An ANN as a source of a time loop: its rectifiers become integrate-and-fire neurons (`rate.py`)."""

from collections.abc import Mapping

import numpy as np

from spikerun.converters.graph import Array, Shape
from spikerun.converters.simplify import simplify
from spikerun.converters.source import Source
from spikerun.converters.spiking.rate import RESETS, RateLayer, rates
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.spiking.step import Readout, Step
from spikerun.converters.verify import check_reading
from spikerun.errors import UsageError, unknown_name

__all__ = ["NEURONS", "RateSource", "check_neuron"]

NEURONS = ("if",)  # the names of --neuron
CHECKED_SAMPLES = 8


class RateSource(StepSource):
    """A network with no time of its own, and the real samples by input by which its rates are fitted.

    Samples are (N, *shape), of a timed input (N, steps, *shape), of which the ANN itself is given the mean.
    """

    approximate = True

    def __init__(self, ann: Source, samples: Mapping[str, Array], reset: str) -> None:
        self.ann, self.samples, self.reset = ann, samples, reset
        self.layers: tuple[RateLayer, ...] = ()
        self.macs = 0
        self._shapes: Mapping[str, Shape] = {}

    @property
    def name(self) -> str:
        return self.ann.name

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.samples)

    def step(self, shapes: Mapping[str, Shape], steps: int | None) -> Step:
        """Return one step of the network of spikes; raises ConversionError with what cannot be one."""
        timed = {name: len(values[0].shape) > len(shapes[name]) for name, values in self.samples.items()}
        lengths = {values.shape[1] for name, values in self.samples.items() if timed[name]}
        if steps is None and len(lengths) != 1:
            raise UsageError(f"how many time steps do the rates of --neuron take? Say --duration, such as --duration 32")
        run = lengths.pop() if steps is None else steps
        graph = self.ann.graph(shapes)
        self._shapes = shapes
        few = {name: values[:CHECKED_SAMPLES] for name, values in self.samples.items()}
        shaped = {name: values.reshape(*values.shape[: 1 + timed[name]], *shapes[name]) for name, values in self.samples.items()}
        means = self._still(few)
        check_reading(graph, means, self.ann.logits(means))
        self.macs = graph.macs()
        found, self.layers = rates(simplify(graph), shaped, run, self.reset, frozenset(n for n in timed if timed[n]))
        said = ["the ANN is given the mean of the spikes of all steps"] if any(timed.values()) else []
        return Step(found, dict.fromkeys(found.outputs, Readout("mean")), run, assumed=tuple(said))

    def results(self, batch: Mapping[str, Array], steps: int, asked: Step) -> dict[str, Array]:
        """Return the results of the ANN."""
        found = self.ann.logits(self._still(batch))
        return {name: found[name].reshape(len(found[name]), -1) for name in asked.readouts}

    def _still(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Return samples as the ANN takes them."""
        found = {}
        for name, values in batch.items():
            over_time = np.prod(values.shape[1:]) != np.prod(self._shapes[name])
            found[name] = (values.mean(axis=1) if over_time else values).reshape(len(values), *self._shapes[name])
        return found


def check_neuron(neuron: str, reset: str, others: Mapping[str, object]) -> None:
    """Refuse neurons and resets that there are not, and options of few-spikes neurons beside them, by their names."""
    if neuron not in NEURONS:
        raise unknown_name("kind of neuron", neuron, NEURONS)
    if reset not in RESETS:
        raise unknown_name("reset", reset, tuple(RESETS))
    given = [name for name, value in others.items() if value]
    if given:
        raise UsageError(
            f"{', '.join(given)}: that is for networks of bits, and --neuron {neuron} makes rates of spikes over "
            "--duration time steps: leave it out, or leave --neuron out"
        )
