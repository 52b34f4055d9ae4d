# SPDX-License-Identifier: Apache-2.0
"""The conversion from end to end: read, check, lower, check, calibrate, build, measure."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import numpy.typing as npt

from spikerun.activity import Activity
from spikerun.converters import verify
from spikerun.converters.build import build
from spikerun.converters.calibrate import Calibration, LayerFit
from spikerun.converters.decisions import decisions, gone_said, operator_name, reasons
from spikerun.converters.encoding import Encoding
from spikerun.converters.evaluate import Evaluation, Metric, ann_logits, snn_logits, top1
from spikerun.converters.fidelity import fidelity
from spikerun.converters.fitting import by_chance, cut_said, notes_on
from spikerun.converters.graph import Array, Flatten, Input, Origin, Output
from spikerun.converters.last import Shortened, shortened
from spikerun.converters.layers import InputLayer, Layers, PoolLayer, RelayLayer
from spikerun.converters.lower import lower
from spikerun.converters.metrics import METRICS, name_of, reference
from spikerun.converters.quantise import QLayer, Quantised, Settings
from spikerun.converters.ranges import said as ranges_said
from spikerun.converters.report import Accuracy, Conversion, LayerReport, OperatorReport, Report
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
from spikerun.converters.sigma_delta import SigmaDeltaFit, check, even
from spikerun.converters.simplify import simplify
from spikerun.converters.source import Source
from spikerun.converters.tuning.fit import Tuned
from spikerun.converters.tuning.recode import recoded
from spikerun.errors import UsageError
from spikerun.gone import Gone, without_gone
from spikerun.memory import memory_of
from spikerun.network import Network

__all__ = ["INPUT", "Converter", "tool_version"]

INPUT = "input"  # the name of the only input
CHECKED_SAMPLES = 8
MUCH = 1e-3  # of the values of samples that measure: from there on it is said that they are cut
COMPARED_SAMPLES = 64  # whose values are compared with the ANN's, layer by layer, and fewer of large networks:
COMPARED_MACS = 2**33  # about so many in all


class Converter:
    """A source read once, to be converted with any settings.

    samples: integers (batch, *shape), or by the names of the inputs, or a loader of batches; encodings: what they stand
    for, by name likewise; None: what fits the samples, in `code`. tuned: words that training has chosen, which are
    taken instead of fitted ones. recode: bits of the inputs that are coded anew (`tuning/recode.py`).
    """

    def __init__(
        self,
        source: Source,
        samples: Samples,
        encodings: Encoding | Mapping[str, Encoding] | None = None,
        on_progress: Progress | None = None,
        code: str = "bits",
        tuned: Tuned | None = None,
        recode: Mapping[str, int] | None = None,
    ) -> None:
        self.source, self.tuned = source, tuned
        self.tell = on_progress or quiet
        given = by_name(gathered(samples), (INPUT,))
        self.encodings = encodings_of(encodings, given, code)
        for encoding in self.encodings.values():
            encoding.require_word()
        self.samples = checked(given, self.encodings, "the calibration data")
        notes = [] if encodings is not None else notes_on(self.encodings, given)
        self.tell("read the model", 0, 0)
        graph = source.graph({name: values.shape[1:] for name, values in self.samples.items()})
        few = {name: values[:CHECKED_SAMPLES] for name, values in self.samples.items()}
        real = {name: self.encodings[name].real(values) for name, values in few.items()}
        verify.check_reading(graph, real, ann_logits(source, few, self.encodings))
        short, left_out = shortened(graph)
        self.ann: Source = Shortened(source.name, short) if left_out else source
        self.graph, self.notes = simplify(short), [*notes, *graph.notes, *left_out]
        self.macs = short.macs()
        recode = tuned.recoded if tuned is not None else recode or {}
        self.layers = lower(recoded(self.graph, self.encodings, recode), self.encodings)
        if tuned is not None:
            tuned.require(self.layers, self.encodings)
            self.notes.append(
                "the weights were tuned together with their words: the ANN that is compared with has these weights and "
                "rounds nothing; what the network before tuning did is in the report of tune"
            )
        takers = {layer.name: layer.activation.range_name for layer in self.layers.sums}
        self.notes += ranges_said(short, {name: given for name, given in takers.items() if given})
        verify.check_lowering(self.layers, few, short, real)
        self.calibration = Calibration(self.layers, self.samples)

    def tuned_to(self, layers: Layers, tuned: Tuned) -> "Converter":
        """Return a converter of layers that were trained on, which takes the words that training chose."""
        other = copy(self)
        tuned.require(layers, self.encodings)
        other.layers, other.tuned, other.calibration = layers, tuned, Calibration(layers, self.samples)
        return other

    @property
    def count(self) -> int:
        """Return the number of calibration samples."""
        return count_of(self.samples)

    def convert(self, settings: Settings) -> Conversion:
        """Return the spiking network with the bits and the code of `settings`."""
        self.tell(f"calibrate, {settings.bits}-bit activations", 0, 0)
        network, gone, quantised, fits = self._fitted(settings)
        return Conversion(network, self._report(network, gone, quantised, fits, settings), quantised, gone)

    def network(self, settings: Settings) -> Network:
        """Return the spiking network alone."""
        return self._fitted(settings)[0]

    def _fitted(self, settings: Settings) -> tuple[Network, Gone, Quantised, list[LayerFit]]:
        if settings.coding == "sdnn":
            check(self.layers)
            quantised, fits = self.calibration.fit(settings, SigmaDeltaFit)
            quantised = even(quantised)
        else:
            quantised, fits = self.calibration.fit(settings, None if self.tuned is None else self.tuned.way)
        meta: dict[str, str | int | float] = {
            "converted_from": self.source.name,
            "bits": settings.bits,
            "macs": self.macs,
            "classes": int(np.prod(self.layers.outputs[0].shape)),
            "tool": f"spikerun {tool_version()}",
        }
        for name, encoding in self.encodings.items():
            meta |= encoding.meta(name)
        if settings.coding == "sdnn":
            meta["coding"] = settings.coding
        return *without_gone(build(quantised, meta)), quantised, fits

    def measured(self, conversion: Conversion, evaluation: Evaluation) -> Conversion:
        """Return the conversion with what its network is like on labelled samples."""
        network, report = conversion.network, conversion.report
        done = counter(self.tell, f"evaluate, {report.bits}-bit activations", len(evaluation.labels))
        logits, activity = snn_logits(network, evaluation.samples, done)
        measured = _measured(report, evaluation.accuracy(logits), activity).with_notes(*evaluation.notes)
        if any(2 * link.connection.zeros >= link.connection.weights > 0 for link in network.links):
            from spikerun.session import Session  # converting alone needs no compiled kernels

            laid_out = Session(network).plan.layouts
            found = (replace(one, layouts=tuple(laid_out.get(one.name, ()))) for one in measured.layers)
            measured = replace(measured, layers=tuple(found))
        if evaluation.by_chance:
            measured = measured.with_notes(by_chance(measured.accuracy, self.encodings))
        return replace(conversion, report=measured)

    def compared(self, conversion: Conversion, held_out: Samples | None = None) -> Conversion:
        """Return the conversion with the error of each layer on samples that did not calibrate, if there are any."""
        self.tell("compare layer by layer", 0, 0)
        given = self.samples
        if held_out is not None:
            given = checked(by_name(held_out, (INPUT,)), self.encodings, "the held-out samples", self.samples)
        few = min(COMPARED_SAMPLES, max(COMPARED_MACS // max(self.macs, 1), 1))
        given = {name: values[:few] for name, values in given.items()}
        found = fidelity(self.layers, conversion.quantised, given)
        layers = tuple(
            replace(layer, **vars(found[layer.name])) if layer.name in found else layer
            for layer in conversion.report.layers
        )
        report = replace(conversion.report, layers=layers, error_samples=count_of(given), held_out=held_out is not None)
        return replace(conversion, report=report)

    def checked(self, samples: Samples, labels: npt.ArrayLike | None) -> tuple[dict[str, Array], Array | None]:
        """Return samples to evaluate by as integers, and their labels as an array, if they have any."""
        given = checked(by_name(samples, (INPUT,)), self.encodings, "the evaluation data", self.samples)
        return given, None if labels is None else checked_labels(labels, count_of(given))

    def evaluation(self, samples: Samples, labels: npt.ArrayLike | None, metric: Metric = top1) -> Evaluation:
        """Return samples with the ANN's results; without labels, these take their place."""
        given, labels = self.checked(samples, labels)
        count, first = count_of(given), self.layers.outputs[0]
        if len(self.layers.outputs) > 1 and metric in METRICS.values():
            names = ", ".join(layer.name for layer in self.layers.outputs)
            raise UsageError(
                f"the network has several outputs, and {name_of(metric)} scores one: {self.source.choice()}; or give a "
                f"metric of your own, --metric FILE.py:FUNCTION, that takes a dict of logits by name ({names}), and "
                "labels"
            )
        logits = ann_logits(self.ann, given, self.encodings, counter(self.tell, "evaluate the ANN", count))
        if labels is None:
            if len(logits) > 1:
                raise UsageError(f"a network of the outputs {', '.join(logits)} needs labels, and a metric of your own")
            labels = reference(metric, logits[first.name].reshape(count, *first.shape))
        cut = {name: self.encodings[name].cut(values) for name, values in by_name(samples, (INPUT,)).items()}
        notes = tuple(cut_said(name, share, self.encodings[name]) for name, share in cut.items() if share >= MUCH)
        evaluation = Evaluation(given, labels, logits, first.shape, metric, notes)
        evaluation.accuracy(logits)  # labels that the metric cannot take are refused before the work
        return evaluation

    def _report(
        self, network: Network, gone: Gone, quantised: Quantised, fits: list[LayerFit], settings: Settings
    ) -> Report:
        fitted = {fit.name: fit for fit in fits}
        made_of = {layer.name: layer.origins for layer in self.layers.sums}
        layers = tuple(
            _layer_report(layer, network, gone, fitted.get(layer.name), made_of.get(layer.name, ()))
            for layer in quantised.layers
            if layer.name in network.populations
        )
        origins = dict.fromkeys(n.origin for n in self.graph.nodes.values() if n.origin.operator not in ("", "input"))
        operators = tuple(OperatorReport(o.operator, o.module, o.line, o.code) for o in origins)
        codes = ", ".join(dict.fromkeys(encoding.code for encoding in self.encodings.values()))
        report = Report(
            settings.bits, network.window, settings.code, codes, self.count, self.macs, operators, layers,
            decisions=decisions(settings, self.encodings, quantised), error_samples=self.count,
        )  # fmt: skip
        report = report.with_notes(*self.notes, *gone_said(gone))
        if not report.macs:
            bare = all(isinstance(node.op, Input | Output | Flatten) for node in self.graph.nodes.values())
            what = "gives its samples back as they are, through no layer" if bare else "has no weights"
            report = report.with_notes(f"the model {what}, so 0 MACs: is it the whole of what was trained?")
        if self.count == 1:
            report = report.with_notes("one sample calibrates: its ranges are taken for those of all; give hundreds.")
        if all(values.min() == values.max() for values in self.samples.values()):
            report = report.with_notes("all calibration samples hold one and the same value; give real ones.")
        return report


