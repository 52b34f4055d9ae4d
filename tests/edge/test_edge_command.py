# SPDX-License-Identifier: Apache-2.0
"""`spikerun deploy` and `spikerun targets`, as typed."""

import importlib.util
import json
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import datasets, edge, plugins
from spikerun.cli import main
from spikerun.edge.bundle import SCHEMA, finish, require_free, scratch, write_all
from spikerun.edge.mcu import McuOptions, McuTarget
from spikerun.edge.mcu import board as boards
from spikerun.edge.target import Bundle, Frames, Measure, Options, RunReport, Table, Tool, Verdict, option
from spikerun.errors import DataError, TargetError, UsageError
from spikerun.file import save
from spikerun.network import Network, Population
from spikerun.neurons import Input

Needs = Callable[..., None]


@pytest.fixture
def saved(tiny: Network, tmp_path: Path) -> Path:
    save(tiny, tmp_path / "tiny.snn")
    return tmp_path / "tiny.snn"


def test_every_board_is_a_target_of_its_name() -> None:
    found = edge.targets()
    assert set(boards.boards()) <= set(found)
    assert all(target.name == name for name, target in found.items())


def test_a_board_file_is_all_that_a_new_target_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (boards.FOLDER / "host.toml").read_text().replace('"host"\nsummary', '"mine"\nsummary', 1)
    (tmp_path / "mine.toml").write_text(text)
    before = set(edge.targets())
    monkeypatch.setattr(boards, "FOLDER", tmp_path)
    assert set(edge.targets()) - before == {"mine"}


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Let no file grow beyond 1,000 bytes, as where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("target", ["host", "loihi1"])
def test_a_full_disk_is_said_with_the_folder_and_what_was_there_stays(
    target: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.json").write_text(json.dumps({"schema": SCHEMA, "files": ["report.json", "old.c"]}))
    (out / "old.c").write_text("old")
    request.getfixturevalue("full_disk")
    assert main(["deploy", str(saved), "--target", target, "-o", str(out), "--force"]) == 2
    said = capsys.readouterr().err
    assert f"cannot write '{out}" in said and "File too large" in said and "make room" in said
    assert {path.name for path in out.iterdir()} == {"report.json", "old.c"} and (out / "old.c").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"out", "tiny.snn"}


@pytest.mark.parametrize("more", [["--run"], ["--verify"], ["-o", "out"]])
def test_a_check_writes_and_runs_nothing(more: list[str], saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(saved), "--target", "host", "--check", *more]) == 2
    assert "--check writes nothing and runs nothing" in capsys.readouterr().err


def test_an_unknown_target_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'generic-cortex-m4'"):
        edge.load("generic-cortex-m44")


@pytest.mark.parametrize("name", [None, 5, ["host"]])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(UsageError, match="a target is given by its name"):
        edge.load(name)


@pytest.mark.parametrize("net", [None, "net.snn"])
def test_what_is_no_network_is_refused(net: Any, tmp_path: Path) -> None:
    target = edge.load("host")
    with pytest.raises(UsageError, match="takes a Network, as"):
        target.check(net)
    with pytest.raises(UsageError, match="takes a Network, as"):
        target.deploy(net, tmp_path / "fw")


def test_what_is_no_folder_is_refused(tiny: Network) -> None:
    out: Any = None
    with pytest.raises(UsageError, match="the name of a file is a text or a path, got None"):
        edge.load("host").deploy(tiny, out)


@pytest.mark.parametrize("samples", [-1, 0, True, np.int64(-1)])
def test_a_number_of_samples_that_is_none_is_refused(tiny: Network, tmp_path: Path, samples: int) -> None:
    with pytest.raises(DataError, match=f"the number of random ones, 1 or more; got {samples}"):
        edge.load("host").deploy(tiny, tmp_path / "fw", samples)


@pytest.mark.parametrize(("key", "value"), [("name", None), ("emulator", 3), ("timeout", "soon")])
def test_an_option_of_another_type_is_refused(key: str, value: Any) -> None:
    given: dict[str, Any] = {key: value}
    with pytest.raises(UsageError, match=f"option '{key}' of a target takes a .*, got {value!r}"):
        McuOptions(**given)


def test_targets_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "spikerun.targets/1"
    assert [row["name"] for row in found["targets"]] == sorted(edge.targets())
    assert all(tool["install"] for row in found["targets"] for tool in row["tools"] if tool["path"] is None)
    assert all(option["help"] for row in found["targets"] for option in row["options"])


