# SPDX-License-Identifier: Apache-2.0
"""The state of a stream as arrays: what the contract knows of a network's past, and nothing of how it is executed.

Keys: `version`; `network`, a digest of populations and projections; `t`, steps done; `step_ns`; `pending`, (2, n) steps
and neurons of events not yet run; `state/NAME/KEY`, the state of each population as its kind names it; `past/K`, of
each projection that lags, the events of its source in the last steps, oldest first: what `reference.Stepper` keeps.
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

__all__ = ["VERSION", "digest", "read_state", "write_state"]

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
        values = {key: value for key, value in named.items() if not isinstance(value, np.ndarray)}
        ends = (link.source, link.target, link.lag, link.channels, link.connection.kind)
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
    for name, p in net.populations.items():
        if p.neuron.passes_on:  # what kernels keep of taps outside the image means nothing
            (link,) = net.into(name)
            seen = link.connection.apply(np.zeros(net.populations[link.source].shape, np.int64)) != OUTSIDE
            saved[f"state/{name}/alive"] = saved[f"state/{name}/alive"] * seen
    for link in _lagging(net):
        saved[_past_key(link)] = read_past(net, link, work)
    return saved


def write_state(net: Network, program: Program, work: Workspace, saved: Mapping[str, Array], t: int) -> None:
    """Put a contract's state into a workspace, t steps done. Raises DataError, changing nothing, if it does not fit."""
    registers = dict(_state(net, program))
    by_name = {register.name: register for register in program.registers}
    for key, register in registers.items():
        _check(key, saved, register.shape, register.dtype)
    for link in _lagging(net):
        shape = net.populations[link.source].shape
        _check(_past_key(link), saved, (link.lag, *shape), by_name[link.source].dtype)
    work.reset()  # what was sent in the last step is no part of the state, and must not be taken for spikes
    for key, register in registers.items():
        work.write(register.name, np.asarray(saved[key]))
    for link in _lagging(net):
        write_past(net, link, work, np.asarray(saved[_past_key(link)]), t)
    work.t = t


def keys(net: Network, program: Program) -> set[str]:
    """Return the keys that the state of a network has."""
    return {key for key, _ in _state(net, program)} | {_past_key(link) for link in _lagging(net)}


def _state(net: Network, program: Program) -> Iterator[tuple[str, Register]]:
    registers = {register.name: register for register in program.registers}
    for name, p in net.populations.items():
        for key in p.neuron.state:
            yield f"state/{name}/{key}", registers[of(name, key)]


def _lagging(net: Network) -> list[Link]:
    return [link for link in net.links if link.lag]


def _past_key(link: Link) -> str:
    return f"past/{link.number}"


def _check(key: str, saved: Mapping[str, Array], shape: tuple[int, ...], dtype: str) -> None:
    array, limits = np.asarray(saved[key]), np.iinfo(dtype)
    fits = array.dtype.kind in "iu" and array.shape == shape
    if not fits or (array.size and (array.min() < limits.min or array.max() > limits.max)):
        raise DataError(f"'{key}' of the snapshot must hold {dtype} of shape {shape}, got {array.dtype} {array.shape}")
