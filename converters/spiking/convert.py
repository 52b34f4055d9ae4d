# SPDX-License-Identifier: Apache-2.0
"""A trained spiking network from end to end: read, lower, calibrate, build, verify, measure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.checks import MAX_WINDOW
from spikerun.chip import check_chip, chip_named
from spikerun.converters.encoding import Encoding
from spikerun.converters.evaluate import Evaluation, Metric, snn_logits, top1
from spikerun.converters.graph import Array, Shape
from spikerun.converters.layers import InputLayer, Layer, PoolLayer, RelayLayer
from spikerun.converters.samples import (
    Progress,
    Samples,
    by_name,
    checked,
    checked_labels,
    count_of,
    counter,
    encodings_of,
    gathered,
    quiet,
)
from spikerun.converters.simplify import simplify
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.spiking.compare import compared
from spikerun.converters.spiking.fixed_point import OF_SPIKES, Fixed, Summed, fixed, summed, unbiased
from spikerun.converters.spiking.inputs import encoders_of, usual
from spikerun.converters.spiking.limits import check_passive, chip_layers, limited, limited_sum, within
from spikerun.converters.spiking.lower import Spiking, lower_step
from spikerun.converters.spiking.network import Part, build_spiking, ends
from spikerun.converters.spiking.observe import Observed, observe
from spikerun.converters.spiking.readouts import answers, with_readouts
from spikerun.converters.spiking.report import SpikingConversion, SpikingReport, coarse
from spikerun.converters.spiking.rounding import fitted
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.spiking.step import Readout, Step
from spikerun.datasets.encode import encoder_meta
from spikerun.datasets.lazy import is_integer
from spikerun.errors import ConversionError, DataError, UsageError
from spikerun.timing import largest_event

__all__ = ["StepConverter"]

BATCH = 64
BATCH_VALUES = 1 << 26  # of the samples of a batch
VERIFIED = 64  # samples whose spikes are compared one by one
TRUSTED = 95.0  # percent of results, below which a report remarks on what was read


class StepConverter:
    """A source read once.

    samples: integers (batch, *shape), or by input; in the code `frames` (batch, steps, *shape). Where the network does
    not take images as they are, it is given them flattened. limits: the chip whose arithmetic integers keep to.
    """

    def __init__(
        self,
        source: StepSource,
        samples: Samples,
        encoding: Encoding | Mapping[str, Encoding] | None = None,
        duration: int | None = None,
        readout: Readout | None = None,
        tell: Progress | None = None,
        limits: str | None = None,
    ) -> None:
        self.source, self.readout = source, readout
        self.chip = None if limits is None else chip_named(limits)
        self.duration = None if duration is None else _checked_steps(duration, "--duration")
        self.tell = tell or quiet
        self.tell("read the model", 0, 0)
        named = by_name(gathered(samples), source.inputs)
        for name, encoder in encoders_of(named).items():
            _checked_steps(encoder.steps, f"the number of time steps into which '{name}' is encoded")
        self.encodings = encodings_of(usual(named) if encoding is None else encoding, named)
        self.given = given = checked(named, self.encodings, "the calibration data")
        self.timed = frozenset(name for name, one in self.encodings.items() if one.stepwise)
        step, self.flat = self._read({name: values.shape[1 + (name in self.timed) :] for name, values in given.items()})
        self.samples = self._flattened(given)
        self.steps = self._steps(step)
        simple = replace(step, graph=simplify(step.graph), timed=self.timed)
        self.step = with_readouts(simple, self.readout)
        wired = lower_step(self.step.graph, self.encodings)
        self.layers, self.outputs = wired.layers.every, wired.outputs
        self.answers = answers(self.step, self.outputs, self.steps)
        sums = [layer for layer in self.layers if isinstance(layer, Layer)]
        self.cells: dict[str, Cell] = {
            layer.name: self._unheard(layer.name, layer.activation.cell)
            for layer in sums
            if isinstance(layer.activation, Spiking)
        }
        self.largest = _largest_events(self.layers)
        self.rounded: list[Part] = [self._part(layer) for layer in self.layers]
        self.ends = ends(self.rounded, self.outputs, self.step.readouts)

    def _read(self, shapes: Mapping[str, Shape]) -> tuple[Step, bool]:
        """Return the step, and whether it is the step for flattened samples."""
        try:
            return _finite(self.source.step(shapes, self.duration)), False
        except (ConversionError, DataError):
            flat = {name: (math.prod(shape),) for name, shape in shapes.items()}
            if flat == shapes:
                raise
            try:
                return _finite(self.source.step(flat, self.duration)), True
            except (ConversionError, DataError):
                pass  # the first reason is the one that tells
            raise

    def shaped(self, samples: Samples, what: str = "the samples") -> dict[str, Array]:
        """Return further samples as the network takes them."""
        return self._flattened(checked(by_name(samples, self.source.inputs), self.encodings, what, self.given))

    def _flattened(self, samples: Mapping[str, Array]) -> dict[str, Array]:
        if not self.flat:
            return dict(samples)
        return {name: values.reshape(*values.shape[: 1 + (name in self.timed)], -1) for name, values in samples.items()}

    def _steps(self, step: Step) -> int:
        lengths = {self.samples[name].shape[1] for name in self.timed}
        lengths |= {n for n in (self.duration, step.steps) if n is not None}
        if not lengths:
            raise UsageError("how many time steps does the network run? Say --duration, such as --duration 25")
        if len(lengths) > 1:
            said = [f"--duration says {self.duration}"] if self.duration is not None else []
            said += [f"the network's own loop {step.steps}"] if step.steps is not None else []
            said += [f"the samples of '{name}' {self.samples[name].shape[1]}" for name in sorted(self.timed)]
            raise UsageError(f"the number of time steps is not one: {', '.join(said)}")
        return _checked_steps(lengths.pop(), "the number of time steps")

    def _unheard(self, name: str, cell: Cell) -> Cell:
        """Return a cell that is never reset, and whose spikes nobody takes, without them: a chip has no others."""
        terms = (term for layer in self.layers if isinstance(layer, Layer) for term in layer.terms)
        answer, _ = self.answers.get(name, ("count", 1.0))
        taken = answer in OF_SPIKES or any(term.source == name for term in terms)
        keep = self.chip is None or cell.reset != "none" or taken
        return cell if keep else replace(cell, threshold=np.asarray(np.inf))

    def _part(self, layer: Any, peak: float = 0.0, unit: Array | float = 1.0) -> Part:
        """Return a layer in integers; for a chip with room for twice the largest state that was seen, `peak` units."""
        if not isinstance(layer, Layer):
            assert isinstance(layer, (InputLayer, PoolLayer))
            if self.chip is not None:
                check_passive(layer, self.chip)
            return layer
        cell = self.cells.get(layer.name)
        answer, share = self.answers.get(layer.name, ("count", 1.0))
        if self.chip is not None:
            seen = np.broadcast_to(peak * unit, layer.shape[:1])
            if cell is None:
                return limited_sum(layer, self.largest, self.chip, self.steps, share, seen)
            return limited(layer, cell, self.largest, self.chip, answer, self.steps, share, seen)
        if cell is None:
            return summed(layer, self.largest, self.steps, share)
        return fixed(layer, cell, self.largest, answer, self.steps, share)

    def convert(self, meta: Mapping[str, str | int | float]) -> SpikingConversion:
        """Return the network, and how many of its spikes are the trained network's."""
        peaks, parts = self._observed.peaks, self.parts
        said: dict[str, str | int | float] = {"converted_from": self.source.name, "classes": self._width, **meta}
        if self.source.macs is not None:
            said["macs"] = self.source.macs
        for name, encoding in self.encodings.items():
            said |= encoding.meta(name)
        encoders = encoders_of(self.samples)
        for name, encoder in encoders.items():
            said |= encoder_meta(encoder, name)
        readouts = self.step.readouts
        exponent = 0 if self.chip is None else self.chip.shared_exponent
        network = build_spiking(parts, self.outputs, readouts, self.steps, peaks, said, exponent)
        if self.chip is not None and (complaints := check_chip(network, self.chip)):
            raise ConversionError(f"the network does not fit {self.chip.name}: {'; '.join(complaints)}")
        few = {name: values[: self._verified] for name, values in self.samples.items()}
        self.tell("compare the spikes", 0, 0)
        on_chip = chip_layers(parts, self.layers) if self.chip else ()
        cells, found = compared(network, self.layers, parts, self.cells, few, self.step, self.outputs)
        share, notes = self._same_as_read(few, found)
        report = SpikingReport(
            self.source.name, self.steps, ", ".join(e.code for e in self.encodings.values()),
            ", ".join(dict.fromkeys(map(str, readouts.values()))), count_of(self.samples), self._verified, cells, share,
            (*self.step.assumed, *(one.said for one in encoders.values()),
             *(["samples are given to the network flattened"] if self.flat else [])),
            notes=(*notes, *coarse(on_chip)), limits=self.chip.name if self.chip else None, on_chip=on_chip,
            macs=self.source.macs,
        )  # fmt: skip
        return SpikingConversion(network, self.source.told(report))

    @property
    def _width(self) -> int:
        """Return how many numbers the first result is of."""
        name, population = next(iter(self.outputs.items()))
        groups = self.step.readouts[name].groups
        return groups if groups > 1 else math.prod(next(part.shape for part in self.rounded if part.name == population))

    @property
    def _verified(self) -> int:
        """Return how many samples are those whose spikes are compared."""
        return min(_at_once(self.samples, VERIFIED), count_of(self.samples))

    def _batches(self, samples: Mapping[str, Array], stage: str) -> Iterator[dict[str, Array]]:
        done, size = counter(self.tell, stage, count_of(samples)), _at_once(samples, BATCH)
        for first in range(0, count_of(samples), size):
            batch = {name: values[first : first + size] for name, values in samples.items()}
            yield batch
            done(count_of(batch))

    @cached_property
    def parts(self) -> list[Part]:
        """Return the layers in integers, fractional bits not chosen yet."""
        return [
            self._fitted(part, layer) if isinstance(part, (Fixed, Summed)) and isinstance(layer, Layer) else part
            for part, layer in zip(self.rounded, self.layers, strict=True)
        ]

    def _fitted(self, part: Fixed | Summed, layer: Layer) -> Part:
        """Return a layer of rounded weights with room for what was seen, its weights rounded together."""
        seen = self._observed
        if self.chip is None:
            return unbiased(fitted(part, layer, seen.moments), layer, seen.events)
        if 2 * seen.peaks[part.name] > self.chip.current:
            roomy = self._part(layer, seen.peaks[part.name], part.scale)
            assert isinstance(roomy, (Fixed, Summed))
            part = roomy
        together = within(fitted(part, layer, seen.moments), part, self.largest, self.chip)
        return unbiased(together, layer, seen.events)

    @cached_property
    def _observed(self) -> Observed:
        batches = self._batches(self.samples, "calibrate")
        return observe(self.layers, self.rounded, self.cells, batches, self.steps, self.step.timed)

    def _same_as_read(self, few: Mapping[str, Array], found: Mapping[str, Array]) -> tuple[float, tuple[str, ...]]:
        """Return the percentage of the network's own results that what was read of it has too, and what to say."""
        own = self._own(few)
        if own is None or self.source.approximate:
            return 100.0, ()
        same = np.concatenate([_close(found[name], own[name]).ravel() for name in found])
        share = 100 * float(same.mean())
        said = (
            f"only {share:.2f} % of the network's own results on {count_of(few)} samples are those of what was read: "
        )
        return share, (said + "does its forward do something else beside its neurons?",) if share < TRUSTED else ()

    def evaluation(self, samples: Samples, labels: npt.ArrayLike, metric: Metric = top1) -> Evaluation:
        """Return labelled samples with the trained network's own results; of several, `top1` takes the first."""
        given = self.shaped(samples, "the evaluation data")
        labels = checked_labels(labels, count_of(given))
        batches = [self._results(batch) for batch in self._batches(given, "evaluate the trained network")]
        results = {name: np.concatenate([batch[name] for batch in batches]) for name in self._measured_by(metric)}
        evaluation = Evaluation(given, labels, results, self._shape(results), metric)
        evaluation.accuracy(results)  # labels that the metric cannot take are refused before the work
        return evaluation

    def _shape(self, results: Mapping[str, Array]) -> Shape:
        """Return the shape of the first result; it is flat where it is read from groups of neurons."""
        name, values = next(iter(results.items()))
        shape = next(part.shape for part in self.rounded if part.name == self.outputs[name])
        return shape if math.prod(shape) == values.shape[1] else values.shape[1:]

    def _measured_by(self, metric: Metric) -> tuple[str, ...]:
        """Return the results that a metric takes."""
        names = tuple(self.outputs)
        return names[:1] if metric is top1 else names

    def measured(self, conversion: SpikingConversion, evaluation: Evaluation) -> SpikingConversion:
        """Return the conversion with its accuracy beside the trained network's own."""
        done = counter(self.tell, "evaluate", len(evaluation.labels))
        logits, activity = snn_logits(conversion.network, evaluation.samples, done)
        own = {name: logits[self.ends[name]] for name in evaluation.ann}
        report = replace(
            conversion.report,
            accuracy=evaluation.accuracy(own),
            spikes_per_neuron=activity.spikes_per_neuron,
            synops_per_sample=activity.synops_per_sample,
        )
        if len(own) < len(self.ends):
            report = replace(report, notes=(*report.notes, f"the accuracy is that of '{next(iter(own))}' alone"))
        return replace(conversion, report=report)

    def _own(self, batch: Mapping[str, Array]) -> dict[str, Array] | None:
        """Return what the trained network itself gives for integer samples; None where there is nothing to run."""
        real = {name: self.encodings[name].real(values) for name, values in batch.items()}
        results = self.source.results(real, self.steps, self.step)
        for name, values in (results or {}).items():
            if not np.isfinite(values).all():
                raise ConversionError(
                    f"the trained network itself gives NaN or infinity as '{name}' on these samples: check its "
                    "parameters (a threshold that is infinite, with a reset by subtraction?)"
                )
        return results

    def _results(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Return what the trained network itself gives for integer samples."""
        results = self._own(batch)
        if results is None:
            raise ConversionError(f"this network ({self.source.name}) cannot be run to compare with")
        return results


def _finite(step: Step) -> Step:
    """Return the step; refuse it where a number of its maps is none. Cells check theirs themselves."""
    for node in step.graph.nodes.values():
        for name, value in {} if isinstance(node.op, Cell) else vars(node.op).items():
            if isinstance(value, np.ndarray) and not np.isfinite(value).all():
                raise ConversionError(
                    f"'{node.name}': its {name} holds NaN or infinity: the training diverged, or the weights file is "
                    "broken"
                )
    return step


def _checked_steps(steps: Any, what: str) -> int:
    if not (is_integer(steps) and 1 <= steps <= MAX_WINDOW):
        raise UsageError(f"{what} is an integer in 1..{MAX_WINDOW}, got {steps!r:.80}")
    return int(steps)


def _at_once(samples: Mapping[str, Array], most: int) -> int:
    """Return how many samples, of all inputs together, fit a batch."""
    return max(1, min(most, BATCH_VALUES // sum(math.prod(values.shape[1:]) for values in samples.values())))


def _largest_events(layers: Sequence[InputLayer | PoolLayer | RelayLayer | Layer]) -> dict[str, int]:
    """Return the largest magnitude of an event of each layer: a payload of an input, or a spike."""
    found: dict[str, int] = {}
    for layer in layers:
        if isinstance(layer, InputLayer):
            found[layer.name] = largest_event(layer.neuron().word)
        else:
            found[layer.name] = found[layer.source] if isinstance(layer, PoolLayer) else 1
    return found


def _close(found: Array, own: Array) -> npt.NDArray[np.bool_]:
    """Return where two results (batch, K) are equal but for the rounding of float32."""
    return np.isclose(found, own.reshape(found.shape), rtol=1e-3, atol=1e-3 * float(np.abs(own).max(initial=0.0)))
