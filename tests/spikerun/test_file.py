"""The .snn file: what is saved is loaded, and what was saved once is loaded for ever."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import densities, random_inputs, random_network, seeds

from spikerun.errors import FileFormatError, UsageError
from spikerun.file import load, save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import Input
from spikerun.reference import stepped
from spikerun.session import Session

DATA = Path(__file__).parents[1] / "data"
kinds = st.sampled_from(["words", "spikes", "mixed"])


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
    assert (a.order, a.latency, a.lag, a.bounds) == (b.order, b.latency, b.lag, b.bounds)
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


def golden() -> tuple[Network, dict[str, Any]]:
    with np.load(DATA / "golden.npz") as file:
        return load(DATA / "golden.snn"), dict(file)


def test_golden_file_of_contract_1_is_read_and_computes_the_same() -> None:
    net, recorded = golden()
    for k in range(len(recorded["given.in"])):
        turns = stepped(net, {name: recorded[f"given.{name}"][k] for name in net.inputs})
        for name, turn in turns.items():
            np.testing.assert_array_equal(turn.events, recorded[f"{name}.events"][k], err_msg=name)
        np.testing.assert_array_equal(turns["out"].membrane, recorded["readout"][k])


def test_golden_file_runs_on_the_compiled_kernels() -> None:
    net, recorded = golden()
    given = {name: recorded[f"given.{name}"] for name in net.inputs}
    result = Session(net, kernels="event").run(given)
    np.testing.assert_array_equal(result.outputs["out"], recorded["readout"])
    np.testing.assert_array_equal(result.outputs["lif"], recorded["lif.events"].sum(axis=1))


def test_golden_file_holds_every_kind_of_the_first_version() -> None:
    net, _ = golden()
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


@pytest.mark.parametrize("value", [float("nan"), [1, 2], None, b"bytes", "zero\0", "x" * 2**17])
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
    assert load(save(small(), path, force=True)).steps == 8


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        save(small(), tmp_path / "no" / "a.snn")


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    path = save(small(), tmp_path / "a.snn")
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UsageError, match=r"cannot write .*: disk full"):
        save(small(), path, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.snn"]
    assert path.read_bytes() == before


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
    net = load(DATA / "golden.snn")
    a, b = (save(net, tmp_path / f"{name}.snn") for name in "ab")
    assert a.read_bytes() == b.read_bytes()


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


def test_order_of_populations_is_kept(tmp_path: Path) -> None:
    names = ["z", "a", "m", *(f"p{k}" for k in range(30))]
    net = Network({name: Population((1,), Input()) for name in names}, [], names, 8)
    assert list(load(save(net, tmp_path / "a.snn")).populations) == names


def test_projection_slices_and_delays_survive(tmp_path: Path) -> None:
    net, _ = golden()
    loaded = load(save(net, tmp_path / "a.snn"))
    assert [p.target_channels for p in loaded.projections].count((4, 6)) == 1
    assert isinstance(loaded.projections[0], Projection)
