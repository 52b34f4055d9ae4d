# SPDX-License-Identifier: Apache-2.0
"""What populations send in training, and what pools and relays make of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikerun.codes import word_range
from spikerun.converters.layers import PoolLayer, RelayLayer
from spikerun.converters.sparse_map import SparseMap
from spikerun.converters.tuning.rounding import spread

__all__ = ["Relaying", "Value", "largest", "pooled"]


@dataclass(frozen=True)
class Value:
    """What a population sends for a batch. q: words less the word of 0, (B, *shape); u: membranes in steps, likewise;
    None of inputs. step, zero: (C,) what a word stands for, and the word of 0; shifted: whether that may be another
    than 0, which a device is not asked.
    """

    q: Tensor
    u: Tensor | None
    step: Tensor
    zero: Tensor
    bits: int
    signed: bool
    shifted: bool = False


def largest(layer: PoolLayer, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest of each window, (B, *shape), and the places where they stand."""
    flat = x[:, :, None] if x.ndim == 3 else x
    q, index = F.max_pool2d(flat, layer.kernel, layer.stride, layer.padding, layer.dilation, return_indices=True)
    return q.reshape(len(x), *layer.shape), index


def pooled(layer: PoolLayer, value: Value) -> Value:
    """Return the largest word of each window, and the membrane that it comes from."""
    q, index = largest(layer, value.q)
    u = None
    if value.u is not None:
        u = value.u.flatten(2).gather(2, index.flatten(2)).reshape(q.shape)
    return Value(q, u, value.step, value.zero, value.bits, value.signed, value.shifted)


class Relaying(nn.Module):
    """Copies of words at other places. channels: of each source.

    Places and masks follow from the layer, and lie on the device beside what is trained; no state dict holds them.
    """

    def __init__(self, layer: RelayLayer, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.layer = layer
        for k, term in enumerate(layer.terms):
            assert isinstance(term.map, SparseMap)
            reached, source = term.map.sources(channels[term.source])
            self._keep(f"index.{k}", np.asarray(term.map.index[..., 0], np.int64))
            self._keep(f"mask.{k}", (term.map.weight[..., 0] != 0).astype(np.float32))
            self._keep(f"reached.{k}", reached)
            self._keep(f"source.{k}", source)
        if layer.lowest is not None:
            self._keep("lowest", layer.lowest)

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name.replace(".", "_"), torch.tensor(values), persistent=False)

    def _kept(self, name: str, k: int) -> Tensor:
        return self.get_buffer(f"{name}_{k}")

    def copies(self, x: Mapping[str, Tensor]) -> Tensor:
        """Return numbers of the sources, (B, *own) by name, where they are copied to, 0 elsewhere, (B, *shape)."""
        some = x[self.layer.terms[0].source]
        found = some.new_zeros(len(some), *self.layer.shape)
        for k, term in enumerate(self.layer.terms):
            part = slice(term.first, term.end)
            copied = x[term.source].flatten(1)[:, self._kept("index", k)] * self._kept("mask", k)
            found[:, part] = found[:, part] + copied
        return found

    def least(self, q: Tensor, value: Tensor | float) -> Tensor:
        """Return q with `value` where a max pool looks beyond its image."""
        return q if self.layer.lowest is None else torch.where(self.get_buffer("lowest"), value, q)

    def forward(self, values: Mapping[str, Value]) -> Value:
        layer = self.layer
        sources = {term.source: values[term.source] for term in layer.terms}
        bits = max(one.bits for one in sources.values())
        u = self.copies({name: one.q if one.u is None else one.u for name, one in sources.items()})
        q = self.copies({name: one.q for name, one in sources.items()})
        step, zero = q.new_zeros(layer.shape[0]), q.new_zeros(layer.shape[0])
        for k, term in enumerate(layer.terms):
            value, reached, source = sources[term.source], self._kept("reached", k), self._kept("source", k)
            part = slice(term.first, term.end)
            steps = torch.where(reached, value.step[source], step[part])
            zeros = torch.where(reached, value.zero[source].to(zero.dtype), zero[part])
            step = torch.cat([step[: term.first], steps, step[term.end :]])
            zero = torch.cat([zero[: term.first], zeros, zero[term.end :]])
        if layer.lowest is not None:
            q = self.least(q, word_range(bits, layer.signed)[0] - spread(zero, len(layer.shape)))
        return Value(q, u, step, zero, bits, layer.signed, any(one.shifted for one in sources.values()))
