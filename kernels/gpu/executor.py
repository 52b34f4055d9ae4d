# SPDX-License-Identifier: Apache-2.0
"""Programs on a GPU: all passes at once where nothing forbids it, the whole run as one CUDA graph."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikerun.errors import UnsupportedError, unknown_name
from spikerun.kernels.executor import Capture, Choice
from spikerun.kernels.gpu.batch import Batch
from spikerun.kernels.gpu.device import found
from spikerun.kernels.gpu.distribute import distribute, pass_by_pass
from spikerun.kernels.gpu.layout import Constants, from_device
from spikerun.kernels.gpu.maps import check
from spikerun.kernels.gpu.memory import Placed, placed, samples_that_fit
from spikerun.kernels.gpu.table import ROWS
from spikerun.kernels.gpu.workspace import GpuWorkspace
from spikerun.kernels.operations import Map
from spikerun.kernels.program import Program, Register

__all__ = ["Gpu", "GpuExecutor"]

Array = npt.NDArray[Any]
KEPT = 4  # sizes of batches whose memory and graphs are kept


class Gpu:
    """A GPU of NVIDIA's, the current one of torch.

    kernels: `event`, `dense`, or `auto`: by the activity that each map meets, seen on the device. batch: how many
    samples are run at a time; default as many as are given, or as fit its memory. Neither changes a result.
    """

    threads = 1

    def __init__(self, kernels: str = "auto", batch: int | None = None) -> None:
        if kernels not in ("auto", "event", "dense"):
            raise unknown_name("choice of kernels", str(kernels), ("auto", "event", "dense"))
        self.kernels, self.batch = kernels, batch
        self.place = found()

    def compile(self, program: Program, keep: Collection[str] = ()) -> "GpuExecutor":
        """Return an executor of the program. Raises UnsupportedError for what has no kernel."""
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
        self._decides = any(operation.name == "decide" for operation in program.operations)
        self._placed: dict[frozenset[str], Placed] = {}
        self._batches: dict[tuple[frozenset[str], int], Batch] = {}

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str]
    ) -> tuple[dict[str, Array], npt.NDArray[np.int64]]:
        """Run a batch from rest (`spikerun.kernels.executor.Executor.run`)."""
        count = len(next(iter(inputs.values())))
        by_pass = frozenset(n for n, v in inputs.items() if v.ndim > len(self._registers[n].shape) + 1)
        placed_ = self._placed_of(by_pass)
        size = samples_that_fit(placed_, self._constants, self._device.batch, count)
        parts, total = [], np.zeros((len(self.program.counters), 2), np.int64)
        for first in range(0, count, size) or (0,):
            batch = self._batch(by_pass, placed_, min(size, count - first))
            batch.load({name: self._near(_plain(v[first : first + size])) for name, v in inputs.items()})
            batch.run()
            parts.append({name: _host(batch.last(name), self._registers[name]) for name in outputs})
            total += batch.counters.cpu().numpy()
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs}, total

    def _near(self, values: Array) -> torch.Tensor:
        """Return an array in memory that the device copies from by itself."""
        found_ = torch.from_numpy(values)
        return found_.pin_memory() if self._device.place.type == "cuda" and values.size else found_

    def workspace(self, watch: Sequence[str] = (), capture: Sequence[Capture] = ()) -> GpuWorkspace:
        """Return a new sample at rest."""
        return GpuWorkspace(self.program, self._constants, watch, capture)

    def choices(self) -> list[Choice]:
        """Return which kernels were chosen for the maps."""
        return [
            Choice(place, "dense", "the only one", int(np.prod(value.source)))
            for place, operation in enumerate(self.program.operations)
            for _, value in operation.numbers()
            if isinstance(value, Map)
        ]

    def _placed_of(self, by_pass: frozenset[str]) -> Placed:
        if by_pass not in self._placed:
            made = pass_by_pass(self.program) if self._decides else distribute(self.program, by_pass)
            self._placed[by_pass] = placed(self.program, made, self._keep)
        return self._placed[by_pass]

    def _batch(self, by_pass: frozenset[str], placed_: Placed, count: int) -> Batch:
        key = by_pass, count
        if key in self._batches:
            self._batches[key] = self._batches.pop(key)  # the newest is the last
            return self._batches[key]
        while len(self._batches) >= KEPT:
            del self._batches[next(iter(self._batches))]
        self._batches[key] = Batch(self.program, placed_, self._constants, count, self._keep)
        return self._batches[key]


def _plain(values: Array) -> Array:
    """Return an array as torch takes it."""
    if values.dtype not in (np.uint8, np.int8, np.int16, np.int32, np.int64):
        values = values.astype(np.int64 if values.dtype.itemsize > 2 else np.int32)
    return np.ascontiguousarray(values) if values.flags.writeable else np.array(values, order="C")


def _host(values: torch.Tensor, register: Register) -> Array:
    """Return what a register holds, (B, *shape), words as int16, or uint16 where they need it."""
    found_: Array = from_device(values, register.shape).contiguous().cpu().numpy()
    wide = register.dtype == "uint16" and register.largest >= 2**15
    return found_.copy() if register.dtype == "int32" else found_.astype(np.uint16 if wide else np.int16)
