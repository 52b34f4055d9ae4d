# SPDX-License-Identifier: Apache-2.0
"""The source of the kernels of one circuit: sizes and parameters are constants, so that the compiler folds them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikerun.kernels.gpu.circuit import Circuit, Drive, Group, delays
from spikerun.kernels.operations import IfStep, LifStep, Map, Poisson

__all__ = ["COPIES", "Sizes", "all_drives", "by_channel", "own_values", "sizes", "source"]

FOLDER = Path(__file__).with_name("cuda")
FILES = ("device.cuh", "philox.cuh", "neurons.cuh", "recurrent.cu", "synapses.cu")
WARP = 32
MOST_WARPS = 32  # of a block
NEURONS_OF_A_BLOCK = 64  # at least, where there are so many: few blocks wait for each other for a shorter time
LISTENERS = 12  # warps
ROUNDS = (1, 2, 4)  # passes
COPIES = 16  # of messages
NEAR_TABLE = 4096  # rows
STATIC_SHARED = 2048  # bytes, besides tables and lists
LIF = ("threshold", "keep_v", "keep_u", "bias", "bias_u", "v_reset", "v_min")
IF = ("threshold", "bias", "v_min")
RESETS = {
    "value": "RESET_VALUE",
    "subtract": "RESET_SUBTRACT",
    "subtract_after_leak": "RESET_SUBTRACT_AFTER_LEAK",
    "none": "RESET_NONE",
    "zero": "RESET_ZERO",
}


@dataclass(frozen=True)
class Sizes:
    """What is the same for all blocks; `cuda/recurrent.cu` explains the constants.

    shared: bytes of each block's memory beside what the kernel has of its own.
    """

    blocks: int
    per: int
    slots: int
    neurons: int
    round: int  # passes
    update_warps: int
    listen_warps: int
    each: int
    drives: int
    history: bool
    ring_in_shared: bool
    table_in_shared: bool
    most: int  # spikes named in a round by a block

    @property
    def threads(self) -> int:
        """Return how many threads a block has."""
        return WARP * (self.update_warps + self.listen_warps)

    @property
    def shared(self) -> int:
        """Return how many bytes of memory a block shares, besides what is declared."""
        return 4 * self.slots * self.per if self.ring_in_shared else 0

    def __str__(self) -> str:
        constants = {
            "BLOCKS": self.blocks,
            "PER": self.per,
            "SLOTS": self.slots,
            "NEURONS": self.neurons,
            "ROUND": self.round,
            "UPDATE_WARPS": self.update_warps,
            "LISTEN_WARPS": self.listen_warps,
            "EACH": self.each,
            "DRIVES": self.drives,
            "HISTORY": int(self.history),
            "RING_IN_SHARED": int(self.ring_in_shared),
            "TABLE_IN_SHARED": int(self.table_in_shared),
            "LIST": self.most,
            "COPIES": COPIES,
        }
        return "\n".join(f"#define {name} {value}" for name, value in constants.items())


def sizes(circuit: Circuit, processors: int, shared: int) -> Sizes:
    """Return sizes for a device. processors: blocks that run at once; shared: bytes of a block."""
    neurons = circuit.neurons
    ends = [[link.delay + delay for delay in delays(link.map)] for link in circuit.links] or [[ROUNDS[-1], 0]]
    round_ = max(r for r in ROUNDS if r <= min(least for least, _ in ends))
    slots = max(largest for _, largest in ends) + round_
    sources = [g.operation.thresholds.shape[-1] for g in circuit.groups if isinstance(g.operation, Poisson)]
    drives = max(sum(drive.target == group for drive in all_drives(circuit)) for group in circuit.groups)
    blocks = min(processors, -(-neurons // NEURONS_OF_A_BLOCK))
    per = -(-neurons // blocks)
    listen = max(min(LISTENERS, blocks), -(-blocks // WARP))
    update = min(-(-per // WARP), MOST_WARPS - listen)
    near = per <= NEAR_TABLE
    own = STATIC_SHARED + 8 * per * near + listen * WARP * 6 * 4
    return Sizes(
        blocks=blocks,
        per=per,
        slots=slots,
        neurons=neurons,
        round=round_,
        update_warps=update,
        listen_warps=listen,
        each=-(-per // (WARP * update)),
        drives=drives,
        history=circuit.keeps_past,
        ring_in_shared=own + 4 * slots * per <= shared,
        table_in_shared=near,
        most=per * round_ * max(1, *sources, 1),
    )


def all_drives(circuit: Circuit) -> list[Drive]:
    """Return what drives neurons; a Poisson source that sends is a neuron that is driven by itself."""
    own = []
    for g in circuit.groups:
        if isinstance(g.operation, Poisson):
            identity = Map("diagonal", g.shape, g.shape, (0, g.shape[0]), (("gain", np.array(1, np.int32)),))
            own.append(Drive(g.operation, g, identity, 0))
    return [*circuit.drives, *own]


def source(circuit: Circuit, size: Sizes) -> str:
    """Return the text that is compiled."""
    texts = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in FILES).replace("#pragma once", "")
    return f"{size}\n{texts}\n{_step_neuron(circuit)}"


def own_values(circuit: Circuit) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Return the parameters that neurons of a group do not share, (fields, neurons)."""
    found = np.zeros((len(LIF), circuit.neurons), np.int32)
    for group in circuit.groups:
        if isinstance(group.operation, IfStep | LifStep):
            for name, values in group.operation.values():
                found[LIF.index(name), group.span] = _spread(values, group)
    return found


