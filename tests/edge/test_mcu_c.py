"""The C itself: the text that is generated, how it compiles, and what its functions refuse."""

import ctypes
import doctest
import importlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy
from spikerun.edge.mcu.build import WARNINGS, build
from spikerun.network import Network, Population
from spikerun.neurons import Input, Readout

Needs = Callable[..., None]
GOLDEN = Path(__file__).parent.parent / "golden" / "mcu"
BOARD = "generic-cortex-m4"


@pytest.mark.parametrize("name", ["model/model.h", "model/model.c", "selftest/golden.c", "port/board.ld"])
def test_the_generated_text_is_the_committed_one(tiny: Network, tmp_path: Path, name: str) -> None:
    """After an intended change: SPIKERUN_REGENERATE=1 pytest tests/edge/test_mcu_c.py, and look at the difference."""
    deploy(tiny, tmp_path / "fw", BOARD, np.array([[255, 0], [3, 9]]))
    made, golden = tmp_path / "fw" / name, GOLDEN / Path(name).name
    if os.environ.get("SPIKERUN_REGENERATE"):
        GOLDEN.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, golden)
    assert made.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


def test_the_same_network_gives_the_same_files(everything: Network, tmp_path: Path) -> None:
    deploy(everything, tmp_path / "a", BOARD, 2)
    deploy(everything, tmp_path / "b", BOARD, 2)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


@pytest.mark.parametrize(
    ("target", "toolchain", "tool"),
    [
        ("host", "gcc", "gcc"),
        (BOARD, "gcc", "arm-none-eabi-gcc"),
        (BOARD, "zig", "ziglang"),
        pytest.param("host", "zig", "ziglang", marks=pytest.mark.slow),
    ],
)
def test_no_compiler_warns(
    everything: Network, tmp_path: Path, needs: Needs, target: str, toolchain: str, tool: str
) -> None:
    needs(tool)
    deploy(everything, tmp_path / "fw", target, 1)
    build(tmp_path / "fw", boards.load(target), toolchain, tmp_path / "program", WARNINGS)


def test_the_headers_are_valid_in_cpp(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("g++")
    deploy(tiny, tmp_path / "fw", "host", 1)
    (tmp_path / "use.cpp").write_text('#include "model.h"\nint size = sizeof(model_state);\n')
    include = [f"-I{tmp_path / 'fw' / folder}" for folder in ("runtime", "model")]
    subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *include, tmp_path / "use.cpp"], check=True)


def test_the_library_has_no_state_and_needs_nothing(everything: Network, tmp_path: Path, needs: Needs) -> None:
    needs("arm-none-eabi-gcc", "arm-none-eabi-nm")
    deploy(everything, tmp_path / "fw", BOARD, 1)
    fw, board = tmp_path / "fw", boards.load(BOARD)
    files = [*(fw / "runtime").glob("*.c"), fw / "model" / "model.c"]
    include = [f"-I{fw / folder}" for folder in ("runtime", "model")]
    command = ["arm-none-eabi-gcc", *board.gcc["flags"], "-std=c99", "-O2", "-ffreestanding", *include]
    subprocess.run([*command, "-r", "-nostdlib", *files, "-o", tmp_path / "library.o"], check=True)
    listing = subprocess.run(["arm-none-eabi-nm", tmp_path / "library.o"], capture_output=True, text=True, check=True)
    symbols = [line.split()[-2:] for line in listing.stdout.splitlines()]
    assert {kind for kind, _ in symbols} <= set("TtRrU"), "there is writable data"
    assert {name for kind, name in symbols if kind == "U"} <= {"memcpy", "memset"}


def shared_library(net: Network, folder: Path) -> ctypes.CDLL:
    """Return the C of a network as a shared library."""
    deploy(net, folder / "fw", "host", 1)
    files = [*(folder / "fw" / "runtime").glob("*.c"), folder / "fw" / "model" / "model.c"]
    include = [f"-I{folder / 'fw' / name}" for name in ("runtime", "model")]
    subprocess.run(["gcc", "-shared", "-fPIC", *include, *files, "-o", folder / "model.so"], check=True)
    return ctypes.CDLL(str(folder / "model.so"))


@pytest.fixture
def library(tiny: Network, tmp_path: Path, needs: Needs) -> ctypes.CDLL:
    """Return the C of a network with inputs of 2 bits."""
    needs("gcc")
    populations = {**tiny.populations, "in": Population((2,), Input(bits=2))}
    return shared_library(Network(populations, tiny.projections, tiny.outputs, tiny.window), tmp_path)


def test_a_frame_with_a_value_out_of_range_is_refused(library: ctypes.CDLL) -> None:
    state, out = ctypes.create_string_buffer(1024), (ctypes.c_int32 * 2)()
    assert library.model_run(state, bytes([3, 0]), out) == 0
    assert library.model_run(state, bytes([4, 0]), out) == 2


def test_null_pointers_are_refused(library: ctypes.CDLL) -> None:
    state, out = ctypes.create_string_buffer(1024), (ctypes.c_int32 * 2)()
    for arguments in ((None, b"\0\0", out), (state, None, out), (state, b"\0\0", None)):
        assert library.model_run(*arguments) == 1


def test_the_class_is_the_first_of_the_largest(library: ctypes.CDLL) -> None:
    classify = library.model_classify
    assert [classify((ctypes.c_int32 * 2)(*pair)) for pair in [(1, 2), (2, 1), (-5, -5), (-7, -6)]] == [1, 0, 0, 1]


def test_scales_that_differ_between_classes_decide_as_on_the_host(
    everything: Network, tmp_path: Path, needs: Needs
) -> None:
    needs("gcc")
    readout = everything.populations["out"].neuron
    assert isinstance(readout, Readout)
    library, rng = shared_library(everything, tmp_path), np.random.default_rng(0)
    for values in rng.integers(-30, 30, (200, 5)).astype(np.int32):
        found = library.model_classify(values.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)))
        assert found == np.argmax(values.astype(np.float32) * readout.scale)


@pytest.mark.slow
def test_cmake_builds_the_bundle_wherever_it_is_copied(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("cmake", "gcc")
    deploy(tiny, tmp_path / "fw", BOARD, 2)
    shutil.move(tmp_path / "fw", tmp_path / "elsewhere")
    subprocess.run(["cmake", "-B", "build"], cwd=tmp_path / "elsewhere", check=True, capture_output=True)
    subprocess.run(["cmake", "--build", "build"], cwd=tmp_path / "elsewhere", check=True, capture_output=True)
    done = subprocess.run([tmp_path / "elsewhere" / "build" / "selftest"], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("end 0\n")


@pytest.mark.slow
def test_cmake_cross_compiles_the_bundle(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("cmake", "arm-none-eabi-gcc")
    deploy(tiny, tmp_path / "fw", BOARD, 2)
    command = ["cmake", "-B", "build", "-DCMAKE_TOOLCHAIN_FILE=toolchain.cmake"]
    subprocess.run(command, cwd=tmp_path / "fw", check=True, capture_output=True)
    subprocess.run(["cmake", "--build", "build"], cwd=tmp_path / "fw", check=True, capture_output=True)
    assert (tmp_path / "fw" / "build" / "selftest").read_bytes().startswith(b"\x7fELF")


@pytest.mark.parametrize("module", ["emit", "layout", "emulate"])
def test_the_examples_in_the_docstrings_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"spikerun.edge.mcu.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
