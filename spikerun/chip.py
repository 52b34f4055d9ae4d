# SPDX-License-Identifier: Apache-2.0
"""The fixed-point arithmetic of Loihi chips, and whether a network keeps to it.

Sources: the bit-accurate process models of Lava (lava-nc 0.10.0: LIF, Dense, Sparse, Conv, DelayDense), which both
generations share, and for Loihi 1 the constants of nengo-loihi 1.1.0. Signed weights of 8 bits are the even integers
-256..254: here an int8 weight of a projection with `exponent` 1, and with e the chip's own exponent is e - 1. What adds
up how, and when, is `LIF.loihi`. How much fits a core is another matter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import unknown_name
from spikerun.network import Network
from spikerun.neurons.base import V_LIMIT
from spikerun.neurons.leaky import CHIP_FRACTION_BITS
from spikerun.population import Population, Projection

__all__ = ["CHIPS", "Chip", "check_chip", "chip_named"]


@dataclass(frozen=True)
class Chip:
    """What a description must keep to.

    payload: bits that one spike can carry, 0: it carries none. weight: the range of integers, before the exponent of
    their projection. exponents: that a projection may have where it lists its synapses (Dense, Sparse), and
    `shared_exponent` where many share a weight, for Lava's convolutions know none. threshold: the largest, in units of
    the currents. decay: bits of decays. mantissa, shift: a bias, in units of the membrane, is a signed mantissa of so
    many bits, shifted left by at most so many. current: the largest sum of a step, which never wraps. delay: the most
    steps.
    """

    name: str
    payload: int
    weight: tuple[int, int] = (-128, 127)
    exponents: tuple[int, int] = (1, 8)
    shared_exponent: int = 1
    threshold: int = 2**17 - 1
    fraction_bits: int = CHIP_FRACTION_BITS
    decay: int = 12
    mantissa: int = 13
    shift: int = 7
    current: int = 2**17 - 1
    delay: int = 62

    @property
    def largest_bias(self) -> int:
        """Return the largest bias, in units of the membrane."""
        most: int = 2 ** (self.mantissa - 1) - 1
        return most << self.shift

    def carries(self, bits: int) -> bool:
        """Return whether a spike can be an event of so many bits; one of a single bit is a plain spike."""
        return bits <= max(self.payload, 1)

    def nearest_bias(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the biases nearest to real numbers, both in units of the membrane."""
        best = np.zeros(np.shape(values))
        for bits in range(self.shift + 1):  # the first is the finest, if it reaches so far
            most = 2 ** (self.mantissa - 1)
            found = np.clip(np.rint(values / 2**bits), -most, most - 1) * 2**bits
            best = np.where(bits == 0, found, np.where(abs(found - values) < abs(best - values), found, best))
        return best.astype(np.int64)


CHIPS: Mapping[str, Chip] = MappingProxyType(
    {chip.name: chip for chip in (Chip("loihi1", payload=0), Chip("loihi2", payload=32))}
)


def chip_named(name: str) -> Chip:
    """Return the chip of a name. Raises UsageError for others."""
    if name not in CHIPS:
        raise unknown_name("chip", name, CHIPS)
    return CHIPS[name]


def check_chip(net: Network, chip: Chip) -> list[str]:
    """Return what of a network is outside a chip's arithmetic: a sentence each, none where all is inside."""
    said: list[str] = []
    for name, population in net.populations.items():
        check = _NEURONS.get(population.neuron.kind, _no_neuron)
        said += [f"population '{name}': {why}" for why in check(net, name, population, chip)]
    for projection in net.projections:
        said += [f"{projection}: {why}" for why in _projection(projection, chip)]
    return said


# --- populations -----------------------------------------------------------------------------------------------------


def _no_neuron(net: Network, name: str, population: Population, chip: Chip) -> Iterator[str]:
    yield f"{chip.name} has no {population.neuron.kind} neurons: use LIF.loihi(...), inputs and readouts"


def _input(net: Network, name: str, population: Population, chip: Chip) -> Iterator[str]:
    bits = net.largest_event(name).bit_length()
    if not chip.carries(bits):
        carries = f"carries {chip.payload}" if chip.payload else "has no graded spikes"
        yield f"its events are of {bits} bits, and {chip.name} {carries}: give it spikes"


