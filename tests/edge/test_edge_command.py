"""`spikerun deploy` and `spikerun targets`, as typed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spikerun import edge
from spikerun.cli import main
from spikerun.edge.mcu import board as boards
from spikerun.errors import UsageError
from spikerun.file import save
from spikerun.network import Network

Needs = Callable[..., None]


@pytest.fixture
def saved(tiny: Network, tmp_path: Path) -> Path:
    save(tiny, tmp_path / "tiny.snn")
    return tmp_path / "tiny.snn"


def test_every_board_is_a_target_and_every_target_loads() -> None:
    assert set(edge.TABLE) == set(boards.boards())
    assert [edge.load(name).name for name in edge.TABLE] == list(edge.TABLE)


def test_an_unknown_target_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'generic-cortex-m4'"):
        edge.load("generic-cortex-m3")


def test_targets_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "spikerun.targets/1"
    assert [row["name"] for row in found["targets"]] == sorted(edge.TABLE)
    assert all(tool["install"] for row in found["targets"] for tool in row["tools"])


def test_targets_say_what_to_install(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["targets"]) == 0
    assert "generic-cortex-m4" in capsys.readouterr().out


def test_deploy_and_run_as_json(saved: Path, capsys: pytest.CaptureFixture[str], needs: Needs) -> None:
    needs("gcc")
    out = saved.parent / "fw"
    assert main(["deploy", str(saved), "--target", "host", "-o", str(out), "--run", "--samples", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "spikerun.deploy/1"
    expected = {"target": "host", "bundle": str(out), "fits": True, "identical": True, "emulator": "none", "samples": 3}
    assert {key: found[key] for key in expected} == expected
    assert found["flash_bytes"] > 0
    assert found["ram_bytes"] > 0
    assert Path(found["report"]).is_file()


def test_check_writes_nothing(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(saved), "--target", "generic-cortex-m4", "--check"]) == 0
    assert "fits 'generic-cortex-m4': yes" in capsys.readouterr().out
    assert [path.name for path in saved.parent.iterdir()] == ["tiny.snn"]


def test_without_a_folder_deploy_says_what_to_give(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(saved), "--target", "host"]) == 2
    assert "-o" in capsys.readouterr().err


def test_a_bundle_that_differs_is_exit_code_1(
    saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, needs: Needs
) -> None:
    needs("gcc")
    monkeypatch.setattr("spikerun.edge.mcu.golden.crc_membrane", lambda membrane: 1)
    out = saved.parent / "fw"
    assert main(["deploy", str(saved), "--target", "host", "-o", str(out), "--run", "--samples", "1", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["identical"] is False
    assert "population hidden: membrane" in captured.err
    assert "identical with the reference: NO" in (out / "report.md").read_text()
