# SPDX-License-Identifier: Apache-2.0
"""What every kind of neuron is: its parameters, its traits, and its law in plain NumPy.

Symbols, the same everywhere: `v` membrane potential, `th` threshold, `b` bias, `i` current, `s` spike, `q` the integer
that a few-spikes neuron computes, `T` its bits, `W` the steps of the network's window, `g` the significance of a spike.
Parameters that may differ between neurons are int32 arrays of shape () (all neurons), (C,) (per channel, the first axis
of the population) or the population's full shape. The laws compute in int64, on values that the contract confines to
int32, one sample at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from spikerun.codes import Word

__all__ = ["V_LIMIT", "Int32Array", "IntArray", "Neuron", "Now", "Shape", "State", "spread"]

Int32Array = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Shape = tuple[int, ...]
State = dict[str, IntArray]

V_LIMIT = 2**23 - 1  # membranes of IF and LIF neurons saturate at +-V_LIMIT, as on the chip
INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Now:
    """A step of time: `t`, its number since the population began; `r`, its place in the window; `g` of what is sent.

    window: W.
    """

    t: int
    r: int
    g: int = 1
    window: int = 1


class Neuron:
    """Base of all kinds. `kind` is the name in files and messages; fields are the parameters.

    Traits, which everybody asks instead of the type:
    is_input: spikes come from outside, not from projections. spontaneous: it sends by itself, and takes no projection.
    fires: it sends something. integrates: whether it adds up its currents over a whole `window`, updates at each
    `step`, or neither (it has no accumulator). answers_after: windows between the one in which it integrates a frame
    and the one in which it sends. passes_on: it compares the events of its one projection, a `Window`, and sends as its
    source does. state: what it may keep from step to step, and in which type of integer (`v` is the membrane
    potential). instruction: the kernels' operation that updates it, where it integrates step by step. tables: those of
    the parameters whose last axis counts entries of a table; what is before it is () or (C,).
    """

    kind: ClassVar[str]
    is_input: ClassVar[bool] = False
    spontaneous: ClassVar[bool] = False
    fires: ClassVar[bool] = True
    integrates: ClassVar[Literal["window", "step"] | None] = None
    answers_after: ClassVar[int] = 0
    passes_on: ClassVar[bool] = False
    state: ClassVar[Mapping[str, str]] = MappingProxyType({})
    instruction: ClassVar[str] = ""
    tables: ClassVar[frozenset[str]] = frozenset()

    @property
    def word(self) -> Word | None:
        """Return how it sends; None: spikes of significance 1, or (passes_on) as its source does."""
        return None

    @property
    def offset(self) -> npt.NDArray[Any]:
        """Return what is added to the currents in the accumulator: the bias, unless it is added elsewhere."""
        return np.zeros((), np.int32)

    @property
    def largest_current(self) -> int:
        """Return the largest magnitude of the accumulator that int32 arithmetic of the kind has room for."""
        return INT32_MAX

    @property
    def reported(self) -> str:
        """Return the key of the state that a run reports at the end of a window; empty: what was sent in it."""
        return ""

    @property
    def rule(self) -> str:
        """Return how the steps of a window make what `reported` names: an answer of `Answering`, or `last`."""
        return "last"

    @property
    def real_scale(self) -> npt.NDArray[np.float32]:
        """Return what the integers of a result are multiplied by to become real numbers."""
        return unscaled()

    def __reduce__(self) -> tuple[Any, ...]:
        # through __init__, so that a copy is checked and locked as well
        return type(self), tuple(getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the parameters that are arrays, by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def kept(self, taps: int = 0) -> Mapping[str, str]:
        """Return what of `state` it keeps; `taps`: of the windows in which it compares words, 0 if it compares none."""
        return self.state

    def initial(self, shape: Shape, taps: int = 0) -> State:
        """Return the state of neurons before anything has reached them."""
        return {key: np.zeros(shape, np.int64) for key in self.kept(taps)}

    def state_range(self, key: str, bound: int = INT32_MAX, window: int = 1) -> tuple[int, int]:
        """Return the smallest and the largest value that a key of the state can have.

        bound: the largest magnitude of the accumulator; window: W (`Network.state_range` has them).
        """
        limits = np.iinfo(self.kept()[key])
        return int(limits.min), int(limits.max)

    def window(self, shape: Shape, i: IntArray) -> tuple[IntArray | None, IntArray]:
        """Return the membranes and the integers that a window's currents `i` make; for kinds that take it at once."""
        raise NotImplementedError(f"{self.kind} neurons do not take a window at once")

    def step(self, shape: Shape, state: State, i: IntArray, now: Now) -> IntArray:
        """Update `state` by one step of currents `i`, times their significance if windows matter; return the events."""
        raise NotImplementedError(f"{self.kind} neurons take no currents")

    def between(self, shape: Shape, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
        """Return the least and the largest word of membranes low..high, of `shape`; for kinds that take a window."""
        raise NotImplementedError(f"{self.kind} neurons do not take a window at once")

    def shifted(self, bias: Int32Array) -> "Neuron":
        """Return it with another bias, which has the place of `offset`; for kinds that take a window."""
        return replace(self, bias=bias)  # type: ignore[type-var]

    def narrowed(self, kept: Mask) -> "Neuron":
        """Return the neurons of the channels `kept`, (C,), alone."""
        first = len(kept)
        arrays = {
            name: value[kept]
            for name, value in self.arrays().items()
            if value.ndim > (name in self.tables) and len(value) == first
        }
        return replace(self, **arrays)  # type: ignore[type-var]


def unscaled() -> npt.NDArray[np.float32]:
    """Return the scale of integers that stand for themselves."""
    return np.ones((), np.float32)


def spread(values: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    """Return a parameter of shape (), (C,) or `shape`, as one value for each neuron of `shape`."""
    if values.ndim == 1 and len(shape) == 3:
        values = values.reshape(-1, 1, 1)
    return np.broadcast_to(values, shape)


def wide(values: npt.NDArray[Any], shape: Shape) -> IntArray:
    """Return a parameter as one int64 for each neuron."""
    return spread(values, shape).astype(np.int64)
