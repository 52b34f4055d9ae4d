# SPDX-License-Identifier: Apache-2.0
"""A graph.h5 of a stranger: what is wrong with it is one sentence, of our reader and of the runner's."""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
from chip_graphs import FAMILIES, random_graph

from spikerun.connections import Dense
from spikerun.edge.loihi import lava, store
from spikerun.edge.loihi.mapping import to_graph
from spikerun.edge.loihi.models import MODELS
from spikerun.edge.loihi.store import load_graph, save_graph
from spikerun.errors import FileFormatError, UnsupportedError
from spikerun.network import Network
from spikerun.neurons import FewSpikes, Input
from spikerun.population import Population, Projection

Change = Callable[[Any], None]


def runners() -> ModuleType:
    spec = importlib.util.spec_from_file_location("runner_bundle", lava.RUNNER / "bundle.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bundle = runners()


def attribute(path: str, value: Any) -> Change:
    """Return what gives the attribute `PART/KEY` another value."""
    part, _, key = path.rpartition("/")

    def change(file: Any) -> None:
        where = file[part or "/"]
        where.pop(key, None)
        where.attrs[key] = np.bytes_(value) if isinstance(value, str) else value

    return change


def array(path: str, change_of: Callable[[Any], Any]) -> Change:
    """Return what puts another array in the place of the one at `path`."""

    def change(file: Any) -> None:
        values = change_of(file[path][...])
        del file[path]
        file[path] = values

    return change


def set_at(path: str, index: Any, value: Any) -> Change:
    def changed(values: Any) -> Any:
        values[index] = value
        return values

    return array(path, changed)


def link(path: str, to: Any) -> Change:
    def change(file: Any) -> None:
        with h5py.File(Path(file.filename).with_name("other.h5"), "w") as other:
            file.copy(path, other, "stolen")
        file.move(path, "kept")
        file[path] = to

    return change


def external(file: Any) -> None:
    shape = file["synapses/000000/weight"].shape
    del file["synapses/000000/weight"]
    file["synapses/000000"].create_dataset("weight", shape, "i4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file: Any) -> None:
    weight = file["synapses/000000/weight"]
    layout = h5py.VirtualLayout(weight.shape, "i4")
    layout[...] = h5py.VirtualSource(Path(file.filename).with_name("other.h5"), "stolen", weight.shape)
    del file["synapses/000000/weight"]
    file["synapses/000000"].create_virtual_dataset("weight", layout)


def unwritten(shape: tuple[int, ...], name: str = "weight") -> Change:
    """Return what puts an array there of which no byte is stored."""

    def change(file: Any) -> None:
        group = file["synapses/000000"]
        del group[name]
        group.create_dataset(name, shape, "i4", chunks=(1,) * (len(shape) - 1) + (min(shape[-1], 1024),))

    return change


def lonely(shape: tuple[int, ...]) -> Change:
    """Return what adds a source that reaches nothing."""

    def change(file: Any) -> None:
        file.copy("sources/000000", file["sources"], "000001")
        file["sources/000001"].attrs.update({"name": np.bytes_("lonely"), "shape": shape})

    return change


def groups_of_outputs(file: Any) -> None:
    """Let three outputs come from two groups; all else fits."""
    part, neurons = file["synapses/000000"], file["neurons/000000"]
    kernel, (width, height, _) = part["weight"].shape[1:3], neurons.attrs["shape"]
    del file["synapses/000001"], part["weight"], neurons["parameters.bias_mant"]
    part["weight"], part.attrs["groups"] = np.zeros((3, *kernel, 1), "i4"), 2
    neurons.attrs.update({"shape": (width, height, 3), "parameters.bias_mant": 0})


def self_source(file: Any) -> None:
    """Let the synapses lead back to their source, with weights that fit."""
    part = file["synapses/000000"]
    size = part["weight"].shape[1]
    part.attrs["target"] = np.bytes_("in")
    del part["weight"]
    part["weight"] = np.zeros((size, size), "i4")


N, S = "neurons/000000/", "synapses/000000/"
OTHER = h5py.ExternalLink("other.h5", "/stolen")
HOSTILE: dict[str, tuple[str, Change]] = {
    "external": ("dense", external),
    "virtual": ("dense", virtual),
    "external link to an array": ("dense", link(S + "weight", OTHER)),
    "soft link to an array": ("dense", link(S + "weight", h5py.SoftLink("/kept"))),
    "external link to a part": ("dense", link("synapses/000000", OTHER)),
    "soft link to a part": ("dense", link("neurons/000000", h5py.SoftLink("/kept"))),
    "external link to all parts": ("dense", link("neurons", OTHER)),
    "soft link to meta": ("dense", link("meta", h5py.SoftLink("/kept"))),
    "array of 32 GiB": ("dense", unwritten((2**33,))),
    "array of 1 GiB and no bytes": ("dense", unwritten((2**28,), "indices")),
    "window 0": ("dense", attribute("window", 0)),
    "window too long": ("dense", attribute("window", 2**15)),
    "source of 2^62 neurons": ("dense", attribute("sources/000000/shape", (2**31, 2**31, 1))),
    "source of 2^26 + 1 neurons": ("dense", lonely((2**26 + 1,))),
    "source of 2^27 neurons in axes": ("dense", lonely((2**13, 2**13, 2))),
    "source of two axes": ("dense", lonely((3, 3))),
    "population of no neurons": ("dense", attribute(N + "shape", (0,))),
    "two axes": ("dense", attribute(N + "shape", (3, 3))),
    "begin 0": ("dense", attribute(N + "begin", 0)),
    "begin too late": ("dense", attribute(N + "begin", 2**24 + 1)),
    "source begins too late": ("dense", attribute("sources/000000/begin", 2**40)),
    "payload of 33 bits": ("dense", attribute("sources/000000/message_bits", 33)),
    "name that is a number": ("dense", attribute(N + "name", 3)),
    "two of one name": ("dense", attribute(N + "name", "in")),
    "unknown model": ("dense", attribute(N + "model", "osmosis")),
    "parameter too many": ("dense", attribute(N + "parameters.path", 1)),
    "parameter of text": ("dense", attribute(N + "parameters.vth", "7")),
    "parameter of reals": ("dense", attribute(N + "parameters.vth", 7.5)),
    "parameter of another shape": ("dense", array(N + "parameters.bias_mant", lambda x: x.ravel()[:1])),
    "bias out of range": ("dense", set_at(N + "parameters.bias_mant", 0, 2**30)),
    "bias exponent": ("dense", attribute(N + "parameters.bias_exp", 400)),
    "reset interval": ("dense", attribute(N + "parameters.reset_interval", -3)),
    "no memory less than none": ("decays", attribute(N + "parameters.du", 4096)),
    "taken": ("subtract", attribute(N + "parameters.taken", -1)),
    "code": ("words", attribute(N + "parameters.code", 9)),
    "code of what comes in": ("words", attribute(N + "parameters.in_code", -2)),
    "bits": ("words", attribute(N + "parameters.bits", 40)),
    "window of words": ("words", attribute(N + "parameters.window", 0)),
    "threshold 0": ("words", set_at(N + "parameters.threshold", 0, 0)),
    "state exponent": ("sigma_delta", attribute(N + "parameters.state_exp", -3)),
    "from nowhere": ("dense", attribute(S + "source", "x")),
    "to nowhere": ("dense", attribute(S + "target", "x")),
    "into a source": ("dense", self_source),
    "unknown form": ("dense", attribute(S + "form", "hyper")),
    "weights of another shape": ("dense", array(S + "weight", lambda x: x[1:])),
    "weights of reals": ("dense", array(S + "weight", lambda x: x.astype("f4"))),
    "weights beyond int32": ("dense", array(S + "weight", lambda x: x.astype("i8") + 2**31)),
    "exponent": ("dense", attribute(S + "exponent", 2**20)),
    "weight bits": ("dense", attribute(S + "weight_bits", 9)),
    "sign mode": ("dense", attribute(S + "sign_mode", 4)),
    "delay 64": ("dense", attribute(S + "delay", 64)),
    "a delay of 64": ("delays", set_at(S + "delay", (0, 0), 64)),
    "a delay below 0": ("delays", set_at(S + "delay", (0, 0), -1)),
    "delays of another shape": ("delays", array(S + "delay", lambda x: x[0])),
    "index of a source that is not there": ("sparse", set_at(S + "indices", 0, 40)),
    "index below 0": ("sparse", set_at(S + "indices", 0, -1)),
    "rows that go back": ("sparse", set_at(S + "indptr", 1, 2**30)),
    "rows that begin later": ("sparse", set_at(S + "indptr", 0, 1)),
    "a row too few": ("sparse", array(S + "indptr", lambda x: x[1:])),
    "groups 0": ("conv", attribute(S + "groups", 0)),
    "groups that do not divide the outputs": ("conv", groups_of_outputs),
    "groups that do not divide the inputs": ("conv", attribute(S + "groups", 3)),
    "stride 0": ("conv", attribute(S + "stride", (0, 1))),
    "stride of three": ("conv", attribute(S + "stride", (1, 1, 1))),
    "padding below 0": ("conv", attribute(S + "padding", (-1, 0))),
    "convolution with a delay": ("conv", attribute(S + "delay", 1)),
    "kernel without channels": ("conv", array(S + "weight", lambda x: x[..., :0])),
}


def padded_widely(file: Any) -> None:
    """Let a padding be as large as a stride takes away again: the target's shape stays right."""
    part, width = file["synapses/000000"], file["neurons/000000"].attrs["shape"][0]
    part.attrs["padding"], part.attrs["dilation"] = (10**8, part.attrs["padding"][1]), (1, part.attrs["dilation"][1])
    span = int(file["sources/000000"].attrs["shape"][0]) + 2 * 10**8 - part["weight"].shape[1]
    part.attrs["stride"] = (span // (width - 1) if width > 1 else span + 1, part.attrs["stride"][1])


HOSTILE["padding of 10^8"] = ("conv", padded_widely)


@pytest.mark.parametrize("shape", [(2**26,), (2**13, 2**12, 2)])
def test_as_many_neurons_as_there_may_be_are_read(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = save_graph(random_graph("dense", 3), tmp_path / "graph.h5")
    with h5py.File(path, "r+") as file:
        lonely(shape)(file)
    assert load_graph(path).shapes["lonely"] == bundle.read_graph(path).shapes["lonely"] == shape


def hostile(case: str, folder: Path) -> Path:
    family, change = HOSTILE[case]
    path = save_graph(random_graph(family, 3), folder / "graph.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    return path


@pytest.mark.parametrize("case", HOSTILE)
def test_our_reader_refuses_in_one_sentence(case: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"graph\.h5': [^\n]+$"):
        load_graph(hostile(case, tmp_path))


@pytest.mark.parametrize("case", HOSTILE)
def test_the_runner_refuses_in_one_sentence(case: str, tmp_path: Path) -> None:
    with pytest.raises(bundle.Damaged, match=r"^'[^\n]+graph\.h5' is damaged .*; make the bundle again\.$"):
        bundle.read_graph(hostile(case, tmp_path))


def test_there_are_at_most_so_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_graph(random_graph("dense", 3), tmp_path / "graph.h5")
    for reader, error, read in (
        (store, FileFormatError, load_graph),
        (bundle, bundle.Damaged, bundle.read_graph),
    ):
        monkeypatch.setattr(reader, "MAX_PARTS", 1)
        with pytest.raises(error, match=r"/neurons.* has 2 "):
            read(path)


def test_words_whose_parameters_do_not_go_together_are_refused(tmp_path: Path) -> None:
    path = save_graph(random_graph("words", 3), tmp_path / "graph.h5")
    with h5py.File(path, "r+") as file:
        file["neurons/000000"].attrs.update({"parameters.code": 1, "parameters.signed": 1})
    with pytest.raises(FileFormatError, match="/neurons/000000: code 'ttfs'"):
        load_graph(path)


def test_both_readers_have_the_same_limits() -> None:
    assert {name: dict(model.ranges) for name, model in MODELS.items()} == bundle.MODELS
    assert {key: bundle.NUMBERS[key] for key in store.NUMBERS} == store.NUMBERS
    for name in ("MAX_NEURONS", "MAX_PADDED", "MAX_PARTS", "MAX_WINDOW", "MAX_BEGIN", "MAX_DELAY", "VERSION"):
        assert getattr(bundle, name) == getattr(store, name), name


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_within_the_limits_is_read_by_both(family: str, tmp_path: Path) -> None:
    path = save_graph(random_graph(family, 3), tmp_path / "graph.h5")
    with warnings.catch_warnings(action="error"):
        assert load_graph(path).steps(2) == bundle.read_graph(path).steps(2)


def test_a_long_window_with_layers_can_be_read_again(tmp_path: Path) -> None:
    one = Dense(np.array([[9]], np.int8))
    populations = {"in": Population((1,), Input(1, "bits"))} | {x: Population((1,), FewSpikes(1, 1)) for x in "ab"}
    projections = [Projection("in", "a", one, exponent=1), Projection("a", "b", one, exponent=1)]
    graph = to_graph(Network(populations, projections, ["b"], 2**15 - 1))
    path = save_graph(graph, tmp_path / "graph.h5")
    assert max(graph.begins.values()) > 2**16
    assert load_graph(path).begins == bundle.read_graph(path).begins == graph.begins


def test_a_graph_that_begins_later_than_a_file_holds_is_refused_by_the_writer(tmp_path: Path) -> None:
    graph = random_graph("dense", 3)
    late = replace(graph, neurons=(replace(graph.neurons[0], begin=2**24 + 1), *graph.neurons[1:]))
    with pytest.raises(UnsupportedError, match=r"'n0' begins .* step 16777217, .* take a shorter window"):
        save_graph(late, tmp_path / "graph.h5")
    assert list(tmp_path.iterdir()) == []
