"""Trained networks become spiking networks: `convert` a torch module, and read the report."""

if __name__ != "spikerun.converters":
    raise ImportError("import spikerun.converters instead")

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy.typing as npt

from spikerun.converters.quantise import Settings
from spikerun.converters.report import Accuracy, Conversion, Report
from spikerun.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Accuracy", "Conversion", "Report", "convert"]


def convert(
    model: "nn.Module",
    calibration: npt.ArrayLike,
    *,
    steps: int = 5,
    code: str = "bits",
    input_code: str = "bits",
    input_scale: float = 1 / 255,
    input_mean: npt.ArrayLike | None = None,
    input_std: npt.ArrayLike | None = None,
    labels: npt.ArrayLike | None = None,
    evaluation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    max_drop: float | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Conversion:
    """Convert a trained torch module to a spiking network, without any training.

    calibration: 8-bit integers (N, C, H, W) or (N, F), some hundred real samples; the model sees
    (integer * input_scale - input_mean) / input_std. steps: bits of the activations, 1..8. code, input_code: how
    integers travel as spikes, `bits`, `ttfs` or `graded`. evaluation: (samples, labels) on which ANN and SNN are
    compared; `labels` are those of the calibration samples, used for it where there is no evaluation. max_drop: points
    of accuracy that may be lost; the fewest steps that keep it are taken, instead of `steps`. on_progress is told
    (stage, done, total).

    Raises ConversionError with all operators that cannot be converted, where they stand, and what to do; CheckFailed
    where no number of steps keeps max_drop.
    """
    from spikerun.converters.budget import fewest_steps
    from spikerun.converters.pipeline import Converter

    settings = Settings(steps, code, input_code)
    if evaluation is None and labels is not None:
        evaluation = (calibration, labels)
    if max_drop is not None and evaluation is None:
        raise UsageError("max_drop needs labelled samples to measure the drop on: give evaluation=(samples, labels)")
    converter = Converter(model, calibration, input_scale, input_mean, input_std, on_progress)
    measured = converter.evaluation(*evaluation) if evaluation is not None else None
    if max_drop is not None and measured is not None:
        return fewest_steps(converter, settings, measured, max_drop)
    return converter.convert(settings, measured)
