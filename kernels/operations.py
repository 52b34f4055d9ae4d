# SPDX-License-Identifier: Apache-2.0
"""The instruction set: operations on named registers, as data that every executor compiles, prints or transforms.

A program is executed in passes; pass t executes, in order, each operation whose `When` includes t. Registers are
images (C, H, W) or vectors (N,) of integers: `uint8` and `int8`, for wide words `uint16` and `int16`, hold words,
spikes and payloads, `int32` currents, membranes and other state. An executor chooses its own layout and may hold words
wider. Nothing here knows a network: labels that a program carries beside its registers (of inputs, outputs, counters)
mean nothing to an executor.

Below, arrays of `Values` are int32 of shape (), (C,) or the register's: one number for all neurons, for a channel, or
for each neuron. Arrays of `Tables` are int32 of shape (E,) or (C, E): E entries for all neurons, or for each channel;
`Thresholds` are such tables of uint32. `g` is `significance[t % period]`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_type_hints

import numpy as np
import numpy.typing as npt

__all__ = [
    "FOREVER",
    "OPERATIONS",
    "Accumulate",
    "AddShifted",
    "Apply",
    "Arrive",
    "Clear",
    "Collect",
    "Copy",
    "Count",
    "Decide",
    "Delay",
    "Dtype",
    "Encode",
    "Fill",
    "Fire",
    "FireLevels",
    "Geometry",
    "IfStep",
    "Latch",
    "LifStep",
    "Map",
    "MaxPool",
    "MaxPoolStep",
    "MaxPoolSums",
    "Operand",
    "Operation",
    "Poisson",
    "Scatter",
    "Send",
    "Weigh",
    "When",
    "same",
    "shape_text",
]

FOREVER = 2**62  # later than any pass

Shape = tuple[int, ...]
Pair = tuple[int, int]
Dtype = Literal["uint8", "int8", "uint16", "int16", "int32"]
Values = Annotated[npt.NDArray[np.int32], "values"]
Tables = Annotated[npt.NDArray[np.int32], "table"]
Thresholds = Annotated[npt.NDArray[np.uint32], "table"]
Reads = Annotated[str, "read"]  # the name of a register
Writes = Annotated[str, "write"]  # every element is overwritten, and none was looked at before
Updates = Annotated[str, "update"]
ROLES = ("read", "write", "update")


@dataclass(frozen=True)
class When:
    """The passes t at which an operation executes: begin <= t < end with first <= t % period <= last."""

    period: int = 1
    begin: int = 0
    end: int = FOREVER
    first: int = 0
    last: int = -1  # means period - 1

    def __post_init__(self) -> None:
        if self.last == -1:
            object.__setattr__(self, "last", self.period - 1)
        if not (
            self.period >= 1 and 0 <= self.begin <= self.end <= FOREVER and 0 <= self.first <= self.last < self.period
        ):
            raise ValueError(f"no such time: {self!r}")

    def includes(self, t: int) -> bool:
        """Return whether pass t is one of them."""
        return self.begin <= t < self.end and self.first <= t % self.period <= self.last

    @property
    def always(self) -> bool:
        """Return whether every pass is one of them."""
        return self.begin == 0 and self.end == FOREVER and self.last - self.first == self.period - 1

    def covers(self, other: "When") -> bool:
        """Return whether every pass of `other` is certainly one of these."""
        inside = self.begin <= other.begin and other.end <= self.end
        whole = self.last - self.first == self.period - 1
        part = self.period == other.period and self.first <= other.first and other.last <= self.last
        return inside and (whole or part)

    def __str__(self) -> str:
        span = [] if not self.begin else [f"from {self.begin}"]
        span += [] if self.end == FOREVER else [f"before {self.end}"]
        if self.last - self.first < self.period - 1:
            span.append(f"at {self.first}..{self.last} of {self.period}")
        return ", ".join(span) or "always"


ALWAYS = When()


@dataclass(frozen=True, eq=False)
class Map:
    """A linear map C: `kind` names it, `parameters` are its arrays and numbers, as connections of that kind have them.

    It takes a register of shape `source` to channels `channels[0]:channels[1]` of a register of shape `target`.
    """

    kind: str
    source: Shape
    target: Shape
    channels: Pair
    parameters: tuple[tuple[str, Any], ...]

    def __getitem__(self, name: str) -> Any:
        return dict(self.parameters)[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Map) and same(self, other)

    def __str__(self) -> str:
        part = "" if self.channels == (0, self.target[0]) else f" channels {self.channels[0]}:{self.channels[1]}"
        return f"{self.kind} {shape_text(self.source)} -> {shape_text(self.target)}{part}"


@dataclass(frozen=True)
class Geometry:
    """Sliding windows over an image: shapes are (C, H, W), pairs (vertical, horizontal)."""

    source: Shape
    target: Shape
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair


class Operand(NamedTuple):
    """A register that an operation uses: the field that names it, its name, and how it is used."""

    field: str
    register: str
    role: Literal["read", "write", "update"]


@dataclass(frozen=True, eq=False)
class Operation:
    """Base of all operations."""

    name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @property
    def time(self) -> When:
        """Return when the operation executes."""
        when: When = getattr(self, "when")  # noqa: B009  # each subclass has it as its last field
        return when

    def operands(self) -> Iterator[Operand]:
        """Yield the registers that the operation uses, in the order of its fields."""
        for name, mark in _marks(self):
            if mark in ROLES:
                yield Operand(name, getattr(self, name), mark)

    def values(self) -> Iterator[tuple[str, npt.NDArray[np.int32]]]:
        """Yield the parameters that have a value for each neuron or channel, by field."""
        for name, mark in _marks(self):
            if mark == "values":
                yield name, getattr(self, name)

    def tables(self) -> Iterator[tuple[str, npt.NDArray[np.int32]]]:
        """Yield the parameters that are tables, by field."""
        for name, mark in _marks(self):
            if mark == "table":
                yield name, getattr(self, name)

    def numbers(self) -> Iterator[tuple[str, Any]]:
        """Yield all other parameters, by field; `when` is none."""
        for name, mark in _marks(self):
            if mark is None and name != "when":
                yield name, getattr(self, name)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and same(self, other)

    def __str__(self) -> str:
        said = [f"{o.field}={o.register}" for o in self.operands()]
        said += [f"{name}={_text(value)}" for name, value in (*self.values(), *self.tables(), *self.numbers())]
        time = "" if self.time.always else f"  [{self.time}]"
        return f"{self.name}({', '.join(said)}){time}"


@dataclass(frozen=True, eq=False)
class Fill(Operation):
    """acc = value."""

    acc: Writes
    value: Values
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Clear(Operation):
    """x = 0."""

    x: Writes
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Copy(Operation):
    """y = x; both have the same shape, and are words or int32."""

    x: Reads
    y: Writes
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Encode(Operation):
    """s = the events that the integers q send at this step; `spikerun.codes` defines the codes.

    bits: s = (q & |g|) != 0; ttfs: s = q == g and g > 0; graded, current: s = g q.
    """

    q: Reads
    s: Writes
    code: str
    significance: tuple[int, ...]
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Apply(Operation):
    """acc += C(x), modulo 2^32."""

    x: Reads
    acc: Updates
    map: Map
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Fire(Operation):
    """word = clip(floor(v / threshold), lo, hi), then only its `max_spikes` most significant set bits.

    lo..hi is 0..2^bits - 1; signed: -2^(bits-1)..2^(bits-1) - 1, two's complement.
    """

    v: Reads
    word: Writes
    threshold: Values
    bits: int
    signed: bool
    max_spikes: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class FireLevels(Operation):
    """word = words[k], k = how many of the levels, which do not decrease, are <= v; one word more than levels."""

    v: Reads
    word: Writes
    levels: Tables
    words: Tables
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Latch(Operation):
    """u = v, left = limit: what was integrated is now to be sent, in at most `limit` spikes."""

    v: Reads
    u: Writes
    left: Writes
    limit: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Send(Operation):
    """One step of restoring division.

    g > 0: s = (u >= threshold g) and (left > 0), u -= threshold g s, left -= s. g < 0 (the sign): s = (u < 0) and
    (left > 0), u += threshold |g| s, left -= s. g = 0: s = 0.
    """

    u: Updates
    left: Updates
    s: Writes
    threshold: Values
    significance: tuple[int, ...]
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Weigh(Operation):
    """y = g x."""

    x: Reads
    y: Writes
    significance: tuple[int, ...]
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Accumulate(Operation):
    """total += g x; total is int32."""

    x: Reads
    total: Updates
    significance: tuple[int, ...]
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class AddShifted(Operation):
    """total += x << bits, modulo 2^32; both are int32."""

    x: Reads
    total: Updates
    bits: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Delay(Operation):
    """y = x of `steps` passes ago, zeros at first; `ring` has `steps` times the elements of x.

    Pass t exchanges place (t - begin) % steps of the ring. It executes at every pass from `begin` on.
    """

    x: Reads
    ring: Updates
    y: Writes
    steps: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Poisson(Operation):
    """s[n] = how many of the thresholds of neuron n, which do not decrease, are smaller than its word of this pass.

    That is word t & 3 of `kernels.philox.philox(seed, n, (t >> 2) & (2^32 - 1), t >> 34, POISSON)`: n counts the
    neurons in C order, of (C, H, W) too, t the passes since the start. A row has at most 255 thresholds; one of
    2^32 - 1 never counts.
    """

    s: Writes
    thresholds: Thresholds
    seed: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Scatter(Operation):
    """ring[(t + delay + d) % slots, j] += w x[i] << bits, for each synapse of the map, from i to j with weight w and
    delay d; modulo 2^32.

    `kernels.synapses.expanded` says which synapses a map has: kinds `sparse` and `dense` with their array `delays`, or
    `random`. ring: (slots, *the target's shape) of an int32 register, which all maps into a population share; slots is
    a power of two, and 0 <= delay + d < slots (`delay` itself may be negative). What arrives at once is scattered
    before the `Arrive` of its pass, all else before or after it.
    """

    x: Reads
    ring: Updates
    map: Map
    delay: int
    bits: int
    slots: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Arrive(Operation):
    """acc += ring[t % slots], modulo 2^32, which then is 0; acc is int32."""

    ring: Updates
    acc: Updates
    slots: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class IfStep(Operation):
    """v = clip(v + i + bias, max(v_min, -(2^23 - 1)), 2^23 - 1); s = (v >= threshold); then the reset.

    reset `subtract`: v -= threshold s; `zero`: v = 0 where s.
    """

    i: Reads
    v: Updates
    s: Writes
    threshold: Values
    bias: Values
    v_min: Values
    reset: str
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class LifStep(Operation):
    """The leaky integrate-and-fire neuron in fixed point; `spikerun.LIF` holds the equation.

    wait: refractory steps left; pending: a spike whose threshold is subtracted at the next update. Before pass t with
    t - begin = reset_offset (mod reset_interval) the whole state is cleared, if reset_interval is not 0.
    """

    i: Reads
    u: Updates
    v: Updates
    wait: Updates
    pending: Updates
    s: Writes
    threshold: Values
    keep_v: Values
    keep_u: Values
    bias: Values
    bias_u: Values
    v_reset: Values
    v_min: Values
    fraction_bits: int
    reset: str
    refractory: int
    limits: str
    reset_interval: int
    reset_offset: int
    inclusive: bool
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Collect(Operation):
    """What the membranes of a window come to. mode `max`: answer = max(answer, v); `mean`: answer += v >> shift."""

    v: Reads
    answer: Updates
    mode: str
    shift: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class MaxPool(Operation):
    """y = the largest word or event of each window; what lies outside the image never wins."""

    x: Reads
    y: Writes
    geometry: Geometry
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class MaxPoolStep(Operation):
    """The same, spike by spike, most significant first.

    alive: (kh * kw, *shape of y), the inputs that are still candidates, by the tap through which they are seen. At
    t % period = restart_at all inputs inside the image are; y = the largest x of the candidates (at t % period =
    sign_at the smallest; -1: never), all that differ from it are dropped.
    """

    x: Reads
    alive: Updates
    y: Writes
    geometry: Geometry
    restart_at: int
    sign_at: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class MaxPoolSums(Operation):
    """acc = the largest sum of each window; what lies outside the image never wins."""

    sums: Reads
    acc: Writes
    geometry: Geometry
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Count(Operation):
    """counters[slot] += (spikes, sum of spikes * fan_out).

    mode `popcount`: the set bits of the `bits` lowest are spikes; `nonzero`: a word that is not 0 is one.
    """

    word: Reads
    fan_out: Values
    mode: str
    bits: int
    slot: int
    when: When = ALWAYS


@dataclass(frozen=True, eq=False)
class Decide(Operation):
    """steps = t + 1; the run ends after this pass if nothing can change any more where the largest of v is.

    That is b, the first of equals. bounds: for each pass from `when.begin` to its end, a row for each element k of v
    with one column for each b, or one for any; 2^31 - 1 is never enough. rule, for all other k: `gain`: the bound is
    what k can gain on b, v[b] - v[k] >= bound, or more if k < b; `reach`: what k can come to, v[b] >= bound, or more if
    k < b; `lead`: v[b] - v[k] >= bound. scale, unless empty: of each element, by which v is multiplied for all this, in
    float64; then no more is asked of those before b.
    """

    v: Reads
    steps: Writes
    bounds: Tables
    rule: str
    scale: tuple[float, ...] = ()
    when: When = ALWAYS


OPERATIONS: tuple[type[Operation], ...] = (
    Fill, Clear, Copy, Encode, Apply, Fire, FireLevels, Latch, Send, Weigh, Accumulate, AddShifted, Delay, Poisson,
    Scatter, Arrive, IfStep, LifStep, Collect, MaxPool, MaxPoolStep, MaxPoolSums, Count, Decide,
)  # fmt: skip


def _marks(operation: Operation) -> tuple[tuple[str, Any], ...]:
    """Return the fields of an operation, each with what its type is marked with, or None; looked up once a class."""
    if operation.name not in _MARKS:
        hints = get_type_hints(type(operation), include_extras=True)
        names = [field.name for field in fields(operation)]
        _MARKS[operation.name] = tuple((name, getattr(hints[name], "__metadata__", (None,))[0]) for name in names)
    return _MARKS[operation.name]


_MARKS: dict[str, tuple[tuple[str, Any], ...]] = {}


def same(a: Any, b: Any) -> bool:
    """Return whether two parts of a program, of one class, have equal fields, arrays element by element."""
    return all(_equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(int(value)) if not value.ndim else f"{shape_text(value.shape)} in {value.min()}..{value.max()}"
    if isinstance(value, Geometry):
        return f"{value.kernel[0]}x{value.kernel[1]} windows"
    return str(value)


def shape_text(shape: Shape) -> str:
    """Return a shape as it is printed.

    >>> shape_text((8, 4, 4))
    '8x4x4'
    """
    return "x".join(map(str, shape))
