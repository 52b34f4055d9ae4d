# SPDX-License-Identifier: Apache-2.0
"""Networks as `.net` files, as far as these can say them: a chain of convolutions and dense layers of `LIF.loihi`."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from spikerun.atomic import PathLike, require_writable, write_atomically
from spikerun.edge.loihi.graph import IntArray, Shape
from spikerun.edge.loihi.models import FRACTION_BITS
from spikerun.edge.loihi.netx import BIAS, LARGEST_THRESHOLD, MAX_DELAY, NEVER, WEIGHT, changed, require_held
from spikerun.errors import UnsupportedError
from spikerun.hdf5 import image, write_attributes
from spikerun.network import Network, Projection
from spikerun.neurons import LIF, V_LIMIT
from spikerun.neurons.leaky import KEEP_ALL

__all__ = ["write_net"]

MOST_BIAS = 2**12  # 13 bits, signed
PLAIN = {"bias_u": 0, "v_reset": 0, "v_init": 0}
LATER = "in Lava each layer is a step later, and biases act from the first step on: give netx reset_interval={window}"
UNSAID = "of populations that are no output netx reports nothing, and of outputs their spikes"
SCALE = "a layer without neurons has no scale: its sums are those of the integer weights"
Layer = dict[str, Any]


def write_net(net: Network, path: PathLike, force: bool = False) -> tuple[str, ...]:
    """Write `net`; return in which ways the file says something else, a sentence each.

    Raises UnsupportedError, with the population or projection and the reason, for what the format cannot say.
    """
    target = require_writable(path, force)
    layers = list(_layers(net))
    write_atomically(target, image(lambda root: _fill(h5py.File(root), layers, net.window)), force)
    unsaid = [LATER.format(window=net.window)]
    (end,) = (net.populations[name].neuron for name in net.outputs)
    if end.fires and end.reported:
        unsaid.append(UNSAID)
    if not end.fires and (end.real_scale != 1).any():
        unsaid.append(SCALE)
    return tuple(unsaid)


def _fill(file: Any, layers: Sequence[Layer], window: int) -> None:
    file["simulation/Ts"], file["simulation/tSample"] = 1, window
    for k, layer in enumerate(layers):
        group = file.create_group(f"layer/{k}")
        group.create_dataset("type", data=np.array([layer.pop("type")], "S10"))
        if "name" in layer:
            write_attributes(group.id, {"name": layer.pop("name")})
        for key, value in layer.items():
            if isinstance(value, Mapping):
                for name, inner in value.items():
                    group[f"{key}/{name}"] = inner
            else:
                how = {"compression": "gzip"} if np.size(value) > 100 else {}
                group.create_dataset(key, data=value, **how)


def _layers(net: Network) -> Iterator[Layer]:
    """Yield the layers of a chain, from its input on."""
    if len(net.inputs) != 1:
        raise UnsupportedError(f"a .net file has one input, the network has {len(net.inputs)}: {', '.join(net.inputs)}")
    (name,) = net.inputs
    yield from _first(net, name)
    seen = {name}
    while following := [p for p in _leaving(net, name) if p.target != name]:
        targets = {p.target for p in following}
        if len(targets) > 1:
            raise UnsupportedError(f"population '{name}' feeds {', '.join(sorted(targets))}: a .net file is a chain")
        before, (name,) = name, targets
        if name in seen or any(p.source not in (before, name) for p in net.projections if p.target == name):
            raise UnsupportedError(f"population '{name}' is fed by several: a .net file is a chain, without residuals")
        seen.add(name)
        if net.populations[before].neuron.is_input and _is_current(net, before):
            continue  # the input's own neurons
        yield from _layer(net, before, name, following)
    if tuple(net.outputs) != (name,):
        raise UnsupportedError(f"the output of a .net file is its last layer, '{name}', not {', '.join(net.outputs)}")


def _leaving(net: Network, name: str) -> list[Projection]:
    return [link.projection for link in net.out_of(name)]


def _is_current(net: Network, name: str) -> bool:
    """Return whether an input brings currents to neurons of its own."""
    found = _leaving(net, name)
    return (
        net.sender_of(name).code == "current"  # type: ignore[union-attr]  # an input sends words
        and len(found) == 1
        and bool(GAINS.get(found[0].connection.kind, lambda _: False)(found[0].connection))
        and not (found[0].delay or found[0].exponent or found[0].target_channels)
    )


def _first(net: Network, name: str) -> Iterator[Layer]:
    population = net.populations[name]
    if _is_current(net, name):
        target = _leaving(net, name)[0].target
        neuron = _lif(net, target)
        if neuron.bias.any() or neuron.keep_u.any():
            raise UnsupportedError(
                f"population '{target}': the neurons of an input have no bias and no memory of currents in a .net file"
            )
        numbers = {"weight": _meta(net, WEIGHT, 1), "bias": _meta(net, BIAS, 0)}
        yield {"type": "input", "name": target, "shape": np.array(population.shape), **numbers,
               "neuron": _neuron(net, target)}  # fmt: skip
    elif net.sender_of(name).code != "spikes":  # type: ignore[union-attr]
        raise UnsupportedError(
            f"population '{name}': a .net file takes spikes (code 'spikes'), or currents (code 'current') through a "
            f"Diagonal of gain 1 into neurons, not code '{net.sender_of(name).code}'"  # type: ignore[union-attr]
        )
    else:
        yield {"type": "input", "name": name, "shape": np.array(population.shape)}


def _meta(net: Network, key: str, default: int) -> float:
    value = net.meta.get(key, default)
    if isinstance(value, str):
        raise UnsupportedError(
            f"meta '{key}' must be a number, as the encoder of a .net file has it, got '{value:.40}'"
        )
    return value


def _layer(net: Network, before: str, name: str, into: Sequence[Projection]) -> Iterator[Layer]:
    """Yield what a population and the projections into it are, a layer `flatten` before it where it is needed."""
    source, target = net.populations[before].shape, net.populations[name].shape
    again = [p for p in _leaving(net, name) if p.target == name]
    ends: Layer = {"name": name, "shape": np.array(target)}
    if net.populations[name].neuron.fires:
        ends["neuron"] = _neuron(net, name)
    bias = _bias(net, name)
    if bias.any():
        ends["bias"] = np.broadcast_to(bias, (target[0],)).astype(np.int32)
    for p in (*into, *again):
        if p.target_channels not in (None, (0, target[0])):
            raise UnsupportedError(f"{p}: a .net file has no projections to some channels only")
        if p.connection.delay_range != (0, 0):
            raise UnsupportedError(f"{p}: its synapses have delays of their own, which a .net file does not have")
    kinds = sorted({p.connection.kind for p in into})
    made = LAYERS.get(kinds[0]) if len(kinds) == 1 else None
    if made is None:
        raise UnsupportedError(f"{into[0]}: layers of a .net file are {' or '.join(LAYERS)}, not {' and '.join(kinds)}")
    if "neuron" not in ends and made is not _dense:
        raise UnsupportedError(f"population '{name}': a layer of a .net file without neurons is dense")
    yield from made(ends, into, again, source)


def _conv(ends: Layer, into: Sequence[Projection], again: Sequence[Projection], source: Shape) -> Iterator[Layer]:
    if again:
        raise UnsupportedError(f"{again[0]}: recurrent layers of a .net file are dense")
    first: Any = into[0].connection
    weight = np.zeros(first.weight.shape, np.int64)
    for p in into:
        c: Any = p.connection
        same = (c.stride, c.padding, c.dilation, c.groups) == (
            first.stride,
            first.padding,
            first.dilation,
            first.groups,
        )
        if p.delay or c.weight.shape != weight.shape or not same:
            raise UnsupportedError(f"{p}: convolutions of a .net file have no delays, and one geometry in a layer")
        weight += c.weight.astype(np.int64) << p.exponent
    try:
        require_held(weight)
    except ValueError as error:
        raise UnsupportedError(f"{into[0]}: {error}") from None
    geometry = {key: np.array(getattr(first, key)) for key in ("stride", "padding", "dilation")}
    channels = {"inChannels": weight.shape[1] * first.groups, "outChannels": len(weight)}
    kernel = {"kernelSize": np.array(first.kernel), "groups": first.groups, "weight": weight.astype(np.int16)}
    yield {"type": "conv", **ends, **channels, **geometry, **kernel}


def _dense(ends: Layer, into: Sequence[Projection], again: Sequence[Projection], source: Shape) -> Iterator[Layer]:
    sources, targets = math.prod(source), int(np.prod(ends["shape"]))
    if len(ends["shape"]) != 1:
        raise UnsupportedError(f"{into[0]}: dense layers of a .net file lead to (N,), not {tuple(ends['shape'])}")
    if len(source) == 3:
        yield {"type": "flatten", "shape": np.array([sources])}
    weight, delay = np.zeros((2, targets, sources), np.int64)
    taken = np.zeros(weight.shape, bool)
    for p in into:
        here = _matrix(p)
        if p.delay > MAX_DELAY or (taken & (here != 0) & (delay != p.delay)).any():
            raise UnsupportedError(f"{p}: a synapse of a .net file has one delay, of at most {MAX_DELAY} steps")
        weight += here
        taken |= here != 0
        delay[here != 0] = p.delay
    made: Layer = {
        "type": "dense_rec" if again else "dense",
        **ends,
        "inFeatures": sources,
        "outFeatures": targets,
        "weight": weight.astype(np.int16),
    }
    recurrent = None
    if again:
        recurrent = np.zeros((targets, targets), np.int64)
        for p in again:
            if LAYERS.get(p.connection.kind) is not _dense or p.delay != 1 or delay.any():
                raise UnsupportedError(
                    f"{p}: recurrent layers of a .net file are dense, with no delay but one step back"
                )
            recurrent += _matrix(p)
        made["weight_rec"] = recurrent.astype(np.int16)
    if reason := changed(weight, recurrent):
        raise UnsupportedError(f"{into[0]}: {reason}")
    if delay.any():
        one = np.unique(delay[taken])
        made["delay"] = int(one[0]) if len(one) == 1 else delay.astype(np.int32)
    yield made


def _matrix(p: Projection) -> IntArray:
    """Return the weights of a dense projection, (targets, sources)."""
    connection: Any = p.connection
    weight: IntArray = connection.weight.T.astype(np.int64) << p.exponent
    return weight


# of the connections that are layers of a file; all others are refused
LAYERS: Mapping[str, Callable[..., Iterator[Layer]]] = {"conv": _conv, "dense": _dense}
# of those that bring currents to the neurons of an input
GAINS: Mapping[str, Callable[[Any], bool]] = {"diagonal": lambda connection: (connection.gain == 1).all()}


def _lif(net: Network, name: str) -> LIF:
    """Return the neurons of a population, which are LIF as the chip has them, and reset to zero."""
    neuron: Any = net.populations[name].neuron
    if NEURONS.get(neuron.kind, lambda _: None)(neuron) != ("chip", FRACTION_BITS):
        raise UnsupportedError(f"population '{name}': the neurons of a .net file are LIF.loihi, not {neuron.kind}")
    odd = [key for key, only in PLAIN.items() if (getattr(neuron, key) != only).any()]
    odd += ["v_min"] if (neuron.v_min > -V_LIMIT).any() else []
    odd += ["reset"] if neuron.reset != "value" else []
    odd += [key for key in ("refractory", "reset_interval", "inclusive") if getattr(neuron, key)]
    if odd:
        raise UnsupportedError(
            f"population '{name}': {', '.join(odd)} cannot be said in a .net file: its neurons reset to zero, with "
            "nothing else; netx takes reset_interval when it loads the file"
        )
    made: LIF = neuron
    return made


# of the neurons of a file, all others are refused
NEURONS: Mapping[str, Callable[[Any], tuple[str, int]]] = {"lif": lambda neuron: (neuron.limits, neuron.fraction_bits)}


def _neuron(net: Network, name: str) -> Layer:
    neuron = _lif(net, name)
    threshold = _one(name, "threshold", neuron.threshold)
    keeps = [_one(name, key, getattr(neuron, key)) for key in ("keep_u", "keep_v")]
    share = KEEP_ALL // 4096
    if (threshold != V_LIMIT and threshold % 2**FRACTION_BITS) or any(keep % share for keep in keeps):
        raise UnsupportedError(
            f"population '{name}': a .net file has thresholds in units of the weights and decays in 4096ths: "
            "make its neurons with LIF.loihi"
        )
    mant = NEVER if threshold == V_LIMIT else threshold >> FRACTION_BITS
    if mant > LARGEST_THRESHOLD and mant != NEVER:
        raise UnsupportedError(f"population '{name}': thresholds of a .net file are at most {LARGEST_THRESHOLD}")
    decays = [4096 - keep // share for keep in keeps]
    return {"type": np.array([b"LOIHI"], "S10"), "vThMant": mant, "iDecay": decays[0], "vDecay": decays[1],
            "refDelay": 1, "wgtExp": 0}  # fmt: skip


def _one(name: str, key: str, values: npt.NDArray[np.int32]) -> int:
    if (values != values.flat[0]).any():
        raise UnsupportedError(f"population '{name}': {key} differs between neurons, and a .net file has one a layer")
    return int(values.flat[0])


def _bias(net: Network, name: str) -> IntArray:
    """Return the biases in units of the weights, one for all or for each channel."""
    neuron = net.populations[name].neuron
    bias = neuron.offset.astype(np.int64) if not neuron.fires else _lif(net, name).bias.astype(np.int64)
    if bias.ndim > 1:
        raise UnsupportedError(f"population '{name}': a .net file has a bias for each channel, not for each neuron")
    unit = FRACTION_BITS if neuron.fires else 0
    mant = bias >> unit
    if (mant << unit != bias).any() or mant.min() < -MOST_BIAS or mant.max() >= MOST_BIAS:
        raise UnsupportedError(
            f"population '{name}': biases of a .net file are whole units of the weights, in "
            f"{-MOST_BIAS}..{MOST_BIAS - 1}"
        )
    return mant
