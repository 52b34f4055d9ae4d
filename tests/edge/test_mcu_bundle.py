"""Bundles as folders: what they contain, what they refuse, and what they never touch."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spikerun.connections import Conv, Dense
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy, layout, run_bundle
from spikerun.errors import DataError, TargetError, UnsupportedError, UsageError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, FewSpikes, Input, Readout

BOARD = "generic-cortex-m4"


def test_the_report_lists_the_files_that_are_there(tiny: Network, tmp_path: Path) -> None:
    deploy(tiny, tmp_path / "fw", BOARD, 1)
    report = json.loads((tmp_path / "fw" / "report.json").read_text())
    found = {str(path.relative_to(tmp_path / "fw")) for path in (tmp_path / "fw").rglob("*") if path.is_file()}
    assert set(report["files"]) == found
    assert report["schema"] == "spikerun.deploy/1"
    assert report["identical"] is None
    assert list(tmp_path.iterdir()) == [tmp_path / "fw"], "temporary folders are left"


def test_a_folder_with_files_is_refused(tiny: Network, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        deploy(tiny, tmp_path, "host", 1)


def test_force_does_not_touch_a_folder_that_holds_no_bundle(tiny: Network, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no bundle"):
        deploy(tiny, tmp_path, "host", 1, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_force_replaces_a_bundle_and_keeps_files_of_others(tiny: Network, tmp_path: Path) -> None:
    fw = tmp_path / "fw"
    deploy(tiny, fw, BOARD, 1)
    (fw / "mine.txt").write_text("mine")
    deploy(tiny, fw, "host", 1, force=True)
    assert (fw / "mine.txt").read_text() == "mine"
    assert not (fw / "toolchain.cmake").exists(), "a file of the former bundle is left"
    assert json.loads((fw / "report.json").read_text())["target"] == "host"


def test_a_report_cannot_make_force_delete_files_outside(tiny: Network, tmp_path: Path) -> None:
    fw, outside = tmp_path / "fw", tmp_path / "outside.txt"
    deploy(tiny, fw, "host", 1)
    outside.write_text("mine")
    report = json.loads((fw / "report.json").read_text())
    (fw / "report.json").write_text(json.dumps({**report, "files": [*report["files"], "../outside.txt"]}))
    deploy(tiny, fw, "host", 1, force=True)
    assert outside.exists()


def test_running_a_folder_without_a_bundle_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no bundle"):
        run_bundle(tmp_path)


def test_words_and_spikes_in_one_network_are_refused_by_name(tmp_path: Path) -> None:
    populations = {"in": Population((1,), Input(1, "graded")), "cell": Population((1,), IF(np.int32(1)))}
    net = Network(populations, [Projection("in", "cell", Dense(np.ones((1, 1), np.int8)))], ["cell"], 4)
    with pytest.raises(UnsupportedError, match=r"'in'.*spikerun run"):
        deploy(net, tmp_path / "fw", "host", 1)
    assert not (tmp_path / "fw").exists()


def test_samples_out_of_range_are_refused(tiny: Network, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"0\.\.255"):
        deploy(tiny, tmp_path / "fw", "host", np.array([[256, 0]]))
    assert list(tmp_path.iterdir()) == []


def small_board(folder: Path, flash: int, ram: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (boards.FOLDER / f"{BOARD}.toml").read_text().replace("generic-cortex-m4", "small")
    text = text.replace("bytes = 0x00400000", f"bytes = {flash}", 1).replace("bytes = 0x00400000", f"bytes = {ram}", 1)
    (folder / "small.toml").write_text(text)
    monkeypatch.setattr(boards, "FOLDER", folder)


def image_network() -> Network:
    rng = np.random.default_rng(0)
    populations = {
        "in": Population((1, 16, 16), Input()),
        "wide": Population((32, 16, 16), FewSpikes(4, np.int32(900))),
        "out": Population((10,), Readout()),
    }
    projections = [
        Projection("in", "wide", Conv(rng.integers(-9, 9, (32, 1, 3, 3)).astype(np.int8), padding=(1, 1))),
        Projection("wide", "out", Dense(rng.integers(-9, 9, (8192, 10)).astype(np.int8))),
    ]
    return Network(populations, projections, ["out"], 8)


def test_too_much_ram_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_board(tmp_path, 1 << 20, 1 << 14, monkeypatch)
    with pytest.raises(TargetError, match=r"RAM: \d+ of 16384 bytes.*'wide'.*pool before it"):
        deploy(image_network(), tmp_path / "fw", "small", 1)
    assert not (tmp_path / "fw").exists()


def test_too_much_flash_is_refused_with_the_population_that_takes_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_board(tmp_path, 1 << 16, 1 << 20, monkeypatch)
    with pytest.raises(TargetError, match=r"flash: \d+ of 65536 bytes.*'out'.*prune"):
        deploy(image_network(), tmp_path / "fw", "small", 1)


def test_too_many_samples_are_refused_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_board(tmp_path, 1 << 17, 1 << 20, monkeypatch)
    with pytest.raises(TargetError, match="fewer --samples"):
        deploy(image_network(), tmp_path / "fw", "small", 1000)


def test_missing_tools_are_named_with_what_to_install(
    tiny: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match=r"apt-get install gcc-arm-none-eabi or pip install 'spikerun\[mcu\]'"):
        deploy(tiny, tmp_path / "fw", BOARD, 1, run=True)
    with pytest.raises(TargetError, match=r"'zig' .* is missing: pip install"):
        deploy(tiny, tmp_path / "fw", BOARD, 1, run=True, toolchain="zig")
    assert not (tmp_path / "fw").exists()


def test_source_that_does_not_compile_is_reported_with_the_compilers_words(tiny: Network, tmp_path: Path) -> None:
    deploy(tiny, tmp_path / "fw", "host", 1)
    (tmp_path / "fw" / "model" / "model.c").write_text("this is not C\n")
    with pytest.raises(TargetError, match="does not compile"):
        run_bundle(tmp_path / "fw")


def test_a_self_test_that_hangs_is_stopped(tiny: Network, tmp_path: Path) -> None:
    deploy(tiny, tmp_path / "fw", "host", 1)
    main = tmp_path / "fw" / "selftest" / "main.c"
    main.write_text(
        main.read_text().replace("int main(void) {", "int main(void) {\n    for (volatile int i = 1; i;) {}")
    )
    with pytest.raises(TargetError, match="did not end within"):
        run_bundle(tmp_path / "fw", timeout=1.0)


def test_several_inputs_go_into_one_frame(tmp_path: Path) -> None:
    populations = {
        "a": Population((2,), Input()),
        "b": Population((3,), Input(bits=4, signed=True)),
        "out": Population((2,), Readout()),
    }
    ones = [Projection(n, "out", Dense(np.full((populations[n].size, 2), k + 1, np.int8))) for k, n in enumerate("ab")]
    net = Network(populations, ones, ["out"], 8)
    samples = {"a": np.array([[1, 2]]), "b": np.array([[-8, 7, 3]])}
    run = deploy(net, tmp_path / "fw", "host", samples, run=True).run
    assert run is not None
    assert run.identical
    assert run.outputs.tolist() == [[7, 7]]


def test_a_kind_without_c_code_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "SUPPORTED", (Input, FewSpikes, Readout))
    populations = {"in": Population((1,), Input(1, "spikes")), "x": Population((1,), IF(np.int32(1)))}
    net = Network(populations, [Projection("in", "x", Dense(np.ones((1, 1), np.int8)))], ["x"], 2)
    with pytest.raises(UnsupportedError, match="population 'x': there is no C code for neurons of kind 'if'"):
        deploy(net, tmp_path / "fw", "host", 1)
