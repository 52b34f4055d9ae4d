# SPDX-License-Identifier: Apache-2.0
"""A camera without a camera: the driver is a stand-in of its types, as version 0.18 has them."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spikerun import EVENT
from spikerun.errors import DataError, UnsupportedError
from spikerun.sources import camera

EVENTS = np.array([(5, 1, 2, True), (9, 3, 4, False)], [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])


class Device:
    """A camera that sends two events, then nothing, then loses packets."""

    closed = False

    def properties(self) -> Any:
        return SimpleNamespace(width=np.uint16(6), height=np.uint16(5))

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        yield SimpleNamespace(ring=SimpleNamespace(dropped_packets=0)), SimpleNamespace(polarity_events=EVENTS)
        yield SimpleNamespace(ring=None), None
        yield SimpleNamespace(ring=SimpleNamespace(dropped_packets=3)), SimpleNamespace(polarity_events=None)

    def close(self) -> None:
        self.closed = True


def driver(monkeypatch: pytest.MonkeyPatch, opened: Any) -> None:
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", opened)


def test_packets_become_arrays_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    device, asked = Device(), dict[str, Any]()
    driver(monkeypatch, SimpleNamespace(open=lambda **how: asked.update(how) or device))
    with camera("A1", tick_us=2000) as source:
        assert source.shape == (2, 5, 6)
        chunks = list(source)
    assert asked == {"serial": "A1", "iterator_timeout": 0.002}
    assert [chunk.dtype for chunk in chunks] == [EVENT] * 3
    assert [chunk[["t", "x", "y", "p"]].tolist() for chunk in chunks] == [[(5, 1, 2, 1), (9, 3, 4, 0)], [], []]
    assert source.lost == 3
    assert device.closed


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, None)
    with pytest.raises(UnsupportedError, match=r"extra \[camera\], or: pip install neuromorphic-drivers"):
        camera()


def test_without_a_camera_it_says_what_to_look_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(**how: Any) -> None:
        raise RuntimeError("device not found")

    driver(monkeypatch, SimpleNamespace(open=missing))
    with pytest.raises(DataError, match=r"no camera of serial number A1 could be opened: device not found\. Is one"):
        camera("A1")
