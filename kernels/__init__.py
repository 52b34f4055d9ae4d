# SPDX-License-Identifier: Apache-2.0
"""Arrays in, arrays out: the arithmetic of spikerun, without knowledge of networks.

`operations` is the instruction set: programs as data. An executor runs them on a device; the table below is all there
are, other packages add theirs through the entry-point group `spikerun.executors`, each entry an `ExecutorSpec`.
"""

if __name__ != "spikerun.kernels":
    raise ImportError("import spikerun.kernels instead")

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spikerun.errors import unknown_name
from spikerun.kernels.executor import Device
from spikerun.plugins import resolve, rows

__all__ = ["TABLE", "ExecutorSpec", "devices", "load"]

ENTRY_POINT_GROUP = "spikerun.executors"


@dataclass(frozen=True)
class ExecutorSpec:
    """A row of the table: `device` is `package.module:class` of a `Device`; `install` says how to get what it needs."""

    name: str
    summary: str
    device: str
    install: str

    def load(self, **options: object) -> Device:
        """Import the device and open it with its options."""
        kind = resolve(self.device, f"device '{self.name}'", self.install)
        known = inspect.signature(kind).parameters
        for option in options:
            if option not in known:
                raise unknown_name(f"option of device '{self.name}'", option, known)
        device: Device = kind(**options)
        return device


TABLE: Mapping[str, ExecutorSpec] = MappingProxyType(
    {
        "cpu": ExecutorSpec(
            "cpu",
            "C++ kernels for the processor of this computer",
            "spikerun.kernels.cpu.executor:Cpu",
            "install spikerun again where there is a C++17 compiler",
        ),
        "cuda": ExecutorSpec(
            "cuda",
            "a GPU of NVIDIA's: Triton kernels in one CUDA graph",
            "spikerun.kernels.gpu.executor:Gpu",
            "pip install 'spikerun[gpu]' brings torch and Triton",
        ),
    }
)


def devices() -> dict[str, ExecutorSpec]:
    """Return all known devices by name, other packages' included."""
    return rows(ENTRY_POINT_GROUP, ExecutorSpec, TABLE)


def load(name: str, **options: object) -> Device:
    """Return the device called `name`, opened with its options; its module is imported only now."""
    known = TABLE if isinstance(name, str) and name in TABLE else devices()
    if not isinstance(name, str) or name not in known:
        raise unknown_name("device", str(name), known)
    return known[name].load(**options)
