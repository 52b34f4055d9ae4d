# SPDX-License-Identifier: Apache-2.0
"""A trained network as it will be converted, as a torch module to be trained; and what becomes of it then."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikerun.converters.activations import Grid
from spikerun.converters.build import build
from spikerun.converters.graph import Array
from spikerun.converters.last import shortened
from spikerun.converters.layers import Layer, Layers
from spikerun.converters.lower import lower
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.simplify import simplify
from spikerun.converters.torch.export import reader
from spikerun.converters.torch.links import linked, tensors_of
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.tuning.fit import Tuned, TunedWords
from spikerun.converters.tuning.links import Links, own_links, trains
from spikerun.converters.tuning.module import Passed, TunedLayers
from spikerun.converters.tuning.prices import OBJECTIVES, weighed
from spikerun.converters.tuning.recode import offsets, recoded
from spikerun.errors import ConversionError, UsageError, unknown_name

__all__ = ["Finished", "Tunable"]

MORE = 2  # bits of sums without an activation, beside those of activations
ALIKE = 1e-4  # of the largest weight of a layer: between what was trained and what is read back from the file
ROUNDS = 4  # in which biases that several tensors make up are put in their places
REACH = 30.0  # of sums, where an activation is a table


@dataclass(frozen=True, eq=False)
class Finished:
    """A tuned network. state: tensors of the source by name, None where it takes none back; tuned: its words.

    converter: of the tuned weights, whose ANN is the network as it was before.
    """

    tuned: Tuned
    state: dict[str, Tensor] | None
    converter: Converter


class Tunable(nn.Module):
    """The layers of a conversion with `bits`, trained through rounding; `cost` is that of the last batch.

    converter: of the source, with its calibration samples, in which inputs are recoded. bits: of activations; recode:
    of inputs that are coded anew; objective: what costs.
    """

    def __init__(self, converter: Converter, bits: int, recode: Mapping[str, int], objective: str) -> None:
        super().__init__()
        if objective not in OBJECTIVES:
            raise unknown_name("objective", objective, OBJECTIVES)
        self.converter, self.recode, self.objective = converter, dict(recode), objective
        layers = converter.layers
        overrides = {}
        for layer in layers.sums:
            if layer.activation.fires:
                more = MORE if layer.activation.kind in ("positive", "signed") else 0
                overrides[layer.name] = min(bits + more, 8)
        for name, wide in recode.items():
            first = next(one.name for one in layers.sums if any(term.source == name for term in one.terms))
            overrides[first] = wide
        self.settings = Settings(bits, overrides=overrides)
        self.start = converter.convert(self.settings)
        self.links, self.reads = self._linked()
        reach = dict.fromkeys((layer.name for layer in layers.sums), REACH)
        self.layers = TunedLayers(layers, self.start.quantised, self.links, self._weighed(), reach)
        self.unit = float(_unit(self))
        self.cost: Tensor = torch.zeros(())

    def _weighed(self) -> dict[str, Array]:
        """Return what spikes count where they are sent: nothing of channels that are pruned, or that nothing reads.

        Where some are only silent, all count, for training may wake them.
        """
        whole, gone = build(self.start.quantised, {}), self.start.gone
        if any(reasons.get("silent") for reasons in gone.why.values()):
            return weighed(whole, self.objective)
        left, found = weighed(self.start.network, self.objective), {}
        for name in left:
            found[name] = np.zeros(whole.populations[name].shape)
            found[name][gone.kept[name]] = left[name]
        return found

    @property
    def fixed(self) -> list[str]:
        """Return the layers with weights that are not trained: no single tensor of the source holds their numbers."""
        every = ((one.name, k, term) for one in self.converter.layers.sums for k, term in enumerate(one.terms))
        return [name for name, place, term in every if trains(term) and (name, place) not in self.links.weights]

    @property
    def events(self) -> bool:
        """Return whether words that are not 0 are paid for, and not their spikes."""
        return self.objective == "events"

    def forward(self, samples: Any) -> Tensor:
        """Return the logits (B, K) of the first output for integers (B, *shape), or a dict of them by input."""
        given = samples if isinstance(samples, Mapping) else {self.converter.layers.inputs[0].name: samples}
        passed = self.layers({name: x.float() for name, x in given.items()}, self.events)
        self.cost = self.costs(passed).mean()
        return first(passed.logits)

    def costs(self, passed: Passed) -> Tensor:
        """Return what each sample costs, in MACs of the model, or neurons, (B,)."""
        counts = passed.events if self.events else passed.spikes
        return torch.stack(list(counts.values())).sum(0) / self.unit

    def teacher(self, samples: Mapping[str, Tensor]) -> Tensor:
        """Return the logits of the network as it was before, (B, K)."""
        return first(self.layers.real(samples))

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Return the parameters for an optimiser, at this highest rate, which is one of the size of weights."""
        return self.layers.groups(rate)

    def _linked(self) -> tuple[Links, bool]:
        source, converter = self.converter.source, self.converter
        if not isinstance(source, TorchSource):
            shapes = {one.name: one.shape for one in converter.layers.inputs}
            return own_links(converter.layers, offsets(shapes, converter.encodings, self.recode)), False
        return _without_zeros(linked(source.model, self._read), converter.layers), True

    @cached_property
    def _read(self) -> Callable[[Mapping[str, Tensor]], Layers]:
        """Return what reads the layers of the source with other tensors; the source is traced once."""
        source, converter = self.converter.source, self.converter
        assert isinstance(source, TorchSource)
        shapes = {name: values.shape[1:] for name, values in converter.samples.items()}
        read = reader(source.model, shapes, source.like)

        def layers(state: Mapping[str, Tensor]) -> Layers:
            graph = simplify(shortened(read(state))[0])
            return lower(recoded(graph, converter.encodings, self.recode), converter.encodings)

        return layers

    @torch.no_grad()
    def finished(self) -> Finished:
        """Return the network as it is trained now, read back from tensors of the source where it takes them."""
        module = deepcopy(self.layers).cpu()
        grids = module.grids()
        bits = self.settings.words(self.converter.layers)
        extra = {
            name: moved
            for name, link in self.links.biases.items()
            if link.tensor[0] == "+" and (moved := module.moved_of(link.tensor)) is not None
        }
        words = {
            name: TunedWords(bits[name][0], grid, extra.get(name, np.zeros(len(grid.step))))
            for name, grid in grids.items()
        }
        for name, bias in extra.items():
            if name not in words:
                words[name] = _readout(bias)
        tuned = Tuned(words, self.converter.encodings, self.recode)
        if not self.reads:
            return Finished(tuned, None, self.converter.tuned_to(_moved(self.converter.layers, module), tuned))
        source = self.converter.source
        assert isinstance(source, TorchSource)
        state = {name: tensor.detach().cpu().clone() for name, tensor in source.model.state_dict().items()}
        for first_name, names in tensors_of(source.model).items():
            moved = module.moved_of(first_name)
            if moved is not None:
                for name in names:
                    by = torch.from_numpy(moved).reshape(state[name].shape)
                    state[name] = (state[name].double() + by).to(state[name].dtype)
        read, trained = self._read, _moved(self.converter.layers, module)
        for _ in range(ROUNDS):
            layers = read({name: tensor for name, tensor in state.items() if tensor.is_floating_point()})
            if not self._evened(layers, trained, state, tensors_of(source.model)):
                break
        _check(layers, trained)
        return Finished(tuned, state, self.converter.tuned_to(layers, tuned))

    def _evened(
        self, read: Layers, trained: Layers, state: dict[str, Tensor], names: Mapping[str, tuple[str, ...]]
    ) -> bool:
        """Add to tensors of biases what those of other layers have put out of place; return whether there was any."""
        changed = False
        for one, other in zip(read.sums, trained.sums, strict=True):
            link = self.links.biases.get(one.name)
            if link is None or link.tensor not in names:
                continue
            lack = (other.bias - one.bias).reshape(one.shape[0], -1)[:, 0]
            used = (link.place >= 0) & (np.abs(lack) > ALIKE**2 * max(float(np.abs(other.bias).max()), 1e-3))
            for name in names[link.tensor] if used.any() else ():
                by = np.zeros(state[name].numel())
                by[link.place[used]] = lack[used] / link.gain[used]
                state[name] = (state[name].double() + torch.from_numpy(by).reshape(state[name].shape)).to(
                    state[name].dtype
                )
                changed = True
        return changed


