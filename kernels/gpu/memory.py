# SPDX-License-Identifier: Apache-2.0
"""How much memory of the device a run needs, before it is taken, and where registers lie in it."""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from spikerun.errors import UnsupportedError
from spikerun.kernels.gpu.device import free
from spikerun.kernels.gpu.distribute import Schedule
from spikerun.kernels.gpu.layout import Constants, element
from spikerun.kernels.gpu.maps import BY_SYNAPSE, MOST
from spikerun.kernels.gpu.matrices import synapse_count
from spikerun.kernels.liveness import Span, place
from spikerun.kernels.operations import Apply, Operation, Scatter
from spikerun.kernels.program import Program

__all__ = ["LEFT", "Placed", "placed", "samples_that_fit"]

ALIGNMENT = 16  # bytes, for each sample: vectors of threads are that long
WIDE = 16  # bytes that torch's operators take for an element of an operand
GATHERED = 20  # bytes of a word that comes through a synapse, for a sample: two int64, and an int32 of the pass before
SYNAPSE = 40  # bytes of a synapse, for all samples: 13, and 27 more while it is computed where its word goes
LEFT = 0.9  # of what is free is taken


class Placed(NamedTuple):
    """A schedule whose registers have their places: offsets and sizes in bytes a sample, of `arena` in all.

    scratch: what operations take while they execute, a sample, about; synapses: what they take for all,
    where they are kept one by one.
    """

    schedule: Schedule
    offsets: Mapping[str, int]
    arena: int
    scratch: int
    synapses: int


def placed(program: Program, schedule: Schedule, keep: Collection[str]) -> Placed:
    """Return where registers lie; those that are not needed at the same time share memory."""
    sizes = {r.name: schedule.rows[r.name] * r.size * element(r) for r in program.registers}
    offsets, arena = place(program, _spans(program, schedule, keep), lambda r: sizes[r.name], ALIGNMENT)
    synapses = SYNAPSE * sum(map(_count, program.operations))
    return Placed(schedule, offsets, -(-arena // ALIGNMENT) * ALIGNMENT, _scratch(program, schedule), synapses)


def _scratch(program: Program, schedule: Schedule) -> int:
    """Return what operations in torch's operators take besides, about: fused ones take none."""
    sizes = {r.name: schedule.rows[r.name] * r.size for r in program.registers}
    plain = [program.operations[k] for part in schedule.parts if part.layer is None for k in part.numbers]
    operands = ((WIDE * max((sizes[o.register] for o in op.operands()), default=0), op) for op in plain)
    return max((size + GATHERED * _gathered(op, schedule) for size, op in operands), default=0)


def _gathered(operation: Operation, schedule: Schedule) -> int:
    """Return how many words an operation gathers at a time, of a sample: through each synapse, of some passes."""
    each = _count(operation)
    return min(each * schedule.rows[operation.x], max(each, MOST)) if each and isinstance(operation, Apply) else each


def _count(operation: Operation) -> int:
    """Return how many synapses an operation keeps one by one."""
    if isinstance(operation, Scatter) or (isinstance(operation, Apply) and operation.map.kind in BY_SYNAPSE):
        return synapse_count(operation.map)
    return 0


def _spans(program: Program, schedule: Schedule, keep: Collection[str]) -> dict[str, Span]:
    """Return the first and the last part that needs each register; -1: it is filled before, their number: after."""
    end = len(program.operations)
    kept = {name for _, name in program.outputs} | set(keep)
    filled = schedule.begin | schedule.loaded.keys() | {name for _, name in program.inputs}
    spans: dict[str, Span] = {}
    for number, part in enumerate(schedule.parts):
        for name in {o.register for k in part.numbers for o in program.operations[k].operands()}:
            spans[name] = spans.get(name, (number, number))[0], number
    for register in program.registers:
        first, last = spans.get(register.name, (-1, -1))
        spans[register.name] = -1 if register.name in filled else first, end if register.name in kept else last
    if len(schedule.parts) == 1 and not schedule.parts[0].whole:  # pass by pass: all of it is needed always
        spans = dict.fromkeys(spans, (-1, end))
    return spans


def samples_that_fit(placed_: Placed, constants: Constants, asked: int | None, count: int) -> int:
    """Return how many samples to run at a time. Raises UnsupportedError where that many, or one, do not fit."""
    each = max(1, placed_.arena + placed_.scratch)
    room = max(0, int(free(constants.device) * LEFT) - max(0, placed_.synapses - constants.bytes))
    fitting = room // each
    wanted = min(asked or count, max(1, count))
    if fitting >= wanted:
        return max(1, wanted)
    if asked is not None or not fitting:
        raise UnsupportedError(
            f"{wanted} samples at a time take {wanted * each:,} bytes of the device, {room:,} are free: "
            + (f"at most {fitting} fit, batch={fitting}" if fitting else "not one fits; take device='cpu'")
        )
    return math.ceil(count / math.ceil(count / fitting))
