# SPDX-License-Identifier: Apache-2.0
"""Finding and making Lava's environment, and running a bundle there: with stand-ins for Lava, pip and the runner."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chip_graphs import FAMILIES, random_graph, random_samples, write_bundle

from spikerun.cli import main
from spikerun.edge.loihi import explain, lava
from spikerun.edge.loihi.models import MODELS
from spikerun.edge.loihi.samples import expected
from spikerun.edge.loihi.store import load_graph, save_graph
from spikerun.errors import FileFormatError, TargetError, UsageError

HERE = lava.Lava(Path(sys.executable), lava.TESTED, tuple(sys.version_info[:3]), "this Python")
Script = Callable[[str], Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let there be no Lava but that which a test makes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(lava.VARIABLE, raising=False)
    monkeypatch.setattr(lava, "find_spec", lambda name: None)
    return tmp_path


@pytest.fixture
def bundle(tmp_path: Path) -> Script:
    """Return a function that makes a bundle whose runner is a piece of code."""

    def make(code: str) -> Path:
        runner = tmp_path / "bundle" / "runner" / "__main__.py"
        runner.parent.mkdir(parents=True)
        head = "import json, os, pathlib, signal, subprocess, sys, time\n"
        runner.write_text(head + code, encoding="utf-8")
        return tmp_path / "bundle"

    return make


@pytest.fixture
def python(tmp_path: Path) -> Script:
    """Return a function that makes a program of shell code, to be taken for a Python."""

    def make(code: str) -> Path:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


def says(version: str) -> str:
    return f'echo \'[[3, 10, 13], "{version}", "3.16.0"]\''


def test_the_python_that_is_named_is_taken(python: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    path = python(says("0.10.0"))
    monkeypatch.setenv(lava.VARIABLE, str(path))
    assert lava.find() == lava.Lava(path, "0.10.0", (3, 10, 13), "$SPIKERUN_LAVA_PYTHON")


def test_another_version_is_said(python: Script, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv(lava.VARIABLE, str(python(says("0.9.0"))))
    assert not lava.find().tested
    assert main(["lava-env", "show"]) == 0
    assert "0.9.0, not 0.10.0, which bundles were tested with" in capsys.readouterr().out


@pytest.mark.parametrize("code", ["echo 'No package metadata was found for lava-nc' >&2; exit 1", "echo nonsense"])
def test_a_named_python_without_lava_is_an_error_that_says_how(
    python: Script, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setenv(lava.VARIABLE, str(python(code)))
    with pytest.raises(TargetError, match=r"SPIKERUN_LAVA_PYTHON\).*spikerun lava-env create"):
        lava.find()


def test_a_named_python_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lava.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(TargetError, match="is no Python that runs"):
        lava.find()


def test_without_any_lava_the_error_says_what_to_do(capsys: Any) -> None:
    with pytest.raises(TargetError, match="spikerun lava-env create"):
        lava.find()
    assert main(["lava-env", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["python"] is None


INSTALLS = """
case "$*" in
  *sys.version_info*lava-nc*) test -z "$PYTHONPATH" && echo '[[3, 10, 13], "0.10.0", "3.16.0"]' ;;
  *sys.version_info*) echo "{version}" ;;
  *"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/pyvenv.cfg" ;;
  *"-m pip"*) echo "$PIP_CONSTRAINT$PYTHONPATH$@" >> "{log}"; {pip} ;;
