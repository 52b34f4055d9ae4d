# SPDX-License-Identifier: Apache-2.0
"""Where registers lie: those whose contents are never needed at the same time share memory."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from spikerun.kernels.operations import Program, Register, When

__all__ = ["lifetimes", "place"]

Span = tuple[int, int]
STRETCH = 32  # operations


def place(
    program: Program, size: Callable[[Register], int], alignment: int = 1, keep: Collection[str] = ()
) -> tuple[dict[str, int], int]:
    """Return the offset of each register of which `size` is not 0, and the size of the memory that holds them all.

    size: in units of the memory; offsets are multiples of `alignment`. Call it once for each kind of memory. keep:
    registers that an observer reads after the last operation. The largest are placed first, each as low as possible.
    """
    spans = lifetimes(program, keep)
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

    -1 is before the first operation, their number behind the last. What is kept between passes matters always.
    """
    end = len(program.operations)
    uses: dict[str, list[tuple[int, str, When]]] = {register.name: [] for register in program.registers}
    for k, operation in enumerate(program.operations):
        for operand in operation.operands():
            uses[operand.register].append((k, operand.role, operation.time))
    given = {name for _, name in program.inputs}
    kept = {name for _, name in program.outputs} | set(keep)
    seen = kept | {name for _, _, name in program.traces}  # after any pass, not only after those that write it
    once = program.steps == 1 and not program.endless
    spans = {}
    for register in program.registers:
        name, used = register.name, uses[register.name]
        if once and name in given and used:
            first, last = -1, used[-1][0]
        elif used and register.initial is None and name not in given and _made_anew(used, always=name in seen):
            first, last = used[0][0], used[-1][0]
        else:
            first, last = -1, end
        spans[name] = (first, end if name in kept else last)
    return spans


def _made_anew(used: Iterable[tuple[int, str, When]], always: bool) -> bool:
    """Return whether each pass that uses a register, with `always` each pass, overwrites it first."""
    (_, role, when), *others = used
    return role == "write" and all(when.covers(other) for _, _, other in others) and (when.always or not always)
