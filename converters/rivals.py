# SPDX-License-Identifier: Apache-2.0
"""A network before its conversion, in the runtimes that it is timed in: torch, ONNX Runtime in float and int8."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from spikerun.converters.graph import Array
from spikerun.converters.source import Source
from spikerun.errors import ConversionError, SpikerunError, UsageError, unknown_name
from spikerun.text import plural

__all__ = ["INT8", "ONNX", "TORCH", "Given", "Rival", "Runner", "open_rivals"]

TORCH, ONNX, INT8 = "torch", "onnx", "onnx-int8"
PARTS = 64  # samples at once, where answers are wanted
RUNTIME = ("onnx", "onnxruntime")

log = logging.getLogger(__name__)

Runner = Callable[[int, int], object]  # computes the samples first..end


@dataclass(frozen=True, eq=False)
class Given:
    """What is timed: a source, what names it, real samples (N, *shape) of its input, and some that calibrate int8.

    seen: those that calibrate are among the others.
    """

    source: Source
    where: str
    weights: Path | None
    values: Array
    calibration: Array | None
    name: str = "input"
    seen: bool = False


@dataclass(frozen=True, eq=False)
class Rival:
    """The network in one runtime.

    said: what it is, in words. runner: what computes samples on so many threads. answers: its first result for all
    samples. values: those, as it is given them. fresh: what a new process opens it by, (kind, file, weights), as
    `spikerun/commands/footprint.py` takes it. exact: it computes in float, as the network was trained.
    """

    name: str
    said: str
    runner: Callable[[int], Runner]
    answers: Callable[[], Array]
    values: Array
    fresh: tuple[str, str, str] | None = None
    exact: bool = True


def open_rivals(given: Given, folder: Path, wanted: tuple[str, ...] | None = None) -> list[Rival]:
    """Return the network in each runtime that is wanted, by default in all that are there; files go to the folder.

    What is wanted and cannot be is an error; of what is not named a warning says why it is left out.
    """
    own = given.source.name
    known = list(dict.fromkeys((own, ONNX, INT8))) if own in (TORCH, ONNX) else [own]
    for name in wanted or ():
        if name not in known:
            raise unknown_name(f"contestant beside {given.where}", name, known)
    found = []
    makers = _makers(given, folder)
    for name in known if wanted is None else wanted:
        try:
            found.append(makers[name]())
        except (SpikerunError, NotImplementedError) as error:
            if wanted is not None:
                raise UsageError(f"the contestant '{name}' cannot be had: {error}") from error
            log.warning("%s is left out: %s", name, error)
    return found


def _makers(given: Given, folder: Path) -> dict[str, Callable[[], Rival]]:
    """Return what makes each; the file in float is written once."""
    written: list[Path] = []

    def in_float() -> Path:
        if not written:
            written.append(_float_file(given, folder))
        return written[0]

    return {
        given.source.name: lambda: _as_it_is(given),
        ONNX: lambda: _in_float(given, in_float()),
        INT8: lambda: _in_int8(given, in_float(), folder),
    }


def _as_it_is(given: Given) -> Rival:
    values = {given.name: given.values}

    def answers() -> Array:
        parts = [given.source.logits({given.name: part}) for part in _parts(given.values)]
        return np.concatenate([next(iter(part.values())) for part in parts])

    torch = given.source.name == TORCH
    fresh = (TORCH, given.where, str(given.weights or "")) if torch else None
    said = "torch, float32, eager" if torch else f"as {given.source.name} runs it"

    def runner(threads: int) -> Runner:
        return given.source.runner(values, threads)

    return Rival(given.source.name, said, runner, answers, given.values, fresh)


def _in_float(given: Given, file: Path) -> Rival:
    return _in_runtime(given, ONNX, "ONNX Runtime, float32", file)


def _in_int8(given: Given, file: Path, folder: Path) -> Rival:
    from spikerun.converters.onnx.int8 import fastest

    if given.calibration is None:
        raise UsageError("the data have no training split, whose samples calibrate it")
    form, path = fastest(file, given.calibration, folder)
    count = plural(len(given.calibration), "sample")
    if given.seen:
        log.warning("%s is calibrated on samples that are measured, too: there are too few others", INT8)
        count += " that are measured"
    said = f"ONNX Runtime, int8 ({form}, weights by channel, calibrated on {count})"
    return _in_runtime(given, INT8, said, path, exact=False)


def _in_runtime(given: Given, name: str, said: str, file: Path, exact: bool = True) -> Rival:
    from spikerun.converters.onnx.runtime import Opened

    def runner(threads: int) -> Runner:
        opened, values = Opened.of(file, threads), given.values
        feeds = opened.typed(values)
        return lambda first, end: opened.run(feeds[first:end])

    def answers() -> Array:
        opened = Opened.of(file, 1)
        parts = [opened.run(part) for part in _parts(opened.typed(given.values))]
        return np.concatenate([np.asarray(part[0], np.float64) for part in parts])

    return Rival(name, said, runner, answers, given.values, (ONNX, str(file), ""), exact)


def _float_file(given: Given, folder: Path) -> Path:
    """Return the network as a file for ONNX Runtime."""
    lacking = [name for name in RUNTIME if find_spec(name) is None]
    if lacking:
        raise UsageError(f"it needs {' and '.join(lacking)}: install spikerun with its extra [convert]")
    path = folder / "float.onnx"
    if given.source.name == TORCH:
        from spikerun.converters.torch.to_onnx import write

        write(given.source, given.values[:2], path)
    else:
        from spikerun.converters.onnx.source import OnnxSource

        if not isinstance(given.source, OnnxSource):
            raise ConversionError(f"a source of the name '{ONNX}' that is no OnnxSource has no file")
        path.write_bytes(given.source.proto().SerializeToString())
    return path


def _parts(values: Array) -> Iterator[Array]:
    for first in range(0, len(values), PARTS):
        yield values[first : first + PARTS]
