# SPDX-License-Identifier: Apache-2.0
"""A network's C as a shared library, and programs of one's own beside it on an emulated board."""

import ctypes
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from spikerun.edge.mcu import arch, deploy
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu.build import build
from spikerun.network import Network


class Firmware:
    """A network that goes on step by step, with a state of its own, in this process."""

    def __init__(self, net: Network, folder: Path) -> None:
        fw = folder / "fw"
        deploy(net, fw, "host", 1)
        files = [*(fw / "runtime").glob("*.c"), fw / "model" / "model.c"]
        include = [f"-I{fw / part}" for part in ("runtime", "model")]
        subprocess.run(["gcc", "-shared", "-fPIC", *include, *files, "-o", folder / "model.so"], check=True)
        self.library = ctypes.CDLL(str(folder / "model.so"))
        text = (fw / "model" / "model.h").read_text()
        sizes = {key: int(value) for key, value in re.findall(r"#define MODEL_(\w+) (\d+)\b", text)}
        self.state = ctypes.create_string_buffer(sizes["STATE_BYTES"])
        self.results = (ctypes.c_int32 * sizes["OUTPUTS"])()
        self.step_bytes, self.frame_bytes = sizes["STEP_BYTES"], sizes["FRAME_BYTES"]
        self.snapshot_bytes = sizes["SNAPSHOT_BYTES"]

    def forget(self) -> None:
        """Leave the state as it is before anything has initialised it."""
        ctypes.memset(self.state, 0, len(self.state))

    def reset(self) -> None:
        """Put the network to rest."""
        assert self.library.model_reset(self.state) == 0

    def step(self, events: bytes) -> list[int]:
        """Do one step, and return its results."""
        assert self.library.model_step(self.state, events, self.results) == 0
        return list(self.results)

    def step_events(self, events: Sequence[int], count: int | None = None) -> int:
        """Do one step with the places of events, or say how many there are; return the status."""
        given = (ctypes.c_uint16 * max(1, len(events)))(*events)
        return int(
            self.library.model_step_events(self.state, given, len(events) if count is None else count, self.results)
        )

    def load(self, data: bytes) -> None:
        """Go on from a snapshot."""
        assert self.library.model_load(self.state, data, ctypes.c_size_t(len(data))) == 0

    def save(self) -> bytes:
        """Return a snapshot."""
        saved = ctypes.create_string_buffer(self.snapshot_bytes)
        assert self.library.model_save(self.state, saved) == 0
        return saved.raw


def emulated(net: Network, folder: Path, board: str, program: str, emulator: str = "unicorn") -> str:
    """Return what a program prints in place of the self-test; it must return 0."""
    deploy(net, folder / "fw", board, 1)
    for path in (folder / "fw" / "selftest").glob("*.c"):
        path.unlink()
    (folder / "fw" / "selftest" / "main.c").write_text(program)
    found = boards.load(board)
    executable = build(folder / "fw", found, "gcc", folder / "program.elf")
    ran = arch.of(found).emulators[emulator].run(executable, found, 60)
    assert ran.code == 0, ran.text
    return ran.text
