# SPDX-License-Identifier: Apache-2.0
"""The generated C computes what the reference computes: on this computer, and on an emulated Cortex-M4."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from networks import random_network, seeds

from spikerun.edge import golden
from spikerun.edge.golden import random_frames
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy, run_bundle
from spikerun.edge.mcu.build import SANITIZERS, WARNINGS, build, execute
from spikerun.edge.mcu.packings import WISHES
from spikerun.errors import NetworkError
from spikerun.network import Network, Projection

Needs = Callable[..., None]
BOARD = "generic-cortex-m4"
GCC_QEMU, PIP = ("qemu-system-arm", "arm-none-eabi-gcc"), ("unicorn", "ziglang")


def sanitized(net: Network, folder: Path, samples: int = 6, packing: str = "auto") -> list[str]:
    """Return what the self-test of a network complains of, compiled with all warnings and sanitizers."""
    deploy(net, folder, "host", random_frames(net, samples, seed=samples), packing=packing)
    host = boards.load("host")
    program = build(folder, host, "gcc", folder / "program", (*WARNINGS, *SANITIZERS, "-O1"))
    transcript = execute(program, host, "none", timeout=60)
    assert transcript.complete
    assert len(transcript.samples) == samples
    return transcript.mismatches


def with_zeros(net: Network, share: float, seed: int) -> Network:
    """Return a network with about this share of the weights set to 0."""
    rng = np.random.default_rng(seed)

    def thinned(projection: Projection) -> Projection:
        connection: Any = projection.connection
        kept = {
            name: np.where(rng.random(weights.shape) < share, 0, weights).astype(np.int8)
            for name in ("weight", "data")
            if (weights := getattr(connection, name, None)) is not None
        }
        return replace(projection, connection=replace(connection, **kept))

    return Network(net.populations, [thinned(p) for p in net.projections], net.outputs, net.window)


def test_words_are_identical_on_the_host_under_sanitizers(everything: Network, tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    assert sanitized(everything, tmp_path / "fw", samples=12) == []


@pytest.mark.parametrize("packing", ["auto", "small", "dense", "delta", "bitmap"])
def test_every_packing_of_weights_is_identical_on_the_host_under_sanitizers(
    pruned: Network, tmp_path: Path, needs: Needs, packing: str
) -> None:
    needs("gcc")
    assert sanitized(pruned, tmp_path / "fw", samples=12, packing=packing) == []


@pytest.mark.parametrize("which", ["spiking", "mixed"])
def test_frames_and_steps_are_identical_on_the_host_under_sanitizers(
    request: pytest.FixtureRequest, tmp_path: Path, needs: Needs, which: str
) -> None:
    needs("gcc")
    assert sanitized(request.getfixturevalue(which), tmp_path / "fw", samples=12) == []


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, st.sampled_from(["words", "spikes", "mixed"]))
def test_random_networks_are_identical_on_the_host_under_sanitizers(
    tmp_path_factory: pytest.TempPathFactory, needs: Needs, seed: int, kind: str
) -> None:
    needs("gcc")
    try:
        net = random_network(seed, kind)
    except NetworkError:
        assume(False)
    assume(net.projections)  # inputs alone are refused
    assert sanitized(net, tmp_path_factory.mktemp("fw") / "fw") == []


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, st.sampled_from(["words", "spikes", "mixed"]), st.floats(0, 1), st.sampled_from(WISHES))
def test_random_networks_with_zeros_are_identical_in_every_packing(
    tmp_path_factory: pytest.TempPathFactory, needs: Needs, seed: int, kind: str, zeros: float, packing: str
) -> None:
    needs("gcc")
    try:
        net = with_zeros(random_network(seed, kind), zeros, seed)
    except NetworkError:
        assume(False)
    assume(net.projections)  # inputs alone are refused
    assert sanitized(net, tmp_path_factory.mktemp("fw") / "fw", packing=packing) == []


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, st.sampled_from(["words", "spikes", "mixed"]))
def test_random_networks_are_identical_on_the_emulated_board(
    tmp_path_factory: pytest.TempPathFactory, needs: Needs, seed: int, kind: str
) -> None:
    needs(*GCC_QEMU)
    try:
        net = random_network(seed, kind)
    except NetworkError:
        assume(False)
    assume(net.projections)  # inputs alone are refused
    run = deploy(net, tmp_path_factory.mktemp("fw") / "fw", BOARD, random_frames(net, 3), run=True).run
    assert run is not None
    assert run.mismatches == ()
    assert run.identical


@pytest.mark.parametrize(
    ("emulator", "toolchain", "tools"),
    [
        ("qemu", "gcc", GCC_QEMU),
        ("unicorn", "zig", PIP),
        ("unicorn", "gcc", ("unicorn", "arm-none-eabi-gcc")),
        pytest.param("qemu", "zig", ("qemu-system-arm", "ziglang"), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("which", ["everything", "spiking", "mixed", "pruned"])
def test_every_kind_is_identical_on_the_emulated_board(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    needs: Needs,
    which: str,
    emulator: str,
    toolchain: str,
    tools: tuple[str, ...],
) -> None:
    needs(*tools)
    net = request.getfixturevalue(which)
    frames = random_frames(net, 5)
    bundle = deploy(net, tmp_path / "fw", BOARD, frames, run=True, emulator=emulator, toolchain=toolchain)
    assert bundle.run is not None
    assert bundle.run.mismatches == ()
    assert bundle.run.identical
    expected = golden.make(net, frames).outputs
    flat = np.concatenate([expected[name].reshape(5, -1) for name in net.outputs], axis=1)
    np.testing.assert_array_equal(bundle.run.outputs, flat)


@pytest.mark.parametrize(("emulator", "toolchain", "tools"), [("qemu", "gcc", GCC_QEMU), ("unicorn", "zig", PIP)])
@pytest.mark.parametrize("which", ["everything", "mixed", "pruned"])
def test_the_memory_report_bounds_what_is_measured(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    needs: Needs,
    which: str,
    emulator: str,
    toolchain: str,
    tools: tuple[str, ...],
) -> None:
    needs(*tools)
    net = request.getfixturevalue(which)
    before = deploy(net, tmp_path / "a", BOARD, 3)
    after = deploy(net, tmp_path / "b", BOARD, 3, run=True, emulator=emulator, toolchain=toolchain)
    assert not before.measured
    assert after.measured
    bound, measured = before.json()["measures"], after.json()["measures"]
    assert 0.4 * bound["flash_bytes"] < measured["flash_bytes"] <= bound["flash_bytes"]
    assert 0.5 * bound["ram_bytes"] < measured["ram_bytes"] <= bound["ram_bytes"]
    assert measured["stack_bytes"] <= bound["stack_bytes"]


def test_qemu_counts_instructions_and_counts_the_same_every_time(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("qemu-system-arm", "arm-none-eabi-gcc")
    deploy(tiny, tmp_path / "fw", BOARD, 2)
    key = "instructions_per_inference"
    first, second = (int(run_bundle(tmp_path / "fw", "qemu", "gcc").measures[key]) for _ in range(2))
    assert first > 100
    assert abs(first - second) <= 40  # a tick of the machine's clock


def flip(path: Path, array: str) -> None:
    """Change the first number of an array in generated C."""
    text = path.read_text(encoding="utf-8")
    head = re.search(rf"{array}\[\d+\] = {{\s*", text)
    assert head is not None
    number = re.match(r"-?\d+", text[head.end() :])
    assert number is not None
    changed = str(int(number.group()) ^ 1)
    path.write_text(text[: head.end()] + changed + text[head.end() + number.end() :], encoding="utf-8")


@pytest.mark.parametrize(
    ("array", "population"),
    [
        ("dense1_weights", "hidden"),
        ("dense4_weights", "out"),
        ("fill0_value_values", ""),
        ("fire2_threshold_values", ""),
    ],
)
def test_a_changed_number_fails_and_is_named(
    tiny: Network, tmp_path: Path, needs: Needs, array: str, population: str
) -> None:
    needs("gcc")
    deploy(tiny, tmp_path / "fw", "host", np.array([[255, 0], [3, 9], [200, 200]]))
    flip(tmp_path / "fw" / "model" / "model.c", f"model_{array}")
    report = run_bundle(tmp_path / "fw")
    assert not report.identical
    assert any("constant table" in text for text in report.mismatches)
    if population:
        assert f"sample 0, population {population}: v" in report.mismatches


def test_a_changed_weight_fails_on_the_emulated_board(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("unicorn", "ziglang")
    deploy(tiny, tmp_path / "fw", BOARD, np.array([[255, 0], [3, 9]]))
    flip(tmp_path / "fw" / "model" / "model.c", "model_dense1_weights")
    report = run_bundle(tmp_path / "fw", "unicorn", "zig")
    assert not report.identical
    assert "sample 0, population hidden: v" in report.mismatches


def test_changed_golden_outputs_fail(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    deploy(tiny, tmp_path / "fw", "host", 2)
    flip(tmp_path / "fw" / "selftest" / "model_golden.c", "model_golden_outputs")
    assert not run_bundle(tmp_path / "fw").identical


@pytest.mark.parametrize("what", ["model_golden_classes", "model_golden_stream"])
def test_changed_classes_and_checksums_fail(mixed: Network, tmp_path: Path, needs: Needs, what: str) -> None:
    needs("gcc")
    deploy(mixed, tmp_path / "fw", "host", 2)
    flip(tmp_path / "fw" / "selftest" / "model_golden.c", what)
    report = run_bundle(tmp_path / "fw")
    assert not report.identical
    assert all(("class" if "classes" in what else "stream") in text for text in report.mismatches if ":" in text)
