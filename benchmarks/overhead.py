# SPDX-License-Identifier: Apache-2.0
"""What Python adds: a run of one image and a step of a stream, over the C++ parts alone; one thread.

Both are timed in turns within one process. The C++ part is the call that the executor makes, with its arguments made
beforehand. A budget: an inference of 0.2 ms leaves 0.03 ms for all that is not arithmetic.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from record import MODEL, WEIGHTS, record

from spikerun import datasets
from spikerun.converters import Encoding, convert
from spikerun.converters.torch.user_model import load_model
from spikerun.inputs import events
from spikerun.session import Session

NAME = "overhead"
ROUNDS = 300


def medians(*calls: Callable[[int], Any]) -> list[float]:
    """Return the median time of each call in microseconds; they take turns of ten."""
    times: list[list[float]] = [[] for _ in calls]
    for first in range(0, ROUNDS, 10):
        for call, taken in zip(calls, times, strict=True):
            for k in range(first, first + 10):
                begin = time.perf_counter()
                call(k)
                taken.append(time.perf_counter() - begin)
    return [1e6 * float(np.median(taken)) for taken in times]


def main() -> None:
    """Measure and record both."""
    train = datasets.load("fashion-mnist", split="train")
    net = convert(load_model(MODEL, WEIGHTS), train.samples[:512], bits=5, encoding=Encoding(train.scale)).network
    images = datasets.load("fashion-mnist", split="test", limit=ROUNDS).samples
    session = Session(net, threads=1)
    single: Any = session._single
    run, native = medians(lambda k: session.run(images[k : k + 1]).classes, lambda k: single(images[k : k + 1]))
    record(NAME, "Session.run and its classes, one image", run, "us")
    record(NAME, "its C++ part alone", native, "us")
    record(NAME, "Session.run over its C++ part", run / native, "x")
    _stream(session, images)


def _stream(session: Session, images: Any) -> None:
    net, whole, single = session.net, session.stream(), session.stream()
    work: Any = session.stream()._work
    register, name = work._ids[net.inputs[0]], net.inputs[0]
    rows = [events(net, name, image, batch=False).reshape(net.window, -1).astype(np.int16) for image in images]
    shaped = [{name: row[3].reshape(images.shape[1:])} for row in rows]

    def step(k: int, n: int) -> Any:
        given = [(register, rows[k][:n])]
        return work._program.step(work._work, n, rows=given, events=[], watch=work._watch, capture=work._capture)

    frame, passes, one, pass_ = medians(
        lambda k: whole.push_frame(images[k]),
        lambda k: step(k, net.window),
        lambda k: single.step(shaped[k]),
        lambda k: step(k, 1),
    )
    record(NAME, "Stream.push_frame, a window of steps: Python's share", 100 * (1 - passes / frame), "%")
    record(NAME, "Stream.step, a single step: Python's share", 100 * (1 - pass_ / one), "%")


if __name__ == "__main__":
    main()
