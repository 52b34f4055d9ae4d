"""The kinds of neuron that a population can have: parameters only, no arithmetic (that is `spikerun.reference`).

Symbols, the same everywhere: `v` membrane potential, `th` threshold, `b` bias, `i` current, `s` spike, `q` the integer
that a few-spikes neuron computes, `T` its bits, `W` the steps of the network's window, `g` the significance of a spike.
Parameters that may differ between neurons are int32 arrays of shape () (all neurons), (C,) (per channel, the first axis
of the population) or the population's full shape.
"""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from spikerun.errors import NetworkError
from spikerun.values import int32_array, integer, locked

__all__ = ["CODES", "IF", "KINDS", "LIF", "FewSpikes", "Input", "MaxPool", "Neuron", "Readout"]

Int32Array = npt.NDArray[np.int32]

V_LIMIT = 2**23 - 1  # membranes of IF and LIF neurons saturate at +-V_LIMIT, as on the chip
MAX_BITS = 8
CODES = ("bits", "ttfs", "graded")
INPUT_CODES = (*CODES, "current", "spikes")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise NetworkError(message)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    _require(value in choices, f"{name} must be one of {', '.join(choices)}, got '{value}'")


def _check_word(code: str, signed: bool, bits: int) -> None:
    _require(
        not (signed and code == "ttfs"),
        "code 'ttfs' sends one spike whose time is a magnitude, so it cannot be signed: use 'bits' or 'graded'",
    )
    _require(not signed or bits >= 2, "a signed word needs at least 2 bits")


class Neuron:
    """Base of all kinds. `kind` is the name in files and messages; fields are the parameters.

    Traits, which everybody asks instead of the type: is_input: spikes come from outside, not from projections; fires: it
    sends something; integrates: whether it adds up its currents over a whole `window`, updates at each `step`, or neither;
    answers_after: the windows between the one in which it integrates a frame and the one in which it sends.
    """

    kind: ClassVar[str]
    is_input: ClassVar[bool] = False
    fires: ClassVar[bool] = True
    integrates: ClassVar[Literal["window", "step"] | None] = None
    answers_after: ClassVar[int] = 0

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the parameters that are arrays, by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


@dataclass(frozen=True, eq=False)
class Input(Neuron):
    """Spikes that come from outside: frames of integers in a few-spikes code, or events.

    code: `bits`, `ttfs`, `graded`: the integer of a frame, as `FewSpikes` would send it; `current`: the integer as the
    payload of one event in every step (direct current); `spikes`: events given step by step, payload 0 or 1.
    bits: width of the integers (8 for pixels); signed: two's complement.
    """

    kind: ClassVar[str] = "input"
    is_input = True
    bits: int = 8
    code: str = "bits"
    signed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", integer("bits", self.bits, 1, MAX_BITS))
        _check_choice("code", self.code, INPUT_CODES)
        _check_word(self.code, self.signed, self.bits)
        _require(
            self.code != "spikes" or (self.bits == 1 and not self.signed),
            "an input of code 'spikes' has bits=1 and is unsigned",
        )


@dataclass(frozen=True, eq=False)
class FewSpikes(Neuron):
    """Few-spikes neuron: integrates one window, computes an integer, sends it in the next window.

    `v = b + sum_t g(t) i[t]`, `q = clip(floor(v / th), 0, 2^T - 1)`; signed: `-2^(T-1) .. 2^(T-1) - 1`. Of the bits of
    q only the `max_spikes` most significant are kept. Rounding to nearest is th/2 inside b.
    code: how q travels. `bits`: T steps, most significant first, g = 2^(T-1-t); `ttfs`: one spike in 2^T - 1 steps,
    g = 2^T - 1 - t; `graded`: one event of payload q.
    After Stoeckl & Maass, "Optimized spiking neurons can classify images with high accuracy through temporal coding
    with two spikes", 2021, restricted to an exact binary code.
    """

    kind: ClassVar[str] = "few_spikes"
    integrates = "window"
    answers_after = 1
    bits: int
    threshold: Int32Array
    bias: Int32Array = field(default_factory=lambda: np.int32(0))  # type: ignore[arg-type,return-value]
    signed: bool = False
    max_spikes: int | None = None
    code: str = "bits"

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", int32_array("threshold", self.threshold))
        object.__setattr__(self, "bias", int32_array("bias", self.bias))
        object.__setattr__(self, "bits", integer("bits", self.bits, 1, MAX_BITS))
        _check_choice("code", self.code, CODES)
        _check_word(self.code, self.signed, self.bits)
        _require(bool((self.threshold >= 1).all()), f"threshold must be >= 1, got {self.threshold.min()}")
        limit = (2**31 - 1) >> self.bits
        _require(
            bool((self.threshold <= limit).all()),
            f"threshold must be <= {limit} so that th * 2^{self.bits} fits int32, got {self.threshold.max()}",
        )
        if self.max_spikes is not None:
            object.__setattr__(self, "max_spikes", integer("max_spikes", self.max_spikes, 1, self.bits))
            _require(self.code != "ttfs", "code 'ttfs' sends one spike already: leave max_spikes out")

    @property
    def kept_bits(self) -> int:
        """Return how many set bits of q are kept."""
        return self.max_spikes or self.bits

    @property
    def spike_limit(self) -> int:
        """Return how many spikes a neuron may send in a window."""
        return 1 if self.code == "ttfs" else self.kept_bits


