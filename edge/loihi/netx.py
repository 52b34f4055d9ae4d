# SPDX-License-Identifier: Apache-2.0
"""`.net` files of lava-dl, which its module netx loads into Lava: a chain of layers, integers already.

As netx 0.6.0 reads them: `layer/0`, `layer/1`, ... of the types input, conv, flatten, dense and dense_rec; the neurons
CUBA and LOIHI are `LIF.loihi` with threshold vThMant, decays iDecay and vDecay, and a bias in units of the weights
(exponent 6). What netx does not look at (wgtExp apart, which must be 0) is not looked at here either. All other layers
and neurons are refused.

A neuron fires above its threshold, as Lava has it. The training of lava-dl fires at it; the file does not say which was
meant, and its vThMant is kept. In Lava, each synapse adds a step, and biases act from the first step on; here, layers
follow one another within a step. Spikes are the same, later by a step with each layer, where there is no bias or where
netx is given `reset_interval`, the steps of a sample.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from spikerun.atomic import PathLike
from spikerun.chip import CHIPS
from spikerun.connections import Connection, Conv, Dense, Diagonal
from spikerun.edge.loihi.graph import IntArray, Shape
from spikerun.edge.loihi.models import FRACTION_BITS
from spikerun.edge.loihi.synapses import held, sign_mode_of
from spikerun.errors import FileFormatError
from spikerun.hdf5 import Group, Reader, located, opened
from spikerun.network import Network, Population, Projection
from spikerun.neurons import LIF, V_LIMIT, Input, Readout
from spikerun.neurons.leaky import KEEP_ALL
from spikerun.values import int32_array

__all__ = ["BIAS", "LARGEST_THRESHOLD", "MAX_DELAY", "NEVER", "WEIGHT", "changed", "read_net", "require_held", "split"]

MAX_LAYERS = 1000
MAX_MEMBERS = 64
MAX_DELAY = CHIPS["loihi2"].delay
LARGEST_THRESHOLD = 2**17 - 1
NEVER = LARGEST_THRESHOLD + 1  # no membrane is above it
SUMMING = (NEVER, 0, 4096)  # threshold and decays with which netx lets a layer without neurons sum up
ENDS = {"type", "shape", "neuron"}
SYNAPSES = {*ENDS, "weight", "bias", "inFeatures", "outFeatures", "delay"}
KNOWN = {
    "input": {*ENDS, "weight", "bias"},
    "flatten": {"type", "shape"},
    "dense": SYNAPSES,
    "dense_rec": {*SYNAPSES, "weight_rec"},
    "conv": {
        *ENDS, "weight", "bias", "inChannels", "outChannels", "kernelSize", "stride", "padding", "dilation", "groups",
    },
}  # fmt: skip
NEURON = {"type", "vThMant", "iDecay", "vDecay", "refDelay", "wgtExp", "messageBits"}
UNSEEN = {"gradedSpike", "theta", "tauRho", "scaleRho"}  # lava-dl writes them, and netx does not look at them
# of an input, what encodes samples: netx hands it on to whoever sends
WEIGHT, BIAS = "net.input_weight", "net.input_bias"


def read_net(path: PathLike, window: int | None = None) -> Network:
    """Return the network of a file; nothing is executed. window: the steps of a sample; None: those that the file says.

    An input with a neuron takes the current of that neuron, an integer of 8 bits, signed where samples in -1..1 become
    such; the numbers by which they become currents, weight sample + bias, are in `meta`, as netx leaves that to whoever
    sends. Raises FileFormatError with the path of what is wrong, or cannot be done.
    """
    with opened(path, ".net") as (source, file):
        return _NetReader(source, file).network(window)


def split(weight: IntArray) -> Iterator[tuple[npt.NDArray[np.int8], int]]:
    """Yield weights in -256..255 as int8 weights and their exponents, which add up to them.

    Even ones have an exponent of 1, with which the chip holds them whatever shares them.
    """
    odd = (weight & 1).any()
    if odd and weight.min(initial=0) >= -128 and weight.max(initial=0) <= 127:
        yield weight.astype(np.int8), 0
        return
    yield (weight >> 1).astype(np.int8), 1
    if odd:
        yield (weight & 1).astype(np.int8), 0


def changed(weight: IntArray, recurrent: IntArray | None = None) -> str:
    """Return why netx and Lava would not compute with these weights (targets, sources) as they are; empty: they do.

    netx shifts the weights of a layer, recurrent ones among them, to the left as far as 8 bits allow, and Lava drops
    from these what `held` drops.
    """
    parts = [weight] if recurrent is None else [weight, recurrent]
    every = np.concatenate([part.ravel() for part in parts])
    low, high = int(every.min(initial=0)), int(every.max(initial=0))
    if low == high == 0:
        return "all weights are 0, which netx cannot load"
    mixed = low < 0 <= int(every.max())
    largest = {True: (127, 128), False: (255, 256)}[mixed]
    scale = min(largest[0] / high if high > 0 else math.inf, largest[1] / -low if low < 0 else math.inf)
    left = math.floor(math.log2(scale)) + mixed
    zeros = next(n for n in range(8, -1, -1) if not (every % 2**n).any())
    bits = 8 - left - (zeros - mixed)
    if left >= 0 and bits <= 8 and all(
        (held(part << left, bits, sign_mode_of(part)) == part << left).all() for part in parts
    ):  # fmt: skip
        return ""
    return (
        f"netx would change weights in {low}..{high}: they must be in -127..127, or even numbers in -254..254, and "
        "where none is positive, the least must be no power of two (-1, -2, -4, ...)"
    )


class _NetReader(Reader):
    """Reads one open file, layer after layer. name, shape: those of the population that the next layer is fed by."""

    name: str
    shape: Shape

    def network(self, window: int | None) -> Network:
        """Return the network of the file."""
        layers = self.group(self.root, "layer", MAX_LAYERS)
        if not layers.members:
            raise FileFormatError(f"'{self.source}': /layer: has no layers")
        self.populations: dict[str, Population] = {}
        self.projections: list[Projection] = []
        self.meta: dict[str, str | int | float] = {}
        self.flat = False
        for k in range(len(layers.members)):
            group = self.group(layers, str(k), MAX_MEMBERS)
            kind = self.text(group, "type")
            with located(self.source, group.name):
                if kind not in KNOWN:
                    raise ValueError(f"layers of type '{kind}' are not read (netx reads {', '.join(KNOWN)})")
                _only(group, KNOWN[kind])
                last = k + 1 == len(layers.members)
                self._layer(group, kind, f"layer{k}", last)
        with located(self.source, "/"):
            window = window or self._window()
            return Network(self.populations, self.projections, [self.name], window, self.meta)

    def _window(self) -> int:
        if "simulation" not in self.root.members:
            raise ValueError("does not say how many steps a sample has: give them, --window 16")
        return self._number(self.group(self.root, "simulation", MAX_MEMBERS), "tSample")

    def _layer(self, group: Group, kind: str, default: str, last: bool) -> None:
        name = group.attribute("name", str) if "name" in group.attributes else default
        if name in self.populations:
            raise ValueError(f"there are two layers called {name!r}")
        if kind == "flatten":
            self.flat = True
        elif kind == "input":
            self._input(group, name)
        elif kind == "conv":
            self._conv(group, name)
        else:
            self._dense(group, name, kind == "dense_rec", last)

    def _input(self, group: Group, name: str) -> None:
        if self.populations:
            raise ValueError("an input is the first layer only")
        shape = self._shape(group)
        if "neuron" not in group.members:
            self._source(shape, name)
            return
        weight, bias = (  # the defaults are those of netx
            self._one(group, key) if key in group.members else default
            for key, default in (("weight", 64.0), ("bias", 0.0))
        )
        self.meta |= {WEIGHT: weight, BIAS: bias}
        signed = abs(weight) - 128 <= bias <= 127 - abs(weight)
        self._source(shape, f"{name}_current", Input(8, "current", signed))
        neuron = self._neuron(group, None)
        if neuron.keep_u.any():
            raise ValueError("iDecay must be 4096: netx adds samples to membranes, and lava-dl's training to currents")
        self._join(name, shape, neuron, [(Diagonal(np.array(1, np.int32)), 0, 0)])

    def _source(self, shape: Shape, name: str = "input", neuron: Input | None = None) -> None:
        self.name, self.shape = name, shape
        self.populations[name] = Population(shape, neuron or Input(1, "spikes"))

    def _conv(self, group: Group, name: str) -> None:
        if not self.populations:
            raise ValueError("does not say what shape its input has: put a layer 'input' with a shape before it")
        weight = self._integers(group, "weight")
        if weight.ndim == 5 and weight.shape[4] == 1:  # time, which lava-dl has as the last axis
            weight = weight[..., 0]
        require_held(weight)
        stride, padding, dilation = (self._pair(group, key) for key in ("stride", "padding", "dilation"))
        groups = self._number(group, "groups")
        parts = [
            (Conv(part, stride, padding, dilation, groups), exponent, 0) for part, exponent in split(weight)
        ]  # fmt: skip
        shape = self._shape(group)
        if self.flat or shape != (made := parts[0][0].target_shape(self.shape)):
            raise ValueError(f"its shape is {shape}, and {self.shape} becomes {'flat' if self.flat else made}")
        self._join(name, shape, self._neuron(group, self._bias(group, shape[0])), parts)

    def _dense(self, group: Group, name: str, recurrent: bool, last: bool) -> None:
        size = math.prod(self._shape(group))
        weight = self._matrix(group, "weight", size)
        again = self._matrix(group, "weight_rec", size) if recurrent else None
        if reason := changed(weight, again):
            raise ValueError(reason)
        if not self.populations:
            self._source((weight.shape[1],))
        if not self.flat and math.prod(self.shape[1:]) > 1:
            raise ValueError(f"takes {self.shape} without a layer 'flatten' before it")
        delay = self._delays(group, weight)
        if again is not None and delay.any():
            raise ValueError("netx does not add up recurrent synapses with delays right: they are not read")
        parts: list[tuple[Connection, int, int]] = []
        for steps in np.unique(delay).tolist():
            here = np.where(delay == steps, weight, 0)
            if here.any():
                parts += [(Dense(part.T), exponent, steps) for part, exponent in split(here)]
        bias = self._bias(group, size)
        summing = last and not recurrent and self._sums_up(group)
        neuron = Readout(bias=int32_array("bias", 0 if bias is None else bias)) if summing else None
        self._join(name, (size,), neuron or self._neuron(group, bias), parts)
        if again is not None:
            self.projections += [Projection(name, name, Dense(part.T), 1, None, e) for part, e in split(again)]
        self.flat = False

    def _join(
        self, name: str, shape: Shape, neuron: LIF | Readout, parts: Sequence[tuple[Connection, int, int]]
    ) -> None:
        """Add a population that the last one feeds through connections with their exponents and delays."""
        self.populations[name] = Population(shape, neuron)
        for connection, exponent, delay in parts:
            self.projections.append(Projection(self.name, name, connection, delay, None, exponent))
        self.name, self.shape = name, shape

    def _sums_up(self, group: Group) -> bool:
        """Return whether a layer has no neurons, or those that netx gives it then: it sums up and never fires."""
        return "neuron" not in group.members or self._numbers(group) == SUMMING

    def _numbers(self, group: Group) -> tuple[int, int, int]:
        """Return the threshold of a layer's neurons, and the decays of current and membrane."""
        if "neuron" not in group.members:
            raise ValueError("has no 'neuron', as only a last layer 'dense' can do")
        given = self.group(group, "neuron", MAX_MEMBERS)
        kind = self.text(given, "type")
        with located(self.source, given.name):
            if kind not in ("CUBA", "LOIHI"):
                raise ValueError(f"neurons of type '{kind}' are not read, CUBA and LOIHI are")
            _only(given, NEURON | UNSEEN)
            for key, only in (("refDelay", 1), ("wgtExp", 0), ("messageBits", 0)):
                if key in given.members and self._number(given, key) != only:
                    raise ValueError(f"{key} must be {only}: netx does not look at it, or sends no plain spikes")
            return self._number(given, "vThMant"), self._number(given, "iDecay"), self._number(given, "vDecay")

    def _neuron(self, group: Group, bias: IntArray | None) -> LIF:
        """Return the neurons of a layer."""
        threshold, current, membrane = self._numbers(group)
        made = int32_array("bias", 0 if bias is None else bias << FRACTION_BITS)
        decays = [4096 - current, 4096 - membrane]
        if threshold < 0 or min(decays) < 0 or max(decays) > 4096:
            raise ValueError("vThMant must not be negative, iDecay and vDecay in 0..4096")
        return LIF(
            threshold=np.array(V_LIMIT if threshold >= NEVER else threshold << FRACTION_BITS),
            keep_u=np.array(decays[0] * KEEP_ALL // 4096),
            keep_v=np.array(decays[1] * KEEP_ALL // 4096),
            bias=made,
            fraction_bits=FRACTION_BITS,
            limits="chip",
            answer="last" if threshold >= LARGEST_THRESHOLD else "count",
        )

    def _bias(self, group: Group, channels: int) -> IntArray | None:
        if "bias" not in group.members:
            return None
        bias = self._integers(group, "bias")
        if bias.size == 1:
            return bias.reshape(())
        if bias.shape != (channels,):
            raise ValueError(f"bias has shape {bias.shape}, expected ({channels},)")
        return bias

    def _delays(self, group: Group, weight: IntArray) -> IntArray:
        """Return the delay of each synapse, (targets, sources): one for all, for each target, or for each source."""
        if "delay" not in group.members:
            return np.zeros(weight.shape, np.int64)
        delay = self._integers(group, "delay")
        if delay.min(initial=0) < 0 or delay.max(initial=0) > MAX_DELAY:
            raise ValueError(
                f"delays must be in 0..{MAX_DELAY}, got {delay.min()}..{delay.max()}; netx would clamp them"
            )
        if delay.ndim == 1 and len(delay) == weight.shape[0]:
            delay = delay[:, None]
        elif delay.shape not in ((), (weight.shape[1],), weight.shape):
            raise ValueError(f"delay has shape {delay.shape}, which does not fit weights {weight.shape}")
        return np.broadcast_to(delay, weight.shape)

    def _matrix(self, group: Group, name: str, rows: int) -> IntArray:
        weight = self._integers(group, name)
        if weight.ndim == 1 and not weight.size % rows:
            weight = weight.reshape(rows, -1)
        if weight.ndim != 2 or len(weight) != rows or not weight.size:
            raise ValueError(f"{name} has shape {weight.shape}, expected ({rows}, inputs)")
        return weight

    def _shape(self, group: Group) -> Shape:
        shape = tuple(self._integers(group, "shape").ravel().tolist())
        if len(shape) not in (1, 3) or min(shape) < 1:
            raise ValueError(f"shape must be (channels, height, width) or (neurons,), got {shape}")
        return shape

    def _pair(self, group: Group, name: str) -> tuple[int, int]:
        values = self._integers(group, name).ravel().tolist()
        if len(values) not in (1, 2):
            raise ValueError(f"{name} must be one or two integers, got {len(values)}")
        return values[0], values[-1]

    def _number(self, group: Group, name: str) -> int:
        return int(self._one(group, name, whole=True))

    def _one(self, group: Group, name: str, whole: bool = False) -> float:
        values = self._integers(group, name) if whole else self.array(group, name)
        if values.size != 1:
            raise ValueError(f"{name} must be one number, got shape {values.shape}")
        return float(values.ravel()[0])

    def _integers(self, group: Group, name: str) -> IntArray:
        values = self.array(group, name)
        limit = 2**31
        if (values != np.floor(values)).any() or values.min(initial=0) < -limit or values.max(initial=0) >= limit:
            raise ValueError(f"{name} must hold integers of 32 bits")
        whole: IntArray = values.astype(np.int64)
        return whole


def _only(group: Group, known: set[str]) -> None:
    if unknown := sorted(set(group.members) - known):
        raise ValueError(f"does not belong here: {', '.join(map(repr, unknown))}")


def require_held(weight: IntArray) -> None:
    """Refuse weights of a convolution that the chip cannot hold: Lava computes with any."""
    if weight.ndim != 4 or not weight.size:
        raise ValueError(f"weights of a convolution have shape {weight.shape}, expected (out, in, height, width)")
    inside = weight.min() >= -128 and weight.max() <= 127
    if not inside and (weight.min() < -256 or weight.max() > 254 or (weight & 1).any()):
        raise ValueError("weights must be in -128..127, or even numbers in -256..254, as the chip holds them")
