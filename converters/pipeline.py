"""The conversion from end to end: read, simplify, lower, calibrate, build, check, measure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import numpy.typing as npt
from torch import nn

from spikerun.converters import verify
from spikerun.converters.build import build
from spikerun.converters.calibrate import LayerFit, calibrate
from spikerun.converters.evaluate import ann_logits, paired, snn_classes
from spikerun.converters.from_torch import read
from spikerun.converters.graph import Array, Graph, Shape
from spikerun.converters.layers import InputLayer, Layers, PoolLayer
from spikerun.converters.lower import lower
from spikerun.converters.quantise import QLayer, Quantised, Settings
from spikerun.converters.report import Accuracy, Conversion, LayerReport, OperatorReport, Report
from spikerun.converters.simplify import simplify
from spikerun.errors import ConversionError, DataError
from spikerun.network import Network

__all__ = ["Converter", "Evaluation"]

CHECKED_SAMPLES = 8
Progress = Callable[[str, int, int], None]  # what is being done, how much of it is done, of how much (0: unknown)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Labelled samples and the classes that the ANN gives them."""

    samples: Array
    labels: Array
    ann: Array


class Converter:
    """A model read once, to be converted with any number of bits.

    samples: integers 0..255 (batch, *shape); the model sees (integer * scale - mean) / std.
    """

    def __init__(
        self,
        model: nn.Module,
        samples: npt.ArrayLike,
        scale: float = 1 / 255,
        mean: npt.ArrayLike | None = None,
        std: npt.ArrayLike | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ConversionError(f"the model must be a torch.nn.Module, got {type(model).__name__}")
        self.model = model
        self.samples = _checked_samples(samples, "the calibration data")
        shape = self.samples.shape[1:]
        self.gain, self.shift = _input_map(shape, scale, mean, std)
        self.meta = _input_meta(scale, mean, std)
        self.tell = on_progress or _say_nothing
        self.tell("read the model", 0, 0)
        self.graph: Graph = simplify(read(model, shape))
        self.layers: Layers = lower(self.graph, self.gain, self.shift)
        self._check_reading()

    def convert(self, settings: Settings, evaluation: Evaluation | None = None) -> Conversion:
        """Return the spiking network with the bits and codes of `settings`, measured where there is an evaluation."""
        self.tell(f"calibrate, T = {settings.steps}", 0, 0)
        quantised, fits = calibrate(self.layers, self.samples, settings)
        meta = {
            "converted_from": "torch",
            "bits": settings.steps,
            "macs": self.graph.macs(),
            "classes": int(np.prod(self.layers.readout.shape)),
            "tool": f"spikerun {_version()}",
            **self.meta,
        }
        network = build(quantised, meta)
        report = self._report(network, quantised, fits, settings)
        if evaluation is None:
            return Conversion(network, report, quantised)
        done = self._counter(f"evaluate, T = {settings.steps}", len(evaluation.samples))
        return Conversion(network, _measured(report, network, evaluation, done), quantised)

    def evaluation(self, samples: npt.ArrayLike, labels: npt.ArrayLike) -> Evaluation:
        """Return labelled samples with the ANN's classes."""
        checked = _checked_samples(samples, "the evaluation data")
        if checked.shape[1:] != self.samples.shape[1:]:
            raise DataError(
                f"the evaluation data have samples of shape {checked.shape[1:]}, "
                f"the calibration data {self.samples.shape[1:]}"
            )
        labels = np.asarray(labels)
        if labels.shape != (len(checked),) or labels.dtype.kind not in "iu":
            raise DataError(f"labels must be {len(checked)} integers, got {labels.dtype} of shape {labels.shape}")
        outputs = int(np.prod(self.layers.readout.shape))
        if len(labels) and not 0 <= labels.min() <= labels.max() < outputs:
            raise DataError(f"labels go from {labels.min()} to {labels.max()}, the model has {outputs} outputs")
        logits = ann_logits(self.model, checked, self.gain, self.shift, self._counter("evaluate the ANN", len(checked)))
        return Evaluation(checked, labels, logits.argmax(axis=1))

    def _counter(self, stage: str, total: int) -> Callable[[int], None]:
        """Return what adds up the samples of a stage that are done, and tells."""
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            self.tell(stage, done, total)

        advance(0)
        return advance

    def _check_reading(self) -> None:
        """Refuse to go on where the layers, in real numbers, are not the model: nothing passes through silently."""
        few = self.samples[:CHECKED_SAMPLES]
        model, layers = ann_logits(self.model, few, self.gain, self.shift), verify.real_logits(self.layers, few)
        gap, size = float(np.abs(model - layers).max()), float(np.abs(model).max())
        if not gap <= 1e-3 * size + 1e-6:
            raise ConversionError(
                f"the converter read the model as something else: its results differ by {gap:.3g} (of {size:.3g}). "
                "This is a bug in the converter, or the model is not deterministic; please report it."
            )

    def _report(self, network: Network, quantised: Quantised, fits: list[LayerFit], settings: Settings) -> Report:
        by_name = {fit.name: fit for fit in fits}
        layers = tuple(_layer_report(layer, network, by_name.get(layer.name)) for layer in quantised.layers)
        origins = dict.fromkeys(n.origin for n in self.graph.nodes.values() if n.origin.operator not in ("", "input"))
        operators = tuple(OperatorReport(o.operator, o.module, o.line, o.code) for o in origins)
        return Report(
            settings.steps, network.window, settings.code, settings.input_code,
            len(self.samples), self.graph.macs(), operators, layers,
        )  # fmt: skip


def _layer_report(layer: InputLayer | PoolLayer | QLayer, network: Network, fit: LayerFit | None) -> LayerReport:
    name = layer.name
    population = network.populations[name]
    word = network.sender_of(name)
    threshold = None
    if isinstance(layer, QLayer) and layer.kind != "readout":
        threshold = (int(layer.threshold.min()), int(layer.threshold.max()))
    return LayerReport(
        name, layer.kind if isinstance(layer, QLayer) else population.neuron.kind, population.shape,
        word.bits if word else 0, word.code if word else "", fit.choice if fit else "", threshold,
        network.bounds.get(name, 0), fit.signal_to_noise if fit else None,
    )  # fmt: skip


def _measured(report: Report, network: Network, evaluation: Evaluation, on_progress: Callable[[int], None]) -> Report:
    classes, activity = snn_classes(network, evaluation.samples, on_progress)
    accuracy: Accuracy = paired(evaluation.ann, classes, evaluation.labels)
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
        "events are not free. Fewer steps, code 'ttfs' or 'graded', or sparser activations help."
    )


