# SPDX-License-Identifier: Apache-2.0
"""The kernels in C: a row for each operation, and for each kind of map that `Apply` applies.

The row of KIND stands for the type `spikerun_KIND` and the function `spikerun_KIND_run` of `runtime/spikerun.h`. Where
several rows have the same kind, the first is taken whose needs the core has.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import UnsupportedError
from spikerun.kernels.operations import Geometry, Map, Operand, Operation
from spikerun.kernels.program import Program, Register

__all__ = [
    "ROWS",
    "SILENT",
    "Call",
    "Kernel",
    "Table",
    "bytes_of",
    "channels_last",
    "choose",
    "fill",
    "kind_of",
    "shape_of",
    "sign_of",
    "wide",
]

Array = npt.NDArray[Any]
Registers = Mapping[str, Register]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """A constant struct of the C type `ctype`: numbers, and arrays that it points to (field -> values).

    A field of a struct within the struct is written `outer.inner`.
    """

    ctype: str
    numbers: Mapping[str, int | str]
    arrays: Mapping[str, Array] = field(default_factory=dict)


# --- how things lie -------------------------------------------------------------------------------------------------


def shape_of(shape: Shape) -> dict[str, int]:
    """Return channels and pixels of a register: neurons without an image are channels of one pixel."""
    image = len(shape) == 3
    return {"channels": shape[0] if image else math.prod(shape), "pixels": math.prod(shape[1:]) if image else 1}


def channels_last(values: Array, shape: Shape) -> Array:
    """Return one value for each neuron in the order in which they lie in memory: row, column, channel.

    >>> channels_last(np.arange(6), (2, 1, 3)).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    values = np.asarray(values).reshape(shape)
    return (np.moveaxis(values, 0, -1) if len(shape) == 3 else values).ravel()


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
    """Return the fields of a spikerun_parameter for values of shape (), (C,) or `shape`."""
    channels, steps = shape_of(shape)["channels"], (1, 0)
    if values.ndim == 0 or (values == values.flat[0]).all():
        steps, values = (0, 0), values.reshape(-1)[:1]
    elif values.shape != (channels,):
        steps, values = (1, channels), channels_last(values, shape)
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


def _fire_levels(operation: Any, registers: Registers) -> Table:
    """Return levels and words, rows of channels one behind the other; `step`: from one row to the next, 0 of one."""
    levels, words = operation.levels, operation.words
    numbers = {f"shape.{key}": value for key, value in shape_of(registers[operation.v].shape).items()}
    numbers |= {"count": levels.shape[-1], "top": 1 << (levels.shape[-1].bit_length() - 1)}
    numbers |= {"level_step": levels.shape[-1] * (levels.ndim - 1), "word_step": words.shape[-1] * (words.ndim - 1)}
    packed = {"levels": levels.reshape(-1), "words": words.astype(np.uint8).reshape(-1)}  # two's complement
    return Table("spikerun_fire_levels", numbers, packed)


def _pairs(**pairs: tuple[int, int]) -> dict[str, int | str]:
    """Return fields of pairs: kernel -> kernel_height, kernel_width; others -> _y, _x."""
    numbers: dict[str, int | str] = {}
    for key, (vertical, horizontal) in pairs.items():
        ends = ("height", "width") if key in ("kernel", "source", "target") else ("y", "x")
        numbers[f"{key}_{ends[0]}"], numbers[f"{key}_{ends[1]}"] = vertical, horizontal
    return numbers


def _windows(g: Geometry, sign: int) -> dict[str, int | str]:
    (channels, *source), (_, *target) = g.source, g.target
    ends = _pairs(source=(source[0], source[1]), target=(target[0], target[1]), kernel=g.kernel)
    rest = _pairs(stride=g.stride, padding=g.padding, dilation=g.dilation)
    return {"channels": channels, **ends, **rest, "sign": sign}


def _max_pool(operation: Any, registers: Registers) -> Table:
    return Table("spikerun_max_pool", _windows(operation.geometry, sign_of(registers[operation.x])))


def _max_pool_sums(operation: Any, registers: Registers) -> Table:
    return Table("spikerun_max_pool_sums", _windows(operation.geometry, 0))


