# SPDX-License-Identifier: Apache-2.0
"""Bad luck of processes: forks, new ones, too many threads, a machine that is busy. Results stay right."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_inputs, random_network

from spikerun import Session
from spikerun.kernels.cpu import cost_cache

SEED, BATCH, WAIT = 5, 40, 120
NET = random_network(SEED, "words")
X = random_inputs(NET, SEED, BATCH, 0.3)
EXPECTED = Session(NET, kernels="event", threads=1).run(X).logits


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "costs.json"
    monkeypatch.setenv("SPIKERUN_COST_CACHE", str(path))
    return path


def run(threads: int = 2) -> bool:
    """Return whether a new session's results are right."""
    return np.array_equal(Session(NET, threads=threads).run(X).logits, EXPECTED)


def in_child(work: Any) -> bool:
    """Return what `work` returns in a forked process, False where it does not end."""
    child = os.fork()
    if child == 0:
        right = False
        try:
            right = bool(work())
        finally:
            os._exit(0 if right else 1)
    watch = threading.Timer(WAIT, os.kill, (child, signal.SIGKILL))
    watch.start()
    try:
        return os.waitpid(child, 0)[1] == 0
    finally:
        watch.cancel()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_session_goes_on_in_a_forked_child_and_in_its_parent(threads: int, file: Path) -> None:
    session = Session(NET, threads=threads)
    stream = session.stream()
    stream.step()
    np.testing.assert_array_equal(session.run(X).logits, EXPECTED)

    def child() -> bool:
        stream.step()
        one = {name: values[:1] for name, values in X.items()}
        right = np.array_equal(session.run(X).logits, EXPECTED) and stream.t == 2
        return right and np.array_equal(session.run(one).logits, EXPECTED[:1]) and run(threads)

    assert in_child(child)
    np.testing.assert_array_equal(session.run(X).logits, EXPECTED)
    assert stream.t == 1 and in_child(child)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing_share_the_costs(method: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.pathsep.join(sys.path)
    monkeypatch.setenv("PYTHONPATH", here)
    assert run()
    with multiprocessing.get_context(method).Pool(3) as pool:
        assert pool.map_async(run, [1, 2, 3, 2]).get(WAIT) == [True] * 4
    assert json.loads(file.read_text())["format"] == cost_cache.FORMAT


def test_processes_that_write_at_once_leave_a_whole_file(file: Path) -> None:
    code = """
import sys
from spikerun.kernels.cpu import cost_cache
from spikerun.kernels.executor import Cost
for k in range(10):
    measured = {f"{sys.argv[1]} {k}": (0, Cost((1,), (1.0,), 1.0))}
    cost_cache.remember(measured)
    found = cost_cache.known({f"{sys.argv[1]} {k}": (1, 1)})
    assert found in (measured, {}), found  # another may have written at the same time
    assert not cost_cache._said, cost_cache._said
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [subprocess.Popen([sys.executable, "-c", code, str(n)], env=environment) for n in range(4)]
    assert [writer.wait(WAIT) for writer in writers] == [0] * 4
    (entries,) = json.loads(file.read_text())["machines"].values()
    assert len(entries) >= 10 and {entry[1] for entry in entries.values()} == {0}
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("count", [1, BATCH])
def test_more_threads_than_cores_give_the_same(count: int) -> None:
    part = {name: values[:count] for name, values in X.items()}
    many = Session(NET, kernels="dense", threads=40)
    for _ in range(5):
        np.testing.assert_array_equal(many.run(part).logits, EXPECTED[:count])


def test_a_busy_machine_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKERUN_COST_CACHE", "off")
    stop = "import sys\nprint(flush=True)\nwhile True: pass"
    busy = [
        subprocess.Popen([sys.executable, "-c", stop], stdout=subprocess.PIPE)
        for _ in range(2 * len(os.sched_getaffinity(0)))
    ]
    try:
        for one in busy:
            assert one.stdout is not None and one.stdout.readline()
        assert run(1) and run(4)
    finally:
        for one in busy:
            one.kill()
            one.communicate()


def test_an_unknown_instruction_set_is_refused_with_those_that_there_are() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "SPIKERUN_ISA": "avx1024"}
    found = subprocess.run(
        [sys.executable, "-m", "spikerun", "info"], env=environment, capture_output=True, text=True, check=False
    )
    from spikerun.kernels.cpu.native import isas

    assert found.returncode == 2 and "SPIKERUN_ISA: this processor has" in found.stderr
    assert all(name in found.stderr for name in isas()) and "Traceback" not in found.stderr


FULL = """
import resource
import numpy as np
from spikerun import Dense, Input, Network, Population, Projection, Readout, Session

populations = {"in": Population((1,), Input(1, "spikes")), "out": Population((10,), Readout())}
net = Network(populations, [Projection("in", "out", Dense(np.ones((1, 10), np.int8)))], ["out"], 1)
stream = Session(net).stream(1000)
stream.advance(3)
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, hard))
try:
    stream.advance(60_000_000)
except MemoryError as error:
    print(str(error)[:19])
resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
steps = stream.advance(5).readings["out"][0]
print(np.array_equal(steps, np.arange(3, stream.t)), stream.t > 8)
"""


def test_a_stream_whose_memory_is_full_neither_loses_nor_invents_what_it_sent() -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("no memory is left f\nTrue True\n", "")
