# SPDX-License-Identifier: Apache-2.0
"""Lava, in a Python of its own: finding it, making it, and running a bundle there; it is never imported here.

Lava is archived upstream: its last version is for Python 3.10, and runs on 3.11 to 3.13 with what
`runner/lavacompat.py` changes in memory.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spikerun.edge.bundle import place, scratch
from spikerun.edge.loihi.graph import Graph
from spikerun.errors import FileFormatError, TargetError, UsageError, printable

__all__ = [
    "RUNNER",
    "TESTED",
    "Lava",
    "create",
    "environment",
    "find",
    "inspect",
    "remove",
    "run",
    "run_all",
    "seconds",
]

RUNNER = Path(__file__).parent / "runner"
TESTED = "0.10.0"
VARIABLE = "SPIKERUN_LAVA_PYTHON"
HOW = "make an environment that has it with `spikerun lava-env create`, or name a Python that has it in " + VARIABLE
NEWEST = (3, 13)  # that Lava was tried on
# What it needs on a newer Python than it asks for; these versions were tested.
NEEDS = ("numpy==2.4.6", "scipy==1.17.1", "networkx==3.6.1", "asteval==1.0.10", "scikit-learn==1.9.1", "h5py==3.16.0")
ASK = "import sys, json; from importlib.metadata import version; " \
      "print(json.dumps([list(sys.version_info[:3]), version('lava-nc'), version('h5py')]))"  # fmt: skip
START, GRACE = 10.0, 3.0  # seconds that a run may take to begin; that a runner has to end
PIP_SECONDS = 1800
LINES = 12  # of an error that are shown
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Lava:
    """A Python that has Lava, and where it was found: in words."""

    python: Path
    version: str
    python_version: tuple[int, ...]
    found: str

    @property
    def tested(self) -> bool:
        """Return whether it is the version that bundles were tested with."""
        return self.version == TESTED


def environment() -> Path:
    """Return the folder of the environment that `create` makes, in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spikerun" / "lava"


def find() -> Lava:
    """Return a Python that has Lava: the one that is named, else this one, else that of the environment.

    Raises TargetError where there is none.
    """
    if named := os.environ.get(VARIABLE):
        return inspect(Path(named), f"${VARIABLE}")
    if find_spec("lava") is not None and find_spec("h5py") is not None:
        with suppress(TargetError):  # a folder of that name
            return inspect(Path(sys.executable), "this Python")
    python = environment() / "bin" / "python"
    if not python.exists():
        raise TargetError(f"there is no Python that has Lava (lava-nc {TESTED}): {HOW}")
    return inspect(python, "the environment of `spikerun lava-env`")


def inspect(python: Path, found: str) -> Lava:
    """Return what a Python has. Raises TargetError where it has no Lava, or does not run."""
    try:
        done = subprocess.run([python, "-c", ASK], capture_output=True, text=True, timeout=60, env=_variables(python),
                              stdin=subprocess.DEVNULL)  # fmt: skip
        version, lava, _ = json.loads(done.stdout) if done.returncode == 0 else ((), "", "")
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"'{python}' ({found}) is no Python that runs ({error}): {HOW}") from error
    if done.returncode:
        raise TargetError(f"'{python}' ({found}) lacks lava-nc or h5py ({_tail(done.stderr, 1)}): {HOW}")
    return Lava(python, str(lava), tuple(version), found)


