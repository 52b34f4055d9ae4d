# SPDX-License-Identifier: Apache-2.0
"""Where registers lie: those whose contents are never needed at the same time share memory."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from spikerun.kernels.operations import When
from spikerun.kernels.program import Program, Register

__all__ = ["lifetimes", "place"]

Span = tuple[int, int]
STRETCH = 32  # operations


def place(
    program: Program, spans: Mapping[str, Span], size: Callable[[Register], int], alignment: int = 1
) -> tuple[dict[str, int], int]:
    """Return the offset of each register of which `size` is not 0, and the size of the memory that holds them all.

    spans: the `lifetimes` of the program. size: in units of the memory; offsets are multiples of `alignment`. Call it
    once for each kind of memory. The largest are placed first, each as low as possible.
    """
    sizes = {r.name: size(r) for r in program.registers if size(r)}
    places: dict[str, int] = {}
    end = 0
    for name in sizes:  # what always matters shares nothing
        if spans[name] == (-1, len(program.operations)):
            places[name] = end
            end = -(-(end + sizes[name]) // alignment) * alignment
    base, top = end, max((places[name] + sizes[name] for name in places), default=0)
    near: dict[int, list[str]] = defaultdict(list)  # those placed, by the stretches of operations in which they live
    for name in sorted(sizes.keys() - places.keys(), key=lambda name: (-sizes[name], spans[name])):
        first, last = spans[name]
        stretches = range(first // STRETCH, last // STRETCH + 1)
        rivals = {other for k in stretches for other in near[k] if _overlap(spans[other], spans[name])}
        taken = sorted((places[other], places[other] + sizes[other]) for other in rivals)
        places[name] = _lowest_gap(taken, sizes[name], alignment, base)
        top = max(top, places[name] + sizes[name])
        for k in stretches:
            near[k].append(name)
    return places, top


def _overlap(a: Span, b: Span) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


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
