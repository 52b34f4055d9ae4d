# SPDX-License-Identifier: Apache-2.0
"""Golden samples as a source for the self-test: results, classes, and checksums of all that an observer sees."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from spikerun.edge import golden
from spikerun.edge.golden import Golden, Seen
from spikerun.edge.mcu import emit
from spikerun.edge.mcu.kernels import bytes_of
from spikerun.edge.mcu.model import Model, total
from spikerun.edge.mcu.printer import NOTICE
from spikerun.edge.mcu.table import channels_last

__all__ = ["Vectors", "crc", "make", "size", "source"]

STREAM_BYTES = 2**15  # of events for the steps that are tried one by one
STREAM_SAMPLES = 2


@dataclass(frozen=True, eq=False)
class Vectors:
    """What the self-test compares with.

    frames: uint8 (samples, frame bytes); outputs: int32 (samples, outputs); classes: int32 (samples,); checksums:
    uint32 (samples, traces), over all passes; events: uint8 (steps, step bytes), and stream: uint32 (traces + 1,), the
    checksums of these steps without rest between them, and of their results; tables: uint32, of each constant array.
    """

    frames: npt.NDArray[np.uint8]
    outputs: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int32]
    checksums: npt.NDArray[np.uint32]
    events: npt.NDArray[np.uint8]
    stream: npt.NDArray[np.uint32]
    tables: npt.NDArray[np.uint32]


def crc(values: npt.NDArray[np.int64], width: int, before: int = 0) -> int:
    """Return the CRC-32 of values, channels last: of words of so many bytes, else of four, least significant first."""
    return zlib.crc32(_stored(channels_last(values, values.shape), width).tobytes(), before)


def _stored(values: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.uint8]:
    """Return values (..., n) as they lie in memory, (..., n * width), least significant byte first."""
    return np.ascontiguousarray(values.astype(f"<i{width}")).view(np.uint8)  # modulo 2^(8 width)


def make(model: Model, found: Golden, arrays: list[npt.NDArray[np.generic]]) -> Vectors:
    """Return what is to be compared, for golden samples and the constant arrays of the source."""
    count = found.count
    frames = [_stored(found.frames[name].reshape(count, -1), port.width) for name, port in model.frames.items()]
    outputs = [found.outputs[name].reshape(count, -1) for name in model.outputs]
    sums = [_checksums(model, _passes(model, found, k)) for k in range(count)]
    events, stream = _stream(model, found)
    return Vectors(
        np.concatenate(frames, axis=1),
        np.concatenate(outputs, axis=1).astype(np.int32),
        found.classes.astype(np.int32),
        np.array(sums, np.uint32).reshape(count, -1),
        events,
        stream,
        np.array([zlib.crc32(values.tobytes()) for values in arrays], np.uint32),
    )


def _passes(model: Model, found: Golden, k: int) -> Iterator[Seen]:
    """Yield what can be seen after each pass over the k-th sample."""
    if model.step is None:
        done = golden.turns(model.net, found.frame(k))
        words = {(name, "sent"): turn.word for name, turn in done.items()}
        yield words | {(name, "v"): turn.membrane for name, turn in done.items() if turn.membrane is not None}
        return
    tail = model.run.program.steps - model.net.window
    yield from (seen for _, seen in golden.steps(model.net, iter([found.frame(k)]), tail))


def _checksums(model: Model, passes: Iterator[Seen]) -> list[int]:
    sums, widths = [0] * len(model.traces), _widths(model)
    for seen in passes:
        for (label, key), k in model.traces.items():
            sums[k] = crc(seen[label, "sent" if key == "word" else key], widths[label, key], sums[k])
    return sums


def _widths(model: Model) -> dict[tuple[str, str], int]:
    """Return the bytes of what an observer sees of each trace."""
    registers = model.run.registers
    return {(label, key): bytes_of(registers[register]) for label, key, register in model.run.program.traces}


def _stream(model: Model, found: Golden) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    """Return the events of some steps, and the checksums of what they lead to."""
    if model.step is None:
        return np.zeros((0, 0), np.uint8), np.zeros(0, np.uint32)
    frames = (found.frame(k % found.count) for k in range(STREAM_SAMPLES))
    steps = list(islice(golden.steps(model.net, frames), stream_steps(model)))
    events = [
        np.concatenate([_stored(given[name].ravel(), port.width) for name, port in model.events.items()])
        for given, _ in steps
    ]
    results = 0
    for _, seen in steps:
        for name in model.outputs:
            key = model.net.populations[name].neuron.reported or "sent"
            results = zlib.crc32(seen[name, key].astype("<i4").tobytes(), results)
    sums = _checksums(model, (seen for _, seen in steps))
    return np.stack(events), np.array([*sums, results], np.uint32)


def stream_steps(model: Model) -> int:
    """Return how many steps are tried one by one."""
    return max(1, min(STREAM_SAMPLES * model.net.window, STREAM_BYTES // total(model.events.values())))


def size(model: Model, samples: int, tables: int) -> int:
    """Return the bytes of flash that the vectors of so many samples take, of a source with so many constant arrays."""
    outputs, traces = total(model.outputs.values()), len(model.traces)
    names = sum(4 + len(f"{label} {key}") + 1 for label, key in model.traces)
    stream = 4 * (traces + 2) + stream_steps(model) * total(model.events.values()) if model.step is not None else 0
    return samples * (total(model.frames.values()) + 4 * (outputs + traces + 1)) + 4 * (tables + 1) + names + stream


def source(model: Model, vectors: Vectors) -> str:
    """Return the source that holds the vectors."""
    name, upper = model.name, model.name.upper()
    traces = "\n".join(f"    {emit.string(f'{label} {key}')}," for label, key in model.traces)
    tables = vectors.tables if vectors.tables.size else np.zeros(1, np.uint32)

    def array(what: str, values: npt.NDArray[np.generic]) -> str:
        return emit.array(f"{name}_golden_{what}", values, static=False)

    parts = [
        f'{NOTICE}#include "{name}_golden.h"',
        f"const int32_t {name}_golden_samples = {len(vectors.frames)};",
        f"const char* const {name}_golden_names[{upper}_TRACES] = {{\n{traces}\n}};",
        array("frames", vectors.frames),
        array("outputs", vectors.outputs),
        array("classes", vectors.classes),
        array("checksums", vectors.checksums),
        array("tables", tables),
    ]
    if model.step is not None:
        parts += [
            f"const int32_t {name}_golden_steps = {len(vectors.events)};",
            array("events", vectors.events),
            array("stream", vectors.stream),
        ]
    return "\n\n".join(parts) + "\n"