def create(tell: Tell, python: str | None = None, force: bool = False) -> Lava:
    """Make the environment: of Python 3.10 as published, if there is one or it is named, else of this Python.

    tell: is given the name of each stage. Raises TargetError where something cannot be installed.
    """
    folder = environment()
    if folder.exists() and not force:
        raise UsageError(f"'{folder}' exists already; use --force to make it anew")
    base = python or _python310() or sys.executable
    if not _minor(base):
        raise UsageError(f"'{base}' is no Python that runs; name one of 3.10 to 3.13, or leave --python out")
    published = _minor(base) == (3, 10)
    if not published and not (3, 11) <= _minor(base) <= NEWEST:
        raise UsageError(f"'{base}' is Python {'.'.join(map(str, _minor(base)))}, and Lava runs on 3.10 to 3.13")
    with scratch(folder) as made:
        tell(f"an environment of {base}")
        _step([base, "-m", "venv", str(made)], "make an environment")
        pip = [str(made / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        if published:
            tell(f"lava-nc {TESTED}, as published")
            _step([*pip, f"lava-nc=={TESTED}", "h5py"], "install lava-nc")
        else:
            tell(f"lava-nc {TESTED}, for a newer Python than it asks for")
            _step([*pip, "--no-deps", "--ignore-requires-python", f"lava-nc=={TESTED}"], "install lava-nc")
            tell("what it needs: " + ", ".join(NEEDS))
            _step([*pip, *NEEDS], "install what lava-nc needs")
        if folder.exists():
            shutil.rmtree(folder)
        place(made, folder)
    return inspect(folder / "bin" / "python", "the environment of `spikerun lava-env`")


def remove() -> Path:
    """Remove the environment, and return where it was."""
    folder = environment()
    if not (folder / "pyvenv.cfg").is_file():
        raise UsageError(f"there is no environment at '{folder}'")
    shutil.rmtree(folder)
    return folder


def _hidden() -> dict[str, str]:
    """Return the environment without what leads a Python to the modules of another one."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}


def _variables(python: Path) -> dict[str, str]:
    """Return the environment of Lava's Python; one that the user names may need theirs to find Lava."""
    return _hidden() if python.is_relative_to(environment()) else dict(os.environ)


def _python310() -> str | None:
    """Return a Python 3.10 that runs (what version managers put on the path may not)."""
    found = shutil.which("python3.10")
    return found if found and _minor(found) == (3, 10) else None


def _minor(python: str) -> tuple[int, ...]:
    ask = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        return tuple(map(int, done.stdout.split()))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ()


def _step(command: list[str], what: str) -> None:
    """Run a command that installs. It is not constrained by what constrains the Python that this runs in."""
    clean = {key: value for key, value in _hidden().items() if key != "PIP_CONSTRAINT"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, env=clean,
                              stdin=subprocess.DEVNULL)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TargetError(f"could not {what} within {PIP_SECONDS} s; try again with a nearer mirror") from error
    except OSError as error:
        raise TargetError(f"could not {what}: {error}") from error
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.startswith("ERROR")]
        why = said[-1] if said else _tail(done.stderr or done.stdout, 2)
        raise TargetError(f"could not {what}: {printable(why)}; is there room on the disk, a network, a mirror?")


def seconds(graph: Graph, samples: int) -> float:
    """Return how long Lava may take for samples, with room: measured on two slow cores, times five.

    A step takes 1 ms a process, 4 ns a weight of dense synapses, and 0.1 ms with 2 ns a product a pair of channels.
    """
    processes = len(graph.sources) + 2 * len(graph.neurons) + len(graph.synapses)
    step = 1e-3 * processes
    for made in graph.synapses:
        if made.form == "conv":
            pairs = made.weight.shape[0] * made.weight.shape[3]
            step += pairs * (1e-4 + 2e-9 * math.prod(graph.shapes[made.source][:2]) * math.prod(made.weight.shape[1:3]))
        else:
            step += 4e-9 * made.weight.size * (1 + made.largest_delay)
    runs, steps = (1, graph.steps(samples)) if graph.phased else (samples, samples * graph.steps(1))
    return START + 5 * (0.3 * processes * runs + step * steps)


def run(bundle: Path, lava: Lava, timeout: float, options: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Run a bundle with its own runner, and return the verdict. Raises what `run_all` raises."""
    return run_all([bundle], lava, timeout, options, bundle / "runner")[0]


def run_all(
    bundles: Sequence[Path], lava: Lava, timeout: float, options: tuple[str, ...] = (), runner: Path = RUNNER
) -> list[Mapping[str, Any]]:
    """Run bundles in Lava, one after the other, and return their verdicts; nothing that it started is left behind.

    timeout: seconds for all; options: further words for the runner, such as `--states`. Raises TargetError where Lava
    fails or takes too long, FileFormatError for a damaged bundle.
    """
    with tempfile.TemporaryDirectory(prefix="spikerun-lava-") as folder:
        verdicts, log = Path(folder) / "verdicts.json", Path(folder) / "log"
        words = [lava.python, "-B", runner, "--bundle", *bundles, "--json", verdicts, *options,
                 "--timeout", f"{timeout:g}", "--parent", str(os.getpid())]  # fmt: skip
        with log.open("wb") as out:
            code = _guarded([str(word) for word in words], out, timeout, {**_variables(lava.python), "TMPDIR": folder})
        said = log.read_text(encoding="utf-8", errors="replace")
        lines = verdicts.read_text(encoding="utf-8").splitlines() if verdicts.is_file() else []
        if code in (0, 1) and len(lines) == len(bundles):
            return [json.loads(line) for line in lines]
    raise _failure(code, said, timeout)


def _guarded(words: list[str], out: Any, timeout: float, env: Mapping[str, str]) -> int | None:
    """Run a program in a session of its own and return its exit code, None if it took too long; then end all of it."""
    try:
        process = subprocess.Popen(
            words, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True, env=env
        )
    except OSError as error:
        raise TargetError(f"'{words[0]}' does not run ({error}): {HOW}") from error
    try:
        return process.wait(timeout + GRACE)  # the runner ends in time by itself, if it still can
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a session: politely, then not; and remove the shared memory that is named after its runner."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    with suppress(ProcessLookupError, PermissionError):  # nobody is left of it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for segment in Path("/dev/shm").glob(f"psm_{process.pid}_*"):
        with suppress(OSError):
            segment.unlink()


def _failure(code: int | None, said: str, timeout: float) -> Exception:
    errors = [line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")]
    why = printable(errors[-1] if errors else _tail(said, LINES))
    if code is None:
        return TargetError(f"Lava has not ended after {timeout:.0f} s; try fewer samples, or a longer time limit")
    if code == 3:
        return FileFormatError(why)
    if code == 2:
        return TargetError(f"the runner of the bundle refused: {why}")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return TargetError(f"the runner was ended by the signal {name}, for want of memory perhaps; run again")
    if code in (0, 1):
        return TargetError(f"the runner ended with {code} and left no verdict: {why}; make the bundle again")
    return TargetError(f"the runner failed, exit code {code}: {why}; its own words:\n{_tail(said, LINES)}")


def _tail(text: str, lines: int) -> str:
    """Return the last lines of a text, without what Python says of shared memory at the end."""
    kept = [line for line in text.splitlines() if line.strip() and "resource_tracker" not in line]
    return printable("\n".join(kept[-lines:])) or "it said nothing"
