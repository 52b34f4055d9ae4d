# SPDX-License-Identifier: Apache-2.0
"""Which GPU there is, and what it must be."""

import torch
import triton

from spikerun.errors import UnsupportedError

__all__ = ["CAPABILITY", "found", "free"]

CAPABILITY = (8, 0)  # Ampere: tensor cores of 8-bit integers as Triton compiles them


def found() -> torch.device:
    """Return the GPU of this process; the processor where Triton's interpreter stands in for one (TRITON_INTERPRET=1).

    Raises UnsupportedError where there is none, or one that is too old.
    """
    if triton.knobs.runtime.interpret:
        return torch.device("cpu")
    if torch.version.cuda is None:
        raise UnsupportedError(
            f"device 'cuda' needs a torch that was built with CUDA, and this one, {torch.__version__}, was not: "
            "install one that is over it (pip install --force-reinstall torch from an index of CUDA builds; torch's "
            "own page has the command), or take device='cpu'"
        )
    if not torch.cuda.is_available():
        raise UnsupportedError(
            "device 'cuda' needs a GPU of NVIDIA's and its driver, and torch finds none: take device='cpu'"
        )
    capability = torch.cuda.get_device_capability()
    if capability < CAPABILITY:
        raise UnsupportedError(
            f"the GPU {torch.cuda.get_device_name()} is too old: it has the compute capability {_dotted(capability)}, "
            f"and {_dotted(CAPABILITY)} is needed; take device='cpu'"
        )
    return torch.device("cuda", torch.cuda.current_device())


def free(device: torch.device) -> int:
    """Return how many bytes can be had on a device; of the interpreter's, as many as pieces of a run may take."""
    if device.type == "cpu":
        return 2**34  # what this computer has is not asked for
    free_, _ = torch.cuda.mem_get_info(device)
    return free_ + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
