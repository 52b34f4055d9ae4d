# SPDX-License-Identifier: Apache-2.0
"""The state of a stream as arrays: what the contract knows of a network's past, and nothing of how it is executed.

Keys: `version`; `network`, a digest of populations and projections; `t`, steps done; `step_ns`; `pending`, (2, n) steps
and neurons of events not yet run; `state/NAME/KEY`, the state of each population as its kind names it; `past/K`, of
each projection that lags, the events of its source in the last steps, oldest first; `under_way/NAME`, of each
population whose synapses have delays of their own, the currents that arrive in the next steps: what
`reference.Stepper` keeps.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.connections.window import OUTSIDE
from spikerun.errors import DataError
from spikerun.kernels.executor import Workspace
from spikerun.kernels.program import Program, Register
from spikerun.network import Link, Network
from spikerun.plan.common import of
from spikerun.plan.past import read_past, write_past
from spikerun.plan.ring import read_ring, write_ring
from spikerun.text import listed

__all__ = ["VERSION", "check_keys", "digest", "read_state", "write_state"]

VERSION = 1
Array = npt.NDArray[Any]


def digest(net: Network) -> npt.NDArray[np.uint8]:
    """Return what tells a network from others: SHA-256 of all that it computes with, uint8 (32,)."""
    found = hashlib.sha256(repr((net.window, net.outputs)).encode())
    for name, p in net.populations.items():
        values = {key: value for key, value in vars(p.neuron).items() if not isinstance(value, np.ndarray)}
        found.update(repr((name, p.shape, p.neuron.kind, sorted(values.items()))).encode())
        _update(found, p.neuron.arrays())
    for link in net.links:
        named = dict(link.connection.parameters())
        values = {k: value for k, value in named.items() if not isinstance(value, np.ndarray) and value is not None}
        ends: tuple[Any, ...] = (link.source, link.target, link.lag, link.channels, link.connection.kind)
        ends += (link.projection.exponent,) if link.projection.exponent else ()
        found.update(repr((ends, sorted(values.items()))).encode())
        _update(found, {key: value for key, value in named.items() if isinstance(value, np.ndarray)})
    return np.frombuffer(found.digest(), np.uint8)


def _update(found: Any, arrays: Mapping[str, Array]) -> None:
    for name, array in sorted(arrays.items()):
        found.update(repr((name, array.shape, array.dtype.str)).encode())
        found.update(np.ascontiguousarray(array).data)


def read_state(net: Network, program: Program, work: Workspace) -> dict[str, Array]:
    """Return the contract's state of a workspace of the `stream` program."""
    saved = {key: work.read(register.name) for key, register in _state(net, program)}
    for name in net.populations:
        if net.taps(name):  # what kernels keep of taps outside the image means nothing
            (link,) = net.into(name)
            seen = link.connection.apply(np.zeros(net.populations[link.source].shape, np.int64)) != OUTSIDE
            saved[f"state/{name}/alive"] = saved[f"state/{name}/alive"] * seen
    for link in _lagging(net):
        saved[_past_key(link)] = read_past(net, link, work)
    for name in _reached_late(net):
        saved[_ring_key(name)] = read_ring(net, name, work)
    return saved


def write_state(net: Network, program: Program, work: Workspace, saved: Mapping[str, Array], t: int) -> None:
    """Put a contract's state into a workspace, t steps done. Raises DataError, changing nothing, if it does not fit."""
    registers = dict(_state(net, program))
    for key, register in registers.items():
        _, name, part = key.split("/")
        _check(key, saved, register.shape, *net.state_range(name, part))
    for link in _lagging(net):
        word = net.sender_of(link.source)
        events = (0, 1) if word is None else word.event_range
        _check(_past_key(link), saved, (link.held, *net.populations[link.source].shape), *events)
    for name in _reached_late(net):
        most, shape = net.largest_under_way(name), net.populations[name].shape
        _check(_ring_key(name), saved, (net.under_way(name), *shape), -most, most)
    work.reset()  # what was sent in the last step is no part of the state, and must not be taken for spikes
    for key, register in registers.items():
        work.write(register.name, np.asarray(saved[key]))
    for link in _lagging(net):
        write_past(net, link, work, np.asarray(saved[_past_key(link)]), t)
    for name in _reached_late(net):
        write_ring(net, name, work, np.asarray(saved[_ring_key(name)]), t)
    work.t = t


def check_keys(net: Network, program: Program, saved: Mapping[str, Array]) -> None:
    """Refuse a snapshot of another version or network, or one that lacks an array or has one too many."""
    if not np.array_equal(saved.get("version", VERSION), VERSION):
        raise DataError(f"the snapshot has version {saved['version']}, this spikerun reads version {VERSION}")
    mine = digest(net)
    if not np.array_equal(saved.get("network", mine), mine):
        raise DataError("the snapshot is of another network: its weights, parameters or names differ")
    expected = {"version", "network", "t", "step_ns", "pending", *(key for key, _ in _state(net, program))}
    expected |= {_past_key(link) for link in _lagging(net)} | {_ring_key(name) for name in _reached_late(net)}
    missing, strange = expected - saved.keys(), saved.keys() - expected
    if missing or strange:
        told = [f"lacks {listed(missing)}"] if missing else []
        told += [f"has {listed(strange)}, which no snapshot of this network has"] if strange else []
        raise DataError(f"the snapshot {' and '.join(told)}; give all that snapshot() returned, and nothing else")


def _state(net: Network, program: Program) -> Iterator[tuple[str, Register]]:
    registers = {register.name: register for register in program.registers}
    for name in net.populations:
        for key in net.kept(name):
            yield f"state/{name}/{key}", registers[of(name, key)]


def _lagging(net: Network) -> list[Link]:
    return [link for link in net.links if link.held]


def _reached_late(net: Network) -> list[str]:
    return [name for name in net.populations if net.under_way(name)]


def _past_key(link: Link) -> str:
    return f"past/{link.number}"


def _ring_key(name: str) -> str:
    return f"under_way/{name}"


def _check(key: str, saved: Mapping[str, Array], shape: tuple[int, ...], low: int, high: int) -> None:
    array, wanted = np.asarray(saved[key]), f"'{key}' of the snapshot must hold integers in {low}..{high}"
    if array.dtype.kind not in "iu" or array.shape != shape:
        raise DataError(f"{wanted} of shape {shape}, got {array.dtype} of shape {array.shape}")
    if array.size and (array.min() < low or array.max() > high):
        raise DataError(f"{wanted}, got values from {array.min()} to {array.max()}")
