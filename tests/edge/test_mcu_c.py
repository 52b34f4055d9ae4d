# SPDX-License-Identifier: Apache-2.0
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
from conformance.awkward import NETWORKS, samples

from spikerun.connections import Conv, Dense
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy, run_bundle
from spikerun.edge.mcu.build import WARNINGS, build
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, Input, Readout
from spikerun.reference import Stepper
from spikerun.result import classes_of

Needs = Callable[..., None]
GOLDEN = Path(__file__).parent.parent / "golden" / "mcu"
BOARD = "generic-cortex-m4"


@pytest.mark.parametrize("name", ["model/model.h", "model/model.c", "selftest/model_golden.c", "port/board.ld"])
def test_the_generated_text_is_the_committed_one(tiny: Network, tmp_path: Path, name: str) -> None:
    """After an intended change: SPIKERUN_REGENERATE=1 pytest tests/edge/test_mcu_c.py, and look at the difference."""
    deploy(tiny, tmp_path / "fw", BOARD, np.array([[255, 0], [3, 9]]))
    made, golden = tmp_path / "fw" / name, GOLDEN / Path(name).name
    if os.environ.get("SPIKERUN_REGENERATE"):
        GOLDEN.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, golden)
    assert made.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("packing", ["delta", "bitmap"])
def test_the_generated_text_of_packed_weights_is_the_committed_one(tmp_path: Path, packing: str) -> None:
    weight = np.zeros((4, 300), np.int8)
    weight[0, [0, 1, 255]], weight[2, 299], weight[3, [7, 8]] = [1, -2, 3], -128, 127
    kernel = np.zeros((4, 1, 2, 2), np.int8)
    kernel[1, 0, 0, 1], kernel[3, 0, 1, 0] = 5, -6
    populations = {
        "in": Population((1, 2, 2), Input()),
        "far": Population((300,), Readout()),
        "near": Population((4, 1, 1), Readout()),
    }
    projections = [Projection("in", "far", Dense(weight)), Projection("in", "near", Conv(kernel))]
    net = Network(populations, projections, ["far", "near"], 8)
    deploy(net, tmp_path / "fw", BOARD, 1, packing=packing)
    made, golden = tmp_path / "fw" / "model" / "model.c", GOLDEN / f"{packing}.c"
    if os.environ.get("SPIKERUN_REGENERATE"):
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
@pytest.mark.parametrize("which", ["everything", "spiking", "mixed", "pruned"])
def test_no_compiler_warns(
    request: pytest.FixtureRequest, tmp_path: Path, needs: Needs, which: str, target: str, toolchain: str, tool: str
) -> None:
    needs(tool)
    deploy(request.getfixturevalue(which), tmp_path / "fw", target, 1)
    build(tmp_path / "fw", boards.load(target), toolchain, tmp_path / "program", WARNINGS)


@pytest.mark.parametrize(("which", "packing"), [("mixed", "auto"), ("pruned", "delta"), ("pruned", "bitmap")])
def test_clang_does_not_warn_either(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    needs: Needs,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
    packing: str,
) -> None:
    needs("clang")
    monkeypatch.setenv("CC", "clang")
    deploy(request.getfixturevalue(which), tmp_path / "fw", "host", 1, packing=packing)
    build(tmp_path / "fw", boards.load("host"), "gcc", tmp_path / "program", WARNINGS)


def test_the_headers_are_valid_in_cpp(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("g++")
    deploy(tiny, tmp_path / "fw", "host", 1)
    (tmp_path / "use.cpp").write_text('#include "model.h"\nint size = sizeof(model_state);\n')
    include = [f"-I{tmp_path / 'fw' / folder}" for folder in ("runtime", "model")]
    subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *include, tmp_path / "use.cpp"], check=True)


@pytest.mark.parametrize("which", ["everything", "mixed", "pruned"])
def test_the_library_has_no_state_and_needs_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, needs: Needs, which: str
) -> None:
    needs("arm-none-eabi-gcc", "arm-none-eabi-nm")
    deploy(request.getfixturevalue(which), tmp_path / "fw", BOARD, 1)
    fw, board = tmp_path / "fw", boards.load(BOARD)
    files = [*(fw / "runtime").glob("*.c"), fw / "model" / "model.c"]
    include = [f"-I{fw / folder}" for folder in ("runtime", "model")]
    command = ["arm-none-eabi-gcc", *board.tools["gcc"]["flags"], "-std=c99", "-O2", "-ffreestanding", *include]
    subprocess.run([*command, "-r", "-nostdlib", *files, "-o", tmp_path / "library.o"], check=True)
    listing = subprocess.run(["arm-none-eabi-nm", tmp_path / "library.o"], capture_output=True, text=True, check=True)
    symbols = [line.split()[-2:] for line in listing.stdout.splitlines()]
    assert {kind for kind, _ in symbols} <= set("TtRrU"), "there is writable data"
    assert {name for kind, name in symbols if kind == "U"} <= {"memcpy", "memset"}


