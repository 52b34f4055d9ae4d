# SPDX-License-Identifier: Apache-2.0
"""What checkers of C say of every kernel, of a network's own code, of the self-test and of what surrounds it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spikerun.edge.mcu import deploy
from spikerun.edge.mcu.build import WARNINGS
from spikerun.network import Network

Needs = Callable[..., None]
RUNTIME = Path(__file__).parents[2] / "edge" / "mcu" / "runtime"
TRIPLES = {
    "cortex-m0": "thumbv6m-none-eabi",
    "cortex-m4": "thumbv7em-none-eabi",
    "cortex-m55": "thumbv8.1m.main-none-eabi",
    "rv32imac": "riscv32-unknown-elf",
}


@pytest.fixture(scope="module")
def bundle(mixed: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with all files of the runtime."""
    fw = tmp_path_factory.mktemp("checked") / "fw"
    deploy(mixed, fw, "host", 1)
    for path in RUNTIME.iterdir():
        (fw / "runtime" / path.name).write_text(path.read_text())
    return fw


def files(fw: Path) -> tuple[list[str], list[str]]:
    """Return the C files of a bundle, and the options that name its folders."""
    folders = ("runtime", "model", "selftest", "serial", "port", "examples")
    return [str(path) for part in folders for path in sorted((fw / part).glob("*.c"))], [
        f"-I{fw / part}" for part in folders
    ]


def test_cppcheck_finds_nothing(bundle: Path, needs: Needs) -> None:
    needs("cppcheck")
    sources, include = files(bundle)
    command = ["cppcheck", "--enable=warning,style,performance,portability", "--std=c99", "-q", *include]
    some_cores = "--suppress=unusedStructMember"  # what only the code of some cores uses, or an assembler
    found = subprocess.run([*command, some_cores, *sources], capture_output=True, text=True, check=True)
    assert found.stderr == ""


@pytest.mark.parametrize("core", TRIPLES)
def test_clang_has_no_warning_for_a_core(bundle: Path, core: str, needs: Needs) -> None:
    needs("clang")
    sources, include = files(bundle)
    free = [path for path in sources if "/port/" not in path and "/examples/" not in path]
    target = [f"--target={TRIPLES[core]}", "-ffreestanding", "-std=c99"]
    target += [] if core.startswith("rv") else [f"-mcpu={core}"]
    subprocess.run(["clang", *target, *WARNINGS, "-fsyntax-only", *include, *free], check=True)
