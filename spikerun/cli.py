# SPDX-License-Identifier: Apache-2.0
"""The command line: a table of commands, each imported when it is called, and what becomes of errors."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from spikerun import __version__
from spikerun.console import forget_output, help_text, listen
from spikerun.errors import SpikerunError, UnsupportedError, printable, unknown_name
from spikerun.plugins import resolve

__all__ = ["COMMANDS", "CommandSpec", "Commands", "load_command", "main"]

EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


@dataclass(frozen=True)
class CommandSpec:
    """Where a command lives, its line in the overview, and the example that its help begins with."""

    target: str
    summary: str
    example: str


COMMANDS = MappingProxyType(
    {
        "demo": CommandSpec(
            "spikerun.commands.demo:demo",
            "Train, convert, run and deploy a small network, in ten seconds.",
            "spikerun demo",
        ),
        "convert": CommandSpec(
            "spikerun.converters.command:convert",
            "Convert a trained network to spikes.",
            "spikerun convert model.py:build --weights w.safetensors --calibration digits -o model.snn",
        ),
        "inspect": CommandSpec(
            "spikerun.commands.inspect_network:inspect",
            "Show the populations, memory and bounds of a network.",
            "spikerun inspect model.snn",
        ),
        "run": CommandSpec(
            "spikerun.commands.run:run",
            "Run a network on data; accuracy, spikes and synaptic operations.",
            "spikerun run model.snn --data digits --limit 100",
        ),
        "stream": CommandSpec(
            "spikerun.commands.stream:stream",
            "Run events through a network as they come.",
            "spikerun stream recording.raw --net model.snn --bin 1ms --pace 1.0 -o out.csv",
        ),
        "view": CommandSpec(
            "spikerun.commands.view.command:view",
            "Run events through a network, and watch it in a browser.",
            "spikerun view recording.raw --net model.snn --bin 1ms --pace 1.0 --open",
        ),
        "tune": CommandSpec(
            "spikerun.converters.tuning.command:tune",
            "Train a network on to send few spikes, before it is converted.",
            "spikerun tune model.py:build --weights w.safetensors --data fashion-mnist -o tuned.safetensors",
        ),
        "prune": CommandSpec(
            "spikerun.converters.pruning.command:prune",
            "Prune a trained network, before it is converted.",
            "spikerun prune model.py:build --weights w.safetensors --data fashion-mnist --sparsity 0.9 "
            "-o pruned.safetensors",
        ),
        "compare": CommandSpec(
            "spikerun.commands.compare:compare",
            "Compare two networks on the same samples.",
            "spikerun compare a.snn b.snn --data digits",
        ),
        "bench": CommandSpec(
            "spikerun.commands.bench:bench",
            "Measure latency, beside the original network.",
            "spikerun bench model.snn --data digits",
        ),
        "deploy": CommandSpec(
            "spikerun.edge.command:deploy",
            "Make a bundle for a target, and run it there or emulated.",
            "spikerun deploy model.snn --target generic-cortex-m4 -o firmware/ --run",
        ),
        "net": CommandSpec(
            "spikerun.edge.loihi.netx_command:net",
            "Import a .net file of lava-dl, or export a network as one.",
            "spikerun net model.net -o model.snn",
        ),
        "targets": CommandSpec(
            "spikerun.edge.command:targets",
            "List the targets, and the tools each one needs.",
            "spikerun targets",
        ),
        "lava-env": CommandSpec(
            "spikerun.edge.loihi.command:app",
            "Make the environment that runs bundles for Loihi in Lava.",
            "spikerun lava-env create",
        ),
        "datasets": CommandSpec(
            "spikerun.datasets.command:app",
            "List data sets, and fetch those that are not on this machine.",
            "spikerun datasets",
        ),
        "info": CommandSpec(
            "spikerun.commands.info:info",
            "Show versions, processor, tools and data found on this machine.",
            "spikerun info",
        ),
    }
)

# The modules that are imported only when they are needed: what to install, and the extra that brings it.
INSTALL = MappingProxyType(
    {
        "torch": ("torch", "convert"),
        "safetensors": ("safetensors", "convert"),
        "sklearn": ("scikit-learn", "data"),
        "ziglang": ("ziglang", "mcu"),
        "unicorn": ("unicorn", "mcu"),
        "faery": ("faery", "events"),
        "websockets": ("websockets", "view"),
    }
)


class Commands(TyperGroup):
    """The table as a group of commands: each is imported when it is called or completed, and not to be listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        completing = ctx.resilient_parsing and cmd_name not in COMMANDS
        return None if completing else load_command(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        self._listed().format_commands(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        listed = self._listed()
        return listed.shell_complete(typer.Context(listed), incomplete)

    def _listed(self) -> TyperGroup:
        """Return a group that knows names and summaries only."""
        commands = {name: TyperCommand(name, short_help=spec.summary) for name, spec in COMMANDS.items()}
        return TyperGroup(commands=commands, params=self.params)  # type: ignore[arg-type]


@contextmanager
def _unwinding() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind what runs, so that whatever lies in temporary places is removed.

    A SIGHUP that is ignored, as nohup does, stays so.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are somebody else's
        yield
        return
    ours = [signal.SIGTERM, *([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else [])]
    before = {number: signal.signal(number, _terminated) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminated(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words, debug = _take("--debug", list(sys.argv[1:] if arguments is None else arguments))
    words, verbose = _take("--verbose", words)
    listen(verbose)
    with _unwinding():
        return _run(words, debug)


def _run(words: list[str], debug: bool) -> int:
    try:
        if words[:1] in (["--version"], ["-V"]):
            print(f"spikerun {__version__}", flush=True)
            return 0
        lost = not words and "_SPIKERUN_COMPLETE" not in os.environ  # the shell asks for completion without words
        with redirect_stdout(sys.stderr) if lost else nullcontext():
            code = _group().main(args=["--help"] if lost else words, prog_name="spikerun", standalone_mode=False)
        sys.stdout.flush()
        return EXIT_USAGE if lost else code or 0
    except SystemExit as stop:  # typer's way out of shell completion, and where the reader of our output has gone
        if isinstance(stop.__context__, BrokenPipeError):
            return _broken_pipe()
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BrokenPipeError:
        return _broken_pipe()
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        if hasattr(error, "show"):  # bad usage that click noticed
            error.show()
            return EXIT_USAGE
        message, code = _explain(error)
        _complain(message)
        return code


def load_command(name: str) -> Any:
    """Return the ready typer command called `name`; its module is imported only now."""
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    spec = COMMANDS[name]
    found = _resolve(name, spec.target)
    if isinstance(found, typer.Typer):
        app = found
    else:
        app = typer.Typer(add_completion=False)
        app.command(name)(found)
    app.rich_markup_mode = None  # plain text: the same on a terminal, in a file and in the documentation
    command = get_command(app)
    command.help = help_text(command.help or spec.summary, spec.example)
    command.context_settings.setdefault("help_option_names", ["-h", "--help"])
    return command


def _group() -> Any:
    """Return the whole command line, with the options that install and show its completion in a shell."""
    app = typer.Typer(
        cls=Commands,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=help_text(
            "Run neural networks as spikes, with the same bits on every target.",
            "spikerun demo",
            "spikerun run model.snn --data digits --limit 100",
        ),
        epilog="Exit codes: 0 done, 1 a check or a budget failed, 2 bad usage (or no place to write to), 3 bad input, "
        "130 interrupted (Ctrl-C), 143 and 129 ended by SIGTERM and SIGHUP, 141 the reader of the output has gone, 70 "
        "a fault of spikerun itself.",
    )
    app.callback()(_options)
    return get_command(app)


def _options(
    version: Annotated[bool | None, typer.Option("--version", "-V", help="Show the version.")] = None,
    verbose: Annotated[
        bool | None, typer.Option("--verbose", help="Say what is chosen (anywhere on the line).")
    ] = None,
    debug: Annotated[bool | None, typer.Option("--debug", help="Show the traceback of an error (anywhere).")] = None,
) -> None:
    """Declare for help and completion what `main` takes itself: to read a bool, typer loads pydantic, which is slow."""


def _take(option: str, words: list[str]) -> tuple[list[str], bool]:
    """Accept `option` anywhere on the line, up to a `--`."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != option]
    return kept + words[end:], len(kept) < end


def _resolve(name: str, target: str) -> Any:
    module = target.partition(":")[0]
    try:
        return resolve(target)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UnsupportedError(
            f"the command '{name}' is not part of this installation: the module {error.name} is missing. "
            "Install spikerun again."
        ) from error


def _explain(error: Exception) -> tuple[str, int]:
    """Return the paragraph and the exit code for an error."""
    if isinstance(error, SpikerunError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("spikerun"):
        return _how_to_install(error.name.partition(".")[0]), EXIT_USAGE
    if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        return str(error), EXIT_USAGE  # an installed package that does not load, the compiled kernels for one
    if isinstance(error, OSError) and error.strerror:
        where = f"'{error.filename}': " if error.filename is not None else "reading or writing failed: "
        return f"{where}{error.strerror}", EXIT_INPUT
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"unexpected {what}. Run again with --debug to see where, and please report it.", EXIT_UNEXPECTED


def _how_to_install(module: str) -> str:
    package, extra = INSTALL.get(module, (module, None))
    how = f"install spikerun with its extra [{extra}], or: " if extra else ""
    return f"this needs the Python package '{package}', which is missing; {how}pip install {package}"


def _complain(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    paragraph = Text.assemble(("error: ", "bold red"), printable(message))
    Console(stderr=True, highlight=False).print(paragraph, soft_wrap=True)


def _broken_pipe() -> int:
    """Stop quietly when the reader of our output has gone."""
    forget_output()
    return EXIT_BROKEN_PIPE
