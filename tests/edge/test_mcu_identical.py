"""The generated C computes what the reference computes: on this computer, and on an emulated Cortex-M4."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from networks import random_network, seeds

from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy, run_bundle
from spikerun.edge.mcu.build import SANITIZERS, WARNINGS, build
from spikerun.edge.mcu.emulate import execute
from spikerun.edge.mcu.golden import random_frames
from spikerun.errors import NetworkError
from spikerun.network import Network
from spikerun.neurons import Readout
from spikerun.reference import blocked, stepped

Needs = Callable[..., None]
BOARD = "generic-cortex-m4"
GCC_QEMU, PIP = ("qemu-system-arm", "arm-none-eabi-gcc"), ("unicorn", "ziglang")


def outputs_of_reference(net: Network, frames: dict[str, np.ndarray]) -> np.ndarray:
    count = len(next(iter(frames.values())))
    rows = []
    for k in range(count):
        schedule = blocked if net.feedforward else stepped
        turns = schedule(net, {name: array[k] for name, array in frames.items()})
        found = []
        for name in net.outputs:
            readout = isinstance(net.populations[name].neuron, Readout)
            found.append(turns[name].membrane if readout else turns[name].word)
        rows.append(np.concatenate([array.ravel() for array in found]))
    return np.array(rows)


def sanitized(net: Network, folder: Path, samples: int = 6) -> list[str]:
    """Return what the self-test of a network complains of, compiled with all warnings and sanitizers."""
    deploy(net, folder, "host", random_frames(net, samples, seed=samples))
    host = boards.load("host")
    program = build(folder, host, "gcc", folder / "program", (*WARNINGS, *SANITIZERS, "-O1"))
    transcript = execute(program, host, "none", timeout=60)
    assert transcript.complete
    assert len(transcript.samples) == samples
    return transcript.mismatches


def test_every_kind_of_connection_is_identical_on_the_host_under_sanitizers(
    everything: Network, tmp_path: Path, needs: Needs
) -> None:
    needs("gcc")
    assert sanitized(everything, tmp_path / "fw", samples=12) == []


def test_spiking_neurons_are_identical_on_the_host_under_sanitizers(
    spiking: Network, tmp_path: Path, needs: Needs
) -> None:
    needs("gcc")
    assert sanitized(spiking, tmp_path / "fw", samples=12) == []


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, st.sampled_from(["words", "spikes"]))
def test_random_networks_are_identical_on_the_host_under_sanitizers(
    tmp_path_factory: pytest.TempPathFactory, needs: Needs, seed: int, kind: str
) -> None:
    needs("gcc")
    try:
        net = random_network(seed, kind)
    except NetworkError:
        assume(False)
    assert sanitized(net, tmp_path_factory.mktemp("fw") / "fw") == []


@pytest.mark.parametrize(
    ("emulator", "toolchain", "tools"),
    [
        ("qemu", "gcc", GCC_QEMU),
        ("unicorn", "zig", PIP),
        ("unicorn", "gcc", ("unicorn", "arm-none-eabi-gcc")),
        pytest.param("qemu", "zig", ("qemu-system-arm", "ziglang"), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("which", ["everything", "spiking"])
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
    np.testing.assert_array_equal(bundle.run.outputs, outputs_of_reference(net, frames))


@pytest.mark.parametrize(("emulator", "toolchain", "tools"), [("qemu", "gcc", GCC_QEMU), ("unicorn", "zig", PIP)])
def test_the_memory_report_bounds_what_is_measured(
    everything: Network, tmp_path: Path, needs: Needs, emulator: str, toolchain: str, tools: tuple[str, ...]
) -> None:
    needs(*tools)
    before = deploy(everything, tmp_path / "a", BOARD, 3).report
    after = deploy(everything, tmp_path / "b", BOARD, 3, run=True, emulator=emulator, toolchain=toolchain).report
    assert not before["measured"]
    assert after["measured"]
    assert 0.5 * before["flash_bytes"] < after["flash_bytes"] <= before["flash_bytes"]
    assert 0.5 * before["ram_bytes"] < after["ram_bytes"] <= before["ram_bytes"]
    assert after["stack_bytes"] <= before["stack_bytes"]


def test_qemu_counts_instructions_and_counts_the_same_every_time(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("qemu-system-arm", "arm-none-eabi-gcc")
    deploy(tiny, tmp_path / "fw", BOARD, 2)
    first, second = (run_bundle(tmp_path / "fw", "qemu", "gcc").instructions for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first > 100).all()
    assert np.abs(first - second).max() <= 40  # a tick of the machine's clock


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
    "array", ["hidden_in0_weights", "out_in0_weights", "hidden_bias_values", "hidden_fire_threshold_values"]
)
def test_a_changed_number_fails_and_is_named(tiny: Network, tmp_path: Path, needs: Needs, array: str) -> None:
    needs("gcc")
    deploy(tiny, tmp_path / "fw", "host", np.array([[255, 0], [3, 9], [200, 200]]))
    flip(tmp_path / "fw" / "model" / "model.c", array)
    report = run_bundle(tmp_path / "fw")
    assert not report.identical
    assert any("constant table" in text for text in report.mismatches)
    if "weights" in array:
        assert f"sample 0, population {array.split('_')[0]}: membrane" in report.mismatches


def test_a_changed_weight_fails_on_the_emulated_board(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("unicorn", "ziglang")
    deploy(tiny, tmp_path / "fw", BOARD, np.array([[255, 0], [3, 9]]))
    flip(tmp_path / "fw" / "model" / "model.c", "hidden_in0_weights")
    report = run_bundle(tmp_path / "fw", "unicorn", "zig")
    assert not report.identical
    assert "sample 0, population hidden: membrane" in report.mismatches


def test_changed_golden_outputs_fail(tiny: Network, tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    deploy(tiny, tmp_path / "fw", "host", 2)
    flip(tmp_path / "fw" / "selftest" / "golden.c", "golden_outputs")
    assert not run_bundle(tmp_path / "fw").identical
