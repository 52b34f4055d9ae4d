# SPDX-License-Identifier: Apache-2.0
"""What the runner of a bundle reads, in its own words of Graph; and how it lets Lava be imported. None needs Lava."""

import importlib.util
import io
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
from chip_graphs import FAMILIES, random_graph, random_samples, write_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikerun.edge.loihi import lava


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"runner_{name}", lava.RUNNER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bundle = load("bundle")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = random_graph("delays", 5)
    return write_bundle(tmp_path_factory.mktemp("bundle"), graph, random_samples(graph, 5))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_runner_reads_the_graph_as_we_do(family: str, tmp_path: Path) -> None:
    graph = random_graph(family, 2)
    inputs = random_samples(graph, 2)
    write_bundle(tmp_path, graph, inputs)
    read = bundle.read_graph(tmp_path / "graph.h5")
    given, expected = bundle.read_samples(tmp_path / "samples.npz", read)
    count = len(next(iter(inputs.values())))
    assert (read.window, read.phased, read.steps(count)) == (graph.window, graph.phased, graph.steps(count))
    for ours, theirs in zip(
        (*graph.parts, *graph.synapses), (*read.sources, *read.neurons, *read.synapses), strict=True
    ):
        for key, value in vars(ours).items():
            np.testing.assert_equal(getattr(theirs, key), dict(value) if key == "parameters" else value, err_msg=key)
    streams = graph.streams(inputs)
    for source in read.sources:
        sent = read.stream(source, given[source.name])
        np.testing.assert_array_equal(sent, streams[source.name])
        np.testing.assert_array_equal(read.samples(source.name, sent), graph.samples(source.name, sent))
    assert expected.keys() >= {f"events/{neurons.name}" for neurons in graph.neurons}


