# SPDX-License-Identifier: Apache-2.0
"""A program inside a program of torch: the operator `spikerun::run`, whose result torch.compile knows the shape of.

Nothing waits for the device. Values of samples are not looked at, only what else there is of them: shape, type and
device.
"""

from copy import deepcopy
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakValueDictionary

import torch

from spikerun.errors import DataError, UnsupportedError, UsageError
from spikerun.kernels.executor import Taken

if TYPE_CHECKING:
    from spikerun.kernels.gpu.batch import Batch
    from spikerun.kernels.gpu.executor import GpuExecutor

__all__ = ["Module"]

_MODULES: "WeakValueDictionary[int, Module]" = WeakValueDictionary()
_NUMBERS = count(1)


class Module(torch.nn.Module):
    """From integers (B, *shape of a sample) to float32 (B, n): the elements of an output, in order, times a scale."""

    def __init__(self, executor: "GpuExecutor", register: str, output: str, taken: Taken, scale: torch.Tensor) -> None:
        super().__init__()
        self._taken, self._scale = taken, scale
        self._executor, self._register, self._output = executor, register, output
        self._number = next(_NUMBERS)
        _MODULES[self._number] = self

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the output of each sample. Raises UsageError, DataError for what the input cannot take."""
        self._check(samples)
        if type(samples) is torch.Tensor and not torch.compiler.is_compiling():
            return self._whole(samples)  # the operator alone takes longer than a small network
        found: torch.Tensor = run(samples, self._number, self._scale.numel())
        return found

    def __copy__(self) -> "Module":
        """Return a module of the same program, which is shared, with a number of its own."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._number = next(_NUMBERS)
        _MODULES[made._number] = made
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> "Module":
        """Return such a copy, all else of it its own."""
        made = memo[id(self)] = self.__copy__()
        memo[id(self._executor)] = self._executor
        own = {name: value for name, value in self.__dict__.items() if name != "_number"}
        made.__dict__.update(deepcopy(own, memo))
        return made

    def __reduce__(self) -> NoReturn:
        """Raise UnsupportedError: a program stays in its process."""
        raise UnsupportedError(
            "a module of torch that as_torch made cannot be pickled: save the network, spikerun.save(net, 'net.snn'), "
            "and make the module again where it is loaded"
        )

    def _check(self, samples: torch.Tensor) -> None:
        taken, place = self._taken, self._scale.device
        if not isinstance(samples, torch.Tensor):
            raise UsageError(f"input '{taken.name}' of a module of torch takes a tensor, got {type(samples).__name__}")
        if samples.is_floating_point() or samples.is_complex():
            raise DataError(
                f"input '{taken.name}' takes integers of {taken.low}..{taken.high}, got {samples.dtype}: multiply by "
                "1 / scale and round before, where real numbers are meant"
            )
        if tuple(samples.shape[1:]) != taken.shape or samples.ndim != len(taken.shape) + 1:
            expected = ", ".join(("B", *map(str, taken.shape)))
            raise DataError(
                f"input '{taken.name}' takes values of shape ({expected}), got {tuple(map(int, samples.shape))}"
            )
        if samples.device != place:
            raise UsageError(
                f"input '{taken.name}' of this module takes a tensor on the device '{place}', got one on "
                f"'{samples.device}': move it there with .to('{place}')"
            )

    def _whole(self, samples: torch.Tensor) -> torch.Tensor:
        given = {self._register: samples.detach()}
        parts = self._executor.each(given, lambda batch: batch.answer.clone(), self._scaled)
        none = samples.new_empty((0, len(self._scale)), dtype=torch.float32)
        return parts[0] if len(parts) == 1 else torch.cat([none, *parts])

    def _scaled(self, batch: "Batch") -> torch.Tensor:
        return self._executor.result(batch, self._output).flatten(1) * self._scale  # int32 times float32 is float32


@torch.library.custom_op("spikerun::run", mutates_args=())
def run(samples: torch.Tensor, module: int, size: int) -> torch.Tensor:
    """Return what the module of a number makes of samples: float32 (B, size)."""
    return _MODULES[module]._whole(samples)


@run.register_fake
def _(samples: torch.Tensor, module: int, size: int) -> torch.Tensor:
    return samples.new_empty((samples.shape[0], size), dtype=torch.float32)