esac
"""


def installing(log: Path, version: str = "3 10", pip: str = "true") -> str:
    return INSTALLS.format(version=version, log=log, pip=pip)


def test_python_310_gets_lava_as_published_and_is_found_from_then_on(python: Script, tmp_path: Path) -> None:
    said: list[str] = []
    made = lava.create(said.append, str(python(installing(tmp_path / "log"))))
    assert made == lava.find()
    assert made.python == tmp_path / "cache" / "spikerun" / "lava" / "bin" / "python"
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.endswith("install --quiet lava-nc==0.10.0 h5py")
    assert len(said) == 2


def test_what_constrains_and_leads_this_python_does_not_so_that_of_lava(
    python: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONSTRAINT", "constraints.txt")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    lava.create(lambda stage: None, str(python(installing(tmp_path / "log"))))
    assert (tmp_path / "log").read_text().startswith("-m pip")


def test_a_newer_python_gets_it_without_what_it_asks_for(python: Script, tmp_path: Path) -> None:
    lava.create(lambda stage: None, str(python(installing(tmp_path / "log", "3 12"))))
    first, second = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("--no-deps --ignore-requires-python lava-nc==0.10.0")
    assert "numpy==" in second and "scipy==" in second and "h5py==" in second


@pytest.mark.parametrize("version", ["3 9", "3 14", ""])
def test_other_pythons_are_refused(python: Script, tmp_path: Path, version: str) -> None:
    with pytest.raises(UsageError, match=r"3\.10 to 3\.13"):
        lava.create(lambda stage: None, str(python(installing(tmp_path / "log", version))))


def test_what_cannot_be_installed_is_one_error_and_leaves_nothing(python: Script, tmp_path: Path) -> None:
    pip = "echo 'ERROR: No matching distribution found for lava-nc==0.10.0' >&2; exit 1"
    with pytest.raises(TargetError, match=r"could not install lava-nc: ERROR: No matching distribution.*network"):
        lava.create(lambda stage: None, str(python(installing(tmp_path / "log", pip=pip))))
    assert list((tmp_path / "cache" / "spikerun").iterdir()) == []


def test_an_environment_is_replaced_only_by_force_and_removed(python: Script, tmp_path: Path, capsys: Any) -> None:
    base = str(python(installing(tmp_path / "log")))
    made = lava.create(lambda stage: None, base)
    (lava.environment() / "old").touch()
    with pytest.raises(UsageError, match="exists already; use --force"):
        lava.create(lambda stage: None, base)
    assert lava.create(lambda stage: None, base, force=True) == made
    assert not (lava.environment() / "old").exists()
    assert main(["lava-env", "remove", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == str(lava.environment())
    assert not lava.environment().exists()
    assert main(["lava-env", "remove"]) == 2


VERDICT = 'pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps({"equal": True}))\n'


def test_the_verdict_of_the_runner_is_returned(bundle: Script) -> None:
    assert lava.run(bundle(VERDICT), HERE, 20) == {"equal": True}


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("raise ValueError('boom')", TargetError, "(?s)left no verdict: .*ValueError: boom"),
        ("print('error: no Lava'); sys.exit(2)", TargetError, "refused: no Lava"),
        ("print('error: graph.h5 is damaged'); sys.exit(3)", FileFormatError, "^graph.h5 is damaged"),
        (
            "print('noise', 'error: Lava failed', 'more', sep='\\n'); sys.exit(4)",
            TargetError,
            "exit code 4: Lava failed",
        ),
        ("os.kill(os.getpid(), signal.SIGKILL)", TargetError, "signal SIGKILL"),
        ("print('nothing')", TargetError, "left no verdict: nothing"),
        ("print('\\x1b[2J'); sys.exit(9)", TargetError, r"\\x1b"),
    ],
)
def test_a_runner_that_fails_is_an_error_in_its_own_words(
    bundle: Script, code: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        lava.run(bundle(code), HERE, 20)


HANGS = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(f"/dev/shm/psm_{os.getpid()}_spikerun").touch()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
pathlib.Path(__file__).with_name("pids").write_text(f"{os.getpid()} {child.pid}")
time.sleep(1000)
"""


def test_a_runner_that_hangs_is_ended_with_its_children_and_memory(
    bundle: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lava, "GRACE", 0.3)
    folder = bundle(HANGS)
    others = Path(f"/dev/shm/psm_{os.getpid()}_others")
    others.touch()
    try:
        with pytest.raises(TargetError, match="has not ended after 2 s; try fewer samples"):
            lava.run(folder, HERE, 2)
        pids = list(map(int, (folder / "runner" / "pids").read_text().split()))
        assert not list(Path("/dev/shm").glob(f"psm_{pids[0]}_*"))
        assert [pid for pid in pids if running(pid)] == []
        assert others.exists()
    finally:
        others.unlink()


