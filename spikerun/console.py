# SPDX-License-Identifier: Apache-2.0
"""What every command shares: results on stdout, talk and progress on stderr, files written whole or not."""

import dataclasses
import json as jsonlib
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikerun.errors import printable
from spikerun.text import table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "DataDirOption",
    "ForceOption",
    "JsonOption",
    "NetworkArgument",
    "QuietOption",
    "emit",
    "forget_output",
    "help_text",
    "listen",
    "live_line",
    "plain",
    "progress",
    "stages",
    "suggest",
    "table",
    "talk",
]


SHOWN = 8  # stages that have a bar


def _hush(quiet: bool) -> bool:
    if quiet:
        logging.getLogger("spikerun").setLevel(logging.ERROR)
    return quiet


JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_hush, help="No progress and no remarks on stderr.")
]
ForceOption = Annotated[bool, typer.Option("--force", "-f", help="Overwrite what is already there.")]
NetworkArgument = Annotated[Path, typer.Argument(metavar="NETWORK", help="A .snn file.")]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="FOLDER", help="Look for the data set's files in this folder only."),
]


def emit(schema: str, payload: Mapping[str, object], json: bool, text: Callable[[], str] | str) -> None:
    """Print the result of a command on stdout: `text`, or with `json` one object tagged with `schema`."""
    if json:
        if "schema" in payload:
            raise ValueError(f"the payload of {schema} has a key 'schema' of its own")
        result = {"schema": schema, **{str(key): plain(value, str(key)) for key, value in payload.items()}}
        out = jsonlib.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    else:
        out = text if isinstance(text, str) else text()
    sys.stdout.write(out.rstrip("\n") + "\n")
    sys.stdout.flush()  # a closed pipe is noticed here, where the command line handles it


def forget_output() -> None:
    """Leave what standard output has not taken, and all that is still written to it, the interpreter's last flush too.

    What stands in for it in a program, and has no descriptor, stays.
    """
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, sys.stdout.fileno())
        finally:
            os.close(nowhere)


def plain(value: object, where: str = "value") -> object:
    """Return `value` made of JSON's own types only; a NaN or infinity is refused, by its path."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, which JSON cannot hold; leave it out or use null")
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), f"{where}.{field.name}")
                for field in dataclasses.fields(value)}  # fmt: skip
    tolist = getattr(value, "tolist", None)  # numpy's scalars and arrays, without importing numpy
    if callable(tolist):
        return plain(tolist(), where)
    raise TypeError(f"{where} is a {type(value).__name__}, which has no form in JSON")


def _stderr() -> "Console":
    from rich.console import Console

    # Built anew each time, because tests and callers replace sys.stderr.
    return Console(stderr=True, highlight=False)


def talk(message: str, quiet: bool = False, style: str = "") -> None:
    """Print a remark on stderr, in colour only on a terminal; `message` is taken literally (no markup)."""
    if not quiet:
        from rich.text import Text

        _stderr().print(Text(message, style=style), soft_wrap=True)


class _Remarks(logging.Handler):
    """Shows what the library logs as remarks on stderr, each once."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = printable(record.getMessage())
        if message not in self.said:
            talk(f"note: {message}" if record.levelno >= logging.WARNING else message, style="dim")
        self.said.add(message)


def listen(verbose: bool) -> None:
    """Show what the logger `spikerun` is told: what was guessed, and with `verbose` what was chosen."""
    logger = logging.getLogger("spikerun")
    logger.handlers = [_Remarks()]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


def suggest(command: str, quiet: bool = False) -> None:
    """Name on stderr the one command that a user most likely wants next."""
    talk(f"next: {command}", quiet, style="dim")


@contextmanager
def progress(
    description: str, total: int | None = None, *, quiet: bool = False, json: bool = False, unit: str = ""
) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr and yield `advance(n)`; silent when asked to be, or when stderr is no terminal.

    `unit="B"` shows bytes and a speed; anything else shows done/total.
    """
    if quiet or json or not sys.stderr.isatty():
        yield _advance_nothing
        return
    from rich import progress as bars

    count: tuple[bars.ProgressColumn, ...] = (bars.MofNCompleteColumn(),)
    if unit == "B":
        count = (bars.DownloadColumn(), bars.TransferSpeedColumn())
    columns = (bars.TextColumn("{task.description}", markup=False), bars.BarColumn(), *count)
    with bars.Progress(*columns, bars.TimeRemainingColumn(), console=_stderr(), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda n: bar.advance(task, n)


@contextmanager
def live_line(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield `tell(text)`, which shows one line on stderr, over the last one; none where stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield _tell_nothing
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=_stderr(), transient=True, auto_refresh=False) as line:
        yield lambda text: line.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)


@contextmanager
def stages(quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Yield `tell(stage, done, total)` for work of several stages: a bar each on a terminal, else its name, once."""
    if quiet or not sys.stderr.isatty():
        said: set[str] = set()

        def tell(stage: str, done: int = 0, total: int = 0) -> None:
            if stage not in said:
                talk(stage, quiet, style="dim")
            said.add(stage)

        yield tell
        return
    from rich import progress as bars

    columns = (bars.TextColumn("{task.description}", markup=False), bars.BarColumn(), bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=_stderr()) as bar:
        tasks: dict[str, bars.TaskID] = {}

        def show(stage: str, done: int = 0, total: int = 0) -> None:
            for task in tasks.values():  # earlier stages are over
                bar.update(task, total=1, completed=1)
            tasks[stage] = tasks.pop(stage) if stage in tasks else bar.add_task(stage, total=None)
            bar.update(tasks[stage], total=total or None, completed=done)
            while len(tasks) > SHOWN:  # more than a terminal has room for: the oldest become lines above
                oldest = next(iter(tasks))
                bar.remove_task(tasks.pop(oldest))
                bar.console.print(oldest, style="dim", markup=False)

        yield show
        for task in tasks.values():
            bar.update(task, total=1, completed=1)


def _tell_nothing(text: str) -> None:
    """Take the place of a line that nobody sees."""


def _advance_nothing(n: int) -> None:
    """Take the place of a progress bar that nobody sees."""


def help_text(description: str, *examples: str) -> str:
    """Return the help of a command: the examples first, then the description."""
    shown = "\n".join(f"  {example}" for example in examples)
    return f"\b\nExample:\n{shown}\n\n{description}"
