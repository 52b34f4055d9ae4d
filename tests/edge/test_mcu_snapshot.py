# SPDX-License-Identifier: Apache-2.0
"""A state goes from the host to a board and back, and the stream goes on as if it had never been elsewhere."""

import ctypes
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from firmware import Firmware, emulated

from spikerun.connections import Dense
from spikerun.edge.mcu.kept import HEADER, kept
from spikerun.edge.mcu.snapshot import from_board, to_board
from spikerun.errors import DataError, UsageError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, Input
from spikerun.plan import lower
from spikerun.session import Session
from spikerun.stream import Stream

Needs = Callable[..., None]
SIZE, NETWORK, DAMAGED = 4, 5, 6
PROGRAM = """
#include "model.h"
#include "port.h"
static const uint8_t saved[] = {SAVED};
static const uint8_t events[] = {EVENTS};
static model_state state;
static uint8_t bytes[MODEL_SNAPSHOT_BYTES];
static char digits[2 * MODEL_SNAPSHOT_BYTES + 1];
static int32_t out[MODEL_OUTPUTS];
int main(void) {
    int32_t failed = model_load(&state, saved, sizeof saved) != SPIKERUN_OK;
    port_print("begin\\n");
    for (uint32_t at = 0; at < sizeof events; at += MODEL_STEP_BYTES) {
        failed |= model_step(&state, events + at, out) != SPIKERUN_OK;
    }
    failed |= model_save(&state, bytes) != SPIKERUN_OK;
    for (uint32_t n = 0; n < sizeof bytes; n++) {
        digits[2 * n] = "0123456789abcdef"[bytes[n] >> 4];
        digits[2 * n + 1] = "0123456789abcdef"[bytes[n] & 15];
    }
    port_print(digits);
    return (int)failed;
}
"""


