"""How the ANN and the SNN do on the same samples."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from spikerun.activity import Activity
from spikerun.converters.graph import Array
from spikerun.converters.report import Accuracy
from spikerun.errors import ConversionError
from spikerun.network import Network

__all__ = ["ann_logits", "paired", "snn_classes"]

BATCH = 256


def ann_logits(
    model: nn.Module, samples: Array, gain: Array, shift: Array, on_progress: Callable[[int], None] | None = None
) -> Array:
    """Return the model's results (batch, K), float64, for integer samples, whose values are gain * integer + shift.

    on_progress is called with the number of samples done since the last call.
    """
    parameter = next(model.parameters(), torch.zeros(()))
    was_training = model.training
    model.eval()
    results = []
    try:
        with torch.no_grad():
            for first in range(0, len(samples), BATCH):
                real = _real(samples[first : first + BATCH], gain, shift)
                batch = torch.from_numpy(real).to(parameter.device, parameter.dtype)
                results.append(model(batch).double().cpu().flatten(1).numpy())
                if on_progress is not None:
                    on_progress(len(batch))
    finally:
        model.train(was_training)
    logits: Array = np.concatenate(results)
    if not np.isfinite(logits).all():
        raise ConversionError(
            "the model itself gives NaN or infinity for these samples: check weights, scale, mean and std"
        )
    return logits


def _real(samples: Array, gain: Array, shift: Array) -> Array:
    def by_channel(values: Array) -> Array:
        return values.reshape(-1, *(1,) * (samples.ndim - 2)) if values.ndim else values

    return (samples * by_channel(gain) + by_channel(shift)).astype(np.float32)


def snn_classes(
    network: Network, samples: Array, on_progress: Callable[[int], None] | None = None
) -> tuple[Array, Activity]:
    """Return the classes (batch,) that the spiking network gives, and its activity."""
    from spikerun.session import Session  # converting alone needs no compiled kernels

    result = Session(network).run(samples, on_progress=on_progress)
    return result.classes, result.activity


def paired(ann: Array, snn: Array, labels: Array) -> Accuracy:
    """Return the accuracies of two lists of classes, in percent, and the standard error of their difference."""
    ann_right, snn_right = ann == labels, snn == labels
    difference = ann_right.astype(np.float64) - snn_right
    error = float(difference.std() / np.sqrt(len(labels)))
    return Accuracy(
        len(labels),
        float(ann_right.mean()) * 100,
        float(snn_right.mean()) * 100,
        float((ann == snn).mean()) * 100,
        error * 100,
    )
