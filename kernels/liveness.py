# SPDX-License-Identifier: Apache-2.0
"""Where registers lie: those whose contents are never needed at the same time share memory."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from spikerun.kernels.operations import When
from spikerun.kernels.program import Program, Register

__all__ = ["lifetimes", "place"]

Span = tuple[int, int]
NONE: Mapping[tuple[str, str], int] = {}


def place(
    program: Program,
    spans: Mapping[str, Span],
    size: Callable[[Register], int],
    alignment: int = 1,
    overlaps: Mapping[tuple[str, str], int] = NONE,
) -> tuple[dict[str, int], int]:
    """Return the offset of each register of which `size` is not 0, and the size of the memory that holds them all.

    spans: the `lifetimes` of the program. size: in units of the memory; offsets are multiples of `alignment`. Call it
    once for each kind of memory. The largest are placed first, each as low as possible. overlaps: (later, earlier) ->
    distance, of registers that share one operation, in which the one is made of the other: they may overlap if the
    later one begins at least so far before the earlier one.
    """
    sizes = {r.name: size(r) for r in program.registers if size(r)}
    places: dict[str, int] = {}
    end = 0
    for name in sizes:  # what always matters shares nothing
        if spans[name] == (-1, len(program.operations)):
            places[name] = end
            end = -(-(end + sizes[name]) // alignment) * alignment
    base, top = end, max((places[name] + sizes[name] for name in places), default=0)
    memory = _Occupied(len(program.operations) + 2)
    meetings = _Meetings(overlaps, spans, sizes)
    for name in sorted(sizes.keys() - places.keys(), key=lambda name: (-sizes[name], spans[name])):
        met, rest = meetings.of(name, places)
        taken = sorted([*met, *(stretch for span in rest for stretch in memory.taken(span))])
        offset = places[name] = _lowest_gap(taken, sizes[name], alignment, base)
        meetings.add(name)
        memory.take(spans[name], offset, -(-(offset + sizes[name]) // alignment) * alignment)
        top = max(top, offset + sizes[name])
    return places, top


class _Meetings:
    """What lives at the operations in which registers that may overlap meet, register by register."""

    def __init__(
        self, overlaps: Mapping[tuple[str, str], int], spans: Mapping[str, Span], sizes: Mapping[str, int]
    ) -> None:
        self._overlaps, self._spans, self._sizes = overlaps, spans, sizes
        self._times = sorted({spans[later][0] for later, _ in overlaps})
        self._alive: dict[int, list[str]] = defaultdict(list)

    def add(self, name: str) -> None:
        """Take note that a register has its place."""
        low, high = self._spans[name]
        for time in self._times[bisect_left(self._times, low) : bisect_left(self._times, high + 1)]:
            self._alive[time].append(name)

    def of(self, name: str, places: Mapping[str, int]) -> tuple[list[Span], list[Span]]:
        """Return the memory that a register must not touch for what it meets, and the rest of its span."""
        low, high = self._spans[name]
        times = [t for t in dict.fromkeys((low, high)) if any(self._meet(name, other) for other in self._alive[t])]
        found = [self._forbidden(name, other, places[other]) for time in times for other in self._alive[time]]
        return found, [(low + (low in times), high - (high in times and high > low))]

    def _meet(self, name: str, other: str) -> bool:
        return (name, other) in self._overlaps or (other, name) in self._overlaps

    def _forbidden(self, name: str, other: str, place: int) -> Span:
        end = place + self._sizes[other]
        if (name, other) in self._overlaps:
            return place - self._overlaps[name, other] + self._sizes[name], end
        return place, place + self._overlaps[other, name] if (other, name) in self._overlaps else end


class _Occupied:
    """Which memory is taken at which time, as a binary tree over the operations; node 1 is all of them.

    Each node has sorted stretches of memory, not the registers in them: thousands that live at once cost no more than
    one. `touched`: what is taken at any time of the node; `covered`: what is taken throughout, by spans for which the
    node is one of the fewest nodes that they consist of.
    """

    def __init__(self, times: int) -> None:
        self._leaves = 1 << times.bit_length()
        self._touched: dict[int, list[Span]] = defaultdict(list)
        self._covered: dict[int, list[Span]] = defaultdict(list)

    def take(self, span: Span, low: int, high: int) -> None:
        for node in self._nodes(span):
            _join(self._covered[node], low, high)
            while node and _join(self._touched[node], low, high):  # what a node has, the ones above it have
                node >>= 1

    def taken(self, span: Span) -> list[Span]:
        """Return what is taken at any time of the span, (low, high) by low; they may overlap."""
        found: list[Span] = []
        above = set()
        for node in self._nodes(span):
            found += self._touched.get(node, ())
            while node := node >> 1:
                above.add(node)
        for node in above:
            found += self._covered.get(node, ())
        return sorted(found)

    def _nodes(self, span: Span) -> Iterator[int]:
        """Yield the fewest nodes that are together the span; -1, before the first operation, is the first leaf."""
        low, end = span[0] + 1 + self._leaves, span[1] + 2 + self._leaves
        while low < end:
            if low % 2:
                yield low
            if end % 2:
                yield end - 1
            low, end = (low + 1) // 2, end // 2


def _join(stretches: list[Span], low: int, high: int) -> bool:
    """Add low..high to sorted stretches that do not touch each other; return whether anything of it was new.

    >>> stretches = [(0, 4), (8, 12), (20, 24)]
    >>> _join(stretches, 4, 9), stretches, _join(stretches, 2, 12)
    (True, [(0, 12), (20, 24)], False)
    """
    first = end = bisect_left(stretches, low, key=lambda stretch: stretch[1])
    if first < len(stretches) and stretches[first][0] <= low and high <= stretches[first][1]:
        return False
    while end < len(stretches) and stretches[end][0] <= high:
        low, high = min(low, stretches[end][0]), max(high, stretches[end][1])
        end += 1
    stretches[first:end] = [(low, high)]
    return True


def _lowest_gap(taken: Iterable[Span], size: int, alignment: int, base: int) -> int:
    """Return the lowest offset from `base` at which `size` units touch none of what is taken, (low, high) by low.

    >>> _lowest_gap([(0, 4), (8, 12)], 4, 4, 0), _lowest_gap([(0, 4), (8, 12)], 5, 4, 0)
    (4, 12)
    """
    offset = base
    for low, high in taken:
        if offset + size <= low:
            break
        offset = max(offset, -(-high // alignment) * alignment)
    return offset


def lifetimes(program: Program, keep: Collection[str] = ()) -> dict[str, Span]:
    """Return for each register the first and the last operation, by number, between which its content matters.

    -1 is before the first operation, their number behind the last. What is kept between passes matters always. keep:
    registers that an observer reads after the last operation.
    """
    end = len(program.operations)
    given = {name for _, name in program.inputs}
    kept = {name for _, name in program.outputs} | set(keep)
    seen = kept | {name for _, _, name in program.traces}  # after any pass, not only after those that write it
    first, last, anew = _uses(program, seen)
    once = program.steps == 1 and not program.endless
    spans = {}
    for register in program.registers:
        name = register.name
        if once and name in given and name in last:
            span = -1, last[name]
        elif name in anew and register.initial is None and name not in given:
            span = first[name], last[name]
        else:
            span = -1, end
        spans[name] = (span[0], end if name in kept else span[1])
    return spans


def _uses(program: Program, seen: Collection[str]) -> tuple[dict[str, int], dict[str, int], set[str]]:
    """Return the first and the last operation that use each register, and those that are made anew.

    These are overwritten first by each pass that uses them; those `seen` after every pass, by every pass.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    written: dict[str, When] = {}  # by the first operation that uses it
    for k, operation in enumerate(program.operations):
        for operand in operation.operands():
            name = operand.register
            if name not in first:
                first[name] = k
                if operand.role == "write" and (operation.time.always or name not in seen):
                    written[name] = operation.time
            elif name in written and not written[name].covers(operation.time):
                del written[name]
            last[name] = k
    return first, last, set(written)
