# SPDX-License-Identifier: Apache-2.0
"""Broken files are refused at once, with the place of the offender, and nothing large is allocated for them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hostile.make import CASES, DAMAGED, FOLDER, good

from spikerun.cli import main
from spikerun.errors import FileFormatError
from spikerun.file import load, save

EXPECTED = {name: where for name, (where, _) in (CASES | DAMAGED).items()}
ROOM = 2**26  # bytes that may be allocated on top of what a process that has read a good file holds

# In a process of its own, because the limit on memory stays; it reads every file named on its command line.
READ_ALL = """
import json, resource, sys, time
from spikerun.cli import main
from spikerun.errors import FileFormatError
from spikerun.file import load

load(sys.argv[1])
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)

def refusal(path):
    try:
        load(path)
        return "none"
    except FileFormatError as error:
        return str(error)
    except BaseException as other:
        return f"{type(other).__name__}: {other}"

told = {}
for path in sys.argv[3:]:
    seconds = []
    while len(seconds) < 3 and min(seconds, default=1) > 0.1:  # a busy machine makes one slow, not all
        begin = time.process_time()
        error = refusal(path)
        seconds.append(time.process_time() - begin)
    told[path] = [error, min(seconds)]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float]]:
    """Return what each file is told, and in how many seconds of work (a busy machine takes longer)."""
    fine = save(good(), tmp_path_factory.mktemp("good") / "good.snn")
    paths = [str(FOLDER / f"{name}.snn") for name in EXPECTED]
    command = [sys.executable, "-c", READ_ALL, str(fine), str(ROOM), *paths]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, timeout=120)
    return {Path(path).stem: tuple(result) for path, result in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", EXPECTED)
def test_broken_file_is_refused_at_once_with_the_place(name: str, told: dict[str, tuple[str, float]]) -> None:
    message, seconds = told[name]
    assert message.startswith(f"'{FOLDER / name}.snn': ")
    assert EXPECTED[name] in message
    assert len(message) < 1500
    assert seconds < 1


def test_every_committed_file_is_expected() -> None:
    assert {path.stem for path in FOLDER.glob("*.snn")} == set(EXPECTED)


def test_a_name_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="there is no such file"):
        load(tmp_path / "none.snn")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="is no regular file"):
        load(tmp_path)


@pytest.mark.parametrize(
    "command", [["inspect"], ["run", "--data", "digits"], ["deploy", "--target", "host", "--check"]]
)
def test_commands_end_with_exit_code_3(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command[0], str(FOLDER / "nan_scale.snn"), *command[1:]]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "/populations/out/scale" in err and "Traceback" not in err