@dataclass(frozen=True, eq=False)
class IF(Neuron):
    """Integrate-and-fire: `v <- clip(v + i + b, max(v_min, -(2^23-1)), 2^23-1)`; `s = v >= th`; then the reset.

    reset `subtract`: `v <- v - th s`; `zero`: `v <- 0 where s`. v_min <= 0 is a floor (a silent neuron would otherwise
    drift without bound); v_init is the membrane before the first step.
    """

    kind: ClassVar[str] = "if"
    integrates = "step"
    threshold: Int32Array
    bias: Int32Array = field(default_factory=lambda: np.int32(0))  # type: ignore[arg-type,return-value]
    v_min: Int32Array = field(default_factory=lambda: np.int32(-V_LIMIT))  # type: ignore[arg-type,return-value]
    v_init: Int32Array = field(default_factory=lambda: np.int32(0))  # type: ignore[arg-type,return-value]
    reset: str = "subtract"

    def __post_init__(self) -> None:
        for name in ("threshold", "bias", "v_min", "v_init"):
            object.__setattr__(self, name, int32_array(name, getattr(self, name)))
        _check_choice("reset", self.reset, ("subtract", "zero"))
        _require(
            bool(((self.threshold >= 1) & (self.threshold <= V_LIMIT)).all()),
            f"threshold must be in 1..{V_LIMIT}, got {self.threshold.min()}..{self.threshold.max()}",
        )
        _require(bool((self.v_min <= 0).all()), f"v_min must be <= 0, got {self.v_min.max()}")
        _require(
            bool((np.abs(self.v_init.astype(np.int64)) <= V_LIMIT).all()),
            f"v_init must be within +-{V_LIMIT}",
        )


@dataclass(frozen=True, eq=False)
class LIF(Neuron):
    """Leaky integrate-and-fire in Loihi's fixed point (bit-exact with the fixed-point models of Lava 0.10.0).

    `dec(x, d) = sign(x) ((|x| (4096 - d)) >> 12)`; `u <- wrap24(dec(u, du) + 64 i)`, in (-2^23, 2^23];
    `v <- clip(dec(v, dv) + u + b, +-(2^23-1))`; `s = v > 64 th`; then the reset.
    du, dv: 12-bit decays of current and membrane, 0 (no leak) .. 4096 (no memory). Lava's `du` counts one less.
    bias is in units of v, that is already aligned (`bias_mant << bias_exp`); threshold in units of the weights.
    reset: `zero`, the chip's; `subtract` 64 th at once; `subtract_after_leak`, at the next update, as snnTorch does.
    refractory: steps after a spike in which v neither changes nor fires (u goes on). reset_interval > 0: before step t
    with t = reset_offset (mod reset_interval), counted from 0 (Lava: from 1), the whole state is cleared.
    """

    kind: ClassVar[str] = "lif"
    integrates = "step"
    threshold: Int32Array
    bias: Int32Array = field(default_factory=lambda: np.int32(0))  # type: ignore[arg-type,return-value]
    du: Int32Array = field(default_factory=lambda: np.int32(4096))  # type: ignore[arg-type,return-value]
    dv: Int32Array = field(default_factory=lambda: np.int32(0))  # type: ignore[arg-type,return-value]
    reset: str = "zero"
    refractory: int = 0
    reset_interval: int = 0
    reset_offset: int = 0

    def __post_init__(self) -> None:
        for name in ("threshold", "bias", "du", "dv"):
            object.__setattr__(self, name, int32_array(name, getattr(self, name)))
        _check_choice("reset", self.reset, ("zero", "subtract", "subtract_after_leak"))
        _require(
            bool(((self.threshold >= 0) & (self.threshold < 2**17)).all()),
            f"threshold must be in 0..{2**17 - 1} (17 bits), got {self.threshold.min()}..{self.threshold.max()}",
        )
        _require(bool((np.abs(self.bias.astype(np.int64)) <= V_LIMIT).all()), f"bias must be within +-{V_LIMIT}")
        for name in ("du", "dv"):
            decay = getattr(self, name)
            _require(
                bool(((decay >= 0) & (decay <= 4096)).all()),
                f"{name} must be in 0..4096, got {decay.min()}..{decay.max()}",
            )
        for name in ("refractory", "reset_interval", "reset_offset"):
            object.__setattr__(self, name, integer(name, getattr(self, name), 0, 2**15 - 1))


@dataclass(frozen=True, eq=False)
class MaxPool(Neuron):
    """Passes on the largest word of the windows that its one projection (a `Window`) gathers.

    Its code is its source's. Step by step it is a comparator: words travel most significant first, so a candidate
    that is silent where another one fires has lost.
    """

    kind: ClassVar[str] = "max_pool"


@dataclass(frozen=True, eq=False)
class Readout(Neuron):
    """Integrates one window and never fires: `v = b + sum_t g(t) i[t]`; the result is `scale v`, float32.

    scale: float32, shape () or (C,): the only floating-point number of a run.
    """

    kind: ClassVar[str] = "readout"
    fires = False
    integrates = "window"
    scale: npt.NDArray[np.float32] = field(default_factory=lambda: np.float32(1))  # type: ignore[arg-type,return-value]
    bias: Int32Array = field(default_factory=lambda: np.int32(0))  # type: ignore[arg-type,return-value]

    def __post_init__(self) -> None:
        scale = locked(np.asarray(self.scale, dtype=np.float32))
        _require(scale.size > 0, f"scale must not be empty, got shape {scale.shape}")
        _require(bool(np.isfinite(scale).all()), "scale must be finite")
        _require(bool((scale > 0).all()), f"scale must be positive, got {scale.min()}")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "bias", int32_array("bias", self.bias))


KINDS: dict[str, type[Neuron]] = {cls.kind: cls for cls in (Input, FewSpikes, IF, LIF, MaxPool, Readout)}
