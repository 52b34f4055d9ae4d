# SPDX-License-Identifier: Apache-2.0
"""Broken NIR files: one sentence each, with the place of the offender, and nothing large is allocated for them."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import pytest
from nirfiles import TEXT, Edges, chain, lif, node, write

from spikerun.converters.nir import file as nir_file
from spikerun.converters.nir.read import read_nir
from spikerun.errors import FileFormatError, SpikerunError

INPUT, OUTPUT = node("Input", shape=[4]), node("Output", shape=[4])
RELAY = node("Threshold", threshold=[0.5])
SCALE = node("Scale", scale=[2.0])
EYE = np.eye(4)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "network.nir"


def refusal(path: Path, dt: float | None = 1e-3) -> str:
    """Return the sentence by which a file is refused."""
    with pytest.raises(SpikerunError) as caught:
        read_nir(path, dt=dt)
    message = str(caught.value)
    assert message.startswith(f"'{path}': ") and len(message) < 1500 and "\n" not in message
    return message.removeprefix(f"'{path}': ")


# --- nodes -----------------------------------------------------------------------------------------------------------

IMAGE = {"weight": np.ones((2, 3, 3, 3)), "bias": np.zeros(2), "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
LINE = {**IMAGE, "weight": np.ones((2, 3, 3))}
POOL = {"kernel_size": 2, "stride": 2, "padding": 0}
CUBA = {"tau_mem": 0.01, "tau_syn": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0}
NODES: Mapping[str, tuple[list[int], dict[str, Any], str]] = {
    "unknown type": (
        [4],
        node("Izhikevich"),
        "/node/nodes/a: has type 'Izhikevich', which is not read; known are Input",
    ),
    "type that is a number": ([4], {"type": np.array(3)}, "/node/nodes/a/type: must hold text"),
    "no type": ([4], {"weight": EYE}, "/node/nodes/a: has no 'type'"),
    "missing values": ([4], node("LIF", tau=[1.0]), "/node/nodes/a: is a LIF without r, v_leak, v_threshold"),
    "text for a number": ([4], node("Linear", weight="none"), "/node/nodes/a/weight: must hold plain numbers"),
    "complex numbers": ([4], node("Linear", weight=1j * EYE), "/node/nodes/a/weight: must hold plain numbers"),
    "empty array": ([4], node("Linear", weight=np.zeros((0, 4))), "/node/nodes/a/weight: must not be empty"),
    "NaN in weights": (
        [4],
        node("Linear", weight=EYE * np.nan),
        "/node/nodes/a/weight: has values that are no numbers",
    ),
    "infinite weights": ([4], node("Linear", weight=EYE + np.inf), "node 'a': weight has values that are not finite"),
    "weights of three axes": ([4], node("Linear", weight=np.ones((4, 4, 4))), "node 'a': weight must have 2 axes"),
    "weights that do not fit": (
        [4],
        node("Linear", weight=np.ones((4, 5))),
        "node 'a': takes (5,), and what leads to it",
    ),
    "bias that does not fit": ([4], node("Affine", weight=EYE, bias=np.ones(3)), "node 'a': bias has shape (3,)"),
    "infinite scale": ([4], node("Scale", scale=[np.inf]), "node 'a': scale has values that are not finite"),
    "scale that does not fit": (
        [4],
        node("Scale", scale=np.ones(3)),
        "node 'a': scale has shape (3,), and the neurons",
    ),
    "NaN tau": ([4], lif(tau=np.nan), "/node/nodes/a/tau: has values that are no numbers (NaN)"),
    "infinite tau": ([4], lif(tau=np.inf), "node 'a': tau or its factor (r or w_in) is infinite"),
    "negative tau": ([4], lif(tau=-0.01), "node 'a': tau must be positive, got -0.01"),
    "tau of 0": ([4], lif(tau=0.0), "node 'a': tau must be positive, got 0"),
    "negative tau_syn": ([4], node("CubaLIF", **{**CUBA, "tau_syn": -1e-3}), "node 'a': tau_syn must be positive"),
    "infinite threshold": ([4], lif(v_threshold=np.inf), "node 'a': v_threshold is infinite"),
    "infinite r of an IF": ([4], node("IF", r=[np.inf], v_threshold=[1.0]), "node 'a': gain is not finite"),
    "taus that do not fit": ([4], lif(tau=np.ones(3) / 9), "node 'a': tau has shape (3,), and the neurons have (4,)"),
    "threshold of two axes": (
        [4],
        lif(v_threshold=np.arange(8.0).reshape(2, 4)),
        "node 'a': v_threshold has shape (2, 4)",
    ),
    "negative delay": ([4], node("Delay", delay=[-0.001]), "node 'a': delay must be within 0..32767 steps of 0.001 s"),
    "long delay": ([4], node("Delay", delay=[1e9]), "node 'a': delay must be within"),
    "infinite delay": ([4], node("Delay", delay=[np.inf]), "node 'a': delay must be within"),
    "half a step": ([4], node("Delay", delay=[0.0015]), "node 'a': delay 0.0015 s is no whole number of time steps"),
    "delayed input": ([4], node("Delay", delay=[0.001]), "node 'input': is an input that 'output' needs late"),
    "convolution of a line": (
        [4],
        node("Conv2d", **IMAGE),
        "node 'a': takes (C, H, W), and what leads to it has shape",
    ),
    "channels that do not fit": ([2, 5, 5], node("Conv2d", **IMAGE), "node 'a': has weight (2, 3, 3, 3) in 1 groups"),
    "groups of 0": (
        [3, 5, 5],
        node("Conv2d", **{**IMAGE, "groups": 0}),
        "node 'a': groups must be within 1..2147483648",
    ),
    "stride of 0": ([3, 5, 5], node("Conv2d", **{**IMAGE, "stride": 0}), "node 'a': stride must be within 1..32767"),
    "negative padding": ([3, 5, 5], node("Conv2d", **{**IMAGE, "padding": -1}), "node 'a': padding must be within 0"),
    "huge padding": ([3, 5, 5], node("Conv2d", **{**IMAGE, "padding": 2**40}), "node 'a': padding must be within 0"),
    "images too large": ([3, 5, 5], node("Conv2d", **{**IMAGE, "padding": 2**14}), "node 'a': makes images of (32771"),
    "unknown padding": (
        [3, 5, 5],
        node("Conv2d", **{**IMAGE, "padding": "reflect"}),
        "node 'a': padding must be numbers",
    ),
    "'same' with a stride": (
        [3, 5, 5],
        node("Conv2d", **{**IMAGE, "padding": "same", "stride": 2}),
        "node 'a': padding",
    ),
    "half a stride": ([3, 5, 5], node("Conv2d", **{**IMAGE, "stride": 1.5}), "node 'a': stride must be a whole number"),
    "three strides": (
        [3, 5, 5],
        node("Conv2d", **{**IMAGE, "stride": [1, 1, 1]}),
        "node 'a': stride must be 1 or 2 numbers",
    ),
    "kernel beyond the image": ([3, 2, 2], node("Conv2d", **IMAGE), "node 'a': has windows of (3, 3) that do not fit"),
    "Conv1d of an image": ([3, 5, 5], node("Conv1d", **LINE), "node 'a': takes (C, L), and what leads to it"),
    "kernel of 0": (
        [3, 5, 5],
        node("SumPool2d", **{**POOL, "kernel_size": 0}),
        "node 'a': kernel_size must be within 1",
    ),
    "padding beyond the kernel": (
        [3, 5, 5],
        node("AvgPool2d", **{**POOL, "padding": 2}),
        "node 'a': padding (2, 2) is more",
    ),
    "part of the axes": ([3, 5, 5], node("Flatten", start_dim=1, end_dim=-1), "node 'a': flattens axes 1..-1 of shape"),
    "infinite axis": ([3, 5, 5], node("Flatten", start_dim=np.inf, end_dim=-1), "node 'a': start_dim must be a whole"),
    "no axes": ([], RELAY, "/node/nodes/input/shape: must not be empty"),
    "axes beyond": ([1, 2, 3, 4], RELAY, "node 'input': has shape (1, 2, 3, 4): 1 to 3 axes are read"),
    "axis of 0": ([0], RELAY, "node 'input': shape must be within 1..67108864"),
    "huge shape": ([2**26, 2**26], RELAY, "node 'input': has shape (67108864, 67108864), at most"),
    "huge axis": ([2**62], RELAY, "node 'input': shape must be within 1..67108864"),
}


@pytest.mark.parametrize("name", NODES)
def test_broken_node_is_refused_by_name(name: str, file: Path) -> None:
    shape, broken, expected = NODES[name]
    assert refusal(chain(file, shape, broken)).startswith(expected)


# --- graphs ----------------------------------------------------------------------------------------------------------

LOOP = {"input": INPUT, "output": OUTPUT, "a": SCALE, "b": SCALE}
GRAPHS: Mapping[str, tuple[dict[str, Any], Edges, str]] = {
    "no nodes": ({}, [], "has no Input, so it is no network"),
    "no output": ({"input": INPUT}, [], "has no Output"),
    "edge to nowhere": (
        {"input": INPUT, "output": OUTPUT},
        [("input", "lif")],
        "/node/edges: input -> lif: there is no node",
    ),
    "output without edges": (
        {"input": INPUT, "output": OUTPUT},
        [],
        "node 'output': nothing leads to it from an input",
    ),
    "edge into an input": (
        {"input": INPUT, "output": OUTPUT, "a": RELAY},
        [("input", "a"), ("a", "input"), ("a", "output")],
        "node 'input': is an input of the network, and 'a' leads to it",
    ),
    "edge out of an output": (
        LOOP,
        [("input", "output"), ("output", "a")],
        "node 'output': is an output of the network",
    ),
    "cycle without a neuron": (
        LOOP,
        [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")],
        "node 'b': lies in a cycle without a neuron: b -> a -> b",
    ),
    "cycle of itself": (
        LOOP,
        [("input", "a"), ("a", "a"), ("a", "output")],
        "node 'a': lies in a cycle without a neuron",
    ),
    "delayed cycle without a neuron": (
        {**LOOP, "b": node("Delay", delay=[0.001])},
        [("input", "a"), ("a", "b"), ("b", "a"), ("a", "output")],
        "node 'a': lies in a cycle without a neuron: a -> b -> a",
    ),
    "cycle that nothing enters": (
        LOOP,
        [("input", "output"), ("a", "b"), ("b", "a"), ("a", "output")],
        "node 'a': nothing leads to it from an input",
    ),
    "membrane in a cycle": (
        {**LOOP, "a": node("LI", tau=[0.01], r=[1.0], v_leak=[0.0])},
        [("input", "a"), ("a", "b"), ("b", "a"), ("a", "output")],
        "node 'a': is no spiking neuron, and 'a' needs its",
    ),
    "shapes that differ": (
        {**LOOP, "b": node("Linear", weight=np.ones((3, 4)))},
        [("input", "a"), ("input", "b"), ("a", "output"), ("b", "output")],
        "node 'output': '",
    ),
    "two of one name": (
        {**LOOP, "g.a": SCALE, "g": {"nodes": {"a": SCALE}, "edges": []}},
        [("input", "output")],
        "node 'g.a': there are two of this name",
    ),
    "graph without inputs": (
        {**LOOP, "g": {"nodes": {"a": SCALE}, "edges": []}},
        [("input", "g")],
        "/node/edges: input -> g: the graph 'g' has 0 nodes Input",
    ),
    "graph of two outputs": (
        {**LOOP, "g": {"nodes": {"a": OUTPUT, "b": OUTPUT}, "edges": []}},
        [("g", "output")],
        "/node/edges: g -> output: the graph 'g' has 2 nodes Output",
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_broken_graph_is_refused_by_name(name: str, file: Path) -> None:
    nodes, edges, expected = GRAPHS[name]
    assert refusal(write(file, nodes, edges)).startswith(expected)


def test_long_chains_without_a_neuron_are_refused(file: Path) -> None:
    names = ["input", *(f"s{k}" for k in range(300)), "output"]
    nodes = {name: SCALE for name in names[1:-1]}
    message = refusal(write(file, {"input": INPUT, "output": OUTPUT, **nodes}, list(pairwise(names))))
    assert "follows more than 200 nodes without a neuron" in message


def test_cycles_that_would_make_a_huge_graph_are_refused(file: Path) -> None:
    """Each of 300 neurons sees the others of its step and of the step before through one node."""
    names = [f"r{k}" for k in range(300)]
    nodes = {"input": INPUT, "output": OUTPUT, "hub": SCALE, **{name: RELAY for name in names}}
    edges = [(name, "hub") for name in names] + [("hub", name) for name in names]
    edges += [("input", "hub"), ("r0", "output")]
    assert "makes more than 40000 operators" in refusal(write(file, nodes, edges))


# --- HDF5 ------------------------------------------------------------------------------------------------------------

WEIGHT = "node/nodes/a/weight"
Spoil = Callable[[h5py.File], object]


def put(path: str, value: Any, **how: Any) -> Spoil:
    """Put another data set in the place of one."""

    def spoil(file: h5py.File) -> None:
        file.pop(path, None)
        file.create_dataset(path, data=value, **how)

    return spoil


def link(path: str, to: Any) -> Spoil:
    """Put a link in the place of a member."""

    def spoil(file: h5py.File) -> None:
        file.pop(path, None)
        file[path] = to

    return spoil


def nested(file: h5py.File) -> None:
    """Make a node the graph that it lies in."""
    file["node/nodes/g"] = file["node"]


def elsewhere(file: h5py.File) -> None:
    """Let the weights lie in another file."""
    del file[WEIGHT]
    file.create_dataset(WEIGHT, (4, 4), "f8", external=[("/etc/passwd", 0, 128)])


def virtual(file: h5py.File) -> None:
    """Let the weights be a view of another file."""
    del file[WEIGHT]
    layout = h5py.VirtualLayout((4, 4), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 4))
    file.create_virtual_dataset(WEIGHT, layout)


def huge(file: h5py.File) -> None:
    """Claim weights that nothing was stored of."""
    del file[WEIGHT]
    file.create_dataset(WEIGHT, (2**31, 2**29), "f4")


def many(file: h5py.File) -> None:
    """Add names of nodes, all of them the same node."""
    nodes = file["node/nodes"]
    for k in range(nir_file.MAX_NODES):
        nodes[f"n{k}"] = nodes["a"]


PAIRS = np.array([("input", "a"), ("a", "output")], object)
FILES: Mapping[str, tuple[Spoil, str]] = {
    "no graph": (lambda file: file.pop("node"), "/node: is missing"),
    "a data set for the graph": (put("node", 3), "/node: is no group"),
    "no edges": (lambda file: file.pop("node/edges"), "/node: is a graph without 'nodes' or 'edges'"),
    "a single node": (put("node/type", "Linear", dtype=TEXT), "/node: is a single Linear: a network is a NIRGraph"),
    "soft link to a node": (link("node/nodes/b", h5py.SoftLink("/node")), "/node/nodes: 'b' is a link"),
    "external link to a node": (
        link("node/nodes/b", h5py.ExternalLink("/etc/passwd", "/")),
        "/node/nodes: 'b' is a link",
    ),
    "soft link to weights": (link(WEIGHT, h5py.SoftLink("/node/type")), "/node/nodes/a: 'weight' is a link"),
    "weights in another file": (elsewhere, "/node/nodes/a/weight: lies in another file"),
    "a view of another file": (virtual, "/node/nodes/a/weight: lies in another file"),
    "huge weights": (huge, "/node/nodes/a/weight: claims shape (2147483648, 536870912) of float32"),
    "a group for weights": (
        lambda file: (file.pop(WEIGHT), file.create_group(WEIGHT)),
        f"/{WEIGHT}: must be a data set",
    ),
    "compressed otherwise": (put(WEIGHT, np.eye(4), compression="lzf"), "/node/nodes/a/weight: is stored through the"),
    "edges that are numbers": (put("node/edges", np.ones((2, 2))), "/node/edges: must hold text"),
    "edges of three": (
        put("node/edges", np.array([["a", "b", "c"]], object), dtype=TEXT),
        "/node/edges: must be pairs",
    ),
    "one name as edges": (put("node/edges", "a", dtype=TEXT), "/node/edges: must be pairs of names, got shape ()"),
    "compressed edges": (
        put("node/edges", PAIRS, dtype=TEXT, compression="gzip"),
        "/node/edges: is empty, or a text of",
    ),
    "edges never written": (
        lambda file: (file.pop("node/edges"), file["node"].create_dataset("edges", (9, 2), TEXT)),
        "/node/edges: is empty, or",
    ),
    "a long name": (
        put("node/edges", np.array([["a" * 70_000, "b"]], object), dtype=TEXT),
        "/node/edges: holds a text of 70000",
    ),
    "more edges than are read": (
        put("node/edges", np.full((50_000, 2), b"a")),
        "/node/edges: claims shape (50000, 2), and",
    ),
    "a name that is no text": (
        put("node/edges", np.full((1, 2), b"\xff")),
        "/node/edges: holds a name that is not UTF-8",
    ),
    "a graph in itself": (nested, "/node/nodes/g/nodes/g"),
    "more nodes than are read": (many, "/node/nodes: has 10003 members, at most 10000 are read"),
}


@pytest.mark.parametrize("name", FILES)
def test_broken_file_is_refused_by_its_place(name: str, file: Path) -> None:
    spoil, expected = FILES[name]
    chain(file, [4], node("Linear", weight=EYE))
    with h5py.File(file, "r+") as opened:
        spoil(opened)
    assert refusal(file).startswith(expected)


@pytest.mark.parametrize("what", ["is no regular file", "there is no such file"])
def test_what_is_no_file_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path if "regular" in what else tmp_path / "none.nir"
    assert refusal(path) == f"{what}; give the name of a .nir file"


def heap_of(raw: bytes) -> int:
    """Return where the texts of a file lie."""
    at = raw.index(b"GCOL")
    assert raw.count(b"GCOL") == 1
    return at


@pytest.mark.parametrize(
    ("offset", "written"),
    [
        (0, b"GONE"),  # signature
        (4, b"\x09"),  # version
        (8, b"\xff" * 8),  # size of the collection
        (16, b"\x77"),  # number of an object
        (24, b"\xff" * 8),  # size of an object
        (24, b"\x00"),
    ],
)
def test_damaged_texts_are_refused(offset: int, written: bytes, file: Path) -> None:
    raw = bytearray(chain(file, [4], node("Linear", weight=EYE)).read_bytes())
    at = heap_of(raw) + offset
    raw[at : at + len(written)] = written
    file.write_bytes(raw)
    assert "is damaged" in refusal(file)


def test_every_shortened_file_is_refused(file: Path) -> None:
    raw = chain(file, [4], node("Linear", weight=EYE)).read_bytes()
    for size in range(0, len(raw), 97):
        file.write_bytes(raw[:size])
        refusal(file)


LIMITED = """
import resource, sys
from spikerun.converters.nir.read import read_nir
from spikerun.errors import FileFormatError

with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26,) * 2)
for path in sys.argv[1:]:
    try:
        read_nir(path, dt=1e-3)
    except FileFormatError as error:
        print(error)
"""


def test_nothing_large_is_allocated_for_what_is_refused(tmp_path: Path) -> None:
    """Weights of an exbibyte, padding, inputs: in a process of its own, whose memory is limited."""
    chain(tmp_path / "weights.nir", [4], node("Linear", weight=EYE))
    with h5py.File(tmp_path / "weights.nir", "r+") as opened:
        huge(opened)
    chain(tmp_path / "padding.nir", [3, 5, 5], node("Conv2d", **{**IMAGE, "padding": 2**14}))
    chain(tmp_path / "input.nir", [2**25, 2**25], RELAY)
    paths = [str(tmp_path / f"{name}.nir") for name in ("weights", "padding", "input")]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *paths], capture_output=True, text=True, cwd=root, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert [line.partition("'")[2].partition("'")[0] for line in done.stdout.splitlines()] == paths


def test_a_refused_file_is_an_error_of_the_file(file: Path) -> None:
    with pytest.raises(FileFormatError):
        read_nir(chain(file, [4], node("Izhikevich")))