@given(st.floats(0, 1, exclude_max=True), st.sampled_from(["graph.h5", "samples.npz"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_half_a_file_is_damaged(made: Path, tmp_path: Path, part: float, name: str) -> None:
    raw = (made / name).read_bytes()
    (tmp_path / name).write_bytes(raw[: int(part * len(raw))])
    with pytest.raises(bundle.Damaged, match=r"make the bundle again\.$"):
        read(made, tmp_path, name)


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_is_damage_or_changes_nothing_that_is_read(made: Path, tmp_path: Path, data: Any) -> None:
    name = data.draw(st.sampled_from(["graph.h5", "samples.npz"]))
    raw = bytearray((made / name).read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / name).write_bytes(raw)
    try:
        read(made, tmp_path, name)
    except bundle.Damaged as error:
        assert "\n" not in str(error)


def read(made: Path, changed: Path, name: str) -> None:
    if name == "graph.h5":
        bundle.read_graph(changed / name)
    else:
        bundle.read_samples(changed / name, bundle.read_graph(made / "graph.h5"))


def test_a_pickle_is_not_loaded(made: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", **{"input/in": np.array([{"a": 1}], object)})
    with pytest.raises(bundle.Damaged, match=r"must hold integers .* it holds object"):
        read(made, tmp_path, "samples.npz")


def rewritten(made: Path, folder: Path, **changes: Any) -> Path:
    """Write samples.npz with other arrays: the key's first _ is a /, and None takes an array out."""
    with np.load(made / "samples.npz") as file:
        arrays = dict(file)
    for key, value in changes.items():
        arrays[key.replace("_", "/")] = value
    np.savez(folder / "samples.npz", **{key: value for key, value in arrays.items() if value is not None})
    return folder


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"images_n0": np.zeros(3, int)}, "nobody knows what 'images/n0' is"),
    "of nobody": ({"events_x": np.zeros(3, int)}, "nobody knows what 'events/x' is"),
    "events of a source": ({"events_in": np.zeros(3, int)}, "nobody knows what 'events/in' is"),
    "of another state": ({"states_n0_x": np.zeros(3, int)}, "nobody knows what 'states/n0/x' is"),
    "another shape": ({"events_n0": np.zeros(3, int)}, r"events/n0 must hold integers of shape .* of \(3,\)"),
    "reals": ({"input_in": np.zeros((4, 19, 12))}, r"input/in must hold integers .* float64"),
    "no input": ({"input_in": None}, "it has no 'input/in'"),
    "no samples": ({"input_in": np.zeros((0, 19, 12), int)}, "it has no samples"),
    "no axes": ({"input_in": np.int32(3)}, "tuple index out of range"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_samples_that_are_not_of_the_graph_are_refused(case: str, made: Path, tmp_path: Path) -> None:
    changes, said = HOSTILE[case]
    rewritten(made, tmp_path, **changes)
    with pytest.raises(bundle.Damaged, match=said):
        read(made, tmp_path, "samples.npz")


def header(shape: tuple[int, ...]) -> bytes:
    """Return the header of an array of which nothing follows."""
    raw = io.BytesIO()
    np.lib.format.write_array_header_1_0(raw, {"descr": "<i4", "fortran_order": False, "shape": shape})
    return raw.getvalue()


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("events/zz.npy", (2**30,), "nobody knows what 'events/zz' is"),
        ("input/in.npy", (2**20, 19, 12), r"input/in of shape .* is more than the file can hold"),
        ("input/in.npy", (2**40, 19, 12), r"input/in of shape .* is more than the file can hold"),
        ("readme.txt", (), "nobody knows what 'readme.txt' is"),
    ],
)
def test_arrays_that_claim_much_are_refused_before_there_is_memory_for_them(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shape: tuple[int, ...], said: str
) -> None:
    with zipfile.ZipFile(tmp_path / "samples.npz", "w") as file:
        file.writestr("input/in.npy", header((2, 19, 12)) if name != "input/in.npy" else header(shape))
        if name != "input/in.npy":
            file.writestr(name, header(shape))
    monkeypatch.setattr(np, "load", None)  # nothing is
    with pytest.raises(bundle.Damaged, match=said):
        read(made, tmp_path, "samples.npz")


@pytest.mark.parametrize("name", ["graph.h5", "samples.npz"])
def test_an_array_has_at_most_so_many_bytes(made: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    graph = bundle.read_graph(made / "graph.h5")
    monkeypatch.setattr(bundle, "MAX_BYTES", 16)
    with pytest.raises(bundle.Damaged, match=r"or too large|or than 16 bytes"):
        bundle.read_graph(made / name) if name == "graph.h5" else bundle.read_samples(made / name, graph)


def test_an_array_that_is_there_twice_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "samples.npz").write_bytes((made / "samples.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "samples.npz", "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("input/in.npy", header((2, 19, 12)))
    with pytest.raises(bundle.Damaged, match="it is there twice"):
        read(made, tmp_path, "samples.npz")


def test_another_version_is_said(made: Path, tmp_path: Path) -> None:
    (tmp_path / "graph.h5").write_bytes((made / "graph.h5").read_bytes())
    with h5py.File(tmp_path / "graph.h5", "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(bundle.Damaged, match=r"no graph of spikerun\.loihi, version 1"):
        bundle.read_graph(tmp_path / "graph.h5")


BROKEN = """
from dataclasses import dataclass
@dataclass
class ByteEncoder: pass
@dataclass
class Address:
    x: ByteEncoder = ByteEncoder()
"""
IMPORTS = """
import lavacompat, sys
if "mend" in sys.argv: lavacompat.install()
import lava.magma.compiler.var_model as m
print(m.Address().x is not m.Address().x)
"""


def test_lava_is_mended_in_memory_and_no_file_is_touched(tmp_path: Path) -> None:
    module = tmp_path / "lava" / "magma" / "compiler" / "var_model.py"
    module.parent.mkdir(parents=True)
    module.write_text(BROKEN, encoding="utf-8")
    env = {"PYTHONPATH": f"{tmp_path}:{lava.RUNNER}"}
    mended, broken = (
        subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env, timeout=30)
        for words in (["-c", IMPORTS, "mend"], ["-B", "-c", IMPORTS])
    )
    assert mended.stdout == "True\n", mended.stderr
    assert "mutable default" in broken.stderr
    assert (module.read_text(encoding="utf-8"), list(tmp_path.rglob("*.pyc"))) == (BROKEN, [])


WHERE_EXCEPTIONS_ARE_IGNORED = """
import guard, os, signal, sys, time
from multiprocessing.shared_memory import SharedMemory
guard.set_up(None)
print(SharedMemory(create=True, size=8).name)
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(20)
Finalized()
time.sleep(20)
"""


@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by a signal")])
def test_a_signal_ends_a_runner_even_where_python_ignores_exceptions(number: int, said: str) -> None:
    words = [sys.executable, "-B", "-c", WHERE_EXCEPTIONS_ARE_IGNORED, str(int(number))]
    done = subprocess.run(words, capture_output=True, text=True, env={"PYTHONPATH": str(lava.RUNNER)}, timeout=15)
    assert (done.returncode, done.stderr) == (128 + number, f"error: {said}\n")
    assert not Path("/dev/shm", done.stdout.strip()).exists()
