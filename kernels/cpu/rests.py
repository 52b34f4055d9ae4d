# SPDX-License-Identifier: Apache-2.0
"""Which registers of a program that goes on are silent in most places at most times, so that kernels note where not.

Neurons are at rest where no current arrives: their membranes leak toward zero, or drift by a bias, and it is known for
how many steps that leads over no threshold. They are updated where a current arrives, or when that time is over, and
what they have missed is made up for then, with the same bits (`lazy.hpp`).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from spikerun.kernels.operations import FOREVER, Apply, Fill, IfStep, LifStep, Operation
from spikerun.kernels.program import Program, Register

__all__ = ["restless", "tracked"]

SLOW = 64  # steps
STATE = {IfStep: ("v",), LifStep: ("u", "v", "wait", "pending")}


def tracked(program: Program) -> list[str]:
    """Return the registers that are tracked: what inputs and neurons at rest send, and the currents into these."""
    if not program.endless:
        return []
    uses: dict[str, list[tuple[Operation, str]]] = defaultdict(list)
    for operation in program.operations:
        for operand in operation.operands():
            uses[operand.register].append((operation, operand.role))
    seen = {name for _, name in program.outputs}
    found = [name for _, name in program.inputs if all(role == "read" for _, role in uses[name])]
    for operation in program.operations:
        if isinstance(operation, IfStep | LifStep) and _rests(operation) and _alone(operation, uses, seen):
            found += [operation.i, operation.s]
    return found


def restless(operation: IfStep | LifStep, registers: Mapping[str, Register]) -> bool:
    """Return whether the neurons begin with anything but zeros."""
    return any(registers[getattr(operation, key)].initial is not None for key in STATE[type(operation)])


def _rests(operation: IfStep | LifStep) -> bool:
    """Return whether it is known what neurons do where nothing arrives: they leak, and drift by a bias, but slowly."""
    when = operation.time
    if when.period != 1 or when.end != FOREVER:
        return False
    if isinstance(operation, IfStep):
        return _slow(operation.bias, operation.threshold)
    fires_at_zero = operation.inclusive and not operation.threshold.all()
    if operation.reset_interval or fires_at_zero:
        return False
    still = not operation.bias.any() and not operation.bias_u.any()
    plain = not operation.keep_u.any() and not operation.refractory
    return still or (plain and _slow(operation.bias, operation.bias_u, operation.threshold))


def _slow(*arrays: npt.NDArray[np.int32]) -> bool:
    """Return whether biases alone take so many steps to the threshold, the last, that it is worth to foresee when."""
    *biases, threshold = arrays
    return sum(int(np.abs(bias.astype(np.int64)).max()) for bias in biases) * SLOW <= int(threshold.min())


def _alone(operation: IfStep | LifStep, uses: Mapping[str, list[tuple[Operation, str]]], seen: Collection[str]) -> bool:
    """Return whether nothing else uses the state, which may be behind, nor writes the currents in a way of its own."""
    state = [getattr(operation, key) for key in STATE[type(operation)]]
    if any(len(uses[name]) > 1 or name in seen for name in state):
        return False
    for other, role in uses[operation.i]:
        sums = isinstance(other, Apply) or (isinstance(other, Fill) and not other.value.any())
        if role != "read" and not sums:
            return False
    return all(other is operation or role == "read" for other, role in uses[operation.s])