def first(logits: Mapping[str, Tensor]) -> Tensor:
    """Return the first output, of one pixel flat."""
    found = next(iter(logits.values()))
    return found.flatten(1) if found.ndim > 2 and found.shape[2:].numel() == 1 else found


def _unit(one: Tunable) -> float:
    network = one.start.network
    if one.objective == "spikes":
        return sum(p.size for p in network.populations.values() if p.neuron.fires and not p.neuron.is_input)
    if not one.converter.macs:
        raise UsageError("the model has no weights, and nothing can be tuned")
    return one.converter.macs


def _readout(bias: np.ndarray) -> TunedWords:
    return TunedWords(0, Grid.of(np.ones(len(bias))), bias)


def _without_zeros(links: Links, layers: Layers) -> Links:
    """Return the links without weights that are exactly 0, and biases of channels with no other: pruned ones stay."""
    numbers = {
        (layer.name, place): np.ravel(term.map.weight)
        for layer in layers.sums
        for place, term in enumerate(layer.terms)
    }
    weights = {
        key: replace(link, place=np.where(numbers[key] == 0, -1, link.place)) for key, link in links.weights.items()
    }
    biases = dict(links.biases)
    for layer in layers.sums:
        if layer.name in biases:
            read = np.zeros(layer.shape[0], dtype=bool)
            for term in layer.terms:
                numbers_of = np.abs(term.map.weight).reshape(term.end - term.first, -1).sum(axis=1)
                read[term.first : term.end] |= numbers_of > 0
            link = biases[layer.name]
            biases[layer.name] = replace(link, place=np.where(read, link.place, -1))
    return replace(links, weights=weights, biases=biases)


