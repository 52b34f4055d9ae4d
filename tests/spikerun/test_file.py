# SPDX-License-Identifier: Apache-2.0
"""The .snn file: what is saved is loaded, and what was saved once is loaded for ever."""

import dataclasses
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import densities, random_inputs, random_network, seeds

from spikerun import __version__, neurons
from spikerun.connections import Dense, Diagonal
from spikerun.errors import FileFormatError, UsageError
from spikerun.file import _NetworkReader, _types, _write_fields, load, save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Readout
from spikerun.reference import Stepper, stepped
from spikerun.session import Session

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
kinds = st.sampled_from(["words", "spikes", "mixed", "drawn"])


def same_fields(a: Any, b: Any) -> None:
    """Assert that two dataclasses are of one type and have equal fields, of equal types."""
    assert type(a) is type(b)
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert type(x) is type(y) or isinstance(x, np.generic), field.name
        if isinstance(x, np.ndarray | np.generic):
            assert (x.dtype, x.shape) == (y.dtype, y.shape), field.name
            np.testing.assert_array_equal(x, y, err_msg=field.name)
        else:
            assert x == y, field.name


def same_networks(a: Network, b: Network) -> None:
    assert list(a.populations) == list(b.populations)
    assert (a.outputs, a.window, a.meta) == (b.outputs, b.window, b.meta)
    assert (a.order, a.latency, a.bounds) == (b.order, b.latency, b.bounds)
    assert [link.lag for link in a.links] == [link.lag for link in b.links]
    for name, population in a.populations.items():
        assert population.shape == b.populations[name].shape
        same_fields(population.neuron, b.populations[name].neuron)
    for p, q in zip(a.projections, b.projections, strict=True):
        assert (p.source, p.target, p.delay, p.target_channels) == (q.source, q.target, q.delay, q.target_channels)
        same_fields(p.connection, q.connection)


@settings(max_examples=60)
@given(seeds, kinds)
def test_loaded_network_is_the_saved_one(tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str) -> None:
    net = random_network(seed, kind)
    path = tmp_path_factory.getbasetemp() / "net.snn"
    same_networks(net, load(save(net, path, force=True)))


@settings(max_examples=40)
@given(seeds, kinds, densities)
def test_loaded_network_computes_the_same(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str, density: float
) -> None:
    net = random_network(seed, kind)
    loaded = load(save(net, tmp_path_factory.getbasetemp() / "net.snn", force=True))
    x = random_inputs(net, seed, 2, density)
    before, after = (Session(n, kernels="event", threads=1).run(x) for n in (net, loaded))
    assert before.activity == after.activity
    for name in net.outputs:
        np.testing.assert_array_equal(before.outputs[name], after.outputs[name])
    np.testing.assert_array_equal(before.logits, after.logits)


# What each golden file answers: containers 1 and 2 of contract 1, container 2 of contract 2.
GOLDEN = {"golden.snn": "golden.npz", "golden2.snn": "golden.npz", "contract2.snn": "contract2.npz"}


def golden(name: str = "contract2.snn") -> tuple[Network, dict[str, Any]]:
    with np.load(DATA / GOLDEN[name]) as file:
        return load(DATA / name), dict(file)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_file_is_read_and_computes_the_same(name: str) -> None:
    net, recorded = golden(name)
    for k in range(len(recorded["given.in"])):
        turns = stepped(net, {name: recorded[f"given.{name}"][k] for name in net.inputs})
        for name, turn in turns.items():
            np.testing.assert_array_equal(turn.events, recorded[f"{name}.events"][k], err_msg=name)
        np.testing.assert_array_equal(turns["out"].membrane, recorded["readout"][k])


def test_golden_file_of_seeds_is_read_and_sends_the_same() -> None:
    net = load(DATA / "drawn.snn")
    with np.load(DATA / "drawn.npz") as recorded:
        stepper, stream = Stepper(net), Session(net, threads=1).stream()
        for t in range(len(recorded["a"])):
            sent = stepper.step({})
            stream.step({})
            for name in net.populations:
                np.testing.assert_array_equal(sent[name], recorded[name][t], err_msg=f"{name}, step {t}")
                np.testing.assert_array_equal(stream.spikes(name), recorded[name][t], err_msg=f"{name}, step {t}")
        assert recorded["noise"].max() > 3
        assert recorded["b"].sum() > 50


