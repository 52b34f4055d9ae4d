# SPDX-License-Identifier: Apache-2.0
"""What each stage must equal: the graph its model, the layers their graph, the spikes the quantised ANN.

The quantised ANN is evaluated plainly: integer sums, one floor division, one clip. It walks the quantised layers, not
the network, and knows nothing of spikes; sums are exact in float64 below 2^53.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from spikerun.converters.forward import spread
from spikerun.converters.graph import Array, Graph
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer, RelayLayer, walk
from spikerun.converters.maps import accumulate
from spikerun.converters.quantise import QLayer, Quantised
from spikerun.errors import ConversionError

__all__ = ["check_lowering", "check_reading", "evaluate", "integers", "real_outputs"]

MODEL_TOLERANCE = 1e-3  # of the largest result: models compute in float32, and in an order of their own
OWN_TOLERANCE = 1e-6  # both sides compute in float64; sums that cancel cost digits


def evaluate(quantised: Quantised, samples: Mapping[str, Array] | Array) -> dict[str, Array]:
    """Return the integers (int64, batch first) of every population for `samples`; of a readout, its accumulators."""
    given = samples if isinstance(samples, Mapping) else {quantised.layers[0].name: samples}
    return {layer.name: values.astype(np.int64) for layer, values in integers(quantised, given)}


def integers(
    quantised: Quantised, samples: Mapping[str, Array], dtype: type[np.floating[Any]] = np.float64
) -> Iterator[tuple[InputLayer | PoolLayer | RelayLayer | QLayer, Array]]:
    """Yield each layer with its integers (batch first), in order; of a readout, its accumulators.

    dtype: in which they are computed; in float32, which is many times as fast, accumulators beyond 2^24 are rounded.
    """

    def fire(layer: QLayer, values: Mapping[str, Array]) -> Array:
        v = accumulate(layer.terms, values, layer.shape) + spread(layer.bias, layer.shape).astype(dtype)
        return layer.words(v).astype(dtype)

    yield from walk(quantised.layers, {name: values.astype(dtype) for name, values in samples.items()}, fire)


def real_outputs(layers: Layers, samples: Mapping[str, Array]) -> dict[str, Array]:
    """Return what the layers compute in real numbers, before any quantisation, by the name of the output, float64."""

    def activate(layer: Layer, values: Mapping[str, Array]) -> Array:
        return layer.activation.real(accumulate(layer.terms, values, layer.shape) + layer.bias)

    given = {name: values.astype(np.float64) for name, values in samples.items()}
    wanted = {layer.name for layer in layers.outputs}
    return {layer.name: values for layer, values in walk(layers.every, given, activate) if layer.name in wanted}


def check_reading(graph: Graph, real: Mapping[str, Array], results: Mapping[str, Array]) -> None:
    """Refuse to go on where the graph does not give the model's `results` for `real` samples."""
    _compare(
        graph.evaluate(real), results, MODEL_TOLERANCE,
        "the importer read the model as something else, or the model is not deterministic",
    )  # fmt: skip


def check_lowering(layers: Layers, samples: Mapping[str, Array], graph: Graph, real: Mapping[str, Array]) -> None:
    """Refuse to go on where the layers, in real numbers, do not compute what the graph does."""
    _compare(
        real_outputs(layers, samples), graph.evaluate(real), OWN_TOLERANCE,
        "the graph, which equals the model, was regrouped into layers that do not",
    )  # fmt: skip


def _compare(found: Mapping[str, Array], wanted: Mapping[str, Array], tolerance: float, what: str) -> None:
    for name, values in wanted.items():
        flat = values.reshape(len(values), -1)
        gap = float(np.abs(found[name].reshape(flat.shape) - flat).max())
        size = float(np.abs(flat).max())
        if not gap <= tolerance * (size + 1e-3):
            raise ConversionError(
                f"{what}: the results '{name}' differ by {gap:.3g} (of {size:.3g}). "
                "This is a bug in the converter, or in the model; please report it."
            )