def _moved(layers: Layers, module: TunedLayers) -> Layers:
    """Return the layers with their weights and biases as they are trained."""
    every = []
    for layer in layers.every:
        if isinstance(layer, Layer):
            weights = [weight.double().numpy() for weight in module.weights_of(layer.name)]
            terms = tuple(
                replace(term, map=replace(term.map, weight=weight)) if (layer.name, k) in module.links.weights else term
                for k, (term, weight) in enumerate(zip(layer.terms, weights, strict=True))
            )
            link = module.links.biases.get(layer.name)
            kept = link is None or link.tensor[0] == "+"
            bias = (module.bias_by_weights if kept else module.bias_of)(layer.name)
            layer = replace(layer, terms=terms, bias=bias.double().numpy().reshape(layer.bias.shape))
        every.append(layer)
    return Layers(tuple(every))


def _check(read: Layers, trained: Layers) -> None:
    """Refuse tensors of which the model makes other layers than were trained."""
    for one, other in zip(read.sums, trained.sums, strict=True):
        pairs = [(a.map.weight, b.map.weight) for a, b in zip(one.terms, other.terms, strict=True)]
        for mine, theirs in (*pairs, (one.bias, other.bias)):
            near = np.abs(mine - theirs).max(initial=0) <= ALIKE * max(float(np.abs(theirs).max(initial=0)), 1e-3)
            if not near:
                raise ConversionError(
                    f"what was trained of '{one.name}' cannot be written back into the tensors of the model (are some "
                    "computed from others, or shared in a way that is not understood?): write the network itself, "
                    "-o tuned.snn"
                )
