# SPDX-License-Identifier: Apache-2.0
"""Values on the way from the graph to layers: words of a population, or sums of maps that no neuron has taken yet."""

from dataclasses import dataclass, replace

import numpy as np

from spikerun.converters import forward
from spikerun.converters.graph import Array, Flatten, Node, Origin, Shape
from spikerun.converters.maps import PoolMap, Term, identity
from spikerun.converters.sparse_map import SparseMap, as_sparse, rows_of, windows

__all__ = ["Coded", "Form", "Part", "Parts", "copied", "merged", "summed"]


@dataclass(frozen=True)
class Coded:
    """The words of a population, read as `shape`."""

    name: str
    own: Shape
    shape: Shape
    negative: bool  # what the words stand for may be below 0

    @property
    def light(self) -> bool:
        """Return whether it is at its own place: as words are."""
        return True

    def form(self) -> "Form":
        """Return the words as a sum of one identity."""
        return Form(self.shape, (identity(self.name, self.own, self.shape),), np.zeros(self.shape), not self.negative)

    def traced(self, node: Node) -> "Part":
        """Return the part: words stay those of their population."""
        return self


@dataclass(frozen=True, eq=False)
class Form:
    """A sum of maps and a bias that no population holds yet."""

    shape: Shape
    terms: tuple[Term, ...]
    bias: Array
    positive: bool  # can never be negative
    origins: tuple[Origin, ...] = ()
    name: str = ""  # of the last operator in it

    @property
    def light(self) -> bool:
        """Return whether it only rescales and adds values, each at its own place."""
        return all(term.map.light for term in self.terms)

    @property
    def keeps_order(self) -> bool:
        """Return whether max pooling may go before it: one source at its own place, positive gains, even bias."""
        term = self.terms[0]
        whole = len(self.terms) == 1 and self.light and (term.first, term.end) == (0, self.shape[0])
        even = bool((self.bias == self.bias[:, :1, :1]).all())
        return whole and even and bool((term.map.weight > 0).all())

    def form(self) -> "Form":
        """Return itself."""
        return self

    def traced(self, node: Node) -> "Part":
        """Return the form, which remembers that it went through `node`."""
        origins = self.origins if node.origin in self.origins else (*self.origins, node.origin)
        return replace(self, origins=origins, name=self.name if isinstance(node.op, Flatten) else node.name)

    @property
    def placed(self) -> bool:
        """Return whether each place takes single values of its sources, so that they can be moved once more."""
        return all(term.map.light or isinstance(term.map, SparseMap) for term in self.terms)

    @property
    def scalable(self) -> bool:
        """Return whether a gain of its own for each place can be put in."""
        return all(term.map.light or isinstance(term.map, SparseMap | PoolMap) for term in self.terms)

    def affine(self, scale: Array, shift: Array) -> "Form":
        """Return scale * form + shift, (C,) or of the full shape: what is `scalable` takes such a scale."""
        bias = self.bias * forward.spread(scale, self.shape) + forward.spread(shift, self.shape)
        positive = self.positive and bool((scale >= 0).all() and (shift >= 0).all())
        if scale.ndim == 1:
            terms = tuple(term.scaled_out(scale) for term in self.terms)
        else:
            terms = tuple(self._scaled(term, scale[term.first : term.end, ..., None]) for term in self.terms)
        return replace(self, terms=terms, bias=bias, positive=positive)

    def rearranged(self, index: Array, fill: float) -> "Form":
        """Return the form, which is `placed`, with its values at other places, as `graph.Rearrange` says."""
        bias = np.where(index < 0, fill, self.bias.reshape(-1)[index])
        terms = tuple(t for term in self.terms if (t := self._moved(term, index)) is not None)
        # where no place reads a source, a layer still has one
        terms = terms or (self._emptied(self.terms[0], index.shape),)
        return replace(self, shape=index.shape, terms=terms, bias=bias, positive=self.positive and fill >= 0)

    def selected(self, taken: Array, fill: float) -> "Form | None":
        """Return the form of the channels `taken` (C,), `fill` where that is -1; None where a term cannot be cut."""
        terms: list[Term] = []
        places = np.arange(self.bias[0].size).reshape(self.shape[1:])
        for term in self.terms:
            inside = (taken >= term.first) & (taken < term.end)
            if not inside.any():
                continue
            first, end = int(np.argmax(inside)), len(inside) - int(np.argmax(inside[::-1]))
            local = np.where(inside, taken - term.first, -1)[first:end]
            map_ = rows_of(term.map, local)
            if map_ is None:
                found = as_sparse(term, self._own(term)) if self.placed else None
                if found is None:
                    return None
                spread = forward.spread(local, (len(local), *self.shape[1:]))
                map_ = found.rearranged(np.where(spread < 0, -1, spread * places.size + places))
            terms.append(replace(term, map=map_, first=first, end=end))
        shape = (len(taken), *self.shape[1:])
        bias = np.where(forward.spread(taken, shape) < 0, fill, self.bias[taken])
        kept = tuple(terms) or (self._emptied(self.terms[0], shape),)
        return replace(self, shape=shape, terms=kept, bias=bias, positive=self.positive and fill >= 0)

    def averaged(self, pool: PoolMap, divisor: float, shape: Shape) -> "Form":
        """Return the averages of windows of the form, which is `placed`."""
        index = windows(self.shape, pool.kernel, pool.stride, pool.padding)
        terms = []
        for term in self.terms:
            moved = self._moved(term, index)
            if moved is not None and isinstance(moved.map, SparseMap):
                map_ = moved.map
                count = moved.end - moved.first, *shape[1:], -1
                flat = replace(map_, weight=map_.weight.reshape(count) / divisor, index=map_.index.reshape(count))
                terms.append(replace(moved, map=flat.compact()))
        bias = pool.apply(self.bias[None])[0].reshape(shape)
        return replace(self, shape=shape, terms=tuple(terms), bias=bias)

    def _own(self, term: Term) -> Shape:
        return (term.end - term.first, *self.shape[1:])

    def _scaled(self, term: Term, scale: Array) -> Term:
        map_ = as_sparse(term, self._own(term))
        assert map_ is not None, "the form is scalable"
        return replace(term, map=replace(map_, weight=map_.weight * scale))

    def _moved(self, term: Term, index: Array) -> Term | None:
        """Return the term at the places `index` of the whole form; None where it reaches none of them."""
        map_, area = as_sparse(term, self._own(term)), self.bias[0].size
        assert map_ is not None, "the form is placed"
        inside = (index >= term.first * area) & (index < term.end * area)
        reached = inside.reshape(len(index), -1).any(axis=1)
        if not reached.any():
            return None
        first, end = int(np.argmax(reached)), len(reached) - int(np.argmax(reached[::-1]))
        local = np.where(inside, index - term.first * area, -1)[first:end]
        return replace(term, map=map_.rearranged(local), first=first, end=end)

    def _emptied(self, term: Term, shape: Shape) -> Term:
        nothing = np.zeros((*shape, 1))
        map_ = SparseMap(nothing, nothing.astype(np.int64), int(np.prod(term.shape)))
        return replace(term, map=map_, first=0, end=shape[0])


