# SPDX-License-Identifier: Apache-2.0
"""A network of words as a torch module: the same integers in its forward pass, gradients as if nothing were rounded.

For analysis and fine-tuning. Sums are of integers in float64, where they are exact below 2^53, and the contract keeps
them below 2^31.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikerun.codes import significance
from spikerun.converters.tuning.rounding import spread, taken
from spikerun.errors import DataError, UnsupportedError, UsageError
from spikerun.inputs import lacks_one
from spikerun.network import Link, Network, Population
from spikerun.plan import blockable

__all__ = ["NetworkModule", "module_of"]

INT8, INT32 = (-128, 127), (-(2**31), 2**31 - 1)


def module_of(net: Network) -> "NetworkModule":
    """Return the module of a network; raises UnsupportedError where populations send no words, or projections wait."""
    if not isinstance(net, Network):
        raise UsageError(f"to_torch takes a Network, such as spikerun.load('model.snn') returns, got {net!r:.80}")
    if not blockable(net):
        stepwise = [n for n, p in net.populations.items() if p.neuron.fires and not _sends_words(net, n)]
        what = f"'{stepwise[0]}' sends spikes step by step" if stepwise else "it has projections with delays"
        raise UnsupportedError(
            f"to_torch takes networks of words without delays, such as convert makes, and here {what}: fine-tune the "
            "network that it was converted from, and convert again"
        )
    return NetworkModule(net)


def _sends_words(net: Network, name: str) -> bool:
    word = net.sender_of(name)
    return word is not None and word.coded


class Rounded(nn.Module):
    """Holds an array of integers as a parameter p of about -1..1: they are round(p * unit), within limits.

    Rounding and limits pass gradients on.
    """

    def __init__(self, values: Any, limits: tuple[int, int]) -> None:
        super().__init__()
        whole = np.asarray(values, np.float64)
        largest = float(np.abs(whole).max(initial=1.0))
        self.unit = 2.0 ** np.ceil(np.log2(largest)) if largest > 1 else 1.0
        self.limits = limits
        self.parameter = nn.Parameter(torch.tensor(whole / self.unit))

    def forward(self) -> Tensor:
        exact = self.parameter * self.unit
        return taken(exact.round().clamp(*self.limits), exact)

    def integers(self, dtype: type[np.generic]) -> np.ndarray[Any, Any]:
        """Return the integers."""
        return self.forward().detach().cpu().numpy().astype(dtype)


class Map(nn.Module):
    """A connection: `take` gives its currents for words (B, *source), `tuned` gives the connection again."""

    def __init__(self, link: Link, name: str, limits: tuple[int, int]) -> None:
        super().__init__()
        self.connection: Any = link.connection
        self.name = name  # of the field that is trained
        self.numbers = Rounded(getattr(link.connection, name), limits)

    def tuned(self) -> Any:
        """Return the connection with the integers as they are now."""
        before = getattr(self.connection, self.name)
        return replace(self.connection, **{self.name: self.numbers.integers(before.dtype)})


class _Dense(Map):
    def __init__(self, link: Link) -> None:
        super().__init__(link, "weight", INT8)

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.numbers()
        return x.flatten(1) @ weight


class _Sparse(Map):
    def __init__(self, link: Link) -> None:
        super().__init__(link, "data", INT8)
        rows = np.repeat(np.arange(len(self.connection.indptr) - 1), np.diff(self.connection.indptr))
        self.register_buffer("rows", torch.tensor(rows))
        self.register_buffer("columns", torch.tensor(np.asarray(self.connection.indices, np.int64)))

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.get_buffer("rows"), self.get_buffer("columns")
        found = x.new_zeros(len(x), self.connection.size)
        return found.index_add(1, columns, x.flatten(1)[:, rows] * self.numbers())


class _Conv(Map):
    def __init__(self, link: Link) -> None:
        super().__init__(link, "weight", INT8)

    def forward(self, x: Tensor) -> Tensor:
        c = self.connection
        return F.conv2d(x, self.numbers(), None, c.stride, c.padding, c.dilation, c.groups)


class _Diagonal(Map):
    def __init__(self, link: Link) -> None:
        super().__init__(link, "gain", INT32)

    def forward(self, x: Tensor) -> Tensor:
        return x * spread(self.numbers(), x.ndim - 1)


class _SumPool(_Diagonal):
    def forward(self, x: Tensor) -> Tensor:
        (kernel, padding), stride = self.connection.touching(tuple(x.shape[1:])), self.connection.stride
        out = self.connection.target_shape(tuple(x.shape[1:]))
        ones = x.new_ones(x.shape[1], 1, *kernel)
        return super().forward(
            F.conv2d(_reaching(x, out, kernel, stride, padding), ones, None, stride, groups=len(ones))
        )


# Window leads to populations that compare; PooledConv to none but those that integrate step by step.
MAPS: Mapping[str, Callable[[Link], Map]] = MappingProxyType(
    {"dense": _Dense, "sparse": _Sparse, "conv": _Conv, "diagonal": _Diagonal, "sum_pool": _SumPool}
)


class Summing(nn.Module):
    """A population that adds currents up; `fire` gives its words, (B, *shape), for what they add up to."""

    def __init__(self, net: Network, name: str) -> None:
        super().__init__()
        self.population, self.links = net.populations[name], net.into(name)
        neuron: Any = self.population.neuron
        self.neuron, self.bias = neuron, Rounded(neuron.bias, INT32)
        self.maps = nn.ModuleList(MAPS[link.connection.kind](link) for link in self.links)

    def forward(self, words: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        shape = self.population.shape
        v = batch.new_zeros(len(batch), *shape) + spread(self.bias(), len(shape))
        for link, connection in zip(self.links, self.maps, strict=True):
            first, end = link.channels
            current = connection(words[link.source]).reshape(len(batch), end - first, *shape[1:])
            before, behind = first, shape[0] - end
            v = v + F.pad(current * 2**link.projection.exponent, (0, 0) * (len(shape) - 1) + (before, behind))
        return self.fire(v)

    def fire(self, v: Tensor) -> Tensor:
        """Return what is sent, or reported."""
        raise NotImplementedError

    def tuned(self) -> Population:
        """Return the population with the integers as they are now."""
        return replace(self.population, neuron=replace(self.neuron, **self.parts()))

    def parts(self) -> dict[str, Any]:
        """Return the fields of the neuron that are trained."""
        return {"bias": self.bias.integers(np.int32)}


class _FewSpikes(Summing):
    def __init__(self, net: Network, name: str) -> None:
        super().__init__(net, name)
        self.threshold = Rounded(self.neuron.threshold, (1, INT32[1] >> self.neuron.bits))

    def fire(self, v: Tensor) -> Tensor:
        low, high = self.neuron.word.range
        exact = v / spread(self.threshold(), v.ndim - 1)
        q = exact.detach().floor().clamp(low, high)
        if self.neuron.kept_bits < self.neuron.bits:
            q = self._kept(q)
        return taken(q, exact.clamp(low, high + 1))  # beyond, words do not follow

    def _kept(self, q: Tensor) -> Tensor:
        """Return words with their most significant set bits only."""
        whole, kept = q.long(), torch.zeros_like(q, dtype=torch.long)
        left = torch.full_like(whole, self.neuron.kept_bits)
        for weight in significance("bits", self.neuron.bits, self.neuron.signed, self.neuron.bits).tolist():
            bit = ((whole & abs(weight)) != 0) & (left > 0)
            kept, left = kept + weight * bit, left - bit.long()
        return kept.to(q.dtype)

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "threshold": self.threshold.integers(np.int32)}


class _Levels(Summing):
    """Levels and table stay as they are; gradients are those of straight lines from word to word."""

    def __init__(self, net: Network, name: str) -> None:
        super().__init__(net, name)
        channels = self.population.shape[0]
        levels, table = (
            np.broadcast_to(values, (channels, values.shape[-1])).astype(np.float64, order="C")
            for values in (self.neuron.levels, self.neuron.words)
        )
        slopes = np.zeros_like(table)  # flat beyond the outermost levels
        slopes[:, 1:-1] = (table[:, 2:] - table[:, :-2]) / 2 / np.maximum(np.diff(levels), 1)
        for key, values in (("levels", levels), ("table", table), ("slopes", slopes)):
            self.register_buffer(key, torch.tensor(values))

    def fire(self, v: Tensor) -> Tensor:
        levels, table, slopes = (self.get_buffer(name) for name in ("levels", "table", "slopes"))
        by_channel = v.transpose(0, 1).reshape(v.shape[1], -1)
        places = torch.searchsorted(levels, by_channel.detach().contiguous(), right=True)
        words = taken(table.gather(1, places), by_channel * slopes.gather(1, places))
        return words.reshape(v.shape[1], len(v), *v.shape[2:]).transpose(0, 1)


class _Readout(Summing):
    def fire(self, v: Tensor) -> Tensor:
        return v


class _MaxPool(nn.Module):
    def __init__(self, net: Network, name: str) -> None:
        super().__init__()
        (self.link,), self.population = net.into(name), net.populations[name]

    def forward(self, words: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        x, window = words[self.link.source], self.link.connection
        shape = tuple(x.shape[1:])
        (kernel, padding), out = window.touching(shape), self.population.shape  # type: ignore[attr-defined]
        stride, dilation = window.stride, window.dilation  # type: ignore[attr-defined]
        far = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        return F.max_pool2d(_reaching(x, out, far, stride, padding, -torch.inf), kernel, stride, 0, dilation)

    def tuned(self) -> Population:
        """Return the population as it is: nothing of it is trained."""
        return self.population


# Input has no module; if and lif integrate step by step, and never get here.
POPULATIONS: Mapping[str, Callable[[Network, str], nn.Module]] = MappingProxyType(
    {"few_spikes": _FewSpikes, "levels": _Levels, "max_pool": _MaxPool, "readout": _Readout}
)


class NetworkModule(nn.Module):
    """A network of words; called with integers (B, *shape of the input), an axis of length 1 of
    which may be missing, or a dict of them by the names of inputs.

    Returns the logits of the first output, float32 (B, K), those of `Session.run`. Every weight, gain, bias and
    threshold is a parameter of about -1..1 in float64, which stands for an integer: rounding, and the floors of words,
    pass gradients on as if they were not there, and words at their limits pass none. `network()` gives the integers
    back.
    """

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net
        self._names = tuple(name for name in net.order if not net.populations[name].neuron.is_input)
        self.populations = nn.ModuleList(
            POPULATIONS[net.populations[name].neuron.kind](net, name) for name in self._names
        )

    def forward(self, samples: Any) -> Tensor:
        """Return the logits of the first output, float32 (B, K); raises DataError for what are no such samples."""
        return self.real(self.net.outputs[0], self.words(samples))

    def words(self, samples: Any) -> dict[str, Tensor]:
        """Return the integers of every population as float64 (B, *shape), of readouts their accumulators."""
        found = self._given(samples)
        batch = next(iter(found.values()))
        for name, population in zip(self._names, self.populations, strict=True):
            found[name] = population(found, batch)
        return found

    def real(self, output: str, words: Mapping[str, Tensor]) -> Tensor:
        """Return an output in real numbers, float32 (B, K)."""
        population = self.net.populations[output]
        scale = torch.tensor(np.asarray(population.neuron.real_scale), device=words[output].device)
        return (words[output].float() * spread(scale, len(population.shape))).flatten(1)

    def network(self) -> Network:
        """Return the network of the integers as they are now.

        Raises NetworkError where they break the arithmetic contract.
        """
        populations, tuned = dict(self.net.populations), {}
        for name, module in zip(self._names, self.populations, strict=True):
            populations[name] = module.tuned()  # type: ignore[operator]
            for link, connection in zip(self.net.into(name), getattr(module, "maps", ()), strict=False):
                tuned[link.number] = connection.tuned()
        projections = [replace(p, connection=tuned[k]) if k in tuned else p for k, p in enumerate(self.net.projections)]
        return Network(populations, projections, self.net.outputs, self.net.window, dict(self.net.meta))

    def _given(self, samples: Any) -> dict[str, Tensor]:
        given = samples if isinstance(samples, Mapping) else dict.fromkeys(self.net.inputs[:1], samples)
        if given.keys() != set(self.net.inputs):
            raise DataError(f"values are given for {', '.join(given)}; the inputs are {', '.join(self.net.inputs)}")
        parameter = next(self.parameters(), torch.zeros(0))
        return {name: self._checked(name, values, parameter.device) for name, values in given.items()}

    def _checked(self, name: str, values: Any, device: torch.device) -> Tensor:
        x = torch.as_tensor(values, device=device).double()
        shape, word = self.net.populations[name].shape, self.net.sender_of(name)
        assert word is not None
        if lacks_one(tuple(x.shape[1:]), shape):  # a signal, or an image without its channel
            x = x.reshape(len(x), *shape)
        if tuple(x.shape[1:]) != shape or x.ndim != len(shape) + 1:
            raise DataError(f"input '{name}' takes values of shape {('B', *shape)}, got {tuple(x.shape)}")
        low, high = word.range
        if not bool(((x == x.round()) & (x >= low) & (x <= high)).all()):
            raise DataError(f"input '{name}' takes integers of {low}..{high}: give raw values, unscaled")
        return x


def _reaching(
    x: Tensor, out: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    outside: float = 0.0,
) -> Tensor:  # fmt: skip
    """Return images with padding, cut or filled up to what windows that reach so far see of them."""
    sides = []
    for axis in (1, 0):  # F.pad begins with the last
        need = (out[axis + 1] - 1) * stride[axis] + kernel[axis]
        sides += [padding[axis], need - padding[axis] - x.shape[axis + 2]]
    return F.pad(x, sides, value=outside)
