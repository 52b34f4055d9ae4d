# SPDX-License-Identifier: Apache-2.0
"""Where registers lie: those whose contents are never needed at the same time share memory."""

from collections.abc import Callable, Collection, Iterable

import numpy as np
import numpy.typing as npt

from spikerun.kernels.operations import Program, Register, When

__all__ = ["lifetimes", "place"]

Span = tuple[int, int]


def place(
    program: Program, size: Callable[[Register], int], alignment: int = 1, keep: Collection[str] = ()
) -> tuple[dict[str, int], int]:
    """Return the offset of each register of which `size` is not 0, and the size of the memory that holds them all.

    size: in units of the memory; offsets are multiples of `alignment`. Call it once for each kind of memory. keep:
    registers that an observer reads after the last operation. The largest are placed first, each as low as possible.
    """
    spans = lifetimes(program, keep)
    sizes = {r.name: size(r) for r in program.registers}
    names = sorted((name for name in sizes if sizes[name]), key=lambda name: (-sizes[name], spans[name]))
    begin, end, low, high = (np.zeros(len(names), np.int64) for _ in range(4))
    for k, name in enumerate(names):
        first, last = spans[name]
        rivals = np.flatnonzero((begin[:k] <= last) & (first <= end[:k]))
        low[k] = _lowest_gap(low[rivals], high[rivals], sizes[name], alignment)
        begin[k], end[k], high[k] = first, last, low[k] + sizes[name]
    return dict(zip(names, low.tolist(), strict=True)), int(high.max(initial=0))


def _lowest_gap(low: npt.NDArray[np.int64], high: npt.NDArray[np.int64], size: int, alignment: int) -> int:
    """Return the lowest offset at which `size` units touch none of low[i]..high[i].

    >>> _lowest_gap(np.array([0, 8]), np.array([4, 12]), 4, 4), _lowest_gap(np.array([0, 8]), np.array([4, 12]), 5, 4)
    (4, 12)
    """
    order = np.argsort(low)
    low, high = low[order], np.maximum.accumulate(high[order])
    starts = np.concatenate([[0], -(-high // alignment) * alignment])
    fits = np.flatnonzero(starts[:-1] + size <= low)
    return int(starts[fits[0]] if len(fits) else starts[-1])


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