Part = Coded | Form
Parts = tuple[Part, ...]


def merged(parts: Parts) -> Form:
    """Return the parts as one form of all channels."""
    if len(parts) == 1:
        return parts[0].form()
    forms, terms, first = [part.form() for part in parts], [], 0
    for form in forms:
        terms += [term.moved(first) for term in form.terms]
        first += form.shape[0]
    bias = np.concatenate([form.bias for form in forms])
    origins = tuple(origin for form in forms for origin in form.origins)
    return Form((first, *forms[0].shape[1:]), tuple(terms), bias, all(form.positive for form in forms), origins)


def summed(forms: list[Form]) -> Form:
    """Return the sum of forms of one shape."""
    terms = tuple(term for form in forms for term in form.terms)
    origins = tuple(dict.fromkeys(origin for form in forms for origin in form.origins))
    bias = sum((form.bias for form in forms), np.zeros(forms[0].shape))
    return Form(forms[0].shape, terms, bias, all(form.positive for form in forms), origins)


def copied(form: Form) -> tuple[tuple[Term, ...], Array] | None:
    """Return (terms, gain) such that a form, but for its bias, is gain (C,) times copies of words; None if it is more.

    The terms are sparse maps with weights of 1, of which at most one reaches a place.
    """
    if not form.placed:
        return None
    weight, reached = np.zeros(form.shape), np.zeros(form.shape, dtype=np.int64)
    terms = []
    for term in form.terms:
        map_ = as_sparse(term, (term.end - term.first, *form.shape[1:]))
        if map_ is None or map_.inputs != 1 or term.delay or term.exponent:
            return None
        weight[term.first : term.end] += map_.weight[..., 0]
        reached[term.first : term.end] += map_.weight[..., 0] != 0
        terms.append(replace(term, map=replace(map_, weight=(map_.weight != 0).astype(np.float64))))
    rows, taken = weight.reshape(len(weight), -1), reached.reshape(len(weight), -1)
    place = np.argmax(taken > 0, axis=1)
    gain = np.where(taken.any(axis=1), rows[np.arange(len(rows)), place], 1.0)
    if (taken > 1).any() or ((rows != gain[:, None]) & (taken > 0)).any():
        return None
    return tuple(terms), gain
