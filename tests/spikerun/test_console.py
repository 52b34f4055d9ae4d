# SPDX-License-Identifier: Apache-2.0
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from spikerun.console import emit, help_text, plain, progress, suggest, table, talk


def test_emit_prints_one_object_with_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    emit("spikerun.run/1", {"accuracy": np.float32(0.5), "samples": np.int64(3)}, json=True, text="unused")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"schema": "spikerun.run/1", "accuracy": 0.5, "samples": 3}
    assert err == ""


def test_emit_prints_the_text_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    emit("spikerun.run/1", {"accuracy": 1.0}, json=False, text=lambda: "all right")
    assert capsys.readouterr().out == "all right\n"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float32("nan")])
def test_emit_refuses_what_json_cannot_hold_by_its_path(number: float) -> None:
    with pytest.raises(ValueError, match=r"layers\[1\]\.error is"):
        emit("spikerun.run/1", {"layers": [{"error": 0.0}, {"error": number}]}, json=True, text="")


def test_emit_refuses_a_second_schema() -> None:
    with pytest.raises(ValueError, match="key 'schema'"):
        emit("spikerun.run/1", {"schema": "mine"}, json=True, text="")


def test_plain_converts_arrays_paths_dataclasses_and_booleans() -> None:
    @dataclass
    class Pair:
        where: Path
        flag: np.bool_

    result = plain([Pair(Path("a"), np.bool_(True)), np.arange(2), (1, None)])
    assert result == [{"where": "a", "flag": True}, [0, 1], [1, None]]


def test_plain_refuses_other_types() -> None:
    with pytest.raises(TypeError, match="value is a set"):
        plain({1})


def test_talk_goes_to_stderr_and_takes_markup_literally(capsys: pytest.CaptureFixture[str]) -> None:
    talk("see spikerun[convert]")
    suggest("spikerun run m.snn")
    assert capsys.readouterr() == ("", "see spikerun[convert]\nnext: spikerun run m.snn\n")


def test_quiet_talk_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    talk("words", quiet=True)
    assert capsys.readouterr() == ("", "")


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working", 2) as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("working", 2) as advance:
        advance(2)
    assert "working" in terminal.getvalue()


def test_table_aligns_columns() -> None:
    assert table(("name", "n"), [("a", 10), ("bcdef", 7)], right=(1,)) == "name    n\na      10\nbcdef   7"


def test_table_refuses_ragged_rows() -> None:
    with pytest.raises(ValueError, match="different length"):
        table(("a",), [("1", "2")])


def test_help_text_begins_with_the_example() -> None:
    assert help_text("What it does.", "spikerun x").lstrip("\b\n").startswith("Example:\n  spikerun x")
