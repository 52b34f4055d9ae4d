# SPDX-License-Identifier: Apache-2.0
"""CUDA kernels, compiled for this processor: `cuda_on_host.hpp` stands for the device."""

import ctypes
import hashlib
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from spikerun.kernels.gpu.machine import Machine

HEADERS = [Path(__file__).with_name(name) for name in ("cuda_on_host.hpp", "mma_on_host.hpp")]
CALL = """
extern "C" void call_{name}(unsigned grid, unsigned block, unsigned shared, {parameters}) {{
    launch(grid, block, shared, [=] {{ {name}({given}); }});
}}
"""
KERNELS = {
    "recurrent": "const Arguments* a, long long t, unsigned e, unsigned n, unsigned l",
    "count_events": "const Drive* d, unsigned b, unsigned e, long long f, long long l, unsigned* c",
    "drawn_synapses": "const Rule* r, const Place* p",
    "listed_synapses": "const unsigned* s, const unsigned* t, const signed char* w, const int* d, word64 n, "
    "const Place* p",
    "event_linear": "const byte* x, const signed char* w, int* a, const int* f, const int* t, const int* b, "
    "const int* m, int* k, void* o, unsigned c, const int* r, word64* n, word64* s",
}
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
    """Return a folder for what is compiled, with the headers that all of it begins with, compiled already."""
    folder = Path(tempfile.mkdtemp(prefix="spikerun-cuda-"))
    (folder / "host.hpp").write_text("".join(f'#include "{header}"\n' for header in HEADERS), encoding="utf-8")
    _compile("-x", "c++-header", "-o", folder / "host.hpp.gch", folder / "host.hpp")
    return folder


def _compile(*arguments: str | Path) -> None:
    subprocess.run(["g++", *FLAGS, *arguments], check=True)


def _library(source: str) -> str:
    calls = [
        CALL.format(name=name, parameters=takes, given=", ".join(re.findall(r"(\w)(?:,|$)", takes)))
        for name, takes in KERNELS.items()
        if f" {name}(" in source
    ]
    text = "\n".join(['#include "host.hpp"', source, *calls])
    name = _folder() / hashlib.sha256(text.encode()).hexdigest()
    library = name.with_suffix(".so")
    if not library.exists():
        name.with_suffix(".cpp").write_text(text, encoding="utf-8")
        _compile("-o", library, name.with_suffix(".cpp"))
    return str(library)