def _spread(values: Any, group: Group) -> Any:
    """Return a value for each neuron, of values for all, for each channel or each neuron."""
    return np.broadcast_to(by_channel(values, group.shape), group.shape).ravel()


def by_channel(values: Any, shape: tuple[int, ...]) -> Any:
    """Return values (C,) as an array that others of this shape can be multiplied by."""
    return values.reshape(-1, *(1,) * (len(shape) - 1)) if values.ndim == 1 else values


def _step_neuron(circuit: Circuit) -> str:
    """Return the function that takes a pass of neuron j; groups that do the same are one."""
    cases: list[tuple[int, str]] = []
    for group in circuit.groups:
        does = _does(group)
        if cases and cases[-1][1] == does:
            cases.pop()
        cases.append((group.span.stop, does))
    lines = [f"    if (j < {end}) return {does};" for end, does in cases]
    return "\n".join(
        [
            "__device__ __forceinline__",
            "int step_neuron(const Arguments& a, unsigned j, long long t, int i, Neuron& q) {",
            *lines,
            "    return 0;\n}",
        ]
    )


def _does(group: Group) -> str:
    """Return the expression of a neuron's pass.

    A Poisson source that sends is a neuron that passes on what drives it.
    """
    op = group.operation
    if isinstance(op, LifStep):
        phase = op.reset_offset % op.reset_interval if op.reset_interval else 0
        numbers = (op.fraction_bits, RESETS[op.reset], op.refractory, int(op.limits == "chip"), op.reset_interval,
                   phase, int(op.inclusive))  # fmt: skip
        return f"lif_step(Lif{{{_joined(*_values(op, LIF), *numbers)}}}, t, i, q)"
    if isinstance(op, IfStep):
        return f"if_step(If{{{_joined(*_values(op, IF), RESETS[op.reset])}}}, i, q)"
    return "i"


def _values(op: IfStep | LifStep, names: Sequence[str]) -> Iterator[str]:
    given = dict(op.values())
    for name in names:
        values = given[name]
        if values.size and values.min() == values.max():
            yield f"{int(values.flat[0])}"
        else:
            yield f"a.values[{LIF.index(name)}u * NEURONS + j]"


def _joined(*parts: Any) -> str:
    return ", ".join(map(str, parts))
