# SPDX-License-Identifier: Apache-2.0
"""Programs on a GPU: all passes at once where nothing forbids it, the whole run as one CUDA graph."""

import math
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from spikerun.errors import UnsupportedError, UsageError, unknown_name
from spikerun.kernels.executor import Capture, Choice, Footprint, Single, Taken
from spikerun.kernels.gpu.batch import Batch
from spikerun.kernels.gpu.choice import events
from spikerun.kernels.gpu.device import found, free
from spikerun.kernels.gpu.distribute import Layer, distribute, pass_by_pass
from spikerun.kernels.gpu.fuse import fused
from spikerun.kernels.gpu.layout import Constants, from_device
from spikerun.kernels.gpu.machine import gpu
from spikerun.kernels.gpu.maps import check
from spikerun.kernels.gpu.memory import LEFT, Placed, placed, samples_that_fit
from spikerun.kernels.gpu.recurrent import Recurrent, takes
from spikerun.kernels.gpu.rows import BITS
from spikerun.kernels.gpu.table import ROWS
from spikerun.kernels.gpu.workspace import GpuWorkspace
from spikerun.kernels.operations import Apply, Encode, Map
from spikerun.kernels.program import Program

__all__ = ["Gpu", "GpuExecutor"]

Array = npt.NDArray[Any]
T = TypeVar("T")
CPU, CUDA = 1, 2  # as DLPack numbers kinds of devices
_COMPARED = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}
KEPT = 4  # sizes of batches whose memory and graphs are kept


class Gpu:
    """A GPU of NVIDIA's, the current one of torch.

    kernels: `event`, `dense`, or `auto`, which Triton's interpreter takes for torch's operators: it is slow. batch: how
    many samples are run at a time; default as many as are given, or as fit its memory. Neither changes a result.
    """

    threads = 1

    def __init__(self, kernels: str = "auto", batch: int | None = None) -> None:
        if kernels not in ("auto", "event", "dense"):
            raise unknown_name("choice of kernels", str(kernels), ("auto", "event", "dense"))
        if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
            raise UsageError(f"batch must be a positive integer, the samples that are run at a time, got {batch!r:.80}")
        self.kernels, self.batch = kernels, batch
        self.place = found()
        self.fast = self.place.type == "cuda" or kernels != "auto"

    def compile(self, program: Program, keep: Collection[str] = ()) -> "GpuExecutor | Recurrent":
        """Return an executor of the program. Raises UnsupportedError for what has no kernel."""
        if self.place.type == "cuda" and takes(program) is None:
            return Recurrent(program, gpu(self.place))
        return GpuExecutor(self, program, keep)


