# SPDX-License-Identifier: Apache-2.0
"""Each neuron on one core, no core beyond its limits, and the picture of it."""

import itertools
import math
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import seeds

from spikerun.edge.loihi.demand import Demand, grid, list_bits
from spikerun.edge.loihi.graph import Graph, Neurons, Shape, Source, Synapses
from spikerun.edge.loihi.limits import Chip, chip
from spikerun.edge.loihi.partition import Core, Partition, partition
from spikerun.edge.loihi.picture import svg
from spikerun.edge.loihi.validate import complaints

LIF = {"du": 4095, "dv": 0, "vth": 100, "bias_mant": 0, "bias_exp": 0, "reset_interval": 0, "reset_offset": 0}


def small(**most: int) -> Chip:
    """Return a chip with limits of its own."""
    known = chip("loihi1")
    limits = {**known.limits, **{name: replace(known.limits[name], most=n) for name, n in most.items()}}
    return replace(known, limits=MappingProxyType(limits))


def chain(*parts: tuple[Shape, Any]) -> Graph:
    """Return a graph of a source and populations in a row: shapes, and what leads to each."""
    shapes = [shape for shape, _ in parts]
    names = [f"p{k}" for k in range(len(parts))]
    neurons = [Neurons(names[k], shapes[k], "lif", LIF, k + 1) for k in range(1, len(parts))]
    synapses = [Synapses(names[k - 1], names[k], **keys) for k, (_, keys) in enumerate(parts) if keys is not None]
    return Graph(4, (Source("p0", shapes[0]),), tuple(neurons), tuple(synapses), True)


def dense(out: int, of: int) -> dict[str, Any]:
    return {"form": "dense", "weight": np.full((out, of), 2, np.int32)}


def sparse(mask: np.ndarray) -> dict[str, Any]:
    rows, columns = np.nonzero(mask)
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    weight = np.full(len(rows), 2, np.int32)
    return {"form": "sparse", "weight": weight, "indices": columns.astype(np.int32), "indptr": indptr}


