# SPDX-License-Identifier: Apache-2.0
"""Words may lie where those lay that they are made of, if each row is written once what it overwrites was read.

A loop that makes words row by row reads the rows of its sources from top to bottom. A source that nothing reads later
may share memory with the words, as long as these begin far enough before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spikerun.edge.mcu.kernels import Call, bytes_of
from spikerun.edge.mcu.rows import Loop
from spikerun.kernels.program import Program, Register

__all__ = ["distance", "overlaps"]


def overlaps(
    program: Program, loops: Iterable[Loop], spans: Mapping[str, tuple[int, int]]
) -> dict[tuple[str, str], int]:
    """Return for words and a source that may overlap how many bytes before the source the words begin at least.

    spans: the lifetimes of the registers of the program.
    """
    registers = {register.name: register for register in program.registers}
    found: dict[tuple[str, str], int] = {}
    for loop in loops:
        words = registers[loop.calls[-1].writes[0]]
        if loop.rows == 1 or words.dtype == "int32":
            continue
        for name in {operand.register for call in loop.calls for operand in call.operands if operand.role == "read"}:
            if registers[name].dtype != "int32" and spans[name][1] == spans[words.name][0]:
                found[words.name, name] = _distance(loop, words, registers[name])
    return found


def distance(row: int, source_row: int, height: int, first: Sequence[int]) -> int:
    """Return how many bytes before its source an image begins at least.

    row, source_row: bytes of a row of each; height: rows of the source; first[y]: the first of them that is still read
    when the row y is written, or later. Each row of the image must end before that begins.

    >>> distance(row=4, source_row=4, height=3, first=[0, 1, 2]), distance(12, 4, 3, [1, 2, 3]), distance(2, 4, 2, [2])
    (4, 16, 0)
    """
    ends = ((y + 1) * row - max(0, begin) * source_row for y, begin in enumerate(first) if begin < height)
    return max(0, *ends, 0)


def _distance(loop: Loop, words: Register, source: Register) -> int:
    row, source_row = (r.size // r.shape[1] * bytes_of(r) for r in (words, source))
    reads = [call for call in loop.calls if any(operand.register == source.name for operand in call.operands)]
    read_before = len(loop.calls) > 1  # all that a row of words sees is read before it is written
    needed = [min(_first_row(call, y + read_before) for call in reads) for y in range(loop.rows)]
    return distance(row, source_row, source.shape[1], needed)


def _first_row(call: Call, y: int) -> int:
    """Return the first row of its source that a target row sees; it may lie in the padding."""
    operation: Any = call.operation
    if operation.name == "max_pool":
        return int(operation.geometry.stride[0] * y - operation.geometry.padding[0])
    known = dict(operation.map.parameters)  # without them each row sees its own
    return int(known.get("stride", (1, 1))[0] * y - known.get("padding", (0, 0))[0])
