# SPDX-License-Identifier: Apache-2.0
"""The functions that firmware calls: lists of events, and what they refuse with a code, writing nothing."""

import os
import platform
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from firmware import Firmware, emulated

from spikerun.connections import Conv, Dense
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy
from spikerun.edge.mcu.build import WARNINGS, build
from spikerun.edge.mcu.kept import HEADER, kept
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, Levels, Readout
from spikerun.plan import lower

Needs = Callable[..., None]
ARGUMENT, INPUT, STATE = 1, 2, 3
FUZZ = Path(__file__).parent / "fuzz.c"
EVENTS = """
#include "model.h"
#include "port.h"
static const model_event events[] = {EVENTS};
static const uint32_t counts[] = {COUNTS};
static model_state state;
int main(void) {
    int32_t out[MODEL_OUTPUTS], sum = 0, failed = model_reset(&state) != SPIKERUN_OK;
    const model_event* next = events;
    for (uint32_t t = 0; t < sizeof counts / sizeof *counts; t++) {
        failed |= model_step_events(&state, next, counts[t], out) != SPIKERUN_OK;
        next += counts[t];
        sum = (int32_t)spikerun_crc32_values((uint32_t)sum, out, MODEL_OUTPUTS);
    }
    port_print("begin\\n");
    return failed != 0 || (uint32_t)sum != SUMu;
}
"""
SECONDS = int(os.environ.get("SPIKERUN_FUZZ_SECONDS", "3"))


@pytest.fixture(scope="module")
def camera() -> Network:
    """Two inputs of spikes, an image and a row of neurons; IF and LIF neurons and a delay."""
    rng = np.random.default_rng(2)
    populations = {
        "image": Population((2, 5, 4), Input(1, "spikes")),
        "ear": Population((6,), Input(1, "spikes")),
        "sees": Population((3, 5, 4), IF(np.int32(200), v_min=np.int32(-400))),
        "hears": Population((8,), LIF.loihi(np.int32(90), dv=np.int32(300))),
        "out": Population((3,), Readout()),
    }
    projections = [
        Projection("image", "sees", Conv(rng.integers(-99, 128, (3, 2, 3, 3)).astype(np.int8), padding=1)),
        Projection("ear", "hears", Dense(rng.integers(-99, 128, (6, 8)).astype(np.int8)), delay=3),
        Projection("sees", "out", Dense(rng.integers(-99, 128, (60, 3)).astype(np.int8))),
        Projection("hears", "out", Dense(rng.integers(-99, 128, (8, 3)).astype(np.int8))),
    ]
    return Network(populations, projections, ["out", "hears"], 10)


@pytest.fixture(scope="module")
def firmware(camera: Network, tmp_path_factory: pytest.TempPathFactory, needs: Needs) -> Firmware:
    needs("gcc")
    return Firmware(camera, tmp_path_factory.mktemp("firmware"))


def test_a_list_of_events_does_what_their_bytes_do(firmware: Firmware) -> None:
    rng = np.random.default_rng(0)
    steps = [rng.permutation(firmware.step_bytes)[: rng.integers(0, 47)] for _ in range(40)]
    firmware.reset()
    dense = [firmware.step(np.isin(np.arange(firmware.step_bytes), step).astype(np.uint8).tobytes()) for step in steps]
    firmware.reset()
    for step, expected in zip(steps, dense, strict=True):
        assert firmware.step_events(step.tolist()) == 0
        assert list(firmware.results) == expected


def test_an_event_that_is_there_twice_is_one_spike(firmware: Firmware) -> None:
    found = []
    for events in ([3, 41], [41, 3, 3, 41, 3]):
        firmware.reset()
        assert [firmware.step_events(events) for _ in range(5)] == [0] * 5
        found.append(bytes(firmware.state))
    assert found[0] == found[1]


def test_a_list_of_events_does_the_same_on_a_core_that_cannot_divide(
    camera: Network, firmware: Firmware, tmp_path: Path, needs: Needs
) -> None:
    needs("arm-none-eabi-gcc", "unicorn")
    rng = np.random.default_rng(4)
    steps = [rng.permutation(firmware.step_bytes)[: rng.integers(0, 47)].tolist() for _ in range(20)]
    firmware.reset()
    found = b""
    for step in steps:
        assert firmware.step_events(step) == 0
        found += bytes(firmware.results)
    program = EVENTS.replace("EVENTS", ", ".join(str(n) for step in steps for n in step), 1)
    program = program.replace("COUNTS", ", ".join(str(len(step)) for step in steps), 1)
    emulated(camera, tmp_path, "generic-cortex-m0", program.replace("SUM", str(zlib.crc32(found)), 1))


def test_no_event_may_be_null(firmware: Firmware) -> None:
    firmware.reset()
    assert firmware.library.model_step_events(firmware.state, None, 0, firmware.results) == 0


def refused(firmware: Firmware, status: int, code: int, before: bytes) -> None:
    assert status == code
    assert bytes(firmware.state) == before
    assert list(firmware.results) == [77] * len(firmware.results)


@pytest.mark.parametrize(
    ("events", "count", "code"),
    [([46], None, INPUT), ([65535], None, INPUT), ([0, 1, 46], None, INPUT), ([0] * 47, None, INPUT)],
)
def test_events_out_of_range_and_too_many_are_refused_and_nothing_is_written(
    firmware: Firmware, events: list[int], count: int | None, code: int
) -> None:
    firmware.reset()
    firmware.results[:] = [77] * len(firmware.results)
    refused(firmware, firmware.step_events(events, count), code, bytes(firmware.state))


