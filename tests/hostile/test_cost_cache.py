# SPDX-License-Identifier: Apache-2.0
"""The file of what layers cost on this machine: whatever is in it, or in its place, results are right."""

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_inputs, random_network

from spikerun import Population, Projection, Session
from spikerun.connections import Dense
from spikerun.kernels.cpu import cost_cache
from spikerun.kernels.executor import Cost
from spikerun.network import Network
from spikerun.neurons import Input, Readout

NET = random_network(5, "words")
X = random_inputs(NET, 5, 3, 0.3)
EXPECTED = Session(NET, kernels="event", threads=1).run(X).logits
TODAY = int(time.time() // 86400)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a process that has said nothing yet."""
    monkeypatch.setattr(cost_cache, "_said", set())
    path = tmp_path / "folder" / "costs.json"
    monkeypatch.setenv("SPIKERUN_COST_CACHE", str(path))
    return path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many maps are measured, as they are."""
    from spikerun.kernels.cpu import cost

    counts: list[int] = []
    calibrate = cost.calibrate

    def counted(candidates: Any) -> Any:
        counts.append(len(candidates))
        return calibrate(candidates)

    monkeypatch.setattr(cost, "calibrate", counted)
    return counts


def matrix(kept: int = 40) -> Network:
    """Return a network of one matrix, of which some rows are not zero."""
    populations = {"in": Population((40,), Input(4)), "out": Population((32,), Readout())}
    weight = np.zeros((40, 32), np.int8)
    weight[:kept] = 1
    return Network(populations, [Projection("in", "out", Dense(weight))], ["out"], 4)


def right(net: Network = NET) -> Session:
    """Return a session whose results are right."""
    session = Session(net, threads=1)
    np.testing.assert_array_equal(session.run(X).logits, EXPECTED)
    return session


def entries(path: Path) -> dict[str, Any]:
    (found,) = json.loads(path.read_text())["machines"].values()
    return dict(found)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and "timing" not in r.getMessage()]


def test_what_one_session_measured_the_next_ones_read(file: Path, measured: list[int]) -> None:
    first = right()
    assert measured and entries(file).keys() == set(first.device._costs)  # type: ignore[attr-defined]
    measured.clear()
    second = right()
    assert not measured
    assert [row.choice.cut for row in second.plan.maps if row.choice] == [
        row.choice.cut for row in first.plan.maps if row.choice
    ]


@pytest.mark.parametrize("value", ["off", "OFF", "Off", ""])
def test_a_cache_that_is_off_is_neither_read_nor_written(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[int]
) -> None:
    monkeypatch.setenv("SPIKERUN_COST_CACHE", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    right()
    right()
    assert len(measured) == 2 and not list(tmp_path.iterdir())


def test_the_file_lies_in_the_cache_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPIKERUN_COST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    right()
    assert entries(tmp_path / "spikerun" / "costs.json")


def test_the_folder_of_the_users_cache_is_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPIKERUN_COST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cost_cache._path() == tmp_path / ".cache" / "spikerun" / "costs.json"


def test_the_name_of_the_file_may_begin_with_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPIKERUN_COST_CACHE", "~/costs.json")
    right()
    assert entries(tmp_path / "costs.json")


@pytest.mark.parametrize("layout", ["dense", "blocks", "csr"])
def test_costs_of_one_layout_are_not_those_of_others(layout: str, file: Path, measured: list[int]) -> None:
    Session(matrix(), threads=1, layout="dense")
    measured.clear()
    Session(matrix(), threads=1, layout=layout)
    assert measured == ([] if layout == "dense" else [1])
    assert len(entries(file)) == (1 if layout == "dense" else 2)


def test_costs_of_few_weights_are_not_those_of_many(file: Path) -> None:
    for kept in (40, 10):
        Session(matrix(kept), threads=1, layout="csr")
    assert len(entries(file)) == 2


DAMAGE: dict[str, Callable[[Path], object]] = {
    "half of it": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "of another version": lambda path: path.write_text('{"format": "spikerun.costs/2", "machines": {}}'),
    "machines are a list": lambda path: path.write_text('{"format": "spikerun.costs/1", "machines": []}'),
    "deep": lambda path: path.write_bytes(cost_cache.OURS + b'1", "machines": ' + b"[" * 100_000),
    "a number too long": lambda path: path.write_bytes(cost_cache.OURS + b'1", "machines": ' + b"1" * 10_000 + b"}"),
    "no text": lambda path: path.write_bytes(cost_cache.OURS + b'\xff"}'),
    "too large": lambda path: path.write_text(path.read_text() + " " * cost_cache.LARGEST),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_said_once_and_replaced(
    damage: str, file: Path, measured: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    right()
    DAMAGE[damage](file)
    measured.clear()
    right()
    (said,) = warnings(caplog)
    assert str(file) in said and "replace" in said and measured
    measured.clear()
    right()
    assert not measured and len(warnings(caplog)) == 1


def test_an_empty_file_is_filled(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.parent.mkdir()
    file.touch()
    right()
    assert entries(file) and not warnings(caplog)


THEIRS = [b"\x80\x04K\x01.", b"[]", b"{}", b'{"format": "a network"}', b"\n", cost_cache.OURS[:-1]]


@pytest.mark.parametrize("content", THEIRS)
def test_a_file_that_holds_something_else_stays_as_it_is(
    content: bytes, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    right()
    right()
    (said,) = warnings(caplog)
    assert f"'{file}' holds something else" in said and "it stays as it is" in said and "remove" not in said
    assert file.read_bytes() == content


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (lambda path: path.mkdir(), "is a folder, and no regular file;"),
    "a link": (lambda path: path.symlink_to(path.with_name("elsewhere")), "is a link, and links are not followed;"),
    "a FIFO": (os.mkfifo, "is a FIFO, and no regular file;"),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_is_left_alone_and_said_once(place: str, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    make, why = PLACES[place]
    file.parent.mkdir()
    make(file)
    before = os.lstat(file).st_ino
    right()
    right()
    (said,) = warnings(caplog)
    assert f"'{file}' {why} it stays as it is" in said and "is not kept" in said
    assert os.lstat(file).st_ino == before and [one.name for one in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("place", PLACES)
def test_looks_at_what_is_no_file_leave_nothing_open(place: str, file: Path) -> None:
    file.parent.mkdir()
    PLACES[place][0](file)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        assert cost_cache.known({"a map": (1, 1)}) == {}
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_cannot_be_written_is_said_once(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "folder").write_text("a file where the folder should be")
    right()
    right()
    (said,) = warnings(caplog)
    assert "SPIKERUN_COST_CACHE names another file" in said


def spoil(file: Path, change: Callable[[list[Any]], object]) -> None:
    content = json.loads(file.read_text())
    for found in content["machines"].values():
        for form, entry in found.items():
            found[form] = change(entry)
    file.write_text(json.dumps(content))


NONSENSE: dict[str, Callable[[list[Any]], object]] = {
    "text": lambda e: "fast",
    "too short": lambda e: e[:4],
    "a layout that there is not": lambda e: [e[0], 3, *e[2:]],
    "a layout below 0": lambda e: [e[0], -1, *e[2:]],
    "true for a layout": lambda e: [e[0], False, *e[2:]],
    "no points": lambda e: [*e[:2], [], [], e[4]],
    "points that fall": lambda e: [*e[:2], [5, 3], [1.0, 2.0], e[4]],
    "points that are not as many": lambda e: [*e[:2], [1, 2], [1.0], e[4]],
    "more inputs than there are": lambda e: [*e[:2], [1, 2**31], [1.0, 2.0], e[4]],
    "a time of 0": lambda e: [*e[:4], 0],
    "no number": lambda e: [*e[:4], float("nan")],
    "endless": lambda e: [*e[:4], float("inf")],
    "a text for a time": lambda e: [*e[:4], "1.0"],
    "a huge time": lambda e: [*e[:4], 10**400],
    "of the year 2100": lambda e: [47482, *e[1:]],
    "too old": lambda e: [TODAY - cost_cache.DAYS - 1, *e[1:]],
    "a day that is none": lambda e: ["today", *e[1:]],
}


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_an_entry_out_of_range_is_measured_anew(
    nonsense: str, file: Path, measured: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    maps = len(right().device._costs)  # type: ignore[attr-defined]
    spoil(file, NONSENSE[nonsense])
    measured.clear()
    right()
    assert measured == [maps] and not warnings(caplog)
    assert all(entry[0] == TODAY for entry in entries(file).values())


def test_costs_of_another_processor_are_kept_and_not_used(
    file: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    right()
    monkeypatch.setattr(cost_cache, "model", lambda: "another processor")
    measured.clear()
    right()
    assert measured and len(json.loads(file.read_text())["machines"]) == 2


def test_costs_of_another_build_or_instruction_set_are_not_used(
    file: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    right()
    for name, value in (("_build", lambda: "another"), ("native", type("N", (), {"isa": staticmethod(lambda: "v9")}))):
        with monkeypatch.context() as patched:
            patched.setattr(cost_cache, name, value)
            if name == "native":
                patched.setattr(cost_cache, "_build", lambda: "the same")
            measured.clear()
            right()
            assert measured


def test_old_entries_are_dropped_and_so_are_the_oldest_of_too_many(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.parent.mkdir()
    machines = {"a machine": {f"map {day}": [TODAY - day, 0, [1], [1.0], 1.0] for day in range(2 * cost_cache.DAYS)}}
    file.write_text(json.dumps({"format": cost_cache.FORMAT, "machines": machines}))
    monkeypatch.setattr(cost_cache, "MOST", 50)
    cost_cache.remember({"new": (0, Cost((1,), (1.0,), 1.0))})
    found = json.loads(file.read_text())["machines"]
    assert sum(map(len, found.values())) == 50
    assert set(found["a machine"]) == {f"map {day}" for day in range(49)}


@pytest.mark.parametrize(
    ("age", "fresh"), [(-2, False), (-1, True), (cost_cache.DAYS, True), (cost_cache.DAYS + 1, False)]
)
def test_entries_are_kept_for_as_long_as_they_are_used(age: int, fresh: bool, file: Path) -> None:
    old, new = {"old": (0, Cost((1,), (1.0,), 1.0))}, {"new": (0, Cost((1,), (1.0,), 1.0))}
    cost_cache.remember(old)
    spoil(file, lambda entry: [TODAY - age, *entry[1:]])
    assert cost_cache.known({"old": (1, 1)}) == (old if fresh else {})
    cost_cache.remember(new)
    assert entries(file).keys() == ({"old", "new"} if fresh else {"new"})


def test_a_full_file_is_not_too_large_to_be_read(file: Path) -> None:
    long = Cost(tuple(range(2**26, 2**26 + 7)), (123456.7,) * 7, 123456.7)
    cost_cache.remember({f"{k:05} " + "x" * 250: (0, long) for k in range(cost_cache.MOST)})
    assert file.stat().st_size < cost_cache.LARGEST
    assert cost_cache.known({f"{0:05} " + "x" * 250: (1, 2**27)})


def test_what_another_process_wrote_meanwhile_is_kept(file: Path) -> None:
    one, other = {"one": (0, Cost((1,), (1.0,), 1.0))}, {"other": (0, Cost((1,), (1.0,), 1.0))}
    cost_cache.remember(one)
    cost_cache.remember(other)
    assert cost_cache.known({"one": (1, 1), "other": (1, 1), "third": (1, 1)}) == one | other
