# SPDX-License-Identifier: Apache-2.0
"""Bundles as folders: what they contain, what they refuse, and what they never touch."""

import importlib.util
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun.connections import KINDS as CONNECTIONS
from spikerun.connections import Conv, Dense
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy, kernels, packings, run_bundle
from spikerun.edge.mcu.memory import Memory, report
from spikerun.edge.mcu.model import ALIGNMENT, compose
from spikerun.edge.mcu.printer import source
from spikerun.errors import DataError, TargetError, UnsupportedError, UsageError
from spikerun.kernels.operations import OPERATIONS
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, FewSpikes, Input, Neuron, Readout

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


def test_a_bundle_holds_the_licence_and_every_source_names_it(everything: Network, tmp_path: Path) -> None:
    deploy(everything, tmp_path / "fw", BOARD, 1)
    assert "Apache License" in (tmp_path / "fw" / "LICENSE").read_text()
    found = [path for path in (tmp_path / "fw").rglob("*") if path.suffix in (".c", ".h", ".ld", ".cmake", ".txt")]
    assert len(found) > 20
    assert [str(path) for path in found if "SPDX-License-Identifier: Apache-2.0" not in path.read_text()[:80]] == []


def test_a_bundle_holds_only_the_kernels_that_it_uses(tiny: Network, tmp_path: Path) -> None:
    deploy(tiny, tmp_path / "fw", "host", 1)
    assert sorted(path.name for path in (tmp_path / "fw" / "runtime").iterdir()) == [
        "spikerun.h", "spikerun_crc32.c", "spikerun_dense.c", "spikerun_fill.c", "spikerun_fire.c",
        "spikerun_lanes.h", "spikerun_read.c", "spikerun_rows.c", "spikerun_rows.h", "spikerun_rows_mve.h",
        "spikerun_rows_v7m.h", "spikerun_see.c", "spikerun_word.h",
    ]  # fmt: skip


def test_the_header_says_what_integers_stand_for(tmp_path: Path) -> None:
    populations = {
        "in": Population((2,), Input()),
        "one": Population((1,), Readout(np.float32(4.6757537e-05))),
        "each": Population((2,), Readout(np.array([0.5, 0.1], np.float32))),
    }
    into = [Projection("in", n, Dense(np.ones((2, populations[n].size), np.int8))) for n in ("one", "each")]
    net = Network(populations, into, ["one", "each"], 8, {"in_scale": 0.25, "in_mean": "0.5 1 */"})
    deploy(net, tmp_path / "fw", "host", 1)
    text = (tmp_path / "fw" / "model" / "model.h").read_text()
    assert "#define MODEL_SCALE_0 4.6757537e-05f" in text
    assert "extern const float model_scale_1[2];" in text
    assert "A value q of 'in' stands for (q * 0.25 - (0.5 1 * /)) / (1)." in text
    assert "model_scale_1[2] = {0.5f, 0.1f};" in (tmp_path / "fw" / "model" / "model.c").read_text()


def test_running_a_folder_without_a_bundle_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no bundle"):
        run_bundle(tmp_path)


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
    small_board(tmp_path, 1 << 20, 1 << 13, monkeypatch)
    with pytest.raises(TargetError, match=r"RAM \(RAM\): \d+ of 8192 bytes.*'wide'.*pool before it"):
        deploy(image_network(), tmp_path / "fw", "small", 1)
    assert not (tmp_path / "fw").exists()


def test_too_much_flash_is_refused_with_the_population_that_takes_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_board(tmp_path, 1 << 16, 1 << 20, monkeypatch)
    with pytest.raises(TargetError, match=r"flash \(FLASH\): \d+ of 65536 bytes.*'out'.*prune"):
        deploy(image_network(), tmp_path / "fw", "small", 1)


def test_too_many_samples_are_refused_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_board(tmp_path, 1 << 17, 1 << 20, monkeypatch)
    with pytest.raises(TargetError, match="fewer --samples"):
        deploy(image_network(), tmp_path / "fw", "small", 1000)


def reported(net: Network) -> Memory:
    model = compose(net)
    return report(model, source(model), boards.load(BOARD), samples=2)


def delayed(steps: int) -> Network:
    """Return a network of 12 inputs whose spikes are held back, beside a population called like a ring's register."""
    populations = {
        "in": Population((12,), Input(1, "spikes")),
        "projection0": Population((4,), IF(np.int32(1))),
    }
    dense = Dense(np.ones((12, 4), np.int8))
    return Network(populations, [Projection("in", "projection0", dense, delay=steps)], ["projection0"], 2)


