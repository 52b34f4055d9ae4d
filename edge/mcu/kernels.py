# SPDX-License-Identifier: Apache-2.0
"""The kernels in C: a row for each operation, and for each kind of map that `Apply` applies.

The row of KIND stands for the type `spikerun_KIND` and the function `spikerun_KIND_run` of `runtime/spikerun.h`. Where
several rows have the same kind, the first is taken whose needs the core has.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from spikerun.edge.mcu import crossover, maps, packings
from spikerun.edge.mcu.bounds import code_of
from spikerun.edge.mcu.table import Array, Shape, Table, channels_last, pairs, shape_of
from spikerun.errors import UnsupportedError
from spikerun.kernels.operations import Geometry, Map, Operand, Operation
from spikerun.kernels.program import Program, Register

__all__ = [
    "ELSEWHERE",
    "ROWS",
    "SILENT",
    "Call",
    "Kernel",
    "bytes_of",
    "choose",
    "fill",
    "sign_of",
    "wide",
]

Registers = Mapping[str, Register]
NOTHING: Mapping[str, float] = {}
EVENTS = 128  # of a linear map that are added at once, as in spikerun_dense.c
SMALL = 31  # values of which at least eight fit lanes of 16 bits together


# --- how things lie -------------------------------------------------------------------------------------------------


def sign_of(register: Register) -> int:
    """Return the sign bit of the words of a register, 0 if they are unsigned."""
    return {"int8": 0x80, "int16": 0x8000}.get(register.dtype, 0)


def bytes_of(register: Register) -> int:
    """Return how many bytes each element of a register has."""
    return np.dtype(register.dtype).itemsize


def wide(register: Register) -> bool:
    """Return whether a register holds words of two bytes."""
    return bytes_of(register) == 2


def _parameter(name: str, values: Array, shape: Shape) -> tuple[dict[str, int | str], Array]:
    """Return the fields of a spikerun_parameter for values of shape (), (C,), or that of a register.

    shape: that of the register, or of a row of it.
    """
    channels, steps = shape_of(shape)["channels"], (1, 0)
    if values.ndim == 0 or (values == values.flat[0]).all():
        steps, values = (0, 0), values.reshape(-1)[:1]
    elif values.shape != (channels,):
        steps, values = (1, channels), channels_last(values, values.shape)
    return {f"{name}.channel_step": steps[0], f"{name}.pixel_step": steps[1]}, values.astype(np.int32)


# --- from operations to tables --------------------------------------------------------------------------------------


def generic(operation: Operation, registers: Registers) -> Table:
    """Return the table that follows from the fields of an operation.

    `shape` is that of its first register, `sign` the sign bit of that if it holds words; values become parameters,
    numbers stay, sequences of numbers become arrays, and a choice the constant SPIKERUN_FIELD_CHOICE.
    """
    first = registers[next(operation.operands()).register]
    numbers: dict[str, int | str] = {f"shape.{key}": value for key, value in shape_of(first.shape).items()}
    arrays: dict[str, Array] = {}
    for name, values in operation.values():
        fields, arrays[f"{name}.values"] = _parameter(name, values, first.shape)
        numbers |= fields
    for name, value in operation.numbers():
        key = {"signed": "is_signed"}.get(name, name)  # a keyword of C
        if isinstance(value, tuple):
            arrays[key] = np.array(value, np.int32)
        else:
            numbers[key] = f"SPIKERUN_{name}_{value}".upper() if isinstance(value, str) else int(value)
    if first.dtype != "int32":
        numbers["sign"] = sign_of(first)
    return Table(f"spikerun_{operation.name}", numbers, arrays)


def fill(value: Array, shape: Shape) -> Table:
    """Return the table that fills a register with values."""
    fields, array = _parameter("value", value, shape)
    return Table(
        "spikerun_fill", {**{f"shape.{k}": n for k, n in shape_of(shape).items()}, **fields}, {"value.values": array}
    )


def _bytes(operation: Any, registers: Registers) -> Table:
    """Return the table of an operation that only moves bytes."""
    moved = {registers[o.register].dtype for o in operation.operands()}
    if len(moved) > 1 and "int32" in moved:
        raise UnsupportedError(f"there is no C code that turns words into int32: {operation}")
    first = registers[next(operation.operands()).register]
    return Table(f"spikerun_{operation.name}", {"bytes": first.size * bytes_of(first), **dict(operation.numbers())})


def _fire(operation: Any, registers: Registers) -> Table:
    """Return thresholds, and factors instead of divisions where they give every word."""
    table, threshold = generic(operation, registers), operation.threshold
    bits, divided = operation.bits, operation.signed or operation.max_spikes < operation.bits
    found = None if divided or threshold.ndim > 1 else factors(threshold, bits)
    if found is None:
        return Table(table.ctype, {**table.numbers, "factors": "NULL", "factor_step": 0}, table.arrays)
    each = np.pad(found, (0, -len(found) % 4)) if found.size > 1 else np.full(4, found)
    return Table(table.ctype, {**table.numbers, "factor_step": 4 * (found.size > 1)}, {**table.arrays, "factors": each})


def factors(threshold: Array, bits: int) -> Array | None:
    """Return int32 such that (v * factor) >> (40 - bits) is floor(v / threshold), for v up to threshold << bits.

    None where there are none that also do so with the lower 32 bits of the product dropped first.

    >>> factors(np.array([400, 50]), 4).tolist(), factors(np.array([1]), 4)
    ([171798692, 1374389535], None)
    """
    thresholds = threshold.astype(np.int64).reshape(-1)
    found = -(-(1 << (40 - bits)) // thresholds)
    if (found >= 2**31).any():
        return None
    words = np.arange(1, 2**bits + 1)
    first = words[:, None] * thresholds  # the least membranes of each word
    exact = (first * found >> 40 - bits == words[:, None]) & ((first - 1) * found >> 40 - bits == words[:, None] - 1)
    return found.astype(np.int32).reshape(threshold.shape) if exact.all() else None


def _fire_levels(operation: Any, registers: Registers) -> Table:
    """Return levels and words, rows of channels one behind the other; `step`: from one row to the next, 0 of one."""
    levels, words = operation.levels, operation.words
    numbers = {f"shape.{key}": value for key, value in shape_of(registers[operation.v].shape).items()}
    numbers |= {"count": levels.shape[-1], "top": 1 << (levels.shape[-1].bit_length() - 1)}
    numbers |= {"level_step": levels.shape[-1] * (levels.ndim - 1), "word_step": words.shape[-1] * (words.ndim - 1)}
    packed = {"levels": levels.reshape(-1), "words": words.astype(np.uint8).reshape(-1)}  # two's complement
    return Table("spikerun_fire_levels", numbers, packed)


def _windows(g: Geometry, sign: int) -> dict[str, int | str]:
    (channels, *source), (_, *target) = g.source, g.target
    ends = pairs(source=(source[0], source[1]), target=(target[0], target[1]), kernel=g.kernel)
    rest = pairs(stride=g.stride, padding=g.padding, dilation=g.dilation)
    return {"channels": channels, **ends, **rest, "sign": sign}


def _max_pool(operation: Any, registers: Registers) -> Table:
    return Table("spikerun_max_pool", _windows(operation.geometry, sign_of(registers[operation.x])))


def _max_pool_sums(operation: Any, registers: Registers) -> Table:
    return Table("spikerun_max_pool_sums", _windows(operation.geometry, 0))


def _max_pool_step(operation: Any, registers: Registers) -> Table:
    window = _windows(operation.geometry, sign_of(registers[operation.x]))
    numbers = {"restart_at": operation.restart_at, "sign_at": operation.sign_at}
    return Table("spikerun_max_pool_step", {**{f"window.{k}": v for k, v in window.items()}, **numbers})


def _values(register: Register) -> str:
    """Return what the values of a register's active neurons are."""
    if register.largest == 1 and not sign_of(register):
        return "SPIKERUN_VALUES_ONE"
    return "SPIKERUN_VALUES_SMALL" if register.largest <= SMALL else "SPIKERUN_VALUES_ANY"