class GpuExecutor:
    """A program compiled for a GPU."""

    def __init__(self, device: Gpu, program: Program, keep: Collection[str]) -> None:
        for operation in program.operations:
            if operation.name not in ROWS:
                raise UnsupportedError(
                    f"no GPU kernel for the operation '{operation.name}': there is no row of it in "
                    "kernels/gpu/table.py; spikerun.reference runs it"
                )
            for _, value in operation.numbers():
                if isinstance(value, Map):
                    check(value)
        self.program = program
        self._device, self._keep = device, frozenset(keep)
        self._registers = {register.name: register for register in program.registers}
        self._constants = Constants(device.place)
        self._events = events(device.place, device.kernels, self._constants)
        self._decides = any(operation.name == "decide" for operation in program.operations)
        self._placed: dict[frozenset[str], Placed] = {}
        self._batches: dict[Hashable, Batch] = {}
        self._alone = Lock()  # of the thread that runs a batch

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str]
    ) -> tuple[dict[str, Array], npt.NDArray[np.int64]]:
        """Run a batch from rest (`spikerun.kernels.executor.Executor.run`); inputs may be tensors on the device."""
        given = {name: self.tensor(values) for name, values in inputs.items()}
        told = self.each(given, lambda batch: batch.told(outputs))
        parts = [found_ for found_, _ in told]
        total = sum((counters for _, counters in told), np.zeros((len(self.program.counters), 2), np.int64))
        if not parts:
            return {name: np.zeros((0, *self._registers[name].shape), np.int32) for name in outputs}, total
        if len(parts) == 1:
            return parts[0], total
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs}, total

    def each(
        self, inputs: Mapping[str, Any], read: Callable[[Batch], T], tail: Callable[[Batch], torch.Tensor] | None = None
    ) -> list[T]:
        """Run a batch in as many pieces as memory asks for; return what is read of each when its results are there.

        tail: what is computed of each at the end. Another thread waits: batches and their memory are shared.
        """
        with self._alone:
            return [read(batch) for batch in self._pieces(inputs, tail)]

    def _pieces(self, inputs: Mapping[str, Any], tail: Callable[[Batch], torch.Tensor] | None) -> Iterator[Batch]:
        count = len(next(iter(inputs.values())))
        by_pass = frozenset(n for n, v in inputs.items() if v.ndim > len(self._registers[n].shape) + 1)
        placed_ = self._placed_of(by_pass)
        key = tuple((name, tuple(values.shape)) for name, values in inputs.items()), tail
        whole = key in self._batches  # its memory is there: nothing is asked of the device
        size = max(1, count) if whole else samples_that_fit(placed_, self._constants, self._device.batch, count)
        for first in range(0, count, size):
            piece = {name: values[first : first + size] for name, values in inputs.items()}
            batch = self._batch(by_pass, {name: tuple(v.shape) for name, v in piece.items()}, tail)
            batch.load(piece)
            batch.run()
            yield batch

    def prepared(self, low: int, high: int, scale: npt.NDArray[np.float32] | None) -> Single | None:
        """Return what runs a sample of the only input (`spikerun.kernels.executor.Prepares`)."""
        if len(self.program.inputs) != 1 or self._decides or self._by_pass() or not self.program.outputs:
            return None
        ((_, given),), outputs = self.program.inputs, [name for _, name in self.program.outputs]
        shape, labels = (1, *self._registers[given].shape), [label for label, _ in self.program.outputs]

        def run(sample: Array) -> tuple[dict[str, Array], dict[str, tuple[int, int]], int] | None:
            if sample.shape != shape or sample.dtype.kind not in "iu":
                return None
            if (sample.dtype != np.uint8 or low or high < 255) and not low <= sample.min() <= sample.max() <= high:
                return None
            with self._alone:
                batch = self._batch(frozenset(), {given: shape}, None)
                batch.load({given: sample})
                batch.run()
                found_, counters = batch.told(outputs)
            first = found_[outputs[0]]
            largest = int((first if scale is None else first.astype(np.float32) * scale).argmax())
            arrays = {n: found_[r].astype(np.int32, copy=False) for n, r in zip(labels, outputs, strict=True)}
            return arrays, dict(zip(self.program.counters, map(tuple, counters.tolist()), strict=True)), largest

        return run

    def footprint(self) -> Footprint:
        """Return what runs take of the device (`spikerun.kernels.executor.Apart`)."""
        placed_ = self._placed_of(self._by_pass())
        maps = (value for operation in self.program.operations for _, value in operation.numbers())
        weights = sum(_weights(value) for value in maps if isinstance(value, Map))
        place = self._device.place
        room = int(free(place) * LEFT) if place.type == "cuda" else None
        fixed, each = max(weights + placed_.synapses, self._constants.bytes), placed_.arena + placed_.scratch
        return Footprint(fixed, each, room, self._device.batch)

    def holds(self, values: object) -> bool:
        """Return whether an array of another library lies on the device."""
        if isinstance(values, np.ndarray) or not hasattr(values, "__dlpack_device__"):
            return False
        if isinstance(values, torch.Tensor) and (values.layout != torch.strided or values.device.type == "meta"):
            return False
        kind, number = values.__dlpack_device__()
        here = self._device.place
        return (kind, number) == (CUDA, here.index) if here.type == "cuda" else kind == CPU

    def tensor(self, values: Any) -> Any:
        """Return an array as it is, or one of another library as a tensor, without a copy."""
        if isinstance(values, np.ndarray):
            return values
        found_: torch.Tensor = values if isinstance(values, torch.Tensor) else torch.utils.dlpack.from_dlpack(values)
        return found_.detach()

    def within(self, values: Any, low: int, high: int) -> bool:
        """Return whether all of an array on the device are integers in low..high."""
        tensor = self.tensor(values)
        if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
            return False
        if (tensor.dtype == torch.uint8 and (low, high) == (0, 255)) or not tensor.numel():
            return True
        if tensor.dtype in _COMPARED:  # torch compares no wide unsigned integers
            tensor, low = tensor.to(_COMPARED[tensor.dtype]), max(low, 0)  # those of 64 bits beyond int64 turn negative
        least, largest = torch.aminmax(tensor)
        return bool(least >= low) and bool(largest <= high)

    def as_torch(self, register: str, output: str, taken: Taken, scale: npt.NDArray[np.float32]) -> Any:
        """Return a torch module of the program (`spikerun.kernels.executor.Apart`)."""
        from spikerun.kernels.gpu.library import Module

        return Module(self, register, output, taken, self._constants.put(scale.reshape(-1)))

    def result(self, batch: Batch, name: str) -> torch.Tensor:
        """Return what a register holds after a run, (B, *shape)."""
        return from_device(batch.last(name), self._registers[name].shape)

    def _by_pass(self) -> frozenset[str]:
        """Return the inputs of which a row is given before each pass: in runs of several, those not encoded here."""
        whole = {operation.q for operation in self.program.operations if isinstance(operation, Encode)}
        given = frozenset(name for _, name in self.program.inputs)
        return given - whole if self.program.steps > 1 else frozenset()

    def workspace(self, watch: Sequence[str] = (), capture: Sequence[Capture] = ()) -> GpuWorkspace:
        """Return a new sample at rest."""
        return GpuWorkspace(self.program, self._constants, watch, capture)

    def choices(self) -> list[Choice]:
        """Return which kernels were chosen for the maps."""
        parts = self._placed_of(self._by_pass()).schedule.parts
        within = {part.layer.apply: part.layer for part in parts if part.layer is not None}
        return [
            self._choice(place, value, within.get(place))
            for place, operation in enumerate(self.program.operations)
            for _, value in operation.numbers()
            if isinstance(value, Map)
        ]

    def _choice(self, place: int, map_: Map, layer: Layer | None) -> Choice:
        """Return what is chosen for the map of an operation, in batches of one."""
        schedule, operation = self._placed_of(self._by_pass()).schedule, self.program.operations[place]
        packed = isinstance(operation, Apply) and operation.x in schedule.packed
        steps = min(len(schedule.passes[place]), BITS) if packed else 0
        if self._events is not None and layer is not None and self._events.takes(map_, 1, steps):
            return self._events.choice(place, map_, steps)
        return Choice(place, *_kernel(layer, self._device), math.prod(map_.source), bytes=_weights(map_))

    def _placed_of(self, by_pass: frozenset[str]) -> Placed:
        if by_pass not in self._placed:
            if self._decides:
                made = pass_by_pass(self.program)
            else:
                made = distribute(self.program, by_pass)
                made = fused(self.program, made, self._keep) if self._device.fast else made
            self._placed[by_pass] = placed(self.program, made, self._keep)
        return self._placed[by_pass]

    def _batch(
        self,
        by_pass: frozenset[str],
        given: Mapping[str, tuple[int, ...]],
        tail: Callable[[Batch], torch.Tensor] | None,
    ) -> Batch:
        """Return the batch of these shapes, of which the last few are kept."""
        key = (tuple(given.items()), tail)
        if key in self._batches:
            self._batches[key] = self._batches.pop(key)  # the newest is the last
            return self._batches[key]
        while len(self._batches) >= KEPT:
            del self._batches[next(iter(self._batches))]
        placed_, fast = self._placed_of(by_pass), self._device.fast
        made = Batch(self.program, placed_, self._constants, self._keep, given, fast, tail, self._events)
        self._batches[key] = made
        return made


def _kernel(layer: Layer | None, device: Gpu) -> tuple[str, str]:
    """Return the kernel of a map, in words, and why."""
    if layer is None and not device.fast:
        return "torch", "torch's operators: Triton's interpreter is slow"
    if layer is None:
        return "torch" if device.kernels == "event" else "dense", "not fused: no kernel takes it with what follows"
    if device.kernels == "event":
        return "tensor cores", "no event-driven kernel takes it here"
    if layer.neuron is None:
        return "dense, tensor cores", "its sums go to memory"
    return "dense, tensor cores", "one kernel with its neurons" + (" and their pool" if layer.pool is not None else "")


def _weights(map_: Map) -> int:
    return sum(value.nbytes for _, value in map_.parameters if isinstance(value, np.ndarray))
