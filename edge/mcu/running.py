# SPDX-License-Identifier: Apache-2.0
"""Run the self-test of a bundle, and say what it told and what it took."""

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikerun.edge.mcu import arch
from spikerun.edge.mcu.arch.row import Count
from spikerun.edge.mcu.board import Board
from spikerun.edge.mcu.build import Transcript, build, execute
from spikerun.edge.target import Measure, RunReport, Table
from spikerun.errors import TargetError

__all__ = ["COUNTED", "Expected", "run"]

COUNTED = ("instructions", "loads", "stores", "branches", "vectors")  # fields of `Count`, as they are named in measures
COLUMNS = ("population", "instructions", "loads", "stores", "branches")


@dataclass(frozen=True, eq=False)
class Expected:
    """What a bundle is to compute: int32 (samples, outputs); traces: the population of each trace of a pass."""

    outputs: npt.NDArray[np.int32]
    traces: tuple[str, ...]


def run(
    folder: Path,
    board: Board,
    expected: Expected,
    toolchain: str,
    emulator: str,
    timeout: float,
    keep: bool = False,
) -> RunReport:
    """Build and run; with `keep` leave the executable of a board in the folder, as selftest.elf."""
    footprint = arch.of(board).footprint
    with tempfile.TemporaryDirectory(prefix="spikerun-") as made:
        executable = build(folder.resolve(), board, toolchain, Path(made) / "selftest.elf")
        transcript = execute(executable, board, emulator, timeout)
        measures: dict[str, Measure] = {"stack_bytes": transcript.stack} if transcript.stack else {}
        if footprint is not None:
            measures["flash_bytes"], measures["ram_bytes"] = footprint(executable, board)
            if keep:
                shutil.copy(executable, folder / "selftest.elf")
    where = f"{'this computer' if emulator == 'none' else emulator}, {toolchain}"
    measures |= _counted(transcript, arch.of(board).emulators[emulator].instructions(board))
    return _judge(transcript, expected, where, measures)


def _counted(transcript: Transcript, per_tick: float) -> dict[str, Measure]:
    """Return medians over the samples of what was counted, else of what the clock tells of instructions."""
    whole = [count for count in transcript.counts if count.index == 0]
    if whole:
        medians = {key: int(np.median([getattr(count, key) for count in whole])) for key in COUNTED}
        return {f"{key}_per_inference": value for key, value in medians.items() if value or key != "vectors"}
    ticks = [ticks for _, ticks, _ in transcript.samples]
    return {"instructions_per_inference": int(np.median(ticks) * per_tick)} if per_tick and ticks else {}


def _parts(counts: Iterable[Count], traces: Sequence[str], samples: int) -> Table | None:
    """Return what led to the traces of each population, the mean of an inference."""
    found: dict[str, list[int]] = {}
    for count in counts:
        if 0 < count.index <= len(traces):
            sums = found.setdefault(traces[count.index - 1], [0] * (len(COLUMNS) - 1))
            sums[:] = (total + int(getattr(count, key)) for total, key in zip(sums, COLUMNS[1:], strict=True))
    rows: list[tuple[Measure, ...]] = [
        (name, *(round(total / samples) for total in sums)) for name, sums in found.items()
    ]
    return Table(COLUMNS, tuple(rows)) if rows else None


def _judge(transcript: Transcript, expected: Expected, where: str, measures: Mapping[str, Measure]) -> RunReport:
    """Identical means: it came to its end, found no mismatch, exited with 0, and printed the expected results."""
    wanted, mismatches = expected.outputs, list(transcript.mismatches)
    if not transcript.complete or len(transcript.samples) != len(wanted):
        mismatches.append(f"the self-test ended after {len(transcript.samples)} of {len(wanted)} samples")
    if transcript.code != 0 and not mismatches:
        mismatches.append(f"the self-test exited with {transcript.code}")
    try:
        outputs = np.array([results for _, _, results in transcript.samples], np.int32).reshape(-1, wanted.shape[1])
    except ValueError as error:
        raise TargetError(f"the self-test printed lines of different length: {error}") from error
    if len(outputs) == len(wanted):
        wrong = np.flatnonzero((outputs != wanted).any(axis=1))
        mismatches += [f"sample {k}: printed results are not those of golden.json" for k in wrong]
    parts = _parts(transcript.counts, expected.traces, max(1, len(wanted)))
    notes = (transcript.note,) if transcript.note else ()
    return RunReport(not mismatches, outputs, tuple(mismatches), where, measures, parts, notes)