def _dense(operation: Any, registers: Registers) -> Table:
    table, x = maps.dense(operation.map), registers[operation.x]
    weights, pixels = table.arrays["weights"], table.numbers["pixels"]
    numbers = {**table.numbers, "sign": sign_of(x), "values": _values(x)}
    return Table(table.ctype, numbers, {"weights": maps.rows(weights.reshape(len(weights), int(pixels), -1))})


def _dense_memory(operation: Any) -> int:
    """Return the numbers that list active neurons, as many as are added at once."""
    return 2 * min(int(math.prod(operation.map.source)), EVENTS)


def _conv(operation: Any, registers: Registers) -> Table:
    table, x = maps.conv_rows(operation.map), registers[operation.x]
    numbers = {**table.numbers, "sign": sign_of(x), "values": _values(x), "room": _room(operation.map)}
    return Table(table.ctype, numbers, table.arrays)


def _room(m: Map) -> int:
    """Return how many active neurons are listed at once: those of four times the columns that a target pixel sees."""
    _, channels, rows, columns = m["weight"].shape
    listed = min(m.source[2], 4 * ((columns - 1) * m["dilation"][1] + 1))
    return int(listed * rows * channels * m["groups"])


def _conv_memory(operation: Any) -> int:
    """Return the numbers that list active neurons: two for each, three for each group of a column and for the end."""
    m = operation.map
    columns = (m.target[2] - 1) * m["stride"][1] + (m["weight"].shape[3] - 1) * m["dilation"][1] + 1
    return int(3 * (columns * m["groups"] + 1) + 2 * _room(m))