def reached_one_by_one(s: Synapses, source: Shape, target: Shape, flat: int) -> set[int]:
    """Return the sources of one neuron, by the definition of the connection."""
    if s.form == "dense":
        return set(range(math.prod(source)))
    if s.form == "sparse":
        return set(s.indices[s.indptr[flat] : s.indptr[flat + 1]].tolist())
    x, y, c = np.unravel_index(flat, target)
    inputs, group = s.weight.shape[3], int(c) // (target[2] // s.groups)
    found = set()
    for i in range(s.weight.shape[1]):
        for j in range(s.weight.shape[2]):
            px = int(x) * s.stride[0] - s.padding[0] + i * s.dilation[0]
            py = int(y) * s.stride[1] - s.padding[1] + j * s.dilation[1]
            if 0 <= px < source[0] and 0 <= py < source[1]:
                found |= {(px * source[1] + py) * source[2] + group * inputs + k for k in range(inputs)}
    return found


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a convolution, then sparse and dense synapses."""
    n = st.integers(1, 3)
    groups, inputs, outputs = draw(n), draw(n), draw(n)
    (width, height), (kx, ky) = (draw(st.tuples(st.integers(3, 7), st.integers(3, 7))), draw(st.tuples(n, n)))
    stride, padding = draw(st.tuples(n, n)), draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    out = tuple((a + 2 * p - k) // s + 1 for a, p, k, s in zip((width, height), padding, (kx, ky), stride, strict=True))
    image = (*out, groups * outputs)
    size, hidden = math.prod(image), draw(st.integers(1, 20))
    weight = np.full((groups * outputs, kx, ky, inputs), 2, np.int32)
    mask = np.random.default_rng(draw(st.integers(0, 99))).random((hidden, size)) < draw(st.sampled_from([0.1, 0.9]))
    return chain(
        ((width, height, groups * inputs), None),
        (image, {"form": "conv", "weight": weight, "stride": stride, "padding": padding, "groups": groups}),
        ((hidden,), sparse(mask)),
        ((3,), dense(3, hidden)),
    )


def sparse_cycle(seed: int) -> Graph:
    """Return two populations that feed each other, so that each divides the other, and one of them itself."""
    rng = np.random.default_rng(seed)
    sizes = {name: int(n) for name, n in zip("ab", rng.integers(2, 14, 2), strict=True)}
    neurons = [Neurons(name, (n,), "lif", LIF, 1) for name, n in sizes.items()]
    ends = [("a", "b"), ("b", "a"), ("a", "a")]
    synapses = [Synapses(s, t, **sparse(rng.random((sizes[t], sizes[s])) < rng.choice([0.3, 0.6]))) for s, t in ends]
    return Graph(4, (), tuple(neurons), tuple(synapses), False)


def places(graph: Graph, core: Core) -> np.ndarray:
    flat = np.arange(math.prod(graph.shapes[core.population])).reshape(grid(graph.shapes[core.population]))
    return flat[slice(*core.pixels), slice(*core.channels)].ravel()


LIMITED = st.fixed_dictionaries(
    {
        "neurons": st.integers(1, 40),
        "input_axons": st.integers(1, 60),
        "output_axons": st.integers(1, 60),
        "synapse_bits": st.integers(64, 5000),
    }
)


@settings(max_examples=60, deadline=None)
@given(graphs(), LIMITED)
def test_each_neuron_is_on_one_core_and_cores_are_within_limits(graph: Graph, most: dict[str, int]) -> None:
    limits = small(**most)
    parts = partition(graph, limits)
    for n in graph.neurons:
        held = np.concatenate([places(graph, core) for core in parts.cores if core.population == n.name])
        assert sorted(held) == list(range(math.prod(n.shape)))
    for core in parts.cores:
        for resource, used in core.use.items():
            assert used <= most[resource] or (core.population, resource) in parts.broken


@settings(max_examples=40, deadline=None)
@given(graphs(), LIMITED)
def test_axons_are_those_of_the_definition(graph: Graph, most: dict[str, int]) -> None:
    parts = partition(graph, small(**most))
    heard = [_heard(graph, core) for core in parts.cores]
    for core, sources in zip(parts.cores, heard, strict=True):
        assert core.use["input_axons"] == len(sources)
        mine, following = set(places(graph, core).tolist()), _following(graph, core.population)
        leaving = [mine & ends for other, ends in zip(parts.cores, heard, strict=True) if other.population == following]
        assert core.use["output_axons"] == sum(map(len, leaving))


@settings(max_examples=60, deadline=None)
@given(seeds, LIMITED)
def test_axons_of_populations_that_divide_each_other_are_those_of_the_last_division(
    seed: int, most: dict[str, int]
) -> None:
    graph = sparse_cycle(seed)
    parts = partition(graph, small(**most))
    for core in parts.cores:
        mine, leaving = set(places(graph, core).tolist()), 0
        for s in (s for s in graph.synapses if s.source == core.population):
            ends = graph.shapes[s.source], graph.shapes[s.target]
            for other in (other for other in parts.cores if other.population == s.target):
                heard = (reached_one_by_one(s, *ends, int(k)) for k in places(graph, other))
                leaving += len(mine & set().union(*heard))
        assert core.use["output_axons"] == leaving


def _heard(graph: Graph, core: Core) -> set[int]:
    """Return the sources that reach a core, of a graph in which one group of synapses leads to each population."""
    s = next(s for s in graph.synapses if s.target == core.population)
    ends = graph.shapes[s.source], graph.shapes[s.target]
    return {source for k in places(graph, core) for source in reached_one_by_one(s, *ends, int(k))}


def _following(graph: Graph, name: str) -> str | None:
    return next((s.target for s in graph.synapses if s.source == name), None)


@settings(max_examples=30, deadline=None)
@given(graphs(), st.integers(1, 30))
def test_one_neuron_that_is_too_big_is_named(graph: Graph, axons: int) -> None:
    parts = partition(graph, small(input_axons=axons))
    alone = {
        s.target: max(
            len(reached_one_by_one(s, graph.shapes[s.source], graph.shapes[s.target], k))
            for k in range(math.prod(graph.shapes[s.target]))
        )
        for s in graph.synapses
    }
    too_big = {name for name, need in alone.items() if need > axons}
    assert {name for name, resource in parts.broken if resource == "input_axons"} == too_big
    found = "\n".join(complaints(graph, parts))
    assert all(f"population '{name}': one neuron alone takes" in found for name in too_big)


def test_the_largest_neuron_that_is_too_big_is_told_wherever_it_stands() -> None:
    for counts in ((6, 5, 1), (5, 6, 1)):
        mask = np.arange(8) < np.array(counts)[:, None]
        parts = partition(chain(((8,), None), ((3,), sparse(mask))), small(neurons=1, input_axons=4))
        assert parts.broken == {("p1", "input_axons"): 6}


def test_a_division_that_would_go_to_and_fro_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a neuron reaches shrinks here for some as it grows for others: taken as it is, there is no end."""
    to_b = {"indices": [0, 2], "indptr": [0, 0, 0, 2]}
    to_a = {"indices": [0, 1, 1, 2], "indptr": [0, 0, 0, 2, 4]}
    own = {"indices": [0, 1, 1, 3, 3], "indptr": [0, 0, 2, 4, 5]}
    synapses = [
        Synapses(s, t, "sparse", np.full(len(lists["indices"]), 2, np.int32),
                 indices=np.array(lists["indices"], np.int32), indptr=np.array(lists["indptr"], np.int64))
        for s, t, lists in (("a", "b", to_b), ("b", "a", to_a), ("a", "a", own))
    ]  # fmt: skip
    neurons = (Neurons("a", (4,), "lif", LIF, 1), Neurons("b", (3,), "lif", LIF, 1))
    asked, reached_by = itertools.count(1), Demand.reached_by

    def counted(*given: Any) -> Any:
        assert next(asked) < 5000
        return reached_by(*given)

    monkeypatch.setattr(Demand, "reached_by", counted)
    parts = partition(Graph(4, (), neurons, tuple(synapses), False), small(neurons=2, output_axons=3, input_axons=6))
    assert not parts.broken


