# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels of a circuit, compiled for this processor: `cuda_on_host.hpp` stands for the device."""

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from spikerun.kernels.gpu.machine import Machine

HEADER = Path(__file__).with_name("cuda_on_host.hpp")
CALLS = """
#define CALL(name, parameters, given) \\
    extern "C" void call_##name(unsigned grid, unsigned block, unsigned shared, parameters) { \\
        launch(grid, block, shared, [=] { name given; }); \\
    }
#define COMMA ,
CALL(recurrent, const Arguments* a COMMA long long t COMMA unsigned e COMMA unsigned n COMMA unsigned l,
     (a, t, e, n, l))
CALL(count_events,
     const Drive* d COMMA unsigned b COMMA unsigned e COMMA long long f COMMA long long l COMMA unsigned* c,
     (d, b, e, f, l, c))
CALL(drawn_synapses, const Rule* r COMMA const Place* p, (r, p))
CALL(listed_synapses,
     const unsigned* s COMMA const unsigned* t COMMA const signed char* w COMMA const int* d COMMA word64 n COMMA
         const Place* p,
     (s, t, w, d, n, p))
"""
FLAGS = ("-std=c++17", "-O1", "-g1", "-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Wno-unused-parameter",
         "-Wno-unknown-pragmas", "-Werror")  # fmt: skip
C_TYPES: dict[str, Any] = {"uint64": ctypes.c_uint64, "int64": ctypes.c_int64, "uint32": ctypes.c_uint32}


class HostKernels:
    """Kernels as functions of a library (`spikerun.kernels.gpu.compile.Kernels`)."""

    def __init__(self, source: str) -> None:
        self._library = ctypes.CDLL(_library(source))

    def launch(self, name: str, grid: int, block: int, shared: int, *arguments: Any, together: bool = False) -> None:
        """Run a kernel; a grid that need not run together may be smaller."""
        del together
        given = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else C_TYPES[a.dtype.name](int(a))
                 for a in arguments]  # fmt: skip
        getattr(self._library, f"call_{name}")(*(ctypes.c_uint32(n) for n in (grid, block, shared)), *given)


def machine(processors: int, shared: int) -> Machine:
    """Return a machine of so many blocks, with so many bytes each."""
    return Machine(torch.device("cpu"), processors, shared, HostKernels)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="spikerun-cuda-"))


def _library(source: str) -> str:
    text = f'#include "{HEADER}"\n{source}\n{CALLS}'
    name = _folder() / hashlib.sha256(text.encode()).hexdigest()
    library = name.with_suffix(".so")
    if not library.exists():
        name.with_suffix(".cpp").write_text(text, encoding="utf-8")
        subprocess.run(["g++", *FLAGS, "-o", library, name.with_suffix(".cpp")], check=True)
    return str(library)