def shared_library(net: Network, folder: Path, *names: str) -> ctypes.CDLL:
    """Return the C of a network as a shared library; with several names, once under each."""
    files: dict[str, Path] = {}
    include = []
    for name in names or ("model",):
        deploy(net, folder / name, "host", 1, name=name)
        include += [f"-I{folder / name / part}" for part in ("runtime", "model")]
        sources = [*(folder / name / "runtime").glob("*.c"), *(folder / name / "model").glob("*.c")]
        files |= {path.name: path for path in sources}
    subprocess.run(["gcc", "-shared", "-fPIC", *include, *files.values(), "-o", folder / "model.so"], check=True)
    return ctypes.CDLL(str(folder / "model.so"))


def numbers(values: np.ndarray) -> object:
    return values.ctypes.data_as(ctypes.c_void_p)


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


def test_classes_beyond_what_a_float_holds_are_those_of_the_integers(library: ctypes.CDLL) -> None:
    assert library.model_classify((ctypes.c_int32 * 2)(2**24, 2**24 + 1)) == 1


def test_scales_that_differ_between_classes_decide_as_on_the_host(
    everything: Network, tmp_path: Path, needs: Needs
) -> None:
    needs("gcc")
    library, rng = shared_library(everything, tmp_path), np.random.default_rng(0)
    values = rng.integers(-30, 30, (200, 9)).astype(np.int32)
    values[100:] = rng.integers(-(2**31), 2**31, (100, 9))
    found = [library.model_classify(numbers(np.ascontiguousarray(row))) for row in values]
    assert found == classes_of(everything.populations["out"], values[:, :5]).tolist()


