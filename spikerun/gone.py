# SPDX-License-Identifier: Apache-2.0
"""A network without the channels that make no difference: the same outputs, and the same words of what is left.

A channel is gone where its word is the same whatever comes, as ranges of words and weights prove, or where no synapse
that is not 0 leads on from it. What a constant word comes to is added to the biases of its readers, unless padding
makes that differ between places. Channels that leave make others unread or constant, so this is done until nothing
more goes. Neurons of vectors are channels of their own. Inputs and outputs stay, and whatever lies between them keeps
a channel where they would be torn apart.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spikerun.network import Link, Network
from spikerun.neurons import Neuron, spread
from spikerun.population import Population, Projection
from spikerun.timing import largest_event

__all__ = ["REASONS", "Gone", "without_gone"]

IntArray = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Masks = dict[str, Mask]

REASONS = ("pruned", "silent", "unread")


@dataclass(frozen=True, eq=False)
class Gone:
    """What was left out. kept: of each population that there was, which of its channels still are, bool (C,).

    why: of those of which channels left, how many were `pruned` (no synapse leads to them), `silent` (they send the
    same whatever comes, mostly nothing) and `unread` (nothing reads them). free: outputs that depend on no input;
    unused: inputs on which no output depends.
    """

    kept: Mapping[str, Mask]
    why: Mapping[str, Mapping[str, int]]
    free: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def left(self, words: Mapping[str, IntArray]) -> dict[str, IntArray]:
        """Return, of words (batch, C, ...) of each population that there was, those that still are."""
        return {name: values[:, self.kept[name]] for name, values in words.items() if self.kept[name].any()}


def without_gone(net: Network) -> tuple[Network, Gone]:
    """Return the network without what makes no difference, and what that was; one with delays stays as it is."""
    places = {name: np.arange(p.shape[0]) for name, p in net.populations.items()}
    reasons = {name: np.full(p.shape[0], -1) for name, p in net.populations.items()}
    torn: dict[str, set[str]] = {"free": set(), "unused": set()}
    pruned = _pruned(net) if net.feedforward else {}
    while net.feedforward:
        one = _Pass(net)
        less, gone = one.narrowed(torn)
        if less is net:
            break
        for name, leaving in gone.items():
            own = places[name]
            why = np.where(pruned[name][own], 0, 1)
            reasons[name][own[leaving]] = np.where(one.sent[name].settled, why, 2)[leaving]
            places[name] = own[~leaving]
        net = less
    counts = {
        name: {said: int((found == k).sum()) for k, said in enumerate(REASONS)}
        for name, found in reasons.items()
        if (found >= 0).any()
    }
    kept = {name: found < 0 for name, found in reasons.items()}
    return net, Gone(kept, counts, tuple(sorted(torn["free"])), tuple(sorted(torn["unused"])))


@dataclass(frozen=True, eq=False)
class _Sent:
    """What a population may send in a window: low, high (C,), 0 included; settled (C,): what is always the same.

    words: int64 (*shape), of settled channels, 0 elsewhere; None: all of these are 0.
    """

    low: Reals
    high: Reals
    settled: Mask
    words: IntArray | None = None


@dataclass
class _Pass:
    """One pass over a network. stuck: links behind which constant words cannot become biases."""

    net: Network
    sent: dict[str, _Sent] = field(default_factory=dict)
    stuck: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name in self.net.order:
            self.sent[name] = self._sent(name)

    def narrowed(self, torn: Mapping[str, set[str]]) -> tuple[Network, Masks]:
        """Return the network without what is gone, itself if there is nothing, and what is gone of each population.

        torn: takes the outputs and the inputs that were torn from all of the others.
        """
        ends = {*self.net.roots, *self.net.outputs}
        held = {name: np.full(p.shape[0], name in ends) for name, p in self.net.populations.items()}
        gone, moved = self._gone_with_biases(held)
        links = [link for link in self.net.links if self._leads(link, gone)]
        if not self._whole(links, gone, torn):
            for link in self.net.links:  # none may lose all that it leads from, or to
                held[link.source][0] = held[link.target][link.channels[0]] = True
            gone, moved = self._gone_with_biases(held)
            links = list(self.net.links)
        if len(links) == len(self.net.links) and not any(leaving.any() for leaving in gone.values()):
            return self.net, gone
        populations = {
            name: Population((int((~gone[name]).sum()), *p.shape[1:]), self._neuron(name, moved, ~gone[name]))
            for name, p in self.net.populations.items()
            if not gone[name].all()
        }
        projections = [self._projection(link, gone) for link in links]
        return Network(populations, projections, self.net.outputs, self.net.window, self.net.meta), gone

    def _sent(self, name: str) -> _Sent:
        population = self.net.populations[name]
        neuron, word = population.neuron, self.net.sender_of(name)
        coded = word is not None and word.coded
        if neuron.passes_on and coded:
            (link,) = self.net.into(name)
            source = self.sent[link.source]
            words = None if source.words is None else link.connection.apply(source.words).max(axis=0)
            return _Sent(source.low, source.high, source.settled, words)
        if coded and neuron.integrates == "window":
            return self._computed(name)
        low, high = (0, 0) if word is None else word.range
        several = 1 if coded else self.net.window  # events, each of significance 1
        high = max(high, largest_event(word))
        ones = np.ones(population.shape[0])
        return _Sent(ones * min(low, 0) * several, ones * max(high, 0) * several, ones == 0)

    def _computed(self, name: str) -> _Sent:
        """Return what neurons send that take a window at once, from what their sources send."""
        population = self.net.populations[name]
        neuron, channels = population.neuron, population.shape[0]
        low, high = np.zeros((2, channels))
        for link in self.net.into(name):
            (first, end), source = link.channels, self.sent[link.source]
            spans = link.connection.spans(self.net.populations[link.source].shape, end - first, source.low, source.high)
            for total, part in zip((low, high), spans, strict=True):
                total[first:end] += part * 2.0**link.projection.exponent
        alike = all(value.ndim < 3 for value in neuron.arrays().values())  # at all places of a channel
        shape = (channels, *(1 for _ in population.shape[1:])) if alike else population.shape
        bias = spread(neuron.offset, shape).astype(np.int64)
        ends = (bias + spread(end.astype(np.int64), shape) for end in (low, high))
        least, largest = neuron.between(shape, *ends)
        settled = (least == largest).reshape(channels, -1).all(axis=1)
        words = np.broadcast_to(np.where(spread(settled, shape), least, 0), population.shape)
        rows = [values.reshape(channels, -1) for values in (least, largest)]
        return _Sent(
            np.minimum(rows[0].min(axis=1), 0).astype(np.float64),
            np.maximum(rows[1].max(axis=1), 0).astype(np.float64),
            settled,
            words if words.any() else None,
        )

    def _gone_with_biases(self, held: Masks) -> tuple[Masks, dict[str, IntArray]]:
        """Return what can go, beside `held`, and what must be added to the biases of populations for it."""
        while True:
            gone = self._gone(held)
            moved: dict[str, IntArray] = {}
            stuck = False
            for link in self.net.links:
                if (more := self._constant(link, gone)) is None:
                    continue
                population = self.net.populations[link.target]
                if population.neuron.offset.ndim < 3 and not _even(more):
                    self.stuck.add(link.number)
                    stuck = True
                moved[link.target] = moved.get(link.target, np.zeros(population.shape, np.int64)) + more
            if not stuck:
                return gone, moved

    def _gone(self, held: Masks) -> Masks:
        """Return the largest sets of channels of which each can leave if all the others do."""
        gone, changed = {name: ~mask for name, mask in held.items()}, True
        while changed:
            changed = False
            for name in reversed(self.net.order):
                for link in self.net.out_of(name):
                    changed |= self._bind(link, gone)
                before = gone[name].copy()
                gone[name] &= self._free(name, gone)
                changed |= bool((before != gone[name]).any())
        return gone

    def _free(self, name: str, gone: Masks) -> Mask:
        """Return the channels that nothing reads but what is gone, or whose constant words can become biases."""
        sent, shape = self.sent[name], self.net.populations[name].shape
        unread, settled = np.ones(shape[0], np.bool_), sent.settled.copy()
        sends = None if sent.words is None else sent.words.reshape(shape[0], -1).any(axis=1)
        for link in self.net.out_of(name):
            neuron = self.net.populations[link.target].neuron
            reads = link.connection.reads(shape, ~gone[link.target][slice(*link.channels)])
            unread &= ~reads
            biased = neuron.integrates == "window" and link.number not in self.stuck
            if sends is not None and not biased and not neuron.passes_on:
                settled &= ~(reads & sends)
        return unread | settled

    def _bind(self, link: Link, gone: Masks) -> bool:
        """Keep what a link cannot be without at one of its ends; return whether that is more than before."""
        source, part = gone[link.source], gone[link.target][slice(*link.channels)]
        passes_on = self.net.populations[link.target].neuron.passes_on
        if not passes_on and (source.all() or part.all()):  # the link leaves as a whole
            return False
        less, fewer = link.connection.without(self.net.populations[link.source].shape, source, part)
        changed = bool((less != source).any() or (fewer != part).any())
        gone[link.source], part[:] = less & source, fewer & part
        return changed

    def _constant(self, link: Link, gone: Masks) -> IntArray | None:
        """Return what the constant words that leave come to behind a link, of its target's shape; None: nothing."""
        words, population = self.sent[link.source].words, self.net.populations[link.target]
        part = gone[link.target][slice(*link.channels)]
        if words is None or part.all() or not link.connection.linear:
            return None
        leaving = spread(gone[link.source], words.shape) & (words != 0)
        if not leaving.any():
            return None
        total = np.zeros(population.shape, np.int64)
        found = link.connection.apply(np.where(leaving, words, 0)).reshape(len(part), *population.shape[1:])
        found[part] = 0
        if not found.any():
            return None
        total[slice(*link.channels)] = found << link.projection.exponent
        return total

    def _leads(self, link: Link, gone: Masks) -> bool:
        """Return whether anything that is left still comes through a link."""
        shape, reached = self.net.populations[link.source].shape, ~gone[link.target][slice(*link.channels)]
        return bool((link.connection.reads(shape, reached) & ~gone[link.source]).any())

    def _whole(self, links: Iterable[Link], gone: Masks, torn: Mapping[str, set[str]]) -> bool:
        """Return whether links still lead to and from all that is left; note which ends are torn off."""
        names = {name for name, leaving in gone.items() if not leaving.all()}
        links = list(links)
        begun = names - set(self.net.roots) <= {link.target for link in links}
        ended = names - set(self.net.outputs) <= {link.source for link in links}
        forwards = {(link.source, link.target) for link in links}
        torn["free"].update(set(self.net.outputs) - _reached(self.net.roots, forwards))
        torn["unused"].update(set(self.net.roots) - _reached(self.net.outputs, {(b, a) for a, b in forwards}))
        return begun and ended

    def _neuron(self, name: str, moved: Mapping[str, IntArray], kept: Mask) -> Neuron:
        population = self.net.populations[name]
        neuron = population.neuron
        if name in moved:
            alike = neuron.offset.ndim < 3 and _even(moved[name])
            shape = population.shape[:1] if alike else population.shape
            more = moved[name].reshape(shape[0], -1)[:, 0] if alike else moved[name]
            neuron = neuron.shifted((spread(neuron.offset, shape) + more).astype(np.int32))
        return neuron if kept.all() else neuron.narrowed(kept)

    def _projection(self, link: Link, gone: Masks) -> Projection:
        p, (first, end) = link.projection, link.channels
        kept, whole = ~gone[link.source], ~gone[link.target]
        reached = whole[first:end]
        connection = link.connection
        if not (kept.all() and reached.all()):
            connection = connection.narrowed(self.net.populations[link.source].shape, kept, reached)
        begin = int(whole[:first].sum())
        channels = (begin, begin + int(reached.sum())) if reached.sum() < whole.sum() else None
        return Projection(p.source, p.target, connection, p.delay, channels, p.exponent)


def _pruned(net: Network) -> Masks:
    """Return the channels to which no synapse leads that is not 0; of a pool, those of its source."""
    found: Masks = {}
    for name in net.order:
        population = net.populations[name]
        reach = np.full(population.shape[0], float(name in net.roots))
        for link in net.into(name):
            (first, end), shape = link.channels, net.populations[link.source].shape
            if population.neuron.passes_on:
                reach += ~found[link.source]
            else:
                ones = np.ones(shape[0])
                reach[first:end] += link.connection.spans(shape, end - first, -ones, ones)[1]
        found[name] = reach == 0
    return found


def _even(values: IntArray) -> bool:
    """Return whether values are the same at all places of a channel."""
    rows = values.reshape(len(values), -1)
    return bool((rows == rows[:, :1]).all())


def _reached(start: Iterable[str], ways: set[tuple[str, str]]) -> set[str]:
    found, waiting = set(start), list(start)
    while waiting:
        here = waiting.pop()
        new = {b for a, b in ways if a == here} - found
        found |= new
        waiting += new
    return found