def _checked_samples(samples: npt.ArrayLike, what: str) -> Array:
    array = np.asarray(samples)
    if array.ndim not in (2, 4) or not array.size:
        advice = "add the channel axis: samples[:, None]" if array.ndim == 3 else "give (N, C, H, W) or (N, F)"
        raise DataError(f"{what} have the shape {array.shape}; {advice}")
    if array.dtype.kind not in "iu":
        raise DataError(f"{what} have dtype {array.dtype}; give the raw 8-bit integers, and their scale as input_scale")
    if array.min() < 0 or array.max() > 255:
        raise DataError(f"{what} hold values from {array.min()} to {array.max()}; inputs are 8-bit integers, 0..255")
    return array


def _input_map(
    shape: Shape, scale: float, mean: npt.ArrayLike | None, std: npt.ArrayLike | None
) -> tuple[Array, Array]:
    """Return gain and shift, shape () or (C,), such that the model sees gain * integer + shift."""
    center = np.asarray(0.0 if mean is None else mean, dtype=np.float64)
    spread = np.asarray(1.0 if std is None else std, dtype=np.float64)
    for name, values in (("input_mean", center), ("input_std", spread)):
        if values.shape not in ((), (1,), shape[:1]) or not np.isfinite(values).all():
            raise DataError(f"{name} must be one finite number or {shape[0]} (one a channel), got shape {values.shape}")
    if not (np.isfinite(scale) and scale > 0) or not (spread > 0).all():
        raise DataError(f"input_scale and input_std must be positive, got {scale} and {spread.tolist()}")
    center, spread = (v[0] if v.shape == (1,) else v for v in (center, spread))
    return np.asarray(scale / spread), np.asarray(-center / spread)


def _input_meta(scale: float, mean: npt.ArrayLike | None, std: npt.ArrayLike | None) -> dict[str, str | int | float]:
    meta: dict[str, str | int | float] = {"input_scale": float(scale)}
    for name, values in (("input_mean", mean), ("input_std", std)):
        if values is not None:
            meta[name] = " ".join(f"{v:.9g}" for v in np.asarray(values, dtype=np.float64).ravel())
    return meta


def _version() -> str:
    try:
        return version("spikerun")
    except PackageNotFoundError:
        return "checkout"


def _say_nothing(stage: str, done: int, total: int) -> None:
    """Take the place of a listener."""
