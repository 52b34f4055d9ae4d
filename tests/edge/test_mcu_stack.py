# SPDX-License-Identifier: Apache-2.0
"""How deep the stack gets, as gcc says, against what an emulated run finds painted over."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spikerun.edge.mcu import McuTarget, deploy
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu.memory import STACK_BYTES, report
from spikerun.edge.mcu.model import compose
from spikerun.edge.mcu.printer import source
from spikerun.edge.mcu.stack import LIBRARY, Stack, depths, graph, told
from spikerun.errors import TargetError
from spikerun.network import Network

Needs = Callable[..., None]
RUNTIME = Path(boards.__file__).parent / "runtime"


@pytest.mark.parametrize("name", ["generic-cortex-m0", "generic-rv32imc"])
def test_the_stack_that_gcc_tells_is_as_deep_as_an_emulated_run_at_least(
    everything: Network, tmp_path: Path, needs: Needs, name: str
) -> None:
    """Here is a network of several outputs and all kernels of words; some functions of gcc's library are called."""
    needs("arm-none-eabi-gcc", "qemu-system-arm", "riscv64-unknown-elf-gcc", "qemu-system-riscv32")
    verdict = McuTarget(boards.load(name)).check(everything, samples=1)
    run = deploy(everything, tmp_path / "fw", name, 1, run=True, toolchain="gcc", emulator="qemu").run
    assert run is not None
    painted, told = int(run.measures["stack_bytes"]), int(verdict.measures["stack_bytes"])
    assert painted <= told <= min(STACK_BYTES, painted + 150)
    assert 0 < int(verdict.measures["network_stack_bytes"]) <= told
    assert verdict.labels["stack_bytes"].startswith("by gcc")
    assert max(int(row[-1]) for row in verdict.table.rows) <= int(verdict.measures["network_stack_bytes"])


def test_without_a_gcc_the_stack_is_a_bound(tiny: Network) -> None:
    target = McuTarget(boards.load("host"))
    verdict = target.check(tiny, samples=1)
    assert (verdict.measures["stack_bytes"], verdict.labels["stack_bytes"]) == (STACK_BYTES, "upper bound")


def test_a_stack_that_does_not_fit_is_refused_with_the_kernel_that_takes_most(tiny: Network) -> None:
    board = boards.load("stm32h743")
    small = tuple(replace(region, bytes=256) if "stack" in region.holds else region for region in board.memory)
    model = compose(tiny)
    memory = report(model, source(model), replace(board, memory=small), 0, Stack(400, 300, {"spikerun_dense_run": 200}))
    with pytest.raises(
        TargetError, match=r"\(DTCM\): 1024 of 256 .* the kernel 'dense' of population .* --set packing"
    ):
        memory.require_fit()


def test_functions_that_call_each_other_are_no_tree() -> None:
    with pytest.raises(TargetError, match="in a circle: f, g, f"):
        depths({"f": 8, "g": 8}, {"f": {"g"}, "g": {"f"}}, ())


def test_a_frame_without_a_fixed_size_is_refused() -> None:
    with pytest.raises(TargetError, match="the frame of 'f' has no fixed size"):
        graph(['node: { title: "a.c:f" label: "f\\na.c:1:2\\n48 bytes (dynamic)" }'])


def listing(*functions: tuple[str, int, str]) -> str:
    """Return what gcc writes of functions: the title, bytes, and the titles that it calls, with blanks between them."""
    nodes = [
        f'node: {{ title: "{title}" label: "f\\na.c:1:2\\n{size} bytes (static)" }}' for title, size, _ in functions
    ]
    edges = [
        f'edge: {{ sourcename: "{title}" targetname: "{to}" }}' for title, _, calls in functions for to in calls.split()
    ]
    return "\n".join((*nodes, *edges))


def test_static_functions_of_one_name_are_those_of_their_files() -> None:
    first = listing(("spikerun_dense_run", 8, "a.c:four"), ("a.c:four", 400, ""), ("spikerun_far", 0, ""))
    second = listing(("spikerun_conv_run", 8, "b.c:four"), ("b.c:four", 16, "spikerun_dense_run"))
    assert told([first, second], "net").kernels == {
        "spikerun_dense_run": 408,
        "spikerun_far": 0,
        "spikerun_conv_run": 8 + 16 + 408,
    }


def test_the_selftest_takes_what_it_calls_through_pointers_and_a_kernel_does_not() -> None:
    selftest = listing(
        ("port_start", 8, "net_frame"), ("net_frame", 16, "__indirect_call"), ("selftest.c:see", 500, "")
    )
    assert told([selftest], "net") == Stack(8 + 16 + 500, 16, {})


def pushed(code: str) -> int:
    """Return the bytes that a function in assembler pushes."""
    size = 0
    for wide, names in re.findall(r" (v?)push \{([^}]+)\}", code):
        spans = [[int(n) for n in re.findall(r"\d+", name)] or [0] for name in names.split(",")]
        size += sum(span[-1] - span[0] + 1 for span in spans) * (8 if wide else 4)
    return size


def test_assembler_takes_no_more_than_a_function_that_gcc_tells_nothing_of() -> None:
    texts = [path.read_text(encoding="utf-8") for path in RUNTIME.glob("*.[ch]")]
    assert max(pushed(code) for text in texts for code in text.split('".size ')) == LIBRARY
    assert depths({"f": 8}, {"f": {"an_assembler_function"}}, ())["f"] == 8 + LIBRARY