def _dot(operation: Any, registers: Registers) -> Table:
    table = maps.dot(operation.map)
    assert table is not None
    return table


def _dot_memory(operation: Any) -> int:
    """Return the numbers that hold what a pixel sees; a linear map has it as it lies."""
    m = operation.map
    return -(-int(math.prod(m["weight"].shape[1:])) // 4) if maps.slides(m) else 1


def _pairs(operation: Any, registers: Registers) -> Table:
    table = maps.pairs_of_conv(operation.map)
    assert table is not None
    return Table(table.ctype, {**table.numbers, "sign": sign_of(registers[operation.x])}, table.arrays)


def _pairs_memory(operation: Any) -> int:
    """Return the numbers that hold what four pixels see as pairs of words, and a row of the kernel."""
    _, inputs, height, width = operation.map["weight"].shape
    return int(4 * height * len(maps.pairs_of(inputs * width)) + -(-inputs * width // 4))


def _apply(pack: Callable[[Map], Table]) -> Callable[[Any, Registers], Table]:
    def packed(operation: Any, registers: Registers) -> Table:
        table = pack(operation.map)
        return Table(table.ctype, {**table.numbers, "sign": sign_of(registers[operation.x])}, table.arrays)

    return packed


# --- the rows -------------------------------------------------------------------------------------------------------

Divisor = tuple[int, int]
Options = dict["Kernel", packings.Cost]


def _significance(operation: Any) -> Divisor:
    return operation.when.period, 0


@dataclass(frozen=True)
class Kernel:
    """A kernel: its sources (spikerun_KIND.c if none are named), what the core must have, how constants are packed.

    time: (divisor, begin) of an operation whose function takes the `phase` (t - begin) % divisor of the pass t.
    words: what it does depends on how many bytes words have; there is a second function, spikerun_KIND_wide_run.
    memory: how many int32 of memory of its own its function takes, as the last argument.
    row: its function computes one row of an image, and takes which; stretch: it works on any stretch of its registers.
    """

    kind: str
    pack: Callable[[Any, Registers], Table] = generic
    time: Callable[[Any], Divisor] | None = None
    more: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    file: str = ""
    words: bool = False
    memory: Callable[[Any], int] | None = None
    row: bool = False
    stretch: bool = False

    def wide(self) -> "Kernel":
        """Return the row for words of two bytes."""
        return replace(self, kind=f"{self.kind}_wide", more=(f"spikerun_{self.kind}.c", *self.more))

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the files of `runtime/` that it takes."""
        return (self.file or f"spikerun_{self.kind}.c", *self.more)


ROWS_OF_WEIGHTS = (
    *("spikerun_rows.c", "spikerun_rows.h", "spikerun_lanes.h"),
    *("spikerun_rows_v7m.h", "spikerun_rows_mve.h"),
)
PACKED_ROWS = ("spikerun_packed.h", "spikerun_packed_rows.h")
PACKED_CONV = ("spikerun_packed.h", "spikerun_packed_conv.h")
ROWS = (
    Kernel("dense", _dense, more=ROWS_OF_WEIGHTS, words=True, memory=_dense_memory),
    Kernel("conv", _conv, more=ROWS_OF_WEIGHTS, words=True, memory=_conv_memory, row=True),
    Kernel("depthwise", _apply(maps.depthwise), more=("spikerun_halves.h",), words=True, row=True),
    Kernel("dot", _dot, needs=frozenset({"mve"}), memory=_dot_memory, row=True),
    Kernel("pairs", _pairs, more=("spikerun_halves.h",), needs=frozenset({"dsp"}), memory=_pairs_memory, row=True),
    Kernel("sparse", _apply(maps.sparse), words=True),
    Kernel("delta", _apply(packings.packed("delta")), more=PACKED_ROWS, words=True),
    Kernel("bitmap", _apply(packings.packed("bitmap")), more=PACKED_ROWS, words=True),
    Kernel("conv_delta", _apply(packings.packed("delta")), more=PACKED_CONV, words=True),
    Kernel("conv_bitmap", _apply(packings.packed("bitmap")), more=PACKED_CONV, words=True),
    Kernel("diagonal", _apply(maps.diagonal), words=True, row=True),
    Kernel("sum_pool", _apply(maps.sum_pool), words=True, row=True),
    Kernel("fill", row=True, stretch=True),
    Kernel("clear", _bytes, file="spikerun_memory.c"),
    Kernel("copy", _bytes, file="spikerun_memory.c"),
    Kernel("delay", _bytes, lambda op: (op.steps, op.when.begin)),
    Kernel("encode", time=_significance, words=True),
    Kernel("weigh", time=_significance, words=True),
    Kernel("accumulate", time=_significance, words=True),
    Kernel("add_shifted", stretch=True),
    Kernel("fire", _fire, row=True, stretch=True),
    Kernel("fire_levels", _fire_levels, stretch=True),
    Kernel("latch"),
    Kernel("send", time=_significance),
    Kernel("if_step"),
    Kernel("lif_step", time=lambda op: (op.reset_interval or 1, op.when.begin)),
    Kernel("collect"),
    Kernel("max_pool", _max_pool, words=True, row=True),
    Kernel("max_pool_sums", _max_pool_sums),
    Kernel("max_pool_step", _max_pool_step, lambda op: (op.when.period, 0), words=True),
)
SPECIAL: Mapping[str, tuple[str, Callable[[Map], bool]]] = {"conv": ("depthwise", maps.is_depthwise)}
SILENT = frozenset({"count", "decide"})  # a board counts no activity, and runs to the end
# For large recurrent networks, which no board holds, and how a user calls them; all others have rows above.
ELSEWHERE: Mapping[str, str] = {
    "poisson": "neurons that send by themselves (Poisson)",
    "scatter": "synapses with delays of their own, on the way out of it",
    "arrive": "synapses with delays of their own",
    "random": "connections that are drawn from a rule (Random)",
}


@dataclass(frozen=True, eq=False)
class Call:
    """An operation with the kernel that executes it, its registers in the order of its arguments, and why this one."""

    operation: Operation
    kernel: Kernel
    operands: tuple[Operand, ...]
    reason: str = ""

    @cached_property
    def writes(self) -> list[str]:
        """Return the registers that it writes."""
        return [o.register for o in self.operands if o.role != "read"]


def choose(
    program: Program,
    owners: Mapping[str, str],
    features: Collection[str] = (),
    packing: str = "auto",
    activity: Mapping[str, float] = NOTHING,
) -> list[Call]:
    """Return the calls that execute a program on a board; `owners` names the population of each register.

    packing: one of `packings.WISHES`; where it leaves a choice, `small` makes tables and code as small as it can,
    `auto` their bytes times the instructions, so that a percent of flash is worth a percent of time.
    activity: the share of active neurons of registers, where it was measured.

    Raises UnsupportedError, by name, for what has none.
    """
    best = {row.kind: row for row in reversed(ROWS) if row.needs <= set(features)}
    registers = {register.name: register for register in program.registers}
    found: list[tuple[Operation, tuple[Operand, ...], Options, str]] = []
    for operation in program.operations:
        kinds, reason = _kinds(operation, packing, registers, activity, features)
        if SILENT & kinds.keys():
            continue
        operands = tuple(operation.operands())
        rows = {best[kind]: cost for kind, cost in kinds.items() if kind in best}
        if not rows:
            written = next(o.register for o in reversed(operands) if o.role != "read")
            kind = next(iter(kinds))
            raise UnsupportedError(
                f"population '{owners[written]}': there is no C code for {ELSEWHERE.get(kind, repr(kind))}; "
                "spikerun.Session runs or streams it on this computer"
            )
        both_bytes = any(wide(registers[operand.register]) for operand in operands)
        options = {row.wide() if row.words and both_bytes else row: cost for row, cost in rows.items()}
        found.append((operation, operands, options, reason))
    chosen = _choose([options for *_, options, _ in found], packing)
    return [
        Call(operation, row, operands, reason)
        for (operation, operands, _, reason), row in zip(found, chosen, strict=True)
    ]


def _kinds(
    operation: Any, packing: str, registers: Registers, activity: Mapping[str, float], features: Collection[str]
) -> tuple[dict[str, packings.Cost], str]:
    """Return the kinds of rows that can execute an operation, with their costs where these make a choice; and why."""
    if operation.name != "apply":
        return {str(operation.name): packings.Cost(0, 0)}, ""
    m, found = operation.map, packings.costs(operation.map, packing)
    choice = crossover.choice(m, registers[operation.x], activity, features)
    if choice is not None and choice.kind and m.kind in found:
        plain = found.pop(m.kind)
        dense = plain._replace(instructions=plain.instructions * choice.share)
        return {choice.kind: dense, **{_special(kind, m): cost for kind, cost in found.items()}}, choice.reason
    return {_special(kind, m): cost for kind, cost in found.items()}, "" if choice is None else choice.reason


def _special(kind: str, m: Map) -> str:
    """Return the kind of row for weights as they are of a map that has one of its own."""
    special, suits = SPECIAL.get(kind, (kind, None))
    return special if suits is not None and suits(m) else kind


def _choose(options: list[Options], packing: str) -> list[Kernel]:
    """Return the kernel of each operation: one choice is changed after the other, until no change makes it better.

    So it may miss the best of all. It begins once with weights as they are, once with the smallest tables.
    """
    starts = [next(iter(each)) for each in options], [min(each, key=lambda row: each[row].bytes) for each in options]
    return min((_settled(options, start, packing) for start in starts), key=lambda found: found[0])[1]


def _settled(options: list[Options], chosen: list[Kernel], packing: str) -> tuple[float, list[Kernel]]:
    """Return what the kernels cost that changes of `chosen` lead to, and these."""
    used = Counter(chosen)
    tables = sum(each[row].bytes for each, row in zip(options, chosen, strict=True))
    instructions = sum(each[row].instructions for each, row in zip(options, chosen, strict=True))

    def cost(of: Options, old: Kernel, new: Kernel) -> float:
        rows = (used - Counter([old])).keys() | {new}
        code = sum(map(code_of, {file for row in rows for file in row.sources}))
        size = code + tables - of[old].bytes + of[new].bytes
        return size * (1 if packing == "small" else instructions - of[old].instructions + of[new].instructions)

    open_ = [k for k, each in enumerate(options) if len(each) > 1]
    changed = True
    while changed:
        changed = False
        for k in open_:
            each, old = options[k], chosen[k]
            new = min(each, key=lambda row: cost(each, old, row))
            if cost(each, old, new) < cost(each, old, old):
                tables += each[new].bytes - each[old].bytes
                instructions += each[new].instructions - each[old].instructions
                used += Counter([new])
                used -= Counter([old])
                chosen[k], changed = new, True
    return (cost(options[0], chosen[0], chosen[0]) if options else 0), chosen