def given(net: Network, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return random events of one step."""
    ranges = {name: net.sender_of(name).event_range for name in net.inputs}  # type: ignore[union-attr]
    return {n: rng.integers(low, high + 1, net.populations[n].shape) for n, (low, high) in ranges.items()}


def flat(net: Network, events: dict[str, np.ndarray]) -> bytes:
    return b"".join(events[name].astype(np.int8).tobytes() for name in net.inputs)


def streams(net: Network, steps: int, seed: int = 1) -> tuple[Stream, list[dict[str, np.ndarray]]]:
    """Return a stream after some steps, and the events of more steps."""
    rng = np.random.default_rng(seed)
    stream = Session(net).stream()
    for _ in range(steps):
        stream.step(given(net, rng))
    return stream, [given(net, rng) for _ in range(steps)]


@pytest.fixture(scope="module", params=["spiking", "mixed"])
def net(request: pytest.FixtureRequest) -> Network:
    found: Network = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def firmware(net: Network, tmp_path_factory: pytest.TempPathFactory, needs: Needs) -> Firmware:
    """Return the C of a network, with a state that earlier tests may have left."""
    needs("gcc")
    return Firmware(net, tmp_path_factory.mktemp("firmware"))


@pytest.mark.parametrize("steps", [0, 1, 29, 45])
def test_the_bytes_of_a_board_hold_all_that_the_host_knows(net: Network, steps: int) -> None:
    saved = streams(net, steps)[0].snapshot()
    back = from_board(net, to_board(net, saved))
    assert back.keys() == saved.keys()
    assert all(np.array_equal(back[key], saved[key]) for key in saved)


def test_firmware_goes_on_where_the_host_stopped_and_the_host_where_firmware_did(
    net: Network, firmware: Firmware
) -> None:
    for steps in (0, 1, 29, 45):
        stream, more = streams(net, steps)
        firmware.load(to_board(net, stream.snapshot()))
        for events in more:
            stream.step(events)
            results = firmware.step(flat(net, events))
            shown = [
                stream.membrane(name) if net.populations[name].neuron.reported == "v" else None for name in net.outputs
            ]
            if shown[0] is not None:
                assert results[: shown[0].size] == shown[0].ravel().tolist()
        back = from_board(net, firmware.save())
        ours = stream.snapshot()
        assert all(np.array_equal(back[key], ours[key]) for key in ours)
        other = Session(net).stream()
        other.restore(back)
        rest = given(net, np.random.default_rng(steps))
        stream.step(rest)
        other.step(rest)
        assert to_board(net, other.snapshot()) == to_board(net, stream.snapshot())


def test_a_clock_of_many_steps_is_wound_to_the_same_phases(net: Network, firmware: Firmware) -> None:
    stream, more = streams(net, 30)
    t = 2**59 - 2**59 % net.window + 7
    stream.restore({**stream.snapshot(), "t": np.array(t)})
    firmware.load(to_board(net, stream.snapshot()))
    for events in more:
        stream.step(events)
        firmware.step(flat(net, events))
    back, ours = from_board(net, firmware.save()), stream.snapshot()
    assert int(back["t"]) == t + len(more)
    assert all(np.array_equal(back[key], ours[key]) for key in ours)


@pytest.mark.parametrize(
    ("which", "board", "compiler"),
    [
        ("spiking", "generic-cortex-m4", "arm-none-eabi-gcc"),
        ("mixed", "generic-rv32imac", "riscv64-unknown-elf-gcc"),
    ],
)
def test_a_host_snapshot_goes_on_on_the_emulated_board_and_back(
    request: pytest.FixtureRequest, which: str, board: str, compiler: str, tmp_path: Path, needs: Needs
) -> None:
    needs(compiler, "unicorn")
    net = request.getfixturevalue(which)
    stream, more = streams(net, 41)
    saved = ", ".join(map(str, to_board(net, stream.snapshot())))
    events = ", ".join(str(byte) for one in more for byte in flat(net, one))
    text = emulated(net, tmp_path, board, PROGRAM.replace("SAVED", saved, 1).replace("EVENTS", events, 1))
    for one in more:
        stream.step(one)
    back, ours = from_board(net, bytes.fromhex(text.removeprefix("begin\n"))), stream.snapshot()
    assert all(np.array_equal(back[key], ours[key]) for key in ours)


def wrong(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Return bytes that are refused, with the code that says why."""

    def signed(changed: bytes) -> bytes:
        return changed + zlib.crc32(changed).to_bytes(4, "little")

    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    return {
        "short": (SIZE, data[:-1]),
        "long": (SIZE, data + b"\0"),
        "empty": (SIZE, b""),
        "flipped": (DAMAGED, bytes(flipped)),
        "checksum": (DAMAGED, data[:-1] + bytes([data[-1] ^ 1])),
        "magic": (DAMAGED, signed(b"spks" + data[4:-4])),
        "version": (DAMAGED, signed(data[:4] + b"\2" + data[5:-4])),
        "network": (NETWORK, signed(data[:15] + bytes([data[15] ^ 1]) + data[16:-4])),
        "out of range": (DAMAGED, signed(data[:24] + b"\x7f" * (len(data) - 28))),
    }


def test_firmware_refuses_what_is_no_snapshot_and_writes_nothing(net: Network, firmware: Firmware) -> None:
    stream, _ = streams(net, 20)
    data = to_board(net, stream.snapshot())
    firmware.load(data)
    for code, bad in wrong(data).values():
        before = bytes(firmware.state)
        assert firmware.library.model_load(firmware.state, bad, ctypes.c_size_t(len(bad))) == code
        assert bytes(firmware.state) == before
    assert firmware.library.model_load(None, data, ctypes.c_size_t(len(data))) == 1
    assert firmware.library.model_load(firmware.state, None, ctypes.c_size_t(len(data))) == 1


def test_the_host_refuses_what_is_no_snapshot(mixed: Network) -> None:
    data = to_board(mixed, streams(mixed, 20)[0].snapshot())
    said = {SIZE: r"has \d+ bytes, got", NETWORK: "another network", DAMAGED: "damaged|version 2|must hold integers"}
    for code, bad in wrong(data).values():
        with pytest.raises(DataError, match=said[code]):
            Session(mixed).stream().restore(from_board(mixed, bad))


def test_values_that_the_network_cannot_reach_are_refused_by_both(net: Network, firmware: Firmware) -> None:
    data, begin = to_board(net, streams(net, 20)[0].snapshot()), HEADER.size
    for one in kept(net, lower(net, "stream")):
        dtype = np.dtype(one.register.dtype).newbyteorder("<")
        limits = np.iinfo(dtype)
        assert dtype.itemsize < 4 or limits.min < one.low - 1 < one.high + 1 < limits.max
        for value in (each for each in (one.low - 1, one.high + 1) if limits.min <= each <= limits.max):
            bad = data[:begin] + np.array(value).astype(dtype).tobytes() + data[begin + dtype.itemsize : -4]
            bad += zlib.crc32(bad).to_bytes(4, "little")
            assert firmware.library.model_load(firmware.state, bad, ctypes.c_size_t(len(bad))) == DAMAGED
            with pytest.raises(DataError, match=f"'{one.register.name}' of the board's snapshot must hold integers in"):
                from_board(net, bad)
        begin += one.bytes


def test_a_state_that_was_never_reset_is_not_saved(firmware: Firmware) -> None:
    firmware.forget()
    saved = ctypes.create_string_buffer(b"\x55" * firmware.snapshot_bytes)
    assert firmware.library.model_save(firmware.state, saved) == 3
    assert saved.raw == b"\x55" * firmware.snapshot_bytes + b"\0"
    assert firmware.library.model_save(firmware.state, None) == 1


def test_a_step_after_a_frame_needs_a_reset(net: Network, firmware: Firmware) -> None:
    firmware.reset()
    assert firmware.library.model_run(firmware.state, bytes(firmware.frame_bytes), firmware.results) == 0
    assert firmware.library.model_step(firmware.state, bytes(firmware.step_bytes), firmware.results) == 3


def test_networks_without_a_state_are_told_so(tiny: Network) -> None:
    with pytest.raises(UsageError, match="keeps nothing between"):
        to_board(tiny, {})


def test_events_that_are_held_back_do_not_go_to_a_board() -> None:
    populations = {"in": Population((4,), Input(1, "spikes")), "h": Population((4,), IF(np.int32(3)))}
    net = Network(populations, [Projection("in", "h", Dense(np.ones((4, 4), np.int8)))], ["h"], 2)
    stream = Session(net).stream()
    stream.push(np.array([(0, 1)], [("step", np.int64), ("index", np.int64)]))
    with pytest.raises(DataError, match="flush"):
        to_board(net, stream.snapshot())
