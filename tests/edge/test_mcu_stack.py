# SPDX-License-Identifier: Apache-2.0
"""How deep the stack gets, as gcc says, against what an emulated run finds painted over."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spikerun.edge.mcu import McuTarget, deploy
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu.memory import STACK_BYTES, report
from spikerun.edge.mcu.model import compose
from spikerun.edge.mcu.printer import source
from spikerun.edge.mcu.stack import Stack, depths, graph
from spikerun.errors import TargetError
from spikerun.network import Network

Needs = Callable[..., None]


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
