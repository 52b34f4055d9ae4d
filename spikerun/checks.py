"""What makes a network valid: each check raises NetworkError naming the population or projection, and what to do."""

import math
import re
from collections.abc import Callable, Iterable
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spikerun.codes import word_steps
from spikerun.connections import Dense, Sparse, Window
from spikerun.errors import NetworkError
from spikerun.linear import largest_sum
from spikerun.neurons import IF, LIF, V_LIMIT, FewSpikes, Input, MaxPool, Readout
from spikerun.values import integer

if TYPE_CHECKING:
    from spikerun.network import Network, Projection

__all__ = [
    "accumulator_bounds",
    "codes",
    "names",
    "order",
    "populations",
    "projections",
    "reachable",
    "timing",
    "words",
]

MAX_STEPS = 2**15 - 1
MAX_NEURONS = 2**26
MAX_CHANNELS = 2**20  # beyond it, bounds are computed for all channels at once
MAX_DELAY = 2**15 - 1
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")


def names(net: "Network") -> None:
    """Names are plain, exist where they are used, and the number of steps is sensible."""
    integer("window", net.window, 1, MAX_STEPS)
    for name in net.populations:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise NetworkError(
                f"population name {name!r} must be 1..100 letters, digits, '_', '.', '-', not starting with a digit"
            )
    known = f"Populations: {', '.join(net.populations) or 'none'}."
    for p in net.projections:
        for end in (p.source, p.target):
            if end not in net.populations:
                raise NetworkError(f"{p}: there is no population '{end}'. {known}")
    if not net.outputs:
        raise NetworkError("outputs must name at least one population")
    for name in net.outputs:
        if name not in net.populations:
            raise NetworkError(f"outputs: there is no population '{name}'. {known}")
    if len(set(net.outputs)) != len(net.outputs):
        raise NetworkError(f"outputs names a population twice: {', '.join(net.outputs)}")


def populations(net: "Network") -> None:
    """Shapes are (C, H, W) or (N,), and every array parameter can be spread over its population."""
    for name, p in net.populations.items():
        if len(p.shape) not in (1, 3):
            raise net.error(name, "shape must be (N,) or (C, H, W)")
        for key, array in p.neuron.arrays().items():
            if array.shape not in ((), p.shape[:1], p.shape):
                raise net.error(name, f"{key} has shape {array.shape}; it must be (), {p.shape[:1]} or {p.shape}")
    total = sum(p.size for p in net.populations.values())
    if total > MAX_NEURONS:
        raise NetworkError(f"the network has {total} neurons, the limit is {MAX_NEURONS}")


def projections(net: "Network") -> None:
    """The ends of each projection fit, and each population takes as many projections as its kind can."""
    for p in net.projections:
        try:
            _ends(net, p)
        except NetworkError as error:
            raise NetworkError(f"{p}: {error}") from None
    for name, population in net.populations.items():
        incoming = net.into(name)
        if isinstance(population.neuron, Input) and incoming:
            raise net.error(name, f"an input takes no projection, it has one from '{incoming[0].source}'")
        if isinstance(population.neuron, MaxPool) and len(incoming) != 1:
            raise net.error(name, f"max_pool takes exactly one projection, it has {len(incoming)}")


def words(net: "Network") -> "dict[str, FewSpikes | Input | None]":
    """Return, for each population, the neuron that defines the code in which it sends; a max_pool's is its source's."""
    found: dict[str, FewSpikes | Input | None] = {}
    for name in net.populations:
        chain = [name]  # of pools, back to what they pool
        while chain[-1] not in found and isinstance(net.populations[chain[-1]].neuron, MaxPool):
            chain.append(net.into(chain[-1])[0].source)
            if len(chain) > len(net.populations):
                raise net.error(name, "max_pool populations feed each other in a circle")
        neuron = net.populations[chain[-1]].neuron
        word = found.get(chain[-1], neuron if isinstance(neuron, (FewSpikes, Input)) else None)
        found |= dict.fromkeys(chain, word)
    return found


def codes(net: "Network") -> None:
    """Each target can make something of the code of its sources."""
    for p in net.projections:
        target, word = net.populations[p.target].neuron, net.sender_of(p.source)
        if isinstance(target, MaxPool) and (word is None or word.code in ("current", "spikes")):
            raise NetworkError(
                f"{p}: max_pool needs a source that sends words (few_spikes, or a coded input), '{p.source}' does not"
            )
        if isinstance(target, (IF, LIF)) and not _plain(net, p.source):
            raise NetworkError(
                f"{p}: a spike of '{p.source}' has a significance, which {target.kind} neurons do not know: "
                "use code 'graded' (or one unsigned bit) in the source, or few_spikes in the target"
            )


def _ends(net: "Network", p: "Projection") -> None:
    source, target = net.populations[p.source], net.populations[p.target]
    if isinstance(source.neuron, Readout):
        raise NetworkError("a readout never fires, so nothing can follow it")
    if isinstance(target.neuron, MaxPool) != isinstance(p.connection, Window):
        raise NetworkError("a Window leads to a max_pool population, and nothing else does")
    integer("delay", p.delay, 0, MAX_DELAY)
    expected = _slice_shape(p, target.shape)
    shape, size = p.connection.target_shape(source.shape), p.connection.target_size(source.shape)
    if size != math.prod(expected) or (shape is not None and shape != expected):
        raise NetworkError(
            f"its currents have shape {shape or (size,)}, the target takes {expected} (a Dense flattens)"
        )