def test_targets_tell_core_clock_and_memory_of_boards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["targets"]}
    expected = {"core": "Cortex-M4F", "clock_hz": 64_000_000, "flash_bytes": 1 << 20, "ram_bytes": 1 << 18}
    assert {key: rows["nrf52840"][key] for key in expected} == expected
    assert not {"core", "clock_hz"} & rows["loihi2"].keys()
    assert main(["targets"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("nrf52840 ")]
    assert "Cortex-M4F" in line and "64 MHz" in line and "1 MB" in line and "256 KB" in line


def test_targets_say_what_to_install(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["targets"]) == 0
    said = capsys.readouterr().out.splitlines()
    riscv = "emulator, apt-get install qemu-system-misc or pip install 'spikerun[mcu]'"
    assert f"missing for esp32c3, esp32c6, generic-rv32imac, generic-rv32imc, rp2350-riscv: {riscv}" in said


def test_deploy_and_run_as_json(saved: Path, capsys: pytest.CaptureFixture[str], needs: Needs) -> None:
    needs("gcc")
    out = saved.parent / "fw"
    assert main(["deploy", str(saved), "--target", "host", "-o", str(out), "--run", "--samples", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "spikerun.deploy/1"
    expected = {"target": "host", "bundle": str(out), "fits": True, "identical": True, "samples": 3}
    assert {key: found[key] for key in expected} == expected
    assert found["where"] == "this computer, gcc"
    assert found["measures"]["flash_bytes"] > 0
    assert found["measures"]["ram_bytes"] > 0
    assert Path(found["report"]).is_file()


@pytest.mark.parametrize("words", [["--name", "ear"], ["--set", "name=ear"]])
def test_options_of_the_target_are_given_by_name(saved: Path, words: list[str]) -> None:
    assert main(["deploy", str(saved), "--target", "host", "-o", str(saved.parent / "fw"), "--quiet", *words]) == 0
    assert (saved.parent / "fw" / "model" / "ear.h").is_file()


def test_what_to_type_next_repeats_the_options(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved.parent / "a bundle"
    words = ["--name", "ear", "--format", "arduino", "--set", "packing=small", "--samples", "3"]
    assert main(["deploy", str(saved), "--target", "generic-cortex-m0", "-o", str(folder), *words]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("next: ")]
    options = "--samples=3 --set name=ear --set format=arduino --set packing=small --run --force"
    assert line == f"next: spikerun deploy {saved} --target generic-cortex-m0 -o '{folder}' {options}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "colour=red"], "unknown option of target 'host' 'colour'"),
        (["--set", "name"], "--set takes KEY=VALUE"),
        (["--set", "timeout=soon"], "option 'timeout' takes a float, got 'soon'"),
        (["--set", "name=a", "--name", "b"], "given twice"),
        (["--name", "Ear"], "take 1 to 32 small letters, digits and _, a letter first, such as 'ear'"),
        (["--name", "9 x"], "name '9 x' cannot begin the symbols and files of a network: take 1 to 32 small letters"),
        (["--name", "stdint"], "cannot begin the symbols and files of a network: it is taken, as are spikerun"),
        (["--set", "timeout=0"], "option 'timeout' must be a number of seconds above 0, got 0"),
        (["--set", "timeout=nan"], "option 'timeout' must be a number of seconds above 0, got nan"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    saved: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["deploy", str(saved), "--target", "host", "-o", str(saved.parent / "fw"), *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (saved.parent / "fw").exists()


def test_a_folder_that_is_taken_is_refused_before_data_are_read(
    saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "load_inputs", lambda *given, **options: pytest.fail("data are read"))
    words = ["deploy", str(saved), "--target", "host", "-o", str(saved.parent), "--data", "digits"]
    assert main(words) == 2
    assert "is not empty; use --force" in capsys.readouterr().err


@dataclass(frozen=True)
class Tuned(Options):
    """Options of a target that is no board."""

    cores: int = option(1, "how many cores to use")


@pytest.mark.parametrize(
    ("kind", "said"), [(Tuned, "its options are cores (--set KEY=VALUE)"), (Options, "it has no options")]
)
def test_a_target_without_such_an_option_says_which_it_has(
    saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: type[Options], said: str
) -> None:
    monkeypatch.setattr(McuTarget, "options", kind)
    for words in (["--name", "ear"], ["--emulator", "qemu"], ["--toolchain", "gcc"]):
        assert main(["deploy", str(saved), "--target", "host", "-o", str(saved.parent / "fw"), *words]) == 2
        assert f"target 'host' has no {words[0]}: {said}" in " ".join(capsys.readouterr().err.split())


def test_a_check_looks_at_the_options(tmp_path: Path, pruned: Network, capsys: pytest.CaptureFixture[str]) -> None:
    save(pruned, tmp_path / "pruned.snn")
    sizes = []
    for packing in ("dense", "small"):
        words = ["deploy", str(tmp_path / "pruned.snn"), "--target", "host", "--check", "--json"]
        assert main([*words, "--set", f"packing={packing}"]) == 0
        sizes.append(json.loads(capsys.readouterr().out)["measures"]["weight_bytes"])
    assert 3 * sizes[1] < sizes[0]


def test_check_writes_nothing(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(saved), "--target", "generic-cortex-m4", "--check"]) == 0
    out = capsys.readouterr().out
    assert "fits 'generic-cortex-m4': yes" in out
    assert "of 4194304" in out
    assert [path.name for path in saved.parent.iterdir()] == ["tiny.snn"]


def test_without_a_folder_deploy_says_what_to_give(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(saved), "--target", "host"]) == 2
    assert "-o" in capsys.readouterr().err


def test_a_bundle_that_differs_is_exit_code_1(
    saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, needs: Needs
) -> None:
    needs("gcc")
    monkeypatch.setattr("spikerun.edge.mcu.vectors.crc", lambda values, word, before=0: 1)
    out = saved.parent / "fw"
    assert main(["deploy", str(saved), "--target", "host", "-o", str(out), "--run", "--samples", "1", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["identical"] is False
    assert "population hidden: v" in captured.err
    assert "identical with the reference: NO" in (out / "report.md").read_text()


@dataclass(frozen=True)
class Entry:
    """An entry point of another package."""

    value: str
    given: object
    name: str = "theirs"

    def load(self) -> Callable[[], object]:
        return lambda: self.given


def test_other_packages_add_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(edge.load("host"), board=replace(boards.load("host"), name="theirs"))  # type: ignore[type-var]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("their.room:targets", {"theirs": other})])
    assert edge.load("theirs") is other


@dataclass(frozen=True)
class Abacus:
    """A target that is no board: it writes the number of beads."""

    name: str = "abacus"
    summary: str = "beads on wires"
    facts: Mapping[str, Measure] = field(default_factory=dict)
    options: type[Options] = Tuned

    def tools(self) -> list[Tool]:
        return []

    def require(self, options: Options | None = None) -> None:
        pass

    def check(self, net: Network, options: Options | None = None, samples: Frames | int | None = None) -> Verdict:
        beads = sum(population.size for population in net.populations.values())
        return Verdict(self.name, True, (), Table(("wires", "beads"), ((1, beads),)), {"bead_bytes": 2 * beads})

    def deploy(
        self,
        net: Network,
        out: str | Path,
        samples: Frames | int = 16,
        options: Options | None = None,
        *,
        run: bool = False,
        force: bool = False,
    ) -> Bundle:
        require_free(Path(out), force)
        outputs = np.zeros((2, 2), np.int32)
        bundle = Bundle(Path(out), self.check(net), 2, run=RunReport(True, outputs, (), "a table", {}) if run else None)
        with scratch(Path(out)) as folder:
            write_all(folder, {"beads.txt": "o o o"})
            finish(folder, bundle, "# Beads")
        return bundle


@pytest.fixture
def abacus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("their.room:targets", {"abacus": Abacus()})])


@pytest.mark.usefixtures("abacus")
def test_a_target_of_another_package_is_deployed_to(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = saved.parent / "beads"
    assert main(["deploy", str(saved), "--target", "abacus", "-o", str(out), "--run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["wires", "beads"]
    assert said[-4:] == [
        "bead bytes: 14",
        "fits 'abacus': yes",
        f"bundle: {out}",
        "2 samples on a table, identical: yes",
    ]


@pytest.mark.usefixtures("abacus")
def test_what_is_printed_of_such_a_target_as_json_is_in_its_report(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = saved.parent / "beads"
    for words in ([], ["--force"]):
        assert main(["deploy", str(saved), "--target", "abacus", "-o", str(out), "--json", *words]) == 0
        printed, report = json.loads(capsys.readouterr().out), json.loads((out / "report.json").read_text())
        assert report.pop("files") == ["beads.txt", "report.json", "report.md"]
        assert printed == {**report, "bundle": str(out), "report": str(out / "report.md")}
        assert (printed["target"], printed["table"], printed["where"]) == ("abacus", [{"wires": 1, "beads": 7}], None)


@pytest.mark.usefixtures("abacus")
def test_such_a_target_is_asked_whether_a_network_fits(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(saved), "--target", "abacus", "--check"]) == 0
    assert "fits 'abacus': yes" in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], {"x": 1}, {"host": None}])
def test_an_entry_point_that_returns_no_targets_is_named(monkeypatch: pytest.MonkeyPatch, given: object) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("their_room:targets", given)])
    with pytest.raises(TargetError, match=r"their_room:targets .* is to return targets by their names"):
        edge.targets()


def test_a_target_of_a_name_that_exists_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("their_room:targets", {"host": edge.load("host")})
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry])
    with pytest.raises(TargetError, match="target 'host' exists already: their_room:targets"):
        edge.targets()


@pytest.mark.parametrize("option", ["toolchain=clangg", "emulator=bochs"])
def test_a_tool_that_the_target_does_not_have_is_refused_before_anything_is_written(
    option: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", str(saved), "--target", "host", "-o", str(tmp_path / "fw"), "--set", option]) == 2
    assert "of target 'host'" in capsys.readouterr().err
    assert not (tmp_path / "fw").exists()


def test_a_network_of_inputs_alone_is_refused(tmp_path: Path) -> None:
    net = Network({"in": Population((2,), Input())}, [], ["in"], 8)
    assert not edge.load("host").check(net).fits
    with pytest.raises(TargetError, match="every population is an input: there is nothing to compute"):
        edge.load("host").deploy(net, tmp_path / "fw", 2)
