# SPDX-License-Identifier: Apache-2.0
"""What makes a network valid: each check raises NetworkError naming the population or projection, and what to do."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spikerun.errors import NetworkError
from spikerun.population import MAX_NEURONS, Population, Projection
from spikerun.text import plural
from spikerun.timing import Derived, Link
from spikerun.values import integer

__all__ = ["check_derived", "check_parts", "check_types", "complaint"]

MAX_WINDOW = 2**15 - 1
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")

Populations = Mapping[str, Population]


def complaint(populations: Populations, name: str, message: str) -> NetworkError:
    """Return the error for something wrong with the population `name`."""
    population = populations[name]
    return NetworkError(f"population '{name}' ({population.neuron.kind}, shape {population.shape}): {message}")


def check_types(populations: Any, projections: Any, outputs: Any, meta: Any) -> None:
    """Judge whether the parts are of the types that a network is made of."""
    for what, value, good, wanted in (
        ("populations", populations, isinstance(populations, Mapping), "a dict of Population by name"),
        ("projections", projections, isinstance(projections, Iterable), "a list of Projection"),
        ("outputs", outputs, isinstance(outputs, Iterable), "a list of names"),
        ("meta", meta, isinstance(meta, Mapping), "a dict of texts and numbers by name"),
    ):
        if not good:
            raise NetworkError(f"{what} must be {wanted}, got {value!r:.80}")
    for name, population in populations.items():
        if not isinstance(population, Population):
            raise NetworkError(f"population {name!r} must be a Population, got {population!r:.80}")
    for p in projections:
        if not isinstance(p, Projection):
            raise NetworkError(f"projections must be of type Projection, got {p!r:.80}")
        if not all(isinstance(end, str) for end in (*p.sources, p.target)):
            raise NetworkError(f"the ends of a projection are names of populations, got {p.source!r}, {p.target!r}")
    for name in outputs:
        if not isinstance(name, str):
            raise NetworkError(f"outputs must be names of populations, got {name!r:.80}")
    for name, value in meta.items():
        if not isinstance(name, str) or not isinstance(value, (str, int, float)):
            raise NetworkError(f"meta holds texts and numbers by name, got {name!r:.80}: {value!r:.80}")


def check_parts(
    populations: Populations, projections: tuple[Projection, ...], outputs: tuple[str, ...], window: Any
) -> None:
    """Judge the parts by themselves: names, shapes, and whether the ends of each projection fit."""
    integer("window", window, 1, MAX_WINDOW)
    _names(populations, projections, outputs)
    _shapes(populations)
    _projections(populations, projections)


def check_derived(populations: Populations, outputs: tuple[str, ...], window: int, derived: Derived) -> None:
    """Judge what follows from them: codes, reach, timing, and that no accumulator can overflow."""
    for link in derived.links:
        _code(populations, link, derived)
    _reachable(populations, outputs, derived)
    _words_fit(populations, window, derived)
    for link in derived.links:
        _delay(populations, link, window, derived)
    for name, bound in derived.bounds.items():
        limit = populations[name].neuron.largest_current
        if bound > limit:
            raise complaint(
                populations,
                name,
                f"its accumulator can reach {bound:.4g} in the worst case, beyond {limit}: "
                "use fewer inputs, smaller weights, or fewer bits",
            )


def _names(populations: Populations, projections: tuple[Projection, ...], outputs: tuple[str, ...]) -> None:
    for name in populations:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise NetworkError(
                f"population name {name!r} must be 1..100 letters, digits, '_', '.', '-', not starting with a digit"
            )
    known = f"Populations: {', '.join(populations) or 'none'}."
    for p in projections:
        for end in (*p.sources, p.target):
            if end not in populations:
                raise NetworkError(f"{p}: there is no population '{end}'. {known}")
    if not outputs:
        raise NetworkError("outputs must name at least one population")
    for name in outputs:
        if name not in populations:
            raise NetworkError(f"outputs: there is no population '{name}'. {known}")
    if len(set(outputs)) != len(outputs):
        raise NetworkError(f"outputs names a population twice: {', '.join(outputs)}")


def _shapes(populations: Populations) -> None:
    """Shapes are (C, H, W) or (N,), and every array parameter can be spread over its population."""
    for name, p in populations.items():
        if len(p.shape) not in (1, 3):
            raise complaint(populations, name, "shape must be (N,) or (C, H, W)")
        for key, array in p.neuron.arrays().items():
            if key in p.neuron.tables:
                _table(populations, name, key, array.shape)
            elif array.shape not in ((), p.shape[:1], p.shape):
                allowed = "it must be " + " or ".join(dict.fromkeys(map(str, ((), p.shape[:1], p.shape))))
                raise complaint(populations, name, f"{key} has shape {array.shape}; {allowed}")
    total = sum(p.size for p in populations.values())
    if total > MAX_NEURONS:
        raise NetworkError(f"the network has {total} neurons, the limit is {MAX_NEURONS}")


def _table(populations: Populations, name: str, key: str, shape: tuple[int, ...]) -> None:
    entries, channels = shape[-1], populations[name].shape[0]
    if shape[:-1] not in ((), (channels,)):
        allowed = f"({entries},) for all neurons, or ({channels}, {entries}), a row for each channel"
        raise complaint(populations, name, f"{key} has shape {shape}; it must be {allowed}")


def _projections(populations: Populations, projections: tuple[Projection, ...]) -> None:
    """The ends of each projection fit, and each population takes as many projections as its kind can."""
    into: dict[str, list[Projection]] = {name: [] for name in populations}
    for p in projections:
        into[p.target].append(p)
        try:
            _ends(populations, p)
        except NetworkError as error:
            raise NetworkError(f"{p}: {error}") from None
    for name, population in populations.items():
        if (population.neuron.is_input or population.neuron.spontaneous) and into[name]:
            source, what = into[name][0].source, "an input" if population.neuron.is_input else "what sends by itself"
            raise complaint(populations, name, f"{what} takes no projection, it has one from '{source}'")
        if population.neuron.passes_on and len(into[name]) != 1:
            raise complaint(populations, name, f"max_pool takes exactly one projection, it has {len(into[name])}")
        if len(into[name]) > 1 and (found := next((p for p in into[name] if p.connection.alone), None)):
            alone = f"the {found.connection.kind} from '{found.source}' must be its only projection"
            raise complaint(populations, name, f"{alone}: what is largest does not add up; it has {len(into[name])}")


def _ends(populations: Populations, p: Projection) -> None:
    source, target = populations[p.source], populations[p.target]
    if not source.neuron.fires:
        raise NetworkError("a readout never fires, so nothing can follow it")
    if target.neuron.passes_on == p.connection.linear:
        raise NetworkError("a Window leads to a max_pool population, and nothing else does")
    if p.connection.alone and target.neuron.integrates != "step":
        raise NetworkError(
            f"the currents of a {p.connection.kind} are the largest of each step, which do not add up over a window: "
            "its target must integrate step by step, as if and lif do"
        )
    if p.exponent and (not p.connection.linear or p.connection.alone):
        raise NetworkError(
            f"exponent must be 0: what a {type(p.connection).__name__} lets through has nothing beside it"
        )
    expected = _slice_shape(p, target.shape)
    shape, size = p.connection.target_shape(source.shape), p.connection.target_size(source.shape)
    if size != math.prod(expected) or (shape is not None and shape != expected):
        raise NetworkError(
            f"its currents have shape {shape or (size,)}, the target takes {expected} (a Dense flattens)"
        )


def _slice_shape(p: Projection, shape: tuple[int, ...]) -> tuple[int, ...]:
    if p.target_channels is None:
        return shape
    first, end = p.target_channels
    if not 0 <= first < end <= shape[0]:
        raise NetworkError(f"target_channels {p.target_channels} must lie within the {shape[0]} of the target")
    if not p.connection.linear or p.connection.alone:
        raise NetworkError(f"a {type(p.connection).__name__} fills its whole target: pool each part by itself")
    return (end - first, *shape[1:])


def _code(populations: Populations, link: Link, derived: Derived) -> None:
    """The target can make something of the code of its source."""
    target, word = populations[link.target].neuron, derived.senders[link.source]
    if target.integrates == "step" and word is not None and not word.plain:
        raise NetworkError(
            f"{link}: a spike of '{link.source}' has a significance, which {target.kind} neurons do not know: "
            "use code 'graded' (or one unsigned bit) in the source, or few_spikes in the target"
        )


def _reachable(populations: Populations, outputs: tuple[str, ...], derived: Derived) -> None:
    """Every population is reached by an input, or what sends by itself, and every one matters to an output."""
    roots = [name for name, p in populations.items() if p.neuron.is_input or p.neuron.spontaneous]
    if not roots:
        raise NetworkError("the network has no input population, and none that sends by itself, such as Poisson")
    found = _closure(roots, lambda name: [link.target for link in derived.out_of[name]])
    _all_in(found, populations, "is not reached by any input")
    found = _closure(outputs, lambda name: [s for link in derived.into[name] for s in link.projection.sources])
    _all_in(found, populations, "leads to no output: remove it, or name it in outputs")


def _closure(start: Iterable[str], follow: Callable[[str], list[str]]) -> set[str]:
    found, waiting = set(start), list(start)
    while waiting:
        new = set(follow(waiting.pop())) - found
        found |= new
        waiting += new
    return found


def _all_in(found: set[str], populations: Populations, message: str) -> None:
    for name in populations:
        if name not in found:
            raise complaint(populations, name, message)


def _words_fit(populations: Populations, window: int, derived: Derived) -> None:
    for name, word in derived.senders.items():
        if word is not None and word.steps > window:
            taken = f"a word of {plural(word.bits, 'bit')} in code '{word.code}' takes {plural(word.steps, 'step')}"
            message = f"{taken}, the window has {window}"
            raise complaint(populations, name, message)


def _delay(populations: Populations, link: Link, window: int, derived: Derived) -> None:
    """What belongs to a frame can meet."""
    word, own = derived.senders[link.source], link.projection.delay
    delay = link.projection.least_delay
    if link.scattered and word is not None and word.coded:
        raise NetworkError(
            f"{link}: '{link.source}' sends words, which arrive as a whole: its synapses must have the same delay"
        )
    whole = word is not None and (not word.plain or (word.coded and populations[link.target].neuron.passes_on))
    if whole and delay % window:
        raise NetworkError(
            f"{link}: '{link.source}' sends words, so delay must be a multiple of the window "
            f"({plural(window, 'step')}), got {delay}"
        )
    if link.lag < (1 if delay else 0):
        need = own - link.lag + 1
        need += -(need - own + delay) % window if whole else 0
        raise NetworkError(
            f"{link}: delay {own} is too short, the source answers later than that: it must be >= {need}"
        )