def test_null_pointers_are_refused_and_nothing_is_written(firmware: Firmware) -> None:
    firmware.reset()
    library, state, out = firmware.library, firmware.state, firmware.results
    out[:] = [77] * len(out)
    before = bytes(state)
    for status in (
        library.model_reset(None),
        library.model_step(None, bytes(46), out),
        library.model_step(state, None, out),
        library.model_step(state, bytes(46), None),
        library.model_step_events(None, bytes(8), 1, out),
        library.model_step_events(state, None, 1, out),
        library.model_step_events(state, bytes(8), 1, None),
        library.model_run(state, None, out),
    ):
        refused(firmware, status, ARGUMENT, before)
    assert library.model_classify(None) == -1


@pytest.mark.parametrize("byte", [0, 0xFF])
def test_a_state_that_was_never_reset_is_refused_and_nothing_is_written(firmware: Firmware, byte: int) -> None:
    firmware.state.raw = bytes([byte]) * len(firmware.state)
    firmware.results[:] = [77] * len(firmware.results)
    before = bytes(firmware.state)
    refused(firmware, firmware.step_events([1]), STATE, before)
    refused(firmware, firmware.library.model_step(firmware.state, bytes(46), firmware.results), STATE, before)


def test_events_of_more_neurons_than_16_bits_count_have_32(tmp_path: Path, needs: Needs) -> None:
    needs("gcc")
    populations = {"in": Population((2, 40, 900), Input(1, "spikes")), "h": Population((2, 40, 900), IF(np.int32(1)))}
    net = Network(populations, [Projection("in", "h", Conv(np.ones((2, 2, 1, 1), np.int8)))], ["h"], 2)
    deploy(net, tmp_path / "fw", "host", 1)
    assert "typedef uint32_t model_event;" in (tmp_path / "fw" / "model" / "model.h").read_text()
    build(tmp_path / "fw", boards.load("host"), "gcc", tmp_path / "program", WARNINGS)


def test_payloads_are_given_as_bytes_alone(spiking: Network, tmp_path: Path) -> None:
    deploy(spiking, tmp_path / "fw", "host", 1)
    assert "step_events" not in (tmp_path / "fw" / "model" / "model.h").read_text()


def every_state(net: Network) -> Network:
    """Return a network with all that can be kept from step to step beside what it has: words, and a mean."""
    few = FewSpikes(4, np.int32(40), signed=True, max_spikes=2)
    populations = {
        **net.populations,
        "hears": replace(net.populations["hears"], neuron=LIF(np.int32(90), answer="mean")),
        "words": Population((5,), few),
        "levels": Population((4,), Levels(2, [-30, 0, 30], signed=True)),
    }
    rng = np.random.default_rng(3)
    projections = [
        *net.projections,
        Projection("hears", "words", Dense(rng.integers(-99, 128, (8, 5)).astype(np.int8))),
        Projection("words", "levels", Dense(rng.integers(-99, 128, (5, 4)).astype(np.int8))),
    ]
    return Network(populations, projections, [*net.outputs, "levels"], net.window)


def extremes(net: Network) -> Iterator[bytes]:
    """Yield what to begin with: a state whose numbers of one register are at an end of int32, and steps full of spikes.

    They are calls as `fuzz.c` reads them.
    """
    step = bytes([2, 100, 0]) + b"\1" * 100
    begin = HEADER.size
    for one in kept(net, lower(net, "stream")):
        places = range(begin, begin + one.bytes, 4) if one.register.dtype == "int32" else ()
        for odd in (0, 1):
            put = b"".join(bytes([128 | place >> 8, place & 255, odd]) for place in places[:80])
            yield bytes([8, 0, 0]) + step * 3 + bytes([200, len(put), 0]) + put + step * 12
        begin += one.bytes


def test_whatever_is_given_is_done_or_refused(camera: Network, tmp_path: Path, needs: Needs) -> None:
    """Random calls under sanitizers, some seconds; SPIKERUN_FUZZ_SECONDS=600 pytest tests/edge/test_mcu_calls.py."""
    needs("clang")
    runtime = "libclang_rt.fuzzer-x86_64.a"
    told = subprocess.run(["clang", f"-print-file-name={runtime}"], capture_output=True, text=True, check=True).stdout
    if platform.machine() == "x86_64" and told.strip() == runtime:
        pytest.skip("libclang-rt-dev is not on this machine")
    fw = tmp_path / "fw"
    net = every_state(camera)
    deploy(net, fw, "host", 1)
    (tmp_path / "first").mkdir()
    for number, calls in enumerate(extremes(net)):
        (tmp_path / "first" / str(number)).write_bytes(calls)
    files = [*(fw / "runtime").glob("*.c"), fw / "model" / "model.c", FUZZ]
    include = [f"-I{fw / part}" for part in ("runtime", "model")]
    flags = ["-std=c99", "-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["clang", *WARNINGS, *flags, *include, *files, "-o", tmp_path / "fuzz"], check=True)
    first = subprocess.run([tmp_path / "fuzz", *(tmp_path / "first").iterdir()], capture_output=True, text=True)
    assert first.returncode == 0, first.stderr[-3000:]
    command = [tmp_path / "fuzz", f"-max_total_time={SECONDS}", "-max_len=4096", "-seed=1", "-print_final_stats=1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = next(line for line in done.stderr.splitlines() if "number_of_executed_units" in line)
    assert int(runs.split()[-1]) > 100
