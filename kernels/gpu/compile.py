# SPDX-License-Identifier: Apache-2.0
"""CUDA C++ compiled at run time by NVRTC, through cuda-bindings, which come with torch; compiled code is kept.

The folder is `spikerun/cuda` in $XDG_CACHE_HOME or ~/.cache; the environment variable SPIKERUN_CUDA_CACHE names
another, or says `off`. A file is named after all that decides its content: source, options, architecture, version of
the compiler. What cannot be read is compiled again.
"""

import ctypes
import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikerun.atomic import write_atomically
from spikerun.errors import UnsupportedError, UsageError

__all__ = ["CudaKernels", "machine_code"]

OPTIONS = ("--std=c++17",)
PLAIN_SHARED = 48 * 1024  # bytes of a block; for more a kernel has to ask

log = logging.getLogger("spikerun")


class CudaKernels:
    """Kernels for a device of CUDA (`spikerun.kernels.gpu.machine.Kernels`)."""

    def __init__(self, source: str, device: torch.device) -> None:
        """Compile a source. device: with its number, such as `cuda:0`; without it is the first one."""
        from cuda.bindings import driver

        self._device = device
        code = machine_code(source, torch.cuda.get_device_capability(device))
        _done(driver.cuInit(0))
        self._context = _done(driver.cuDevicePrimaryCtxRetain(device.index or 0))
        with torch.cuda.device(device):
            _done(driver.cuCtxSetCurrent(self._context))  # torch makes one when it needs it, not before
            self._module = _done(driver.cuModuleLoadData(code))
        self._functions: dict[tuple[str, int], Any] = {}

    def launch(self, name: str, grid: int, block: int, shared: int, *arguments: Any, together: bool = False) -> None:
        """Launch a kernel on the current stream of torch."""
        from cuda.bindings import driver

        given = [np.uint64(a.data_ptr()) if isinstance(a, torch.Tensor) else a for a in arguments]
        values, types = tuple(int(a) for a in given), tuple(_C_TYPES[a.dtype.name] for a in given)
        with torch.cuda.device(self._device):
            _done(driver.cuCtxSetCurrent(self._context))
            stream = driver.CUstream(torch.cuda.current_stream(self._device).cuda_stream)
            start = driver.cuLaunchCooperativeKernel if together else driver.cuLaunchKernel
            how = (self._function(name, shared), grid, 1, 1, block, 1, 1, shared, stream, (values, types))
            _done(start(*how) if together else start(*how, 0))

    def _function(self, name: str, shared: int) -> Any:
        from cuda.bindings import driver

        if (name, shared) not in self._functions:
            function = _done(driver.cuModuleGetFunction(self._module, name.encode()))
            if shared > PLAIN_SHARED:
                attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
                _done(driver.cuFuncSetAttribute(function, attribute, shared))
            self._functions[name, shared] = function
        return self._functions[name, shared]


_C_TYPES: dict[str, type[Any]] = {
    "uint64": ctypes.c_uint64,
    "int64": ctypes.c_int64,
    "uint32": ctypes.c_uint32,
    "int32": ctypes.c_int32,
}


def _done(result: tuple[Any, ...]) -> Any:
    """Return what a call of CUDA returns beside its error, which is raised."""
    error, *values = result
    if int(error):
        raise UnsupportedError(f"CUDA says {getattr(error, 'name', error)}")
    return values[0] if len(values) == 1 else values


def machine_code(source: str, capability: tuple[int, int]) -> bytes:
    """Return the machine code of a source, from the folder or from the compiler."""
    options = (*OPTIONS, f"--gpu-architecture=sm_{capability[0]}{capability[1]}")
    told = "\0".join([*options, _version(), source])
    folder = _folder()
    file = folder / f"{hashlib.sha256(told.encode()).hexdigest()}.cubin" if folder else None
    if file is not None and file.is_file():
        try:
            return file.read_bytes()
        except OSError as error:
            log.warning("reading %s: %s; it is compiled again", file, error)
    code = _compile(source, options)
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, code, force=True)
        except (UsageError, OSError) as error:
            log.warning("writing %s: compiled kernels are not kept (%s); SPIKERUN_CUDA_CACHE names another folder",
                        file, error)  # fmt: skip
    return code


def _version() -> str:
    """Return which compiler it is."""
    from cuda.bindings import nvrtc

    return ".".join(map(str, _done(nvrtc.nvrtcVersion())))


def _compile(source: str, options: tuple[str, ...]) -> bytes:
    from cuda.bindings import nvrtc

    program = _done(nvrtc.nvrtcCreateProgram(source.encode(), b"spikerun.cu", 0, [], []))
    (error,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    if int(error):
        said = bytearray(_done(nvrtc.nvrtcGetProgramLogSize(program)))
        _done(nvrtc.nvrtcGetProgramLog(program, said))
        raise RuntimeError(f"NVRTC does not compile our kernels: {said.decode()}")
    code = bytearray(_done(nvrtc.nvrtcGetCUBINSize(program)))
    _done(nvrtc.nvrtcGetCUBIN(program, code))
    _done(nvrtc.nvrtcDestroyProgram(program))
    return bytes(code)


def _folder() -> Path | None:
    named = os.environ.get("SPIKERUN_CUDA_CACHE", "")
    if named == "off":
        return None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "spikerun" / "cuda"