def _layer_report(
    layer: InputLayer | PoolLayer | RelayLayer | QLayer,
    network: Network,
    gone: Gone,
    fit: LayerFit | None,
    origins: tuple[Origin, ...],
) -> LayerReport:
    name = layer.name
    population = network.populations[name]
    word = network.sender_of(name)
    summing = layer if isinstance(layer, QLayer) else None
    threshold = None
    if summing and (found := summing.threshold) is not None:
        found = found[gone.kept[name]]
        threshold = (int(found.min()), int(found.max()))
    kind = summing.activation.name if summing else population.neuron.kind
    return LayerReport(
        name, "relay" if isinstance(layer, RelayLayer) else kind, population.shape,
        word.bits if word else 0, word.code if word else "", fit.chosen_by if fit else "", threshold,
        network.bounds.get(name, 0), fit.signal_to_noise if fit else None,
        dense=network.dense_of(name),
        memory=memory_of(network, name), sources=tuple(dict.fromkeys(link.source for link in network.into(name))),
        operators=tuple(operator_name(origin) for origin in origins if origin.operator != "input"),
        reasons=tuple(reasons(layer, origins, fit)), gone=gone.why.get(name, {}),
        weights=sum(link.connection.weights for link in network.into(name)),
        zeros=sum(link.connection.zeros for link in network.into(name)),
    )  # fmt: skip


def _measured(report: Report, accuracy: Accuracy, activity: Activity) -> Report:
    count = max(activity.samples, 1)
    layers = tuple(
        replace(
            layer,
            spikes=activity.populations[layer.name].spikes / count,
            synops=activity.populations[layer.name].synops / count,
        )
        for layer in report.layers
    )
    measured = replace(
        report,
        layers=layers,
        accuracy=accuracy,
        spikes_per_neuron=activity.spikes_per_neuron,
        synops_per_sample=activity.synops_per_sample,
    )
    if (measured.synops_per_mac or 0) <= 1:
        return measured
    return measured.with_notes(
        "one sample takes more synaptic operations than the ANN takes MACs, so the ANN in int8 may be cheaper where "
        "events are not free. Fewer bits, code 'ttfs' or 'graded', or sparser activations help."
    )


def tool_version() -> str:
    """Return the version of the package, as files and journals have it."""
    try:
        return version("spikerun")
    except PackageNotFoundError:
        return "checkout"
