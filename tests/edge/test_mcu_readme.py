# SPDX-License-Identifier: Apache-2.0
"""What a bundle's README says works word for word, wherever it was copied: commands run, examples compile."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spikerun.edge.mcu import deploy
from spikerun.edge.mcu.build import WARNINGS
from spikerun.network import Network

Needs = Callable[..., None]
OWN = """
#include <stdio.h>
#include "ear_selftest.h"
static void show(const char* text) { fputs(text, stdout); }
int main(void) {
    static ear_state state;
    static int32_t out[EAR_OUTPUTS];
    static uint32_t sums[EAR_TRACES];
    const spikerun_port port = {show, NULL, NULL};
    return (int)ear_selftest(&state, out, sums, &port);
}
"""


@pytest.fixture
def bundle(spiking: Network, tmp_path: Path) -> Path:
    deploy(spiking, tmp_path / "fw", "generic-cortex-m4", 2, name="ear")
    return (tmp_path / "fw").rename(tmp_path / "elsewhere")


def commands(bundle: Path) -> list[str]:
    return re.findall(
        r"^    (\w.*)$", re.sub(r"```.*?```", "", (bundle / "README.md").read_text(), flags=re.DOTALL), re.M
    )


def run(command: str, folder: Path) -> str:
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("first", "tools"),
    [
        ("cc ", ("cc",)),
        pytest.param("cmake -B build ", ("cmake", "cc"), marks=pytest.mark.slow),
    ],
)
def test_a_command_builds_and_passes_the_self_test(
    bundle: Path, needs: Needs, first: str, tools: tuple[str, ...]
) -> None:
    needs(*tools)
    command = next(command for command in commands(bundle) if command.startswith(first))
    assert run(command, bundle).endswith("end 0\n")


@pytest.mark.slow
def test_a_command_builds_for_the_board(bundle: Path, needs: Needs) -> None:
    needs("cmake", "arm-none-eabi-gcc")
    (command,) = (command for command in commands(bundle) if "toolchain.cmake" in command)
    run(command, bundle)
    assert (bundle / "build-board" / "selftest").read_bytes().startswith(b"\x7fELF")


def test_all_commands_are_tried(bundle: Path) -> None:
    assert len(commands(bundle)) == 4


def test_the_command_builds_the_example_of_frames(bundle: Path, needs: Needs) -> None:
    needs("cc")
    (command,) = (command for command in commands(bundle) if "examples/frames.c" in command)
    run(command, bundle)
    assert (bundle / "frames").read_bytes().startswith(b"\x7fELF")


def test_the_examples_compile_with_the_folders_that_it_names(bundle: Path, needs: Needs) -> None:
    needs("cc")
    whole, steps = re.findall(r"```c\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    step = f"void go_on(const uint8_t* events, int32_t* results) {{{steps}}}"
    (bundle / "firmware.c").write_text(whole + step)
    run(f"cc -std=c99 {' '.join(WARNINGS)} -Iruntime -Imodel -c firmware.c runtime/*.c model/*.c", bundle)


def test_the_self_test_goes_into_firmware_as_it_says(bundle: Path, needs: Needs) -> None:
    needs("cc")
    (bundle / "own.c").write_text(OWN)
    sources = " ".join(f"selftest/{path.name}" for path in (bundle / "selftest").glob("*.c") if path.name != "main.c")
    folders = "-Iruntime -Imodel -Iselftest -Iport"
    assert run(f"cc -std=c99 {folders} own.c {sources} runtime/*.c model/*.c -o own && ./own", bundle).endswith(
        "end 0\n"
    )