def test_two_networks_fit_one_firmware(tiny: Network, mixed: Network, tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    (tmp_path / "use.c").write_text(
        '#include "eye.h"\n#include "ear.h"\n#include "eye_selftest.h"\n#include "ear_selftest.h"\n#include "port.h"\n'
        "static eye_state a;\nstatic ear_state b;\nstatic int32_t out[EYE_OUTPUTS + EAR_OUTPUTS];\n"
        "static uint32_t sums[EYE_TRACES + EAR_TRACES];\n"
        "int main(void) {\n    const spikerun_port port = {port_print, port_ticks, port_stack_used};\n"
        "    return eye_selftest(&a, out, sums, &port) + ear_selftest(&b, out, sums, &port);\n}\n"
    )
    files: dict[str, Path] = {"use.c": tmp_path / "use.c"}
    include: list[str] = []
    left_out = ("main.c", "frames.c", "events.c", "line_host.c")  # programs of their own
    for net, name in ((tiny, "eye"), (mixed, "ear")):
        deploy(net, tmp_path / name, "host", 2, name=name)
        include += [f"-I{tmp_path / name / folder}" for folder in ("runtime", "model", "selftest", "port", "serial")]
        files |= {path.name: path for path in (tmp_path / name).glob("*/*.c") if path.name not in left_out}
    subprocess.run(["gcc", *WARNINGS, *include, *files.values(), "-o", tmp_path / "both"], check=True)
    done = subprocess.run([tmp_path / "both"], capture_output=True, text=True, check=True)
    assert done.stdout.count("end 0\n") == 2


def test_constants_of_equal_content_are_defined_once(tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    cell = LIF.loihi(np.int32(3), du=np.int32(7), dv=np.int32(7))
    populations = {"in": Population((4,), Input(1, "spikes")), "h": Population((4,), cell)}
    net = Network(populations, [Projection("in", "h", Dense(np.ones((4, 4), np.int8)))], ["h"], 2)
    run = deploy(net, tmp_path / "fw", "host", 2, run=True).run
    assert run is not None
    assert run.identical


@pytest.mark.parametrize("name", ["spikerun", "h_fire", "model", "int", "main", "u"])
def test_names_that_c_knows_are_no_trouble(tmp_path: Path, needs: Needs, name: str) -> None:
    needs("gcc")
    cell = IF(np.int32(3), np.arange(4, dtype=np.int32))
    populations = {
        "in": Population((4,), Input(1, "spikes")),
        "h": Population((4,), cell),
        name: Population((4,), Readout(bias=np.arange(4, dtype=np.int32))),
    }
    dense = Dense(np.ones((4, 4), np.int8))
    net = Network(populations, [Projection("in", "h", dense), Projection("h", name, dense)], [name], 2)
    run = deploy(net, tmp_path / "fw", "host", 2, run=True).run
    assert run is not None
    assert run.identical


@pytest.mark.parametrize("name", ["clock", "memory", "bytes", "spikerun_tick"])
def test_names_of_variables_make_no_variables(tmp_path: Path, needs: Needs, name: str) -> None:
    needs("gcc")
    populations = {name: Population((4,), Input()), "out": Population((4,), Readout())}
    net = Network(populations, [Projection(name, "out", Dense(np.ones((4, 4), np.int8)))], ["out"], 8)
    prefix = "model" if name.startswith("spikerun") or name == "memory" else name  # <memory.h> is a header of C
    deploy(net, tmp_path / "fw", "host", 2, name=prefix)
    text = (tmp_path / "fw" / "model" / f"{prefix}.c").read_text()
    assert "state->clock" not in text
    build(tmp_path / "fw", boards.load("host"), "gcc", tmp_path / "program", WARNINGS)
    assert run_bundle(tmp_path / "fw").identical


def test_state_lasts_from_step_to_step_until_the_reset(mixed: Network, tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    library, rng = shared_library(mixed, tmp_path), np.random.default_rng(3)
    state, out = ctypes.create_string_buffer(1 << 16), np.zeros(16, np.int32)
    for _ in range(2):
        library.model_reset(state)
        stepper = Stepper(mixed)
        for _ in range(5 * mixed.window):
            events = {"image": rng.integers(0, 2, (3, 6, 5)), "events": rng.integers(0, 2, (2, 3, 3))}
            given = np.concatenate([events[name].ravel() for name in mixed.inputs]).astype(np.uint8)
            assert library.model_step(state, given.tobytes(), numbers(out)) == 0
            sent = stepper.step(events)
            expected = [stepper.state["out"]["v"], sent["fires"], sent["payload"]]
            assert out.tolist() == np.concatenate([array.ravel() for array in expected]).tolist()


def test_a_step_refuses_events_that_are_none(mixed: Network, tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    library = shared_library(mixed, tmp_path)
    state, out = ctypes.create_string_buffer(1 << 16), np.zeros(16, np.int32)
    library.model_reset(state)
    assert library.model_step(state, bytes(108), numbers(out)) == 0
    assert library.model_step(state, bytes([2] + [0] * 107), numbers(out)) == 2
    assert library.model_step(state, None, numbers(out)) == 1


def test_the_clock_never_overflows(mixed: Network, tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    library = shared_library(mixed, tmp_path)
    clock, periods = np.array([2**31 - 3, 6, 0], np.int32), np.array([8, 1], np.int32)
    for _ in range(4):
        library.spikerun_tick(numbers(clock), 2**31 - 1, numbers(periods), 2)
    assert clock.tolist() == [2**31 - 1, 2, 0]


@pytest.mark.parametrize("module", ["emit", "table", "build", "deployment", "printer"])
def test_the_examples_in_the_docstrings_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"spikerun.edge.mcu.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("which", ["wide_signed_words", "widest_payloads", "wide_currents_of_each_step"])
def test_wide_words_are_those_of_the_reference_and_no_compiler_warns(which: str, tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    net = NETWORKS[which]()
    run = deploy(net, tmp_path / "fw", "host", samples(net), run=True).run
    assert run is not None and run.identical
    build(tmp_path / "fw", boards.load("host"), "gcc", tmp_path / "program", WARNINGS)
    assert "two bytes a value" in (tmp_path / "fw" / "model" / "model.h").read_text()


@pytest.mark.parametrize(("signed", "dtype", "bad"), [(False, np.uint16, 4096), (True, np.int16, 2048)])
def test_an_array_of_16_bits_is_a_frame(
    signed: bool, dtype: type[np.generic], bad: int, tmp_path: Path, needs: Needs
) -> None:
    needs("gcc")
    populations = {"in": Population((2,), Input(12, "graded", signed)), "out": Population((2,), Readout())}
    weight = np.array([[3, -2], [5, 7]], np.int8)
    library = shared_library(Network(populations, [Projection("in", "out", Dense(weight))], "out", 1), tmp_path)
    state, out = ctypes.create_string_buffer(1024), np.zeros(2, np.int32)
    frame = np.array([2047, -2048 if signed else 4095]).astype(dtype)
    assert library.model_run(state, numbers(frame), numbers(out)) == 0
    np.testing.assert_array_equal(out, frame.astype(np.int64) @ weight)
    assert library.model_run(state, numbers(np.array([0, bad]).astype(dtype)), numbers(out)) == 2
