# SPDX-License-Identifier: Apache-2.0
"""Boards as files: each mistake is told in a sentence that names the file."""

import shutil
from pathlib import Path

import pytest

from spikerun.edge.mcu import arch
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu.arch.row import choose
from spikerun.errors import TargetError, UsageError

MACHINE = '\n[qemu]\nmachine = "mps2-an386"\nclock = 25_000_000\n'
TEXT = (boards.FOLDER / "generic-cortex-m4.toml").read_text() + MACHINE


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
        ("[qemu]", "[unicorn]", r"\[unicorn\] lacks 'model'"),
        ("[qemu]", "[gcc]\nflags = [3]\n[qemu]", "flags must be texts"),
        ('core = "cortex-m4"', "", "lacks 'core'"),
        ('core = "cortex-m4"', 'core = "z80"', "unknown core 'z80'; known are cortex-m0, "),
        ("bytes = 0x00400000", "bytes = 0x00401000", "'FLASH' is too large for flash of the emulated Cortex-M4F"),
        ("[[memory]]", "[[memory", "at line 7"),
        ('name = "generic', 'name = "other-generic', "must be that of the file"),
    ],
)
def test_a_mistake_in_a_board_file_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "generic-cortex-m4.toml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(TargetError, match=f"generic-cortex-m4.toml.*{said}"):
        boards.read(path)


@pytest.fixture
def cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the core that the board has, to be changed."""
    shutil.copy(boards.CORES / "cortex-m4.toml", tmp_path)
    monkeypatch.setattr(boards, "CORES", tmp_path)
    return tmp_path


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_an_unknown_architecture_is_refused(cores: Path) -> None:
    changed(cores / "cortex-m4.toml", 'arch = "cortex-m"', 'arch = "z80"')
    with pytest.raises(TargetError, match="unknown arch 'z80'"):
        arch.of(boards.load("generic-cortex-m4"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("flash = [0x00000000, 0x00400000]", "", r"\[twin\] lacks 'flash'"),
        ("flash = [0x00000000, 0x00400000]", "flash = [0]", "flash must be two whole numbers"),
        ('machine = "mps2-an386"', "", r"\[qemu\] lacks 'machine'"),
        ("title", "subtitle", "cortex-m4.toml' lacks 'title'"),
    ],
)
def test_a_mistake_in_the_file_of_a_core_is_named(cores: Path, old: str, new: str, said: str) -> None:
    changed(cores / "cortex-m4.toml", old, new)
    with pytest.raises(TargetError, match=said):
        boards.load("generic-cortex-m4")


def test_a_section_that_is_missing_is_a_tool_that_the_board_has_not(cores: Path) -> None:
    text = (cores / "cortex-m4.toml").read_text()
    (cores / "cortex-m4.toml").write_text(text[: text.index("[gcc]")] + text[text.index("[zig]") :])
    board = boards.load("generic-cortex-m4")
    core = arch.of(board)
    assert [tool.name for tool in core.tools(board) if tool.purpose == "compiler"] == ["ziglang"]
    with pytest.raises(UsageError, match="Known: auto, zig"):
        choose(board, "toolchain", "gcc", core.compilers)


def test_several_regions_appear_in_the_linker_script(tmp_path: Path) -> None:
    path = tmp_path / "generic-cortex-m4.toml"
    fast = '[[memory]]\nname = "DTCM"\norigin = 0x10000000\nbytes = 0x10000\nholds = ["stack"]\n\n[qemu]'
    text = TEXT.replace('0x00400000\nholds = ["state"', '0x00300000\nholds = ["state"')
    path.write_text(text.replace('["state", "stack"]', '["state"]').replace("[qemu]", fast))
    board = boards.read(path)
    script = arch.of(board).linker_script
    assert script is not None
    text = script(board, board.memory, 1024)
    assert "DTCM (rw) : ORIGIN = 0x10000000, LENGTH = 0x10000" in text
    assert "port_stack_top = ORIGIN(DTCM) + LENGTH(DTCM);" in text
    assert ".bss (NOLOAD)" in text
