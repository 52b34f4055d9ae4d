# SPDX-License-Identifier: Apache-2.0
"""Every core computes what the reference computes, emulated; instructions are counted one by one."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from spikerun.edge.golden import random_frames
from spikerun.edge.mcu import McuTarget, arch, deploy, run_bundle
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu.arch import qemu
from spikerun.edge.mcu.arch.row import usable
from spikerun.edge.mcu.build import WARNINGS, build, execute
from spikerun.errors import TargetError
from spikerun.network import Network

Needs = Callable[..., None]
GENERIC = [name for name in boards.boards() if name.startswith("generic-")]
PARTS = [name for name in boards.boards() if name not in (*GENERIC, "host")]
TOOLS = {
    "cortex-m": ("arm-none-eabi-gcc", "qemu-system-arm", "unicorn"),
    "riscv": ("riscv64-unknown-elf-gcc", "qemu-system-riscv32", "unicorn"),
}


@pytest.mark.slow
@pytest.mark.parametrize("which", ["everything", "spiking"])
@pytest.mark.parametrize("name", GENERIC)
def test_every_core_is_identical_in_every_emulator_without_a_warning(
    request: pytest.FixtureRequest, tmp_path: Path, needs: Needs, name: str, which: str
) -> None:
    board = boards.load(name)
    needs(*TOOLS[board.arch])
    net, fw = request.getfixturevalue(which), tmp_path / "fw"
    first, *others = usable(board, arch.of(board).emulators)
    bundle = deploy(net, fw, name, random_frames(net, 2), run=True, toolchain="gcc", emulator=first)
    bounds = McuTarget(board).check(net).measures
    assert all(int(bundle.measures[f"{key}_bytes"]) <= int(bounds[f"{key}_bytes"]) for key in ("flash", "ram", "stack"))
    run = bundle.run
    assert run is not None
    assert run.mismatches == ()
    assert run.identical
    for emulator in others:
        found = execute(fw / "selftest.elf", board, emulator, 60)
        assert (found.code, found.mismatches, found.complete) == (0, [], True)
        assert [results for _, _, results in found.samples] == run.outputs.tolist()
    assert run.notes == ()
    assert int(run.measures["instructions_per_inference"]) > int(run.measures["loads_per_inference"]) > 0
    assert run.parts is not None
    assert {row[0] for row in run.parts.rows} == set(net.populations) - set(net.inputs)
    build(fw, board, "gcc", tmp_path / "program", WARNINGS)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_identical_on_its_emulated_twin(tiny: Network, tmp_path: Path, needs: Needs, name: str) -> None:
    board = boards.load(name)
    needs(*TOOLS[board.arch][:2])
    run = deploy(tiny, tmp_path / "fw", name, 1, run=True, toolchain="gcc", emulator="qemu").run
    assert run is not None
    assert run.mismatches == ()
    assert run.identical
    assert board.clock > 0


@pytest.mark.parametrize("name", ["microbit", "stm32h743"])
def test_what_is_larger_than_the_part_does_not_link_for_its_twin(
    tiny: Network, tmp_path: Path, needs: Needs, name: str
) -> None:
    board = boards.load(name)
    needs("arm-none-eabi-gcc")
    deploy(tiny, tmp_path / "fw", name, 1)
    build(tmp_path / "fw", board, "gcc", tmp_path / "program")
    main = tmp_path / "fw" / "selftest" / "main.c"
    size = next(region.bytes for region in board.memory if "state" in region.holds)
    main.write_text(main.read_text().replace("return ", f"static volatile char more[{size}]; more[1] = 1; return ", 1))
    with pytest.raises(TargetError, match="region `RAM' overflowed"):
        build(tmp_path / "fw", board, "gcc", tmp_path / "program")


LOOP = """#include "port.h"
int main(void) {
    port_print("begin\\n");
    SPIKERUN_MARK_BEGIN();
    __asm__ volatile("CODE" ::: "memory", CLOBBERS);
    SPIKERUN_MARK_END();
    SPIKERUN_MARK_NEXT();
    SPIKERUN_MARK_NEXT();
    return 0;
}
"""
THUMB = "movs r1, #200\\n\\tmov r2, sp\\n1: ldr r3, [r2]\\n\\tstr r3, [r2]\\n\\tsubs r1, #1\\n\\tbne 1b"
RISCV = "li a1, 200\\n\\tmv a2, sp\\n1: lw a3, 0(a2)\\n\\tsw a3, 0(a2)\\n\\taddi a1, a1, -1\\n\\tbnez a1, 1b"


@pytest.mark.parametrize("name", ["generic-cortex-m4", "generic-rv32imac"])
def test_the_plugin_counts_exactly_what_is_between_two_marks(
    tiny: Network, tmp_path: Path, needs: Needs, name: str
) -> None:
    """200 turns of a loop of four instructions behind two: a load, a store, and all turns but the last branch back."""
    board = boards.load(name)
    core = arch.of(board)
    needs(*TOOLS[board.arch][:2])
    deploy(tiny, tmp_path / "fw", name, 1)
    code, clobbers = (THUMB, '"r1", "r2", "r3", "cc"') if board.arch == "cortex-m" else (RISCV, '"a1", "a2", "a3"')
    (tmp_path / "loop.c").write_text(LOOP.replace("CODE", code).replace("CLOBBERS", clobbers))
    port = tmp_path / "fw" / "port"
    files = [str(path) for path in (tmp_path / "loop.c", *(port / file for file in core.ports))]
    command = [*core.compilers["gcc"].command(board), "-O2", *core.flags, "-T", f"{port}/board.ld", f"-I{port}", *files]
    subprocess.run([*command, "-o", f"{tmp_path}/loop.elf", "-lgcc"], check=True)
    ran = core.emulators["qemu"].run(tmp_path / "loop.elf", board, 60)
    assert [vars(count) for count in ran.counts] == [
        {"index": 2, "instructions": 802, "loads": 200, "stores": 200, "branches": 199, "vectors": 0}
    ]


@pytest.mark.parametrize("what", ["compiler", "source"])
def test_without_the_plugin_the_clock_tells_how_many_instructions_there_are(
    tiny: Network, tmp_path: Path, needs: Needs, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    needs("arm-none-eabi-gcc", "qemu-system-arm", "gcc")
    deploy(tiny, tmp_path / "fw", "generic-cortex-m4", 3)
    exact = run_bundle(tmp_path / "fw", "qemu", "gcc")
    if what == "compiler":
        monkeypatch.setattr(qemu, "host_compiler", lambda: SimpleNamespace(path=None))
    else:
        (tmp_path / "broken.c").write_text("int qemu_plugin_version = 99;\n")
        monkeypatch.setattr(qemu, "SOURCE", tmp_path / "broken.c")
    found = run_bundle(tmp_path / "fw", "qemu", "gcc")
    key = "instructions_per_inference"
    assert found.identical
    assert found.parts is None
    assert abs(int(found.measures[key]) - int(exact.measures[key])) <= 40 + 20  # a tick, and what reads the clock
    (note,) = found.notes
    assert ("no C compiler" if what == "compiler" else "does not load it") in note and "(40 instructions)" in note


def test_a_part_is_linked_at_its_own_addresses_and_its_twin_at_those_of_the_machine(
    tiny: Network, tmp_path: Path
) -> None:
    deploy(tiny, tmp_path / "fw", "stm32u575", 1)
    own, twin = ((tmp_path / "fw" / "port" / name).read_text() for name in ("board.ld", "twin.ld"))
    assert "FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 0x200000" in own
    assert "FLASH (rx) : ORIGIN = 0x10000000, LENGTH = 0x200000" in twin
    assert "RAM (rw) : ORIGIN = 0x20000000, LENGTH = 0xc0000" in own
    assert "RAM (rw) : ORIGIN = 0x38000000, LENGTH = 0xc0000" in twin


def test_a_part_that_the_maker_places_has_the_script_of_its_twin_alone(tiny: Network, tmp_path: Path) -> None:
    deploy(tiny, tmp_path / "fw", "rp2040", 1)
    assert "addresses of the emulated machine" in (tmp_path / "fw" / "port" / "board.ld").read_text()
    assert not (tmp_path / "fw" / "port" / "twin.ld").exists()
