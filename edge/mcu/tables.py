"""From connections and neurons to the constant tables of the kernels; `runtime/spikerun.h` says what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spikerun.connections import Connection, Conv, Dense, Diagonal, Sparse, SumPool, Window
from spikerun.edge.mcu.layout import Layout, View
from spikerun.errors import UnsupportedError
from spikerun.network import Network, Projection
from spikerun.neurons import IF, LIF, V_LIMIT, FewSpikes

__all__ = ["Table", "connection", "fire", "integrate_and_fire", "leaky", "max_pool", "parameter", "shape", "sign"]

Array = npt.NDArray[np.generic]
RESETS = ("zero", "subtract", "subtract_after_leak")  # the order of enum spikerun_reset


@dataclass(frozen=True)
class Table:
    """A constant struct of the C type `ctype`: numbers, and arrays that it points to (field -> values).

    A field of a struct within the struct is written `outer.inner`.
    """

    ctype: str
    numbers: Mapping[str, int]
    arrays: Mapping[str, Array] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Return the flash that the table takes: a word for each field, and the arrays."""
        return 4 * (len(self.numbers) + len(self.arrays)) + sum(-(-a.nbytes // 4) * 4 for a in self.arrays.values())


def sign(net: Network, name: str) -> int:
    """Return the sign bit of the words of a population, 0 if they are unsigned."""
    word = net.sender_of(name)
    return 0x80 if word is not None and word.signed else 0


def shape(view: View) -> Table:
    """Return the shape of a population's membranes."""
    return Table("spikerun_shape", {"channels": view.channels, "pixels": view.pixels})


def parameter(layout: Layout, name: str, values: npt.NDArray[np.int32]) -> Table:
    """Return one parameter of a population's neurons."""
    steps, array = _parameter(layout, name, values)
    return Table("spikerun_parameter", steps, {"values": array})


def fire(layout: Layout, name: str) -> Table:
    """Return how a few-spikes population fires."""
    neuron = layout.net.populations[name].neuron
    assert isinstance(neuron, FewSpikes)
    numbers, arrays = _nested(layout, name, threshold=neuron.threshold)
    numbers |= {
        "bits": neuron.bits,
        "max_spikes": neuron.bits if neuron.max_spikes is None else neuron.max_spikes,
        "is_signed": int(neuron.signed),
    }
    return Table("spikerun_fire", numbers, arrays)


def integrate_and_fire(layout: Layout, name: str) -> Table:
    """Return how an IF population fires."""
    neuron = layout.net.populations[name].neuron
    assert isinstance(neuron, IF)
    floor = np.maximum(neuron.v_min, np.int32(-V_LIMIT))
    numbers, arrays = _nested(layout, name, threshold=neuron.threshold, bias=neuron.bias, v_min=floor)
    return Table("spikerun_if", {**numbers, "reset_to_zero": int(neuron.reset == "zero")}, arrays)


def leaky(layout: Layout, name: str) -> Table:
    """Return how a LIF population leaks and fires."""
    neuron = layout.net.populations[name].neuron
    assert isinstance(neuron, LIF)
    aligned = neuron.threshold * np.int32(64)
    numbers, arrays = _nested(layout, name, threshold=aligned, bias=neuron.bias, du=neuron.du, dv=neuron.dv)
    numbers |= {
        "reset": RESETS.index(neuron.reset),
        "refractory": neuron.refractory,
        "reset_interval": neuron.reset_interval,
        "reset_offset": neuron.reset_offset % neuron.reset_interval if neuron.reset_interval else 0,
    }
    return Table("spikerun_lif", numbers, arrays)


def _nested(layout: Layout, name: str, **parameters: npt.NDArray[np.int32]) -> tuple[dict[str, int], dict[str, Array]]:
    """Return the fields of a struct that contains the population's shape, and parameters."""
    view = layout.views[name]
    numbers, arrays = {"shape.channels": view.channels, "shape.pixels": view.pixels}, {}
    for key, values in parameters.items():
        steps, arrays[f"{key}.values"] = _parameter(layout, name, np.asarray(values))
        numbers |= {f"{key}.{end}": step for end, step in steps.items()}
    return numbers, arrays


def _parameter(layout: Layout, name: str, values: npt.NDArray[np.int32]) -> tuple[dict[str, int], Array]:
    """Return the steps and the values of a parameter of shape (), (C,), or the population's."""
    population, view = layout.net.populations[name], layout.views[name]
    if values.ndim == 0 or (values == values.flat[0]).all():
        return {"channel_step": 0, "pixel_step": 0}, values.reshape(-1)[:1]
    if values.shape == (view.channels,) and (len(population.shape) == 3 or view.pixels == 1):
        return {"channel_step": 1, "pixel_step": 0}, values
    placed = np.empty(view.size, np.int32)
    placed[view.index()] = population.spread(values).ravel()
    return {"channel_step": 1, "pixel_step": view.channels}, placed


def connection(layout: Layout, p: Projection) -> Table:
    """Return the table of a projection."""
    source = layout.net.populations[p.source].shape
    places, negative = layout.places(p), sign(layout.net, p.source)
    match p.connection:
        case Dense():
            return _dense(p, p.connection, places, negative)
        case Sparse():
            return _sparse(p, p.connection, places, negative)
        case Conv():
            return _conv(p, p.connection, source, places, negative)
        case Diagonal():
            return _diagonal(p, p.connection, source, places, negative)
        case SumPool():
            return _sum_pool(p, p.connection, source, places, negative)
    raise UnsupportedError(f"{p}: the microcontroller target has no kernel for {p.connection.kind}")


def _strides(p: Projection, places: npt.NDArray[np.int64]) -> tuple[int, int, int]:
    """Return (offset, channel stride, pixel stride) of places (channels, pixels)."""
    offset = int(places[0, 0])
    channel = int(places[1, 0]) - offset if places.shape[0] > 1 else 1
    pixel = int(places[0, 1]) - offset if places.shape[1] > 1 else places.shape[0] * channel
    grid = offset + channel * np.arange(places.shape[0])[:, None] + pixel * np.arange(places.shape[1])
    assert (grid == places).all(), p  # a part of a population is a range of its channels
    return offset, channel, pixel


def _dense(p: Projection, dense: Dense, places: npt.NDArray[np.int64], negative: int) -> Table:
    """Lay the columns out as the membranes lie: runs of neighbours, at equal distances."""
    order = np.argsort(places)
    ordered = places[order]
    gaps = np.flatnonzero(np.diff(ordered) != 1)
    run = int(gaps[0]) + 1 if len(gaps) else len(ordered)
    offset, pitch, step = _strides(p, ordered.reshape(-1, run))
    assert run == 1 or step == 1, p
    numbers = {
        "inputs": dense.weight.shape[0],
        "runs": len(ordered) // run,
        "run": run,
        "pitch": pitch if len(ordered) > run else run,
        "offset": offset,
        "sign": negative,
    }
    return Table("spikerun_dense", numbers, {"weights": np.ascontiguousarray(dense.weight[:, order])})


def _sparse(p: Projection, sparse: Sparse, places: npt.NDArray[np.int64], negative: int) -> Table:
    targets = places[sparse.indices]
    if len(targets) and targets.max() > 0xFFFF:
        raise UnsupportedError(
            f"{p}: the microcontroller target numbers sparse targets with 16 bits, this one has {len(places)}: "
            "split the population, or use a dense connection"
        )
    arrays = {
        "starts": sparse.indptr.astype(np.uint32),
        "targets": _filled(targets.astype(np.uint16)),
        "weights": _filled(sparse.data),
    }
    return Table("spikerun_sparse", {"inputs": len(sparse.indptr) - 1, "sign": negative}, arrays)


def _filled(array: Array) -> Array:
    """Return the array, or one zero instead of none: C has no empty arrays."""
    return array if array.size else np.zeros(1, array.dtype)


def _pairs(**pairs: tuple[int, int]) -> dict[str, int]:
    """Return fields of pairs: kernel -> kernel_height, kernel_width; others -> _y, _x."""
    numbers = {}
    for key, (vertical, horizontal) in pairs.items():
        ends = ("height", "width") if key in ("kernel", "source", "target") else ("y", "x")
        numbers[f"{key}_{ends[0]}"], numbers[f"{key}_{ends[1]}"] = vertical, horizontal
    return numbers


def _image(connection: Connection, source: tuple[int, ...]) -> tuple[int, int, int]:
    target = connection.target_shape(source)
    assert target is not None
    return target[0], target[1], target[2]


def _conv(p: Projection, conv: Conv, source: tuple[int, ...], places: npt.NDArray[np.int64], negative: int) -> Table:
    """Weights as [source channel][row][column, reversed][target channel of the group]."""
    channels, height, width = _image(conv, source)
    offset, channel, pitch = _strides(p, places.reshape(channels, -1))
    assert channel == 1, p
    per_group = channels // conv.groups
    grouped = conv.weight.reshape(conv.groups, per_group, *conv.weight.shape[1:])
    weights = grouped.transpose(0, 2, 3, 4, 1)[:, :, :, ::-1]
    numbers = {
        "groups": conv.groups,
        "source_channels": conv.weight.shape[1],
        **_pairs(source=(source[1], source[2])),
        "target_channels": per_group,
        **_pairs(target=(height, width), kernel=conv.kernel, stride=conv.stride),
        **_pairs(padding=conv.padding, dilation=conv.dilation),
        "pitch": pitch,
        "offset": offset,
        "sign": negative,
    }
    return Table("spikerun_conv", numbers, {"weights": np.ascontiguousarray(weights)})


def _gains(gain: npt.NDArray[np.int32]) -> tuple[int, Array]:
    return int(gain.ndim and gain.size > 1), gain.reshape(-1)


def _diagonal(
    p: Projection, diagonal: Diagonal, source: tuple[int, ...], places: npt.NDArray[np.int64], negative: int
) -> Table:
    places = places.reshape(source[0], -1)
    offset, channel, pixel = _strides(p, places)
    step, gains = _gains(diagonal.gain)
    numbers = {
        "gain_step": step,
        "channels": source[0],
        "pixels": places.shape[1],
        "channel_stride": channel,
        "pixel_stride": pixel,
        "offset": offset,
        "sign": negative,
    }
    return Table("spikerun_diagonal", numbers, {"gains": gains})


def _sum_pool(
    p: Projection, pool: SumPool, source: tuple[int, ...], places: npt.NDArray[np.int64], negative: int
) -> Table:
    channels, height, width = _image(pool, source)
    offset, channel, pixel = _strides(p, places.reshape(channels, -1))
    step, gains = _gains(pool.gain)
    numbers = {
        "gain_step": step,
        "channels": channels,
        **_pairs(source=(source[1], source[2]), target=(height, width)),
        **_pairs(kernel=pool.kernel, stride=pool.stride, padding=pool.padding),
        "channel_stride": channel,
        "pixel_stride": pixel,
        "offset": offset,
        "sign": negative,
    }
    return Table("spikerun_sum_pool", numbers, {"gains": gains})


def max_pool(layout: Layout, name: str) -> Table:
    """Return the table of a max_pool population."""
    net = layout.net
    (p,) = net.into(name)
    assert isinstance(p.connection, Window)
    source = net.populations[p.source].shape
    channels, height, width = _image(p.connection, source)
    window = p.connection
    numbers = {
        "channels": channels,
        **_pairs(source=(source[1], source[2]), target=(height, width)),
        **_pairs(kernel=window.kernel, stride=window.stride, padding=window.padding, dilation=window.dilation),
        "sign": sign(net, p.source),
    }
    return Table("spikerun_max_pool", numbers)
