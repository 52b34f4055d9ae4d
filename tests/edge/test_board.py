# SPDX-License-Identifier: Apache-2.0
"""Boards as files: each mistake is told in a sentence that names the file."""

from pathlib import Path

import pytest

from spikerun.edge.mcu import arch
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu.arch.row import choose
from spikerun.errors import TargetError, UsageError

TEXT = (boards.FOLDER / "generic-cortex-m4.toml").read_text()


@pytest.mark.parametrize("name", boards.boards())
def test_every_board_loads_and_has_an_architecture(name: str) -> None:
    board = boards.load(name)
    assert arch.of(board).tools(board)
    assert board.source


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bytes = 0x00400000", "bytes = -5", "no such range of addresses"),
        ("bytes = 0x00400000", 'bytes = "much"', "bytes must be a whole number"),
        ("origin = 0x20000000", "origin = 0xffffffff", "no such range of addresses"),
        ("origin = 0x20000000", 'origin = "zero"', "origin must be a whole number"),
        ('name = "RAM"', 'name = "a b"', "identifier of a linker script"),
        ('holds = ["state", "stack"]', 'holds = ["state"]', "each of code, tables, state, stack must be held by one"),
        ("[qemu]", "[bochs]", "unknown key 'bochs'"),
        ('model = "UC_CPU_ARM_CORTEX_M4"', "", r"\[unicorn\] lacks 'model'"),
        ('flags = ["-mcpu', 'flags = [3, "-mcpu', "flags must be texts"),
        ('arch = "cortex-m"', "", "lacks 'arch'"),
        ("[[memory]]", "[[memory", "at line 9"),
        ('name = "generic', 'name = "other-generic', "must be that of the file"),
    ],
)
def test_a_mistake_in_a_board_file_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "generic-cortex-m4.toml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(TargetError, match=f"generic-cortex-m4.toml.*{said}"):
        boards.read(path)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "generic-cortex-m4.toml"
    path.write_text(TEXT.replace('"cortex-m"', '"z80"'))
    with pytest.raises(TargetError, match="unknown arch 'z80'"):
        arch.of(boards.read(path))


def test_a_section_that_is_missing_is_a_tool_that_the_board_has_not(tmp_path: Path) -> None:
    path = tmp_path / "generic-cortex-m4.toml"
    path.write_text(TEXT[: TEXT.index("[gcc]")] + TEXT[TEXT.index("[zig]") :])
    board = boards.read(path)
    core = arch.of(board)
    assert [tool.name for tool in core.tools(board) if tool.purpose == "compiler"] == ["ziglang"]
    with pytest.raises(UsageError, match="Known: auto, zig"):
        choose(board, "toolchain", "gcc", core.compilers)


def test_several_regions_appear_in_the_linker_script(tmp_path: Path) -> None:
    path = tmp_path / "generic-cortex-m4.toml"
    fast = '[[memory]]\nname = "DTCM"\norigin = 0x10000000\nbytes = 0x10000\nholds = ["stack"]\n\n[gcc]'
    path.write_text(TEXT.replace('["state", "stack"]', '["state"]').replace("[gcc]", fast))
    board = boards.read(path)
    script = arch.of(board).linker_script
    assert script is not None
    text = script(board, 1024)
    assert "DTCM (rw) : ORIGIN = 0x10000000, LENGTH = 0x10000" in text
    assert "port_stack_top = ORIGIN(DTCM) + LENGTH(DTCM);" in text
    assert ".bss (NOLOAD)" in text