def _readout(net: Network, name: str, population: Population, chip: Chip) -> Iterator[str]:
    yield from _currents(net, name, chip)  # its sum is a membrane that never fires; its bias is added where it is read


def _lif(net: Network, name: str, population: Population, chip: Chip) -> Iterator[str]:
    neuron: Any = population.neuron
    if (neuron.limits, neuron.fraction_bits) != ("chip", chip.fraction_bits):
        yield f"limits must be 'chip' and fraction_bits {chip.fraction_bits}, as LIF.loihi(...) sets them"
        return
    unit = 2**chip.fraction_bits
    for key in ("threshold", "keep_v", "keep_u"):
        values = getattr(neuron, key)
        if (values != values.flat[0]).any():
            yield f"{key} must be one number for all neurons, got {values.min()}..{values.max()}"
    if (neuron.threshold % unit).any() or neuron.threshold.max() > chip.threshold * unit:
        yield f"threshold must be {unit} times an integer in 0..{chip.threshold}, got {neuron.threshold.max()}"
    for key, (low, high) in {"keep_v": (1, 2**chip.decay), "keep_u": (0, 2**chip.decay - 1)}.items():
        keep, step = getattr(neuron, key), 2 ** (16 - chip.decay)
        if (keep % step).any() or keep.min() < low * step or keep.max() > high * step:
            yield f"{key} must be {step} times an integer in {low}..{high}, got {keep.min()}..{keep.max()}"
    if (chip.nearest_bias(neuron.bias) != neuron.bias).any():
        yield f"bias must be a mantissa of {chip.mantissa} bits shifted left by 0..{chip.shift}, and is not everywhere"
    for key in ("bias_u", "v_reset", "v_init", "refractory", "reset_interval", "inclusive"):
        if np.any(getattr(neuron, key)):
            yield f"{key} must be 0, the chip has none"
    if neuron.v_min.max() > -V_LIMIT:
        yield f"v_min must not be above {-V_LIMIT}, the chip has no floor"
    if neuron.reset == "none":
        yield "reset must be 'value' or a subtraction, the chip always resets"
    yield from _currents(net, name, chip)


def _currents(net: Network, name: str, chip: Chip) -> Iterator[str]:
    total = np.zeros(net.populations[name].shape[0])
    for link in net.into(name):
        first, end = link.channels
        reach = link.connection.largest_sum(net.populations[link.source].shape, end - first)
        total[first:end] += reach * net.largest_event(link.source) * 2**link.projection.exponent
    if (worst := int(total.max())) > chip.current:
        yield f"its currents can reach {worst} in a step, and beyond {chip.current} they wrap: use smaller weights"


# All others are not the chip's: few_spikes, levels, if and max_pool.
_NEURONS = {"input": _input, "lif": _lif, "readout": _readout}


# --- projections -----------------------------------------------------------------------------------------------------


# Whether synapses are listed one by one. All others are not the chip's: pooled_conv and window compare, random draws.
_LISTED = {"dense": True, "sparse": True, "conv": False, "diagonal": False, "sum_pool": False}


def _projection(projection: Projection, chip: Chip) -> Iterator[str]:
    connection = projection.connection
    listed = _LISTED.get(connection.kind)
    if connection.delay_range != (0, 0):
        yield "its synapses have delays of their own, and one of the projection is all that is written for a chip"
    if listed is None and connection.linear and not connection.alone:
        yield f"synapses of a {connection.kind} are drawn by whoever runs them: give {chip.name} a Sparse"
        return
    if listed is None:
        yield f"{chip.name} cannot compare what a {connection.kind} compares: use average pools or strides"
        return
    low, high = chip.exponents if listed else (chip.shared_exponent, chip.shared_exponent)
    if not low <= projection.exponent <= high:
        allowed = f"in {low}..{high}" if low < high else str(low)
        yield f"exponent must be {allowed}, for weights of the chip are even, got {projection.exponent}"
    least, most = chip.weight
    for name, gain in connection.parameters():
        if isinstance(gain, np.ndarray) and name == "gain" and (gain.min() < least or gain.max() > most):
            yield f"gain must be in {least}..{most}, got {gain.min()}..{gain.max()}"
    if projection.delay > chip.delay:
        yield f"delay must be at most {chip.delay} steps, got {projection.delay}"
