# SPDX-License-Identifier: Apache-2.0
"""The file of counts of `scripts/conformance`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from conformance.executors import EXECUTORS, Tally


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / "conformance"
    spec = spec_from_loader("conformance_script", SourceFileLoader("conformance_script", str(path)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "conformance_script", module)
        spec.loader.exec_module(module)
    return module


def test_counts_that_grow_are_recorded_once(script: ModuleType, tmp_path: Path) -> None:
    record, counted = script.Record(tmp_path / "counts.csv", "abc"), Tally(1, 10, 100)
    record.add({"row": counted})
    counted.add(Tally(2, 20, 200, 1))
    record.add({"row": counted})
    record.add({"row": counted})
    lines = (tmp_path / "counts.csv").read_text().splitlines()
    assert lines[0] == "commit,executor,isa,networks,spikes,values,mismatches"
    assert lines[1:] == [f"abc,row,{script.instruction_set()},3,30,300,1"]


def test_counts_of_other_commits_stay(script: ModuleType, tmp_path: Path) -> None:
    for commit in ("abc", "def"):
        script.Record(tmp_path / "counts.csv", commit).add({"row": Tally(1, 10, 100)})
    assert len((tmp_path / "counts.csv").read_text().splitlines()) == 3
    assert script.Record(tmp_path / "counts.csv", "").sums() == {f"row {script.instruction_set()}": Tally(2, 20, 200)}


def test_several_that_add_at_once_lose_nothing(script: ModuleType, tmp_path: Path) -> None:
    def add(k: int) -> None:
        record, counted = script.Record(tmp_path / "counts.csv", "abc"), Tally()
        for _ in range(20):
            counted.add(Tally(1, 10, 100))
            record.add({"row": counted})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert list(script.Record(tmp_path / "counts.csv", "").sums().values()) == [Tally(80, 800, 8000)]


def test_a_difference_says_the_command_that_shows_it_again(script: ModuleType) -> None:
    (case,) = script.cases(5, float("inf"), 1, 3)
    said = script.replay(EXECUTORS[0], case)
    assert f"--seed {case.seed} --samples 3 --networks 1 --rows '{EXECUTORS[0].name}'" in said
    (again,) = script.cases(case.seed, float("inf"), 1, 3)
    assert all((again.truth.samples[name] == given).all() for name, given in case.truth.samples.items())
