# SPDX-License-Identifier: Apache-2.0
"""`spikerun info`: what spikerun finds on this machine; nothing heavy is imported to find it."""

import importlib
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from spikerun import __version__
from spikerun.console import JsonOption, QuietOption, emit, table
from spikerun.errors import SpikerunError
from spikerun.kernels.cpu.processor import cpuinfo, model
from spikerun.kernels.cpu.threads import default_threads, usable, used

__all__ = ["info", "native_kernels", "processor"]

PACKAGES = (
    "numpy", "h5py", "typer", "rich", "torch", "triton", "safetensors", "scikit-learn", "ziglang", "unicorn",
)  # fmt: skip
TOOLS = (
    "qemu-system-arm", "qemu-system-riscv32", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "cc", "cmake",
)  # fmt: skip
# The instruction sets that make a difference to integer kernels, by their names in /proc/cpuinfo.
CPU_FLAGS = ("ssse3", "avx2", "avx512f", "avx512bw", "avx_vnni", "avx512_vnni", "asimd", "asimddp", "i8mm")


def info(json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show versions, processor, threads, native kernels, tools and data sets found on this machine."""
    found: dict[str, object] = {
        "spikerun": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "cpu": processor(),
        "threads": used(default_threads()),
        "native_kernels": native_kernels(),
        "tools": {name: shutil.which(name) for name in TOOLS},
        "datasets": _datasets(),
    }
    emit("spikerun.info/1", found, json, lambda: _text(found))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> dict[str, object]:
    """Return the processor: its model, cores, and the instructions that make a difference."""
    fields = cpuinfo()
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return {
        "model": model(),
        "logical_cores": os.cpu_count(),
        "usable_cores": len(usable()),
        "features": [flag for flag in CPU_FLAGS if flag in flags],
    }


def native_kernels() -> dict[str, object]:
    """Tell whether the compiled kernels load and fit this source, and their instruction set; `error` says why not."""
    try:
        native = importlib.import_module("spikerun.kernels.cpu.native")
    except ImportError as error:
        return {"usable": False, "abi": None, "isa": None, "error": str(error)}
    return {"usable": True, "abi": native.EXPECTED_ABI, "isa": native.isa(), "error": None}


def _datasets() -> dict[str, object]:
    from spikerun import datasets

    places: dict[str, object] = {}
    for name in datasets.names():
        try:
            places[name] = datasets.provider(name).locate(None)
        except (SpikerunError, ImportError) as error:
            places[name] = f"broken: {error}"
    return places


def _text(found: dict[str, object]) -> str:
    return table((), list(_lines(found)))


def _lines(found: dict[str, object]) -> list[tuple[str, str]]:
    lines = []
    for key, value in found.items():
        entries = value.items() if isinstance(value, dict) else [("", value)]
        for index, (name, item) in enumerate(entries):
            lines.append((key.replace("_", " ") if index == 0 else "", name, _shown(item)))
    return [(head, f"{name}: {item}" if name else item) for head, name, item in lines]


def _shown(item: object) -> str:
    if item is None:
        return "-"
    return " ".join(map(str, item)) or "-" if isinstance(item, list) else str(item)
