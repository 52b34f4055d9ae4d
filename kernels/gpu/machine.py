# SPDX-License-Identifier: Apache-2.0
"""Where kernels of CUDA C++ run: a GPU, or in tests what stands for one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

__all__ = ["Kernels", "Machine", "gpu"]


class Kernels(Protocol):
    """Compiled kernels of one source."""

    def launch(self, name: str, grid: int, block: int, shared: int, *arguments: Any, together: bool = False) -> None:
        """Launch a kernel on the current stream of torch.

        arguments: numbers of NumPy, and tensors, of which the kernel gets the address; shared: bytes of memory of each
        block; together: all blocks run at once.
        """
        ...


@dataclass(frozen=True)
class Machine:
    """processors: blocks that run at once, each with `shared` bytes of its own; and what compiles."""

    device: torch.device
    processors: int
    shared: int
    compile: Callable[[str], Kernels]


def gpu(device: torch.device) -> Machine:
    """Return a device of CUDA."""
    from spikerun.kernels.gpu.compile import CudaKernels

    found = torch.cuda.get_device_properties(device)
    return Machine(
        device,
        found.multi_processor_count,
        found.shared_memory_per_block_optin,  # type: ignore[attr-defined]
        lambda source: CudaKernels(source, device),
    )