def _max_pool_step(operation: Any, registers: Registers) -> Table:
    window = _windows(operation.geometry, sign_of(registers[operation.x]))
    numbers = {"restart_at": operation.restart_at, "sign_at": operation.sign_at}
    return Table("spikerun_max_pool_step", {**{f"window.{k}": v for k, v in window.items()}, **numbers})


# --- from maps to tables --------------------------------------------------------------------------------------------


def _target(m: Map) -> dict[str, int | str]:
    """Return where in the channels of the target a map adds: `pitch`, the channels that it has, and `offset`."""
    return {"pitch": shape_of(m.target)["channels"], "offset": m.channels[0]}


def _part(m: Map) -> Shape:
    return (m.channels[1] - m.channels[0], *m.target[1:])


def _dense(m: Map) -> Table:
    part, source = _part(m), math.prod(m.source)
    rows = channels_last(np.arange(source), m.source)
    columns = channels_last(np.arange(math.prod(part)), part)
    weights = np.ascontiguousarray(m["weight"][rows[:, None], columns])
    numbers: dict[str, int | str] = {"inputs": source, **shape_of(part), **_target(m)}
    if numbers["channels"] == numbers["pitch"]:  # all of the target, in one run
        numbers |= {"channels": len(columns), "pixels": 1, "pitch": len(columns)}
    return Table("spikerun_dense", numbers, {"weights": weights})


def _sparse(m: Map) -> Table:
    order = channels_last(np.arange(math.prod(m.source)), m.source)
    begin, counts = m["indptr"][:-1][order], np.diff(m["indptr"])[order]
    starts = np.concatenate([[0], np.cumsum(counts)])
    entry = np.repeat(begin - starts[:-1], counts) + np.arange(starts[-1])
    inner, target = math.prod(m.target[1:]), m["indices"][entry].astype(np.int64)
    places = target % inner * m.target[0] + m.channels[0] + target // inner
    narrow = math.prod(m.target) <= 2**16
    arrays = {
        "starts": starts.astype(np.uint32),
        "targets" if narrow else "wide_targets": _filled(places.astype(np.uint16 if narrow else np.uint32)),
        "weights": _filled(m["data"][entry]),
    }
    return Table("spikerun_sparse", {"inputs": len(order)}, arrays)


def _filled(array: Array) -> Array:
    """Return the array, or one zero instead of none: C has no empty arrays."""
    return array if array.size else np.zeros(1, array.dtype)


def _conv(m: Map) -> Table:
    """Weights as [group][source channel][row][column, reversed][target channel of the group]."""
    weight, groups = m["weight"], m["groups"]
    per_group = weight.shape[0] // groups
    grouped = weight.reshape(groups, per_group, *weight.shape[1:])
    weights = grouped.transpose(0, 2, 3, 4, 1)[:, :, :, ::-1]
    numbers = {
        "groups": groups,
        "source_channels": weight.shape[1],
        "channels": per_group,
        **_pairs(source=(m.source[1], m.source[2]), target=(m.target[1], m.target[2]), kernel=weight.shape[2:]),
        **_pairs(stride=m["stride"], padding=m["padding"], dilation=m["dilation"]),
        **_target(m),
    }
    return Table("spikerun_conv", numbers, {"weights": np.ascontiguousarray(weights)})


def _gains(gain: Array) -> tuple[int, Array]:
    return int(gain.ndim and gain.size > 1), gain.reshape(-1)


def _diagonal(m: Map) -> Table:
    step, gains = _gains(m["gain"])
    return Table("spikerun_diagonal", {"gain_step": step, **shape_of(m.source), **_target(m)}, {"gains": gains})


def _sum_pool(m: Map) -> Table:
    step, gains = _gains(m["gain"])
    ends = _pairs(source=(m.source[1], m.source[2]), target=(m.target[1], m.target[2]), kernel=m["kernel"])
    rest = _pairs(stride=m["stride"], padding=m["padding"])
    numbers = {"gain_step": step, "channels": m.source[0], **ends, **rest, **_target(m)}
    return Table("spikerun_sum_pool", numbers, {"gains": gains})