def test_golden_file_runs_on_the_compiled_kernels() -> None:
    net, recorded = golden()
    given = {name: recorded[f"given.{name}"] for name in net.inputs}
    result = Session(net, kernels="event").run(given)
    np.testing.assert_array_equal(result.outputs["out"], recorded["readout"])
    np.testing.assert_array_equal(result.outputs["lif"], recorded["lif.events"].sum(axis=1))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_file_holds_every_kind_of_the_first_version(name: str) -> None:
    net, _ = golden(name)
    neurons = {p.neuron.kind for p in net.populations.values()}
    assert neurons == {"input", "few_spikes", "if", "lif", "max_pool", "readout"}
    connections = {p.connection.kind for p in net.projections}
    assert connections == {"dense", "conv", "sparse", "diagonal", "sum_pool", "window"}


def small(**meta: Any) -> Network:
    populations = {"in": Population((3,), Input())}
    return Network(populations, [], ["in"], 8, meta)


def test_meta_travels_with_the_network(tmp_path: Path) -> None:
    meta = {"text": "Zürich, 20 °C", "empty": "", "whole": -3, "real": 0.1}
    assert load(save(small(**meta), tmp_path / "a.snn")).meta == meta


@pytest.mark.parametrize("name", ["", "zero\0"])
def test_names_in_meta_that_could_not_be_read_are_not_written(tmp_path: Path, name: Any) -> None:
    with pytest.raises(UsageError, match="/meta: an attribute's name"):
        save(Network({"in": Population((3,), Input())}, [], ["in"], 8, {name: 1}), tmp_path / "a.snn")


def test_only_a_network_is_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a Network, got NoneType: save\(net, path\)"):
        save(None, tmp_path / "a.snn")  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "said"), [(2**70, "which 64 bits do not hold"), ("\ud800", "cannot write")])
def test_meta_that_hdf5_cannot_hold_is_bad_usage(tmp_path: Path, value: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        save(small(key=value), tmp_path / "a.snn")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), True, "zero\0", "x" * 2**17])
def test_meta_that_could_not_be_read_is_not_written(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UsageError, match="/meta: 'key' must"):
        save(small(key=value), tmp_path / "a.snn")
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "a.snn"
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists already; use --force, in Python force=True"):
        save(small(), path)
    assert path.read_text() == "precious"
    assert load(save(small(), path, force=True)).window == 8


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        save(small(), tmp_path / "no" / "a.snn")


def test_more_attributes_than_are_read_are_not_written(tmp_path: Path) -> None:
    many = {f"k{k}": k for k in range(1001)}
    with pytest.raises(UsageError, match="/meta: has 1001 attributes, at most 1000 are read"):
        save(small(**many), tmp_path / "a.snn")
    path = save(small(), tmp_path / "a.snn")
    with h5py.File(path, "r+", libver="v110") as file:
        file["meta"].attrs.update(many)
    with pytest.raises(FileFormatError, match="/meta: has 1001 attributes"):
        load(path)


# In a process of its own, because HDF5 used to kill it.
SAVE_WITH_LITTLE_ROOM = """
import resource, sys
import numpy as np
import spikerun as sr

weight = np.random.default_rng(0).integers(-128, 128, (900, 900)).astype(np.int8)
populations = {"in": sr.Population((900,), sr.Input(bits=1)), "out": sr.Population((900,), sr.Readout())}
net = sr.Network(populations, [sr.Projection("in", "out", sr.Dense(weight))], ["out"], 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    sr.save(net, sys.argv[1], force=True)
except sr.SpikerunError as error:
    print(error.exit_code, error)
"""