def running(pid: int) -> bool:
    """Return whether a process runs, once it has had a second to end."""
    for _ in range(20):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.05)
    return True


def test_an_interrupt_ends_the_runner(bundle: Script) -> None:
    folder = bundle(HANGS)
    code = f"""
import pathlib, sys
sys.path[:0] = {sys.path}
from spikerun.edge.loihi import lava
lava.GRACE = 0.3
lava.run(pathlib.Path({str(folder)!r}), lava.Lava(pathlib.Path({sys.executable!r}), "", (3,), ""), 100)
"""
    caller = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    file = folder / "runner" / "pids"
    while not file.exists() or not file.read_text():
        time.sleep(0.05)
    caller.send_signal(signal.SIGINT)
    caller.wait(20)
    assert [pid for pid in map(int, file.read_text().split()) if running(pid)] == []


def test_nothing_of_a_run_stays_in_the_temporary_folder(
    bundle: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    lava.run(bundle("import tempfile; tempfile.mkdtemp()\n" + VERDICT), HERE, 20)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_python_that_is_not_there_is_an_error(bundle: Script, tmp_path: Path) -> None:
    gone = lava.Lava(tmp_path / "none", lava.TESTED, (3, 11), "")
    with pytest.raises(TargetError, match="does not run"):
        lava.run(bundle(VERDICT), gone, 20)


def test_the_runner_says_how_to_get_lava_where_there_is_none(tmp_path: Path) -> None:
    """The real one, in a Python that has no site packages."""
    graph = random_graph("dense", 0)
    folder = write_bundle(tmp_path / "made", graph, random_samples(graph, 0))
    words = [sys.executable, "-I", "-S", lava.RUNNER, "--bundle", folder]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "run this with a Python that has lava-nc 0.10.0" in done.stderr


@pytest.mark.parametrize("part", ["guard.py", "lavanet.py", "processes/__init__.py"])
def test_a_runner_that_lacks_a_file_says_that_the_bundle_is_damaged(part: str, tmp_path: Path) -> None:
    shutil.copytree(lava.RUNNER, tmp_path / "runner")
    (tmp_path / "runner" / part).unlink()
    done = subprocess.run([sys.executable, tmp_path / "runner"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, f"it lacks runner/{part}; make it again" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--timeout", "nan"], "--timeout must be a number of seconds above 0"),
        (["--timeout", "-1"], "--timeout must be a number of seconds above 0"),
        (["--out", "nowhere/x.npz"], "there is no folder"),
    ],
)
def test_options_of_the_runner_that_make_no_sense_are_refused(words: list[str], says: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, lava.RUNNER, *words], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_the_runner_has_a_help_without_lava() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", lava.RUNNER, "--help"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert "never run on silicon" in done.stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_random_graphs_survive_their_file(family: str, tmp_path: Path) -> None:
    graph = random_graph(family, 1)
    inputs = random_samples(graph, 1)
    again = load_graph(save_graph(graph, tmp_path / "graph.h5"))
    before, after = expected(graph, inputs, last=True), expected(again, inputs, last=True)
    assert before.keys() == after.keys()
    for key in before:
        np.testing.assert_array_equal(before[key], after[key], err_msg=key)


def test_every_model_is_explained() -> None:
    assert explain.MODELS.keys() == MODELS.keys()


def test_the_limit_of_time_grows_with_samples_and_size() -> None:
    small, large = random_graph("dense", 0), random_graph("fan_in", 0)
    assert lava.START < lava.seconds(small, 1) < lava.seconds(small, 100)
    assert lava.seconds(small, 5) < lava.seconds(large, 5)
