# SPDX-License-Identifier: Apache-2.0
"""N-MNIST's files, whose clock goes round; tests/datasets/test_n_mnist.py has what an event is."""

from pathlib import Path

import numpy as np
import pytest

from spikerun import sources
from spikerun.errors import DataError

TURN = (0, 240, 0, 0)


def write(path: Path, *rows: tuple[int, int, int, int]) -> Path:
    """Write events x, y, p, t."""
    path.write_bytes(b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for x, y, p, t in rows))
    return path


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_a_clock_that_goes_round_is_followed_across_chunks(tmp_path: Path, chunk: int) -> None:
    path = write(tmp_path / "0.bin", (1, 2, 0, 8000), TURN, (3, 4, 1, 10), TURN, TURN, (5, 6, 1, 7))
    found = np.concatenate(list(sources.file(path, chunk=chunk)))
    assert found.tolist() == [(8000, 1, 2, 0), (8192 + 10, 3, 4, 1), (3 * 8192 + 7, 5, 6, 1)]


def test_a_file_does_not_say_its_shape(tmp_path: Path) -> None:
    path = write(tmp_path / "0.bin", (40, 2, 0, 8))
    assert sources.file(path).shape is None
    assert sources.file(path, shape=(2, 180, 240)).shape == (2, 180, 240)


def test_a_fault_is_named_by_its_byte_behind_turns_of_the_clock(tmp_path: Path) -> None:
    path = write(tmp_path / "0.bin", (1, 2, 0, 9000), TURN, (33, 0, 0, 9000), TURN, (34, 2, 0, 9000))
    with pytest.raises(
        DataError, match=r"0.bin': byte 20: the event \(t = 25384, x = 34, .* lies outside of the frame"
    ):
        list(sources.file(path, shape=(2, 34, 34)))


def test_half_an_event_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "0.bin", (1, 2, 0, 9000))
    path.write_bytes(path.read_bytes() + b"\1\2")
    with pytest.raises(DataError, match="byte 5: 2 of the 5 bytes of an event: the file is cut off"):
        sources.file(path)
