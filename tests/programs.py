# SPDX-License-Identifier: Apache-2.0
"""Programs of a few native operations, whose registers are called by name."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikerun.kernels.cpu.native import Program

DTYPES = {"int16": np.int16, "int32": np.int32}


def i32(*values: Any) -> Any:
    """Return integers as an int32 vector."""
    return np.array(values, np.int32).reshape(-1)


class Bench:
    """A program and one workspace of it. Registers are given as name = (dtype, size), each in memory of its own."""

    def __init__(self, **registers: tuple[str, int]) -> None:
        used = dict.fromkeys(DTYPES, 0)
        described = []
        for dtype, size in registers.values():
            described.append((dtype, size, used[dtype]))
            used[dtype] += size
        self.registers, self.ids = registers, {name: k for k, name in enumerate(registers)}
        self.program = Program(described)
        self.workspace: Any = None

    def add(self, operation: str, **arguments: Any) -> "Bench":
        """Append an operation; an argument that is the name of a register stands for that."""
        ids = {k: self.ids.get(v, v) if isinstance(v, str) else v for k, v in arguments.items()}
        getattr(self.program, operation)(**ids)
        return self

    def put(self, **contents: Any) -> "Bench":
        """Write registers; a single number fills one."""
        self.workspace = self.workspace or self.program.workspace()
        for name, content in contents.items():
            dtype, size = self.registers[name]
            values = np.broadcast_to(np.asarray(content).astype(DTYPES[dtype]), (size,))
            self.program.write(self.workspace, self.ids[name], np.ascontiguousarray(values))
        return self

    def step(self, n: int = 1, **contents: Any) -> "Bench":
        """Write registers and execute n passes."""
        self.put(**contents)
        assert self.program.step(self.workspace, n)[2] is None
        return self

    def __getitem__(self, name: str) -> Any:
        return self.program.read(self.workspace, self.ids[name])


@st.composite
def populations(draw: st.DrawFn) -> tuple[int, int]:
    """Draw numbers of neurons and of channels, which divides it; some are longer than the tiles of the kernels."""
    channels = draw(st.sampled_from([1, 2, 3, 7, 16, 600]))
    return channels * draw(st.sampled_from([1, 2, 5, 190])), channels


def in_a_form(rng: np.random.Generator, values: Any, channels: int) -> tuple[Any, Any]:
    """Return the values in one of the three forms that a parameter takes, and what they are for each neuron."""
    given = np.ascontiguousarray(values[: rng.choice([1, channels, values.size])])
    return given, np.resize(given, values.size)


def extreme(rng: np.random.Generator, n: int, low: int, high: int) -> Any:
    """Return n integers of low..high of all magnitudes, the ends and 0 among them."""
    wide = rng.integers(low, high + 1, n)
    values = np.where(rng.random(n) < 0.5, wide, wide >> rng.integers(0, 32, n))
    return np.clip(np.where(rng.random(n) < 0.2, rng.choice([low, 0, high], n), values), low, high).astype(np.int32)