def _apply(pack: Callable[[Map], Table]) -> Callable[[Any, Registers], Table]:
    def packed(operation: Any, registers: Registers) -> Table:
        table = pack(operation.map)
        return Table(table.ctype, {**table.numbers, "sign": sign_of(registers[operation.x])}, table.arrays)

    return packed


# --- the rows -------------------------------------------------------------------------------------------------------

Divisor = tuple[int, int]


def _significance(operation: Any) -> Divisor:
    return operation.when.period, 0


@dataclass(frozen=True)
class Kernel:
    """A kernel: its sources (spikerun_KIND.c if none are named), what the core must have, how constants are packed.

    time: (divisor, begin) of an operation whose function takes the `phase` (t - begin) % divisor of the pass t.
    words: what it does depends on how many bytes words have; there is a second function, spikerun_KIND_wide_run.
    """

    kind: str
    pack: Callable[[Any, Registers], Table] = generic
    time: Callable[[Any], Divisor] | None = None
    more: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    file: str = ""
    words: bool = False

    def wide(self) -> "Kernel":
        """Return the row for words of two bytes."""
        return replace(self, kind=f"{self.kind}_wide", more=(f"spikerun_{self.kind}.c", *self.more))

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the files of `runtime/` that it takes."""
        return (self.file or f"spikerun_{self.kind}.c", *self.more)


ROWS = (
    Kernel("dense", _apply(_dense), more=("spikerun_add_rows.c",), words=True),
    Kernel("conv", _apply(_conv), more=("spikerun_add_rows.c",), words=True),
    Kernel("sparse", _apply(_sparse), words=True),
    Kernel("diagonal", _apply(_diagonal), words=True),
    Kernel("sum_pool", _apply(_sum_pool), words=True),
    Kernel("fill"),
    Kernel("clear", _bytes, file="spikerun_memory.c"),
    Kernel("copy", _bytes, file="spikerun_memory.c"),
    Kernel("delay", _bytes, lambda op: (op.steps, op.when.begin)),
    Kernel("encode", time=_significance, words=True),
    Kernel("weigh", time=_significance, words=True),
    Kernel("accumulate", time=_significance, words=True),
    Kernel("add_shifted"),
    Kernel("fire"),
    Kernel("fire_levels", _fire_levels),
    Kernel("latch"),
    Kernel("send", time=_significance),
    Kernel("if_step"),
    Kernel("lif_step", time=lambda op: (op.reset_interval or 1, op.when.begin)),
    Kernel("collect"),
    Kernel("max_pool", _max_pool, words=True),
    Kernel("max_pool_sums", _max_pool_sums),
    Kernel("max_pool_step", _max_pool_step, lambda op: (op.when.period, 0), words=True),
)
SILENT = frozenset({"count"})  # activity is not counted on a board


def kind_of(operation: Any) -> str:
    """Return the kind of the row that an operation needs."""
    return str(operation.map.kind) if operation.name == "apply" else str(operation.name)


@dataclass(frozen=True, eq=False)
class Call:
    """An operation with the kernel that executes it."""

    operation: Operation
    kernel: Kernel
    operands: tuple[Operand, ...]

    @cached_property
    def writes(self) -> list[str]:
        """Return the registers that it writes."""
        return [o.register for o in self.operands if o.role != "read"]


def choose(program: Program, owners: Mapping[str, str], features: Collection[str] = ()) -> list[Call]:
    """Return the calls that execute a program on a board; `owners` names the population of each register.

    Raises UnsupportedError, by name, for what has none.
    """
    best = {row.kind: row for row in reversed(ROWS) if row.needs <= set(features)}
    registers = {register.name: register for register in program.registers}
    chosen = []
    for operation in program.operations:
        kind = kind_of(operation)
        if kind in SILENT:
            continue
        operands = tuple(operation.operands())
        if kind not in best:
            written = next(o.register for o in reversed(operands) if o.role != "read")
            raise UnsupportedError(
                f"population '{owners[written]}': there is no C code for '{kind}'; "
                "`spikerun run` executes it on this computer"
            )
        row = best[kind]
        both_bytes = row.words and any(wide(registers[operand.register]) for operand in operands)
        chosen.append(Call(operation, row.wide() if both_bytes else row, operands))
    return chosen
