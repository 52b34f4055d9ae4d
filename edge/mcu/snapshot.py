# SPDX-License-Identifier: Apache-2.0
"""The state of a stream for a board, and back: what `model_save` and `model_load` of a bundle write and read.

The bytes are the same for every core and every packing of weights; `spikerun.edge.mcu.kept` says what they are.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.edge.mcu.kept import CRC_BYTES, HEADER, MAGIC, VERSION, Kept, kept, network, size
from spikerun.errors import DataError, UsageError
from spikerun.events import nanoseconds
from spikerun.kernels.program import Program
from spikerun.network import Network
from spikerun.plan import blockable, lower
from spikerun.snapshot import VERSION as HOST_VERSION
from spikerun.snapshot import check_keys, digest, read_state, write_state
from spikerun.stream import MAX_T

__all__ = ["from_board", "to_board"]


Array = npt.NDArray[Any]


class _Registers:
    """The registers that a board keeps, as a workspace (`spikerun.kernels.executor.Workspace`) without a device."""

    def __init__(self, found: list[Kept], t: int = 0) -> None:
        self.t = t
        self._values = {one.register.name: np.zeros(one.register.shape, one.register.dtype) for one in found}

    def reset(self) -> None:
        """Nothing of it is left by a step before."""

    def read(self, name: str) -> Array:
        """Return the content of a register."""
        return self._values[name]

    def write(self, name: str, values: Array) -> None:
        """Replace the content of a register."""
        self._values[name][...] = values


def to_board(net: Network, saved: Mapping[str, Array]) -> bytes:
    """Return a snapshot of a stream (`Stream.snapshot`) as the bytes that `model_load` of a bundle takes.

    Raises DataError where it is of another network, its values are out of range, or events are held back in it: a board
    holds none back, so `flush()` the stream before. The duration of a step is not among the bytes.
    """
    program = _program(net)
    found = kept(net, program)
    saved = {key: np.asarray(values) for key, values in saved.items()}
    check_keys(net, program, saved)
    if saved["pending"].size:
        raise DataError("the snapshot holds events back, which a board cannot: flush() the stream before it is saved")
    t = saved["t"]
    if t.shape != () or t.dtype.kind not in "iu" or not 0 <= t < MAX_T:
        raise DataError(f"'t' of the snapshot must be the number of steps done, from 0 on, got {t!s:.80}")
    work: Any = _Registers(found)
    write_state(net, program, work, saved, int(t))
    parts = [HEADER.pack(MAGIC, VERSION, network(net).tobytes(), int(t))]
    for one in found:
        stored = np.transpose(work.read(one.register.name), one.order)
        parts.append(np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).tobytes())
    whole = b"".join(parts)
    return whole + zlib.crc32(whole).to_bytes(CRC_BYTES, "little")


def from_board(net: Network, data: bytes, step_us: float = 1000.0) -> dict[str, Array]:
    """Return the bytes that `model_save` of a bundle wrote as a snapshot that `Stream.restore` takes.

    step_us: the duration of a step of the stream that is to go on, in microseconds. Raises DataError for bytes of
    another length or network, of another version, such as are not as they were saved, and values that the network
    cannot reach.
    """
    program = _program(net)
    found = kept(net, program)
    if len(data) != size(found):
        raise DataError(f"a board's snapshot of this network has {size(found)} bytes, got {len(data)}")
    magic, version, whose, t = HEADER.unpack_from(data)
    if magic != MAGIC or zlib.crc32(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise DataError("the board's snapshot is damaged: its first bytes or its checksum are wrong; save it again")
    if version != VERSION:
        raise DataError(f"the board's snapshot has version {version}, this spikerun reads version {VERSION}")
    if whose != network(net).tobytes():
        raise DataError("the board's snapshot is of another network: its weights, parameters or names differ")
    if t >= MAX_T:
        raise DataError(f"the board's snapshot counts {t} steps, more than any stream has done")
    work: Any = _Registers(found, t)
    begin = HEADER.size
    for one in found:
        dtype = np.dtype(one.register.dtype).newbyteorder("<")
        flat = np.frombuffer(data, dtype, one.register.size, begin)
        if flat.size and (flat.min() < one.low or flat.max() > one.high):
            raise DataError(
                f"'{one.register.name}' of the board's snapshot must hold integers in {one.low}..{one.high}, got "
                f"values from {flat.min()} to {flat.max()}: it is no state of this network"
            )
        stored = flat.reshape([one.register.shape[axis] for axis in one.order])
        work.write(one.register.name, np.transpose(stored, np.argsort(one.order)))
        begin += one.bytes
    state = read_state(net, program, work)
    head = {"version": np.array(HOST_VERSION), "network": digest(net), "t": np.array(t, np.int64)}
    return {**head, "step_ns": np.array(nanoseconds(step_us)), "pending": np.zeros((2, 0), np.int64), **state}


def _program(net: Network) -> Program:
    """Return the program that goes on step by step."""
    if blockable(net):
        raise UsageError("this network takes whole frames and keeps nothing between them: there is no state to save")
    return lower(net, "stream")
