# SPDX-License-Identifier: Apache-2.0
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikerun import __main__ as program
from spikerun import __version__, cli
from spikerun.cli import COMMANDS, CommandSpec, load_command, main
from spikerun.console import QuietOption
from spikerun.errors import CheckFailed, DataError, UsageError
from spikerun.kernels.cpu import native

ROOT = Path(__file__).resolve().parents[1]


def fresh(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        timeout=60,
    )


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Put a function in the table under the name `probe`."""

    def put(function: Callable[[], Any]) -> None:
        monkeypatch.setattr(cli, "COMMANDS", {**COMMANDS, "probe": CommandSpec("x:y", "A probe.", "spikerun probe")})
        monkeypatch.setattr(cli, "_resolve", lambda name, target: function)

    return put


def raising(error: BaseException) -> Callable[[], None]:
    def probe() -> None:
        raise error

    return probe


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_can_be_imported(name: str) -> None:
    assert load_command(name).help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_begins_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    usage, example, *_ = capsys.readouterr().out.split("\n\n")
    assert usage.startswith(f"Usage: spikerun {name}")
    assert example.split() == ["Example:", *COMMANDS[name].example.split()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json_and_quiet(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([name, "--help"])
    out = capsys.readouterr().out
    assert "--json" in out
    assert "--quiet" in out


def test_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    usage, example, *_ = out.split("\n\n")
    assert usage.startswith("Usage: spikerun [OPTIONS] COMMAND")
    assert example.split()[:3] == ["Example:", "spikerun", "demo"]
    assert all(f"  {name} " in out and spec.summary in out for name, spec in COMMANDS.items())


def test_the_overview_has_the_exit_codes_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    readme = " ".join((Path(__file__).parents[1] / "README.md").read_text().split())
    codes = readme[readme.index("Exit codes: ") :].split(".")[0]
    assert codes in shown


def test_no_command_is_bad_usage_and_shows_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: spikerun [OPTIONS] COMMAND")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"spikerun {__version__}\n"


def test_mistyped_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convrt"]) == 2
    assert "Did you mean 'convert'?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--jsn"], ["datasets", "--jsn"], ["datasets", "fetsh"], ["datasets", "fetch"]])
def test_bad_usage_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("error", "code"), [(CheckFailed, 1), (UsageError, 2), (DataError, 3)])
def test_our_errors_are_one_paragraph_and_their_exit_code(
    error: type[Exception], code: int, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(error("layer [conv1] is bad")))
    assert main(["probe"]) == code
    assert capsys.readouterr() == ("", "error: layer [conv1] is bad\n")


@pytest.mark.parametrize("words", [["--debug", "probe"], ["probe", "--debug"]])
def test_debug_shows_the_traceback(
    words: list[str], command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(DataError("bad")))
    assert main(words) == 3
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_unexpected_error_asks_for_debug(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(ZeroDivisionError("oh")))
    assert main(["probe"]) == 70
    err = capsys.readouterr().err
    assert "ZeroDivisionError: oh" in err
    assert "--debug" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("module", "advice"),
    [
        ("torch", "[convert]"),
        ("sklearn.svm", "pip install scikit-learn"),
        ("odd", "pip install odd"),
    ],
)
def test_missing_package_names_what_to_install(
    module: str, advice: str, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(ModuleNotFoundError(f"No module named {module!r}", name=module)))
    assert main(["probe"]) == 2
    assert advice in capsys.readouterr().err


def test_package_that_does_not_load_says_why(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(ImportError("the compiled kernels have ABI 0; rebuild")))
    assert main(["probe"]) == 2
    assert capsys.readouterr().err == "error: the compiled kernels have ABI 0; rebuild\n"


def test_missing_file_is_bad_input(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    command(lambda: Path("/nowhere/at/all").read_bytes())
    assert main(["probe"]) == 3
    assert "'/nowhere/at/all': No such file" in capsys.readouterr().err


def test_interrupt_is_130(command: Callable[..., None]) -> None:
    command(raising(KeyboardInterrupt()))
    assert main(["probe"]) == 130


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_terminated_command_leaves_nothing_behind(
    command: Callable[..., None], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    def work() -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path):
            os.kill(os.getpid(), number)
            time.sleep(5)

    command(work)
    before = signal.signal(number, signal.SIG_DFL)  # nohup may have it ignored
    try:
        assert main(["probe"]) == code
    finally:
        signal.signal(number, before)
    assert list(tmp_path.iterdir()) == []


def test_missing_command_module_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    spec = CommandSpec("spikerun.commands.absent:probe", "A probe.", "spikerun probe")
    monkeypatch.setattr(cli, "COMMANDS", {"probe": spec})
    assert main(["probe"]) == 3
    assert "'probe' is not part of this installation" in capsys.readouterr().err


def test_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "spikerun", "info", "--json"],
            stdout=closed,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (141, b"")


HEAVY = "print([name for name in ('torch', 'numpy', 'h5py', 'rich', 'spikerun.commands') if name in sys.modules])"


def test_overview_imports_no_command_and_nothing_heavy() -> None:
    code = f"import sys; from spikerun.cli import main; main(['--help']); {HEAVY}"
    assert fresh("-c", code).stdout.splitlines()[-1] == "[]"


def completed(*words: str) -> list[str]:
    """Return what a shell is offered after these words, the last of which is begun."""
    asked = {"COMP_WORDS": " ".join(("spikerun", *words)), "COMP_CWORD": str(len(words))}
    return fresh("-m", "spikerun", _SPIKERUN_COMPLETE="complete_bash", **asked).stdout.split()


def test_shell_completes_commands() -> None:
    assert completed("in") == ["inspect", "info"]


def test_shell_completes_the_options_of_a_command() -> None:
    assert completed("run", "--sp") == ["--split"]


def test_shell_completes_commands_of_a_command() -> None:
    assert completed("datasets", "f") == ["fetch"]


def test_completion_after_an_unknown_command_says_nothing_of_it() -> None:
    done = fresh("-m", "spikerun", _SPIKERUN_COMPLETE="complete_bash", COMP_WORDS="spikerun rn x", COMP_CWORD="2")
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_completing_a_command_imports_nothing_heavy() -> None:
    code = (
        "import os, sys; from spikerun.cli import main; "
        "os.environ.update(_SPIKERUN_COMPLETE='complete_bash', COMP_WORDS='spikerun ', COMP_CWORD='1'); main([])\n"
        + HEAVY
    )
    assert fresh("-c", code).stdout.splitlines()[-1] == "[]"


def test_completion_can_be_shown() -> None:
    done = fresh("-m", "spikerun", "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert done.returncode == 0
    assert "complete -o default -F _spikerun_completion spikerun" in done.stdout


def test_what_was_guessed_is_a_note_and_said_once(
    command: Callable[[Callable[[], Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def probe() -> None:
        for _ in range(2):
            logging.getLogger("spikerun.any").warning("scale \x1b[2J taken as %d", 1)

    command(probe)
    assert main(["probe"]) == 0
    assert capsys.readouterr() == ("", "note: scale \\x1b[2J taken as 1\n")


@pytest.mark.parametrize(("words", "said"), [([], ""), (["--verbose"], "chose dense\n")])
def test_what_was_chosen_is_said_when_asked(
    words: list[str], said: str, command: Callable[[Callable[[], Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(lambda: logging.getLogger("spikerun.any").info("chose dense"))
    assert main(["probe", *words]) == 0
    assert capsys.readouterr().err == said


def test_quiet_hides_what_was_guessed(
    command: Callable[[Callable[..., Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(quiet: QuietOption = False) -> None:
        logging.getLogger("spikerun.any").warning("taken as 1")

    command(probe)
    assert main(["probe", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_errors_do_not_steer_the_terminal(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(DataError("kind \x1b]0;owned\x07\x9b2J")))
    assert main(["probe"]) == 3
    assert capsys.readouterr().err == "error: kind \\x1b]0;owned\\x07\\x9b2J\n"


def test_info_loads_no_torch() -> None:
    code = "import sys; from spikerun.cli import main; main(['info']); print('torch' in sys.modules)"
    assert fresh("-c", code).stdout.splitlines()[-1] == "False"


def test_errors_have_no_colour_without_a_terminal() -> None:
    done = fresh("-m", "spikerun", "rn", TERM="xterm-256color")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_info_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "spikerun.info/1"
    assert found["spikerun"] == __version__
    assert {"python", "packages", "cpu", "threads", "native_kernels", "tools", "datasets"} <= found.keys()
    assert found["native_kernels"]["isa"] == native.isa()


def test_ctrl_c_while_commands_are_imported_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    class Importing:
        def __getattr__(self, name: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "spikerun.cli", Importing())  # type: ignore[arg-type]  # it stands for a module
    assert program.main() == 130
