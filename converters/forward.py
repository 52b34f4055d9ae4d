"""The arithmetic of maps on batches of real samples, by torch for its speed: arrays in, arrays out.

Results are computed in the dtype of the samples: float32 for calibration, float64 where integers must be exact.
"""

import numpy as np
import torch
import torch.nn.functional as F

from spikerun.converters.graph import Array, Pair, Shape
from spikerun.converters.maps import ConvMap, DenseMap, DiagMap, Map, Term

__all__ = ["accumulate", "apply", "max_pool", "spread"]


def spread(values: Array, shape: Shape) -> Array:
    """Return values of shape (), (C,) or `shape` such that they broadcast over a batch of `shape`."""
    if values.ndim == 1 and len(shape) == 3:
        return values.reshape(-1, 1, 1)
    return values


def apply(map: Map, x: Array) -> Array:
    """Return the map of a batch `x` (batch, *source shape)."""
    if isinstance(map, DiagMap):
        scaled: Array = x * spread(map.gain, x.shape[1:]).astype(x.dtype)
        return scaled
    with torch.no_grad():
        data = torch.from_numpy(np.ascontiguousarray(x))
        if isinstance(map, DenseMap):
            result = F.linear(data.flatten(1), torch.from_numpy(map.weight.astype(x.dtype)))
        elif isinstance(map, ConvMap):
            weight = torch.from_numpy(np.ascontiguousarray(map.weight.astype(x.dtype)))
            result = F.conv2d(data, weight, None, map.stride, map.padding, map.dilation, map.groups)
        else:
            pooled = F.avg_pool2d(data, map.kernel, map.stride, map.padding, divisor_override=1)
            result = pooled * torch.from_numpy(map.gain.astype(x.dtype)).reshape(-1, 1, 1)
        return result.numpy()


def accumulate(terms: list[tuple[Term, Map]], values: dict[str, Array], shape: Shape) -> Array:
    """Return the sum of `map(values[term.source])` over (term, map), as a batch of `shape`."""
    first = values[terms[0][0].source]
    total = np.zeros((len(first), *shape), dtype=first.dtype)
    for term, map in terms:
        x = values[term.source]
        part = apply(map, x.reshape(len(x), *term.shape))
        total[:, term.first : term.end] += part.reshape(len(x), term.end - term.first, *shape[1:])
    return total


def max_pool(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """Return the largest value of each window of a batch of images."""
    with torch.no_grad():
        data = torch.from_numpy(np.ascontiguousarray(x))
        return F.max_pool2d(data, kernel, stride, padding, dilation).numpy()
