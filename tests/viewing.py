# SPDX-License-Identifier: Apache-2.0
"""What tests of the view share: a network, its events, a reader of frames, a stream that is being watched."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun import EVENT, IF, Conv, Dense, Input, Network, Population, Projection, Readout, Session
from spikerun.commands.view.frame import HEADER, MAGIC, Frames, Told
from spikerun.commands.view.server import Server
from spikerun.commands.view.tap import Tap

__all__ = ["about", "events", "network", "read", "watched"]

Array = npt.NDArray[Any]
SHAPE = (2, 12, 16)
FIELDS = ("magic", "version", "flags", "number", "events", "begin", "end", "lag", "dropped", "late", "rate", "best",
          "width", "height", "points", "traces", "rates", "scores", "raster", "membranes", "spikes",
          "seconds")  # fmt: skip


def network(readout: bool = False) -> Network:
    """Return a network of a sensor, a convolution, and five neurons that spike, or are read every 10 steps."""
    rng = np.random.default_rng(5)
    last = Readout() if readout else IF(200)
    return Network(
        {"sensor": Population(SHAPE, Input(1, "spikes")), "conv": Population((4, 12, 16), IF(60)),
         "classes": Population((5,), last)},
        [Projection("sensor", "conv", Conv(rng.integers(-20, 60, (4, 2, 3, 3)).astype(np.int8), padding=1)),
         Projection("conv", "classes", Dense(rng.integers(-20, 60, (768, 5)).astype(np.int8)))],
        ["classes"], 10,
    )  # fmt: skip


def events(milliseconds: int, a_millisecond: int = 50, first: int = 0) -> Array:
    """Return random events of so many milliseconds, in order."""
    rng = np.random.default_rng(first)
    n = milliseconds * a_millisecond
    found = np.zeros(n, EVENT)
    found["t"] = first * 1000 + np.sort(rng.integers(0, milliseconds * 1000, n))
    for name, end in zip("pyx", SHAPE, strict=True):
        found[name] = rng.integers(0, end, n)
    return found


def read(data: bytes) -> dict[str, Any]:
    """Return the header and the arrays of a frame, by docs/view.md."""
    head = dict(zip(FIELDS, HEADER.unpack_from(data), strict=True))
    assert head["magic"] == MAGIC
    place, cells = HEADER.size, head["width"] * head["height"]
    for name, dtype, n in (
        ("rates", "<f4", head["rates"]),
        ("scores", "<f4", head["scores"]),
        ("neurons", "<u4", head["traces"]),
        ("traces", "<i4", head["traces"]),
        ("points", "<u2", 2 * head["points"]),
        ("image", "u1", cells),
    ):
        head[name] = np.frombuffer(data, dtype, n, place)
        place += head[name].nbytes
    assert place == len(data)
    head["points"] = head["points"].reshape(-1, 2)
    head["image"] = head["image"].reshape(head["height"], head["width"])
    return head


def about(tap: Tap, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "network": "n.snn",
        "source": "a.dat",
        "step_us": 1000,
        "populations": tap.populations,
        **more,
    }


@contextmanager
def watched(port: int = 0, host: str = "127.0.0.1", **more: Any) -> Iterator[tuple[Server, Tap]]:
    """Yield the server of a stream that another thread feeds, 2 ms of events every 2 ms."""
    net = network()
    stream = Session(net, threads=1).stream(1000)
    tap = Tap(stream, lambda: Told(1500.0, 7, 3))
    done = threading.Event()

    def feed() -> None:
        while not done.wait(0.002):
            chunk = events(2, first=stream.t + 1)
            tap.came(chunk)
            tap.saw(stream.push(chunk))

    feeder = threading.Thread(target=feed)
    with Server(tap, Frames(net, 1000), about(tap, **more), host, port) as server:
        feeder.start()
        try:
            yield server, tap
        finally:
            done.set()
            feeder.join()