def test_partition_is_always_the_same() -> None:
    graph = chain(((9, 9, 2), None), ((9, 9, 2), _same(2, 2)), ((50,), dense(50, 162)))
    limits = small(neurons=20, output_axons=70)
    assert partition(graph, limits) == partition(graph, limits)


def _same(out: int, of: int) -> dict[str, Any]:
    return {"form": "conv", "weight": np.full((out, 3, 3, of), 2, np.int32), "padding": (1, 1)}


def test_kernel_is_held_once_for_all_pixels() -> None:
    graph = chain(((9, 9, 2), None), ((9, 9, 3), _same(3, 2)))
    few, many = (partition(graph, small(neurons=n)).cores[0].use["synapse_bits"] for n in (3, 243))
    assert few == many == 3 * 3 * 2 * 64  # lists of three weights, each a word


def test_channels_are_divided_where_their_kernels_do_not_fit() -> None:
    graph = chain(((4, 4, 8), None), ((4, 4, 128), _same(128, 8)))
    parts = partition(graph, small(synapse_bits=72 * 64 * 9))  # lists of 128 weights are 18 words
    assert {core.channels for core in parts.cores} == {(0, 64), (64, 128)}
    assert len(parts.cores) == 2 and not parts.broken


def test_bits_of_lists_are_those_of_the_constants() -> None:
    counts = np.array([0, 1, 6, 7, 64, 65, 128])
    assert list_bits(chip("loihi1"), counts, 8).tolist() == [0, 64, 64, 128, 576, 640, 1152]


def test_sparse_synapses_and_delays_take_more_bits_for_a_weight() -> None:
    mask = np.ones((4, 2), bool)
    plain = Synapses("a", "b", **dense(4, 2))
    listed = Synapses("a", "b", **sparse(mask))
    late = Synapses("a", "b", **dense(4, 2), delay=3)
    assert [Demand(s, (2,), (4,), chip("loihi1")).weight_bits for s in (plain, listed, late)] == [8, 18, 14]


def _two_chips() -> Partition:
    graph = chain(((4,), None), ((30,), dense(30, 4)), ((5,), dense(5, 30)))
    return partition(graph, small(neurons=2, cores=10))


def test_chips_are_counted() -> None:
    parts = _two_chips()
    assert (len(parts.cores), parts.chips, dict(parts.counts)) == (18, 2, {"p1": 15, "p2": 3})


def test_picture_has_a_cell_for_each_core_and_says_what_it_is() -> None:
    parts = _two_chips()
    text = svg(parts, "a <net> & more")
    root = ElementTree.fromstring(text)
    name = "{http://www.w3.org/2000/svg}"
    words = " ".join(node.text or "" for node in root.iter(f"{name}text"))
    assert len(root.findall(f"{name}g")) == 18
    assert "a <net> & more" in words and "18 cores on 2 chips of loihi1" in words and "chip 2" in words
    assert "p1: 30 neurons on 15 cores" in words
    assert text == svg(_two_chips(), "a <net> & more")


def test_picture_shows_in_red_what_is_too_much() -> None:
    graph = chain(((40,), None), ((3,), dense(3, 40)))
    over, within = (svg(partition(graph, small(input_axons=n)), "net").count("#c00000") for n in (39, 40))
    assert (over, within) == (1, 0)