def test_the_ring_of_a_delay_is_among_the_words_of_its_source() -> None:
    short, long = ({row[0]: row[1:] for row in reported(delayed(steps)).table.rows} for steps in (10, 110))
    assert int(long["in"][3]) - int(short["in"][3]) == 100 * 12
    assert long["projection0"] == short["projection0"]


@pytest.mark.parametrize("which", ["everything", "spiking", "mixed"])
def test_the_rows_of_the_report_sum_to_all_constants_and_registers(request: pytest.FixtureRequest, which: str) -> None:
    net = request.getfixturevalue(which)
    model, memory = compose(net), reported(net)
    flash, words, numbers = (sum(int(row[k]) for row in memory.table.rows) for k in (3, 4, 5))
    printed = max(model.programs, key=lambda program: program.bytes)
    taken = [printed.registers[name] for name in printed.places]
    sizes = [4 * r.size if r.dtype == "int32" else -(-r.size // ALIGNMENT) * ALIGNMENT for r in taken]
    assert flash == memory.tables - memory.golden
    assert words + numbers == sum(sizes) + source(model).time
    assert words + numbers >= model.memory


def test_too_long_a_delay_is_refused_with_the_population_that_is_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_board(tmp_path, 1 << 20, 1 << 13, monkeypatch)
    with pytest.raises(TargetError, match=r"The largest population is 'in' \(12 neurons: 0 bytes of membranes"):
        deploy(delayed(1000), tmp_path / "fw", "small", 1)


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
    monkeypatch.setattr(kernels, "ROWS", [row for row in kernels.ROWS if row.kind != "if_step"])
    populations = {"in": Population((1,), Input(1, "spikes")), "x": Population((1,), IF(np.int32(1)))}
    net = Network(populations, [Projection("in", "x", Dense(np.ones((1, 1), np.int8)))], ["x"], 2)
    with pytest.raises(UnsupportedError, match="population 'x': there is no C code for 'if_step'"):
        deploy(net, tmp_path / "fw", "host", 1)
    assert not (tmp_path / "fw").exists()


def test_a_missing_kernel_of_a_delay_names_the_population_that_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "ROWS", [row for row in kernels.ROWS if row.kind != "delay"])
    with pytest.raises(UnsupportedError, match="population 'in': there is no C code for 'delay'"):
        compose(delayed(10))


def test_a_kernel_is_taken_only_where_the_core_has_what_it_needs(
    tiny: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    special = replace(next(row for row in kernels.ROWS if row.kind == "dense"), needs=frozenset({"dsp"}), file="fast.c")
    monkeypatch.setattr(kernels, "ROWS", [special, *kernels.ROWS])
    for features, file in (({"dsp", "fpu"}, "fast.c"), ({"fpu"}, "spikerun_dense.c")):
        assert {f for call in compose(tiny, features=features).run.calls for f in call.kernel.sources} >= {file}


def test_every_operation_and_every_map_has_a_kernel_or_is_left_out_by_name() -> None:
    named = {row.kind for row in kernels.ROWS} - packings.KINDS | kernels.SILENT | kernels.ELSEWHERE.keys()
    maps = {kind for kind, connection in CONNECTIONS.items() if connection.linear and not connection.alone}
    assert {operation.name for operation in OPERATIONS} - {"apply"} | maps == named


@pytest.mark.parametrize(
    ("given", "neuron"), [(Input(), partial(FewSpikes, 4)), (Input(1, "spikes"), IF)], ids=["words", "spikes"]
)
def test_the_text_of_a_long_chain_takes_time_in_proportion(given: Input, neuron: Callable[[Any], Neuron]) -> None:
    def seconds(length: int) -> float:
        populations: dict[str, Population] = {"p0": Population((4,), given)}
        populations |= {f"p{k}": Population((4,), neuron(np.int32(3 + k))) for k in range(1, length)}
        dense = Dense(np.ones((4, 4), np.int8))
        chain = [Projection(f"p{k}", f"p{k + 1}", dense) for k in range(length - 1)]
        net = Network(populations, chain, [f"p{length - 1}"], 8)
        begin = time.process_time()
        source(compose(net))
        return time.process_time() - begin

    assert min(seconds(800), seconds(800)) < 12 * min(seconds(100), seconds(100))


def test_a_bundle_whose_golden_results_are_gone_says_so(tiny: Network, tmp_path: Path) -> None:
    deploy(tiny, tmp_path / "fw", "host", 1)
    (tmp_path / "fw" / "golden.json").write_text("[]")
    with pytest.raises(UsageError, match="does not hold the expected results"):
        run_bundle(tmp_path / "fw")