def test_full_disk_is_bad_usage_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "a.snn")
    before = path.read_bytes()
    command = [sys.executable, "-c", SAVE_WITH_LITTLE_ROOM, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"2 cannot write '{path}': File too large")
    assert [p.name for p in tmp_path.iterdir()] == ["a.snn"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", [None, "a\0b.snn"])
def test_names_of_no_file_are_bad_usage(name: Any) -> None:
    for use in (lambda: load(name), lambda: save(small(), name)):
        with pytest.raises(UsageError, match="the name of a file"):
            use()


@pytest.mark.parametrize("name", ["x.h5", "x", "x.SNN.bak"])
def test_a_network_is_not_written_to_a_name_of_another_kind(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a network is written to a name that ends in \.snn"):
        save(small(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_swapped_arguments_are_told_in_a_line() -> None:
    net: Any = small()
    with pytest.raises(UsageError) as caught:
        save("x.snn", net)  # type: ignore[arg-type]
    assert str(caught.value) == "what is saved is a Network, got str: save(net, path), the network first"
    with pytest.raises(UsageError) as caught:
        load(net)
    assert len(str(caught.value)) < 160


def test_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="File name too long"):
        load(tmp_path / ("x" * 300))


def attributes(path: Path, group: str) -> set[str]:
    with h5py.File(path) as file:
        return set(file[group].attrs)


def test_only_what_differs_from_a_default_is_written(tmp_path: Path) -> None:
    populations = {"a": Population((3,), Input()), "b": Population((3,), FewSpikes(4, 5, bias=0, signed=True))}
    net = Network(populations, [Projection("a", "b", Diagonal(1))], ["b"], 8)
    path = save(net, tmp_path / "a.snn")
    assert attributes(path, "populations/a") == {"kind", "shape"}
    assert attributes(path, "populations/b") == {"kind", "shape", "bits", "signed"}
    assert attributes(path, "projections/000000") == {"kind", "source", "target"}
    with h5py.File(path) as file:
        assert set(file["populations/b"]) == {"threshold"}


def test_array_like_its_default_but_of_full_shape_is_written(tmp_path: Path) -> None:
    zeros = np.zeros(3, np.int32)
    net = Network(
        {"a": Population((3,), Input()), "b": Population((3,), Readout(bias=zeros))},
        [Projection("a", "b", Diagonal(1))],
        ["b"],
        8,
    )
    np.testing.assert_array_equal(load(save(net, tmp_path / "a.snn")).populations["b"].neuron.arrays()["bias"], zeros)


def test_file_names_its_versions_and_its_writer(tmp_path: Path) -> None:
    with h5py.File(save(small(), tmp_path / "a.snn")) as file:
        head = {name: file.attrs[name] for name in ("format", "container", "contract", "writer")}
    assert head == {"format": b"spikerun", "container": 2, "contract": 2, "writer": f"spikerun {__version__}".encode()}


@pytest.mark.parametrize(("version", "value"), [("container", 3), ("contract", 3)])
def test_newer_file_is_refused_with_both_versions_and_what_to_do(tmp_path: Path, version: str, value: int) -> None:
    path = save(small(), tmp_path / "a.snn")
    with h5py.File(path, "r+") as file:
        file.attrs.update({version: value, "writer": np.bytes_("spikerun 9.8"), "later": 1})
    with pytest.raises(
        FileFormatError, match=rf"spikerun 9\.8 .*this is spikerun {__version__}.*: install the version"
    ):
        load(path)


@pytest.mark.parametrize(("name", "value"), [("kind", "resonator"), ("field", 3)])
def test_kind_or_field_of_a_later_version_is_refused_with_its_writer(tmp_path: Path, name: str, value: object) -> None:
    path = save(small(), tmp_path / "a.snn")
    with h5py.File(path, "r+") as file:
        file.attrs["writer"] = np.bytes_("spikerun 0.7")
        file["populations/in"].attrs[name] = np.bytes_(value) if isinstance(value, str) else value
    with pytest.raises(FileFormatError, match=r"'(resonator|field)'.*written by spikerun 0\.7, and this is spikerun"):
        load(path)


KIND_WITH_ANNOTATIONS_AS_TEXT = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import ClassVar, Literal
import numpy as np
from numpy.typing import NDArray
from spikerun.neurons import Neuron

@dataclass(frozen=True, eq=False)
class Later(Neuron):
    kind: ClassVar[str] = "later"
    table: NDArray[np.int32]
    mode: Literal["slow", "fast"] = "slow"
    limit: int | None = None
    derived: int = field(init=False, default=0)
"""


def test_fields_whose_annotations_are_texts_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("later_kind")
    monkeypatch.setitem(sys.modules, "later_kind", module)
    exec(KIND_WITH_ANNOTATIONS_AS_TEXT, module.__dict__)
    monkeypatch.setattr(neurons, "KINDS", {**neurons.KINDS, "later": module.Later})
    with h5py.File(tmp_path / "a.snn", "w") as file:
        group = file.create_group("later")
        _write_fields(group.id, module.Later(np.arange(200, dtype=np.int32), limit=7))
        assert set(group.attrs) == {"kind", "limit"}
        file.flush()
        reader = _NetworkReader(tmp_path / "a.snn", file)
        read = reader._fields(reader.group(reader.root, "later"), neurons.KINDS, set())
    assert (read.mode, read.limit, read.table.tolist()) == ("slow", 7, list(range(200)))


def test_every_array_has_a_checksum(tmp_path: Path) -> None:
    layouts = set()

    def look(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            compact = item.id.get_create_plist().get_layout() == h5py.h5d.COMPACT
            layouts.add("header" if compact else (item.compression, item.shuffle, item.fletcher32))

    with h5py.File(save(golden()[0], tmp_path / "a.snn")) as file:
        file.visititems(look)
    assert layouts == {"header", ("gzip", True, True)}


def test_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    net = golden()[0]
    a, b = (save(net, tmp_path / f"{name}.snn") for name in "ab")
    assert a.read_bytes() == b.read_bytes()
    with h5py.File(a) as file:
        assert h5py.h5g.get_objinfo(file.id).mtime == 0


@settings(max_examples=150)
@given(st.data())
def test_one_wrong_byte_is_refused_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Everything that is read is checksummed; what is not read may be anything."""
    net, raw = random_network(5, "words"), bytearray()
    path = tmp_path_factory.getbasetemp() / "damaged.snn"
    raw += save(net, path, force=True).read_bytes()
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        loaded = load(path)
    except FileFormatError as error:
        assert "damaged.snn" in str(error)
    else:
        same_networks(net, loaded)


def test_damage_is_said_in_our_words_first(tmp_path: Path) -> None:
    """File, place, `is damaged`; what HDF5 says of it stands in brackets behind."""
    path = save(random_network(5, "words"), tmp_path / "a.snn")
    raw, said = path.read_bytes(), set()
    for at in range(0, len(raw), 37):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :])
        try:
            load(path)
        except FileFormatError as error:
            message = str(error)
            said.add(message.partition(" (HDF5 says: ")[0])
            assert "nable to" not in message.partition(" (HDF5 says: ")[0], message
    damaged = [text for text in said if re.fullmatch(r"'.*a\.snn': /\S*: is damaged", text)]
    assert len(damaged) > 3 and f"'{path}': it is not an HDF5 file, or damaged" in said


def test_a_damaged_index_of_names_is_refused(tmp_path: Path) -> None:
    """More than eight members of a group lie in an index of their own, where HDF5 before 2.0 crashes with ease."""
    names = [f"p{k}" for k in range(30)]
    path = save(Network({name: Population((1,), Input()) for name in names}, [], names, 8), tmp_path / "a.snn")
    raw = path.read_bytes()
    refused = 0
    for at in range(0, len(raw), 61):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :])
        try:
            load(path)
        except FileFormatError:
            refused += 1
    assert refused > len(raw) / 61 / 2