def _slice_shape(p: "Projection", shape: tuple[int, ...]) -> tuple[int, ...]:
    if p.target_channels is None:
        return shape
    first, end = p.target_channels
    if not 0 <= first < end <= shape[0]:
        raise NetworkError(f"target_channels {p.target_channels} must lie within the {shape[0]} of the target")
    if isinstance(p.connection, Window):
        raise NetworkError("a Window fills its whole target: pool each part by itself")
    return (end - first, *shape[1:])


def _plain(net: "Network", source: str) -> bool:
    """Return whether every spike of `source` is worth 1, so that IF and LIF neurons can take it."""
    word = net.sender_of(source)
    return word is None or word.code in ("graded", "current", "spikes") or (word.bits == 1 and not word.signed)


def order(net: "Network") -> tuple[str, ...]:
    """Return the populations such that each comes after all that reach it without delay."""
    graph: dict[str, set[str]] = {name: set() for name in net.populations}
    for p in net.projections:
        if p.delay == 0:
            graph[p.target].add(p.source)
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        path = " -> ".join(reversed(error.args[1]))
        raise NetworkError(f"cycle without delay: {path}. Give one of its projections a delay >= 1.") from None


def reachable(net: "Network") -> None:
    """Every population is reached by an input, and every input and population matters to an output."""
    if not net.inputs:
        raise NetworkError("the network has no input population")
    _closure(
        net,
        net.inputs,
        lambda name: [p.target for p in net.out_of(name)],
        "is not reached by any input",
    )
    _closure(
        net,
        net.outputs,
        lambda name: [p.source for p in net.into(name)],
        "leads to no output: remove it, or name it in outputs",
    )


def _closure(net: "Network", start: Iterable[str], follow: Callable[[str], list[str]], complaint: str) -> None:
    found, waiting = set(start), list(start)
    while waiting:
        new = set(follow(waiting.pop())) - found
        found |= new
        waiting += new
    for name in net.populations:
        if name not in found:
            raise net.error(name, complaint)


def timing(net: "Network") -> None:
    """Words fit the window, and what belongs to a frame can meet."""
    for name in net.populations:
        word = net.sender_of(name)
        need = word_steps(word.code, word.bits) if word is not None else 1
        if word is not None and need > net.window:
            raise net.error(
                name, f"{word.bits} bits in code '{word.code}' take {need} steps, the window has {net.window}"
            )
    for p, lag in zip(net.projections, net.lag, strict=True):
        whole = not _plain(net, p.source) or isinstance(net.populations[p.target].neuron, MaxPool)
        if whole and p.delay % net.window:
            raise NetworkError(
                f"{p}: '{p.source}' sends words, so delay must be a multiple of the window ({net.window} steps), "
                f"got {p.delay}"
            )
        if lag < (1 if p.delay else 0):
            need = p.delay - lag + 1
            need += -need % net.window if whole else 0
            raise NetworkError(
                f"{p}: delay {p.delay} is too short, the source answers later than that: it must be >= {need}"
            )


def accumulator_bounds(net: "Network") -> dict[str, int]:
    """Return, for each population that integrates, the largest magnitude its accumulator can reach.

    Computed from the weights, the biases and the largest word of each source. Raises NetworkError beyond int32.
    """
    bounds = {}
    for name, population in net.populations.items():
        if isinstance(population.neuron, (Input, MaxPool)):
            continue
        channels = population.shape[0]
        fine = channels <= MAX_CHANNELS
        total = np.zeros(channels if fine else 1)  # float64 cannot wrap
        for p in net.into(name):
            first, end = p.target_channels or (0, channels)
            worst = _worst_current(net, p, end - first)
            total[first if fine else 0 : end if fine else 1] += worst if fine else worst.max()
        if not isinstance(population.neuron, LIF):  # the bias of LIF is added to v, which saturates
            total += _worst_bias(population.neuron.arrays()["bias"], fine)
        bound = float(total.max())
        limit = 2**31 - 1 - (V_LIMIT if isinstance(population.neuron, IF) else 0)
        if bound > limit:
            raise net.error(
                name,
                f"its accumulator can reach {bound:.4g} in the worst case, beyond {limit}: "
                "use fewer inputs, smaller weights, or fewer bits",
            )
        bounds[name] = int(bound)
    return bounds


def _worst_bias(bias: npt.NDArray[np.int32], fine: bool) -> npt.NDArray[np.float64]:
    """Return the largest magnitude of the biases, of each channel or, unless `fine`, of all."""
    rows = bias.reshape(bias.shape[0], -1) if bias.ndim and fine else bias.reshape(1, -1)
    worst: npt.NDArray[np.float64] = np.abs(np.stack([rows.max(axis=1), rows.min(axis=1)]).astype(np.float64)).max(
        axis=0
    )
    return worst


def _worst_current(net: "Network", p: "Projection", channels: int) -> npt.NDArray[np.float64]:
    """Return the largest magnitude of the currents of one projection, for each channel it reaches, or for all."""
    reach = largest_sum(p.connection, net.populations[p.source].shape)
    if isinstance(p.connection, (Dense, Sparse)):
        reach = reach.reshape(channels, -1).max(axis=1)
    word = net.sender_of(p.source)
    several = word is None or word.code in ("current", "spikes")  # events of significance 1 in every step
    step_by_step = isinstance(net.populations[p.target].neuron, (IF, LIF))
    return reach * net.largest_event(p.source) * (net.window if several and not step_by_step else 1)
