# SPDX-License-Identifier: Apache-2.0
"""Which tensors of a torch module the numbers of its layers are made of, so that training can be written back.

Nothing is assumed of the rewrites between them. The layers are read again with tensors moved a little, in float64, by
known random amounts; a number that moves by a multiple of one of these is made of that tensor alone. What is made of
several (weight norm, say) is not linked, and stays as it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from spikerun.converters.forward import spread
from spikerun.converters.graph import Array
from spikerun.converters.layers import Layer, Layers
from spikerun.converters.maps import Map, Term, accumulate
from spikerun.converters.tuning.links import Link, Links, trains

__all__ = ["linked", "tensors_of"]

Read = Callable[[Mapping[str, torch.Tensor]], Layers]  # the layers of a model with these tensors, by name
Reading = tuple[Layers, dict[str, Array]]  # with some tensors moved, and by how much, flat
MOVE = 2.0**-10  # of the largest number of a tensor
CLOSE = 1e-6  # between gains that must be equal: what float64 leaves of a difference of two readings
READINGS = 256  # at most, from which offsets are found
ROWS = 4096  # places of a layer whose biases tell offsets
ROUNDS = 8  # of readings in which ever fewer biases move
SEED = 0
BIAS = "bias"


def tensors_of(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return the names of each parameter of real numbers, the first of which stands for all that share it."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.is_floating_point():
            names.setdefault(id(parameter), []).append(name)
    return {found[0]: tuple(found) for found in names.values()}


def linked(model: nn.Module, read: Read) -> Links:
    """Return the links of the layers that `read` gives, each sum with a bias of its own where no tensor holds one."""
    names = tensors_of(model)
    held = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
    state = {name: tensor.detach().double().cpu() for name, tensor in held if tensor.is_floating_point()}
    probe = _Probe(names, state, read)
    weights = [name for name in names if state[name].ndim > 1]
    found, offsets = _weights_and_offsets(probe, weights)
    lines = [name for name in weights if max(state[name].shape) == state[name].numel()]
    if lines and len(found) < sum(trains(term) for layer in probe.layers.sums for term in layer.terms):
        # gains of (C, 1, 1), say, by which weights are multiplied: these are trained in their place
        more = _weights_and_offsets(probe, [name for name in weights if name not in lines])
        found, offsets = more[0] | found, more[1] | offsets
    sizes = {name: state[name].numel() for name in names}
    biases = _biases(probe, [n for n in names if state[n].ndim == 1 and n.rpartition(".")[2].endswith("bias")])
    for layer in probe.layers.sums:  # what no tensor of the model holds travels beside them
        if layer.name not in biases:
            own = f"+{layer.name}"
            sizes[own] = layer.shape[0]
            biases[layer.name] = Link(own, np.arange(layer.shape[0]), np.ones(layer.shape[0]))
    used = {link.tensor for link in (*found.values(), *biases.values())}
    staying = _staying(probe, [name for name in names if name not in used])
    return Links({name: size for name, size in sizes.items() if name in used}, found, biases, offsets, staying)


class _Probe:
    """Readings of the layers with some tensors moved."""

    def __init__(self, names: Mapping[str, tuple[str, ...]], state: Mapping[str, torch.Tensor], read: Read) -> None:
        self.names, self.state, self.read = names, dict(state), read
        self.layers = read(self.state)

    def moved(self, tensors: Sequence[str], seed: int) -> Reading:
        """Return the layers with these tensors moved, and by how much each of their numbers was, flat."""
        random, by = np.random.default_rng(seed), {}
        state = dict(self.state)
        for name in tensors:
            tensor = self.state[name]
            size = float(tensor.abs().max()) or 1.0
            move = random.uniform(0.5, 1.5, tensor.numel()) * (MOVE * size)
            after = tensor + torch.from_numpy(move).reshape(tensor.shape)
            by[name] = (after - tensor).flatten().numpy()
            state |= dict.fromkeys(self.names[name], after)
        return self.read(state), by


def _weights_and_offsets(
    probe: _Probe, tensors: Sequence[str]
) -> tuple[dict[tuple[str, int], Link], dict[tuple[str, int], Array]]:
    """Return the links of the numbers of terms that are made of one of `tensors`, and the offsets of their sources."""
    readings = [probe.moved(tensors, SEED + k) for k in (0, 1)]
    found = _weights(probe, *readings)
    return found, _offsets(probe, tensors, [_by_name(layers) for layers, _ in readings], found)


def _weights(probe: _Probe, one: Reading, other: Reading) -> dict[tuple[str, int], Link]:
    """Return the links of the numbers of terms, by two readings in which weights have moved."""
    (first, by_first), (second, by_second) = one, other
    table = _Table(by_first, by_second)
    found: dict[tuple[str, int], Link] = {}
    for before, *moved in zip(probe.layers.sums, first.sums, second.sums, strict=True):
        for place, term in enumerate(before.terms):
            if not trains(term):
                continue
            changes = [np.ravel(after.terms[place].map.weight - term.map.weight) for after in moved]
            link = table.link(changes[0], changes[1])
            if link is not None:
                found[before.name, place] = link
    return found


def _offsets(
    probe: _Probe, tensors: Sequence[str], readings: list[dict[str, Layer]], links: dict[tuple[str, int], Link]
) -> dict[tuple[str, int], Array]:
    """Return the offsets of sources that move biases with weights; a layer whose biases do so in another way has no
    links any more. readings: with `tensors` moved, to which others are added where they are needed.
    """
    found: dict[tuple[str, int], Array] = {}
    for layer in probe.layers.sums:
        places = [k for k in range(len(layer.terms)) if (layer.name, k) in links]
        if not places or all(_near(one[layer.name].bias - layer.bias, 0.0, layer) for one in readings):
            continue
        unknown = sum(layer.terms[k].own[0] for k in places)
        wanted = min(-(-2 * unknown // layer.shape[0]), READINGS)
        while len(readings) < wanted:
            readings.append(_by_name(probe.moved(tensors, SEED + len(readings))[0]))
        solved = _solved(layer, places, [one[layer.name] for one in readings])
        for place in places:
            if solved is None:
                del links[layer.name, place]
            elif solved[place].any():
                found[layer.name, place] = solved[place]
    return found


def _by_name(layers: Layers) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers.sums}


def _near(change: Array, wanted: Array | float, layer: Layer) -> bool:
    size = max(float(np.abs(wanted).max(initial=0)), CLOSE * float(np.abs(layer.bias).max(initial=0)), 1e-12)
    return bool((np.abs(change - wanted) <= CLOSE * size).all())


def _solved(layer: Layer, places: Sequence[int], readings: Sequence[Layer]) -> dict[int, Array] | None:
    """Return the offsets of terms at `places` that explain how readings move the biases; None where none do."""
    moved = [
        {k: replace(layer.terms[k], map=_change(layer.terms[k].map, one.terms[k].map)) for k in places}
        for one in readings
    ]
    changes = [one.bias - layer.bias for one in readings]
    size = layer.bias.size
    rows = np.random.default_rng(SEED).permutation(size)[: max(ROWS // len(readings), layer.shape[0])]
    columns = [
        np.concatenate(
            [
                accumulate([terms[k]], {terms[k].source: _one(terms[k], channel)}, layer.shape).ravel()[rows]
                for terms in moved
            ]
        )
        for k in places
        for channel in range(layer.terms[k].own[0])
    ]
    solution = np.linalg.lstsq(np.stack(columns, 1), np.concatenate([c.ravel()[rows] for c in changes]), rcond=None)[0]
    solution[np.abs(solution) < CLOSE * np.abs(solution).max()] = 0.0
    ends = np.cumsum([layer.terms[k].own[0] for k in places])
    found = dict(zip(places, np.split(solution, ends[:-1]), strict=True))
    for terms, change in zip(moved, changes, strict=True):
        made = sum(
            accumulate([term], {term.source: np.zeros((1, *term.own)) + spread(found[k], term.own)}, layer.shape)[0]
            for k, term in terms.items()
        )
        if not _near(made, change, layer):
            return None
    return found


def _change(before: Map, after: Map) -> Map:
    return replace(before, weight=after.weight - before.weight)


def _one(term: Term, channel: int) -> Array:
    values = np.zeros((1, *term.own))
    values[:, channel] = 1.0
    return values


def _biases(probe: _Probe, tensors: Sequence[str]) -> dict[str, Link]:
    """Return the links of the biases of layers: where several tensors add up to one, one of them takes all."""
    found: dict[str, Link] = {}
    for number in range(ROUNDS):
        for some in _halves(tensors, number):
            open_ = [layer for layer in probe.layers.sums if layer.name not in found]
            if not open_ or not some:
                return found
            first, by_first = probe.moved(some, SEED)
            second, by_second = probe.moved(some, SEED + 1)
            table = _Table(by_first, by_second)
            after = [_by_name(layers) for layers in (first, second)]
            for layer in open_:
                changes = [_even(layer, layers[layer.name]) for layers in after]
                link = None if changes[0] is None or changes[1] is None else table.link(changes[0], changes[1])
                if link is not None and _still(layer, after[0][layer.name]):
                    found[layer.name] = link
        if 2**number > len(tensors):
            break
    return found


def _halves(tensors: Sequence[str], number: int) -> Iterator[list[str]]:
    """Yield all tensors, then by turns those whose place has the bit `number` - 1 set or not."""
    if number == 0:
        yield list(tensors)
        return
    for value in (1, 0):
        yield [name for place, name in enumerate(tensors) if place >> (number - 1) & 1 == value]


def _even(before: Layer, after: Layer) -> Array | None:
    """Return by how much the bias of each channel has moved; None where not all places of a channel have alike."""
    change = (after.bias - before.bias).reshape(before.shape[0], -1)
    return change[:, 0] if np.allclose(change, change[:, :1], rtol=CLOSE, atol=1e-12) else None


def _staying(probe: _Probe, tensors: Sequence[str]) -> dict[str, str]:
    """Return which of `tensors` make up numbers that no link trains, each with the first layer that holds such: gains
    between layers, slopes, biases of single places. Where several make up one number, the layer stands for them.

    What only moves linked weights, or a bias in all places alike, is no loss: these are trained in its place.
    """
    if not tensors:
        return {}
    first, by_first = probe.moved(tensors, SEED)
    moved, names = _by_name(first), {layer.name for layer in probe.layers.sums}
    found = {name: name for name in moved if name not in names}  # a gain that was 1, say, and no layer
    open_ = [layer for layer in probe.layers.sums if _has_moved(_changes(layer, moved.get(layer.name)))]
    if not open_:  # nearly always: one reading more
        return found
    second, by_second = probe.moved(tensors, SEED + 1)
    table, others = _Table(by_first, by_second), (moved, _by_name(second))
    for layer in open_:
        one, other = (_changes(layer, layers.get(layer.name)) for layers in others)
        if one is None or other is None:
            found.setdefault(layer.name, layer.name)
            continue
        for what in one:
            if what in other and (one[what].any() or other[what].any()):
                link = table.link(one[what], other[what])
                if link is not None or what != BIAS:  # at the border of images, biases are made of many
                    found.setdefault(layer.name if link is None else link.tensor, layer.name)
    return found


def _has_moved(changes: Mapping[str, Array] | None) -> bool:
    return changes is None or any(change.any() for change in changes.values())


def _changes(before: Layer, after: Layer | None) -> dict[str, Array] | None:
    """Return by how much numbers of a layer have moved that no link ever holds, flat: of its activation, of terms that
    are no weights, and of its bias, unless all places of a channel have moved alike. None where it is another layer.
    """
    old, new = _numbers(before), {} if after is None else _numbers(after)
    if after is None or [(k, x.shape) for k, x in old.items()] != [(k, x.shape) for k, x in new.items()]:
        return None
    if _even(before, after) is None:
        old[BIAS], new[BIAS] = before.bias, after.bias
    return {what: np.ravel(np.nan_to_num(new[what]) - np.nan_to_num(old[what])) for what in old}


def _numbers(layer: Layer) -> dict[str, Array]:
    told = (one for one in layer.activation.told(layer.shape[0]) if isinstance(one, np.ndarray))
    found = {f"activation {k}": one for k, one in enumerate((np.array([layer.activation.bound]), *told))}
    terms = ((k, term.map.weight) for k, term in enumerate(layer.terms) if not trains(term))
    return found | {f"term {k}": weight for k, weight in terms}


def _still(before: Layer, after: Layer) -> bool:
    """Return whether no weight of a layer has moved."""
    pairs = zip(before.terms, after.terms, strict=True)
    return all(np.array_equal(one.map.weight, other.map.weight) for one, other in pairs)


class _Table:
    """Finds the number of a tensor by the quotient of two moves."""

    def __init__(self, first: Mapping[str, Array], second: Mapping[str, Array]) -> None:
        self.first, self.second = first, second
        self._sorted: tuple[Array, Array] | None = None
        self.starts = np.cumsum([0, *(len(values) for values in first.values())])
        self.names = list(first)

    def link(self, first: Array, second: Array) -> Link | None:
        """Return the link of numbers that moved so; None where they are made of nothing, or of several tensors."""
        used = (first != 0) | (second != 0)
        if not used.any():
            return None
        for name, moves in self.first.items():  # nearly always a tensor as it lies
            if len(moves) == len(first) and (link := self._as_it_lies(name, first, second, used)) is not None:
                return link
        return self._anywhere(first, second, used)

    def _as_it_lies(self, name: str, first: Array, second: Array, used: Array) -> Link | None:
        gain = first / self.first[name]
        if not _agree(gain[used], (second / self.second[name])[used]):
            return None
        return Link(name, np.where(used, np.arange(len(first)), -1), np.where(used, gain, 0.0))

    def _anywhere(self, first: Array, second: Array, used: Array) -> Link | None:
        if self._sorted is None:
            quotients = np.concatenate(
                [one / other for one, other in zip(self.first.values(), self.second.values(), strict=True)]
            )
            order = np.argsort(quotients)
            self._sorted = quotients[order], order
        quotients, order = self._sorted
        if (second[used] == 0).any():
            return None
        wanted = first[used] / second[used]
        at = np.clip(np.searchsorted(quotients, wanted), 1, len(quotients) - 1)
        at -= np.abs(quotients[at - 1] - wanted) < np.abs(quotients[at] - wanted)
        places = order[at]
        tensors = np.searchsorted(self.starts, places, side="right") - 1
        if (tensors != tensors[0]).any():
            return None
        name = self.names[int(tensors[0])]
        places = places - self.starts[tensors[0]]
        gain = first[used] / self.first[name][places]
        if not _agree(gain, second[used] / self.second[name][places]) or not _agree(quotients[at], wanted):
            return None
        place, gains = np.full(len(first), -1), np.zeros(len(first))
        place[used], gains[used] = places, gain
        return Link(name, place, gains)


def _agree(one: Array, other: Array) -> bool:
    return bool(np.allclose(one, other, rtol=CLOSE, atol=0))