def test_order_of_populations_is_kept(tmp_path: Path) -> None:
    names = ["z", "a", "m", *(f"p{k}" for k in range(30))]
    net = Network({name: Population((1,), Input()) for name in names}, [], names, 8)
    assert list(load(save(net, tmp_path / "a.snn")).populations) == names


def test_projection_slices_and_delays_survive(tmp_path: Path) -> None:
    net, _ = golden()
    loaded = load(save(net, tmp_path / "a.snn"))
    assert [p.target_channels for p in loaded.projections].count((4, 6)) == 1
    assert isinstance(loaded.projections[0], Projection)


def test_a_network_of_nine_zeros_in_ten_weights_is_a_file_of_a_third(tmp_path: Path) -> None:
    def size(share: float) -> int:
        rng = np.random.default_rng(0)
        weight = np.where(rng.random((512, 256)) < share, 0, rng.integers(-127, 128, (512, 256))).astype(np.int8)
        populations = {"in": Population((512,), Input(8)), "out": Population((256,), Readout())}
        net = Network(populations, [Projection("in", "out", Dense(weight))], ["out"], 8)
        return save(net, tmp_path / f"{share}.snn").stat().st_size

    assert 3 * size(0.9) < size(0.0)


def test_an_alias_of_array_types_is_read_as_what_it_stands_for() -> None:
    alias = types.SimpleNamespace(__value__=npt.NDArray[np.int32])  # as the statement `type` of Python 3.12 makes one
    assert set(_types(alias)) == {np.ndarray}
    assert set(_types(npt.NDArray[np.int32] | int)) == {np.ndarray, int}
