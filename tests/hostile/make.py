# SPDX-License-Identifier: Apache-2.0
"""Make the broken files beside this script: a good one, spoilt in one way each.  python tests/hostile/make.py

`CASES` names each way, and what the refusal has to say beside the name of the file: the place of the offender.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from spikerun.connections import Dense, Sparse
from spikerun.file import save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Readout

FOLDER = Path(__file__).resolve().parent / "files"
WEIGHT = "projections/000000/weight"
THRESHOLD = "populations/hidden/threshold"
HUGE = 2**40

Spoil = Callable[[h5py.File], object]


def good() -> Network:
    """Return a small network that has a data set of every kind of use."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-128, 128, (64, 32)).astype(np.int8)
    sparse = Sparse(np.arange(33, dtype=np.int64), np.arange(32, dtype=np.int32) % 4, np.ones(32, np.int8), 4)
    populations = {
        "in": Population((1, 8, 8), Input()),
        "hidden": Population((32,), FewSpikes(5, rng.integers(900, 2000, 32), np.arange(32), max_spikes=3)),
        "out": Population((4,), Readout(np.full(4, 0.5, np.float32))),
    }
    projections = [Projection("in", "hidden", Dense(weight)), Projection("hidden", "out", sparse)]
    return Network(populations, projections, ["out"], 8, {"made_by": "tests/hostile/make.py"})


def attribute(path: str, name: str, value: object) -> Spoil:
    """Set an attribute; a text becomes one of fixed length."""
    return lambda file: file[path].attrs.__setitem__(name, np.bytes_(value) if isinstance(value, str) else value)


def no_attribute(path: str, name: str) -> Spoil:
    """Take an attribute away."""
    return lambda file: file[path].attrs.__delitem__(name)


def array(path: str, value: object) -> Spoil:
    """Put another data set in the place of one."""

    def spoil(file: h5py.File) -> None:
        file.pop(path, None)
        file.create_dataset(path, data=value)

    return spoil


def unwritten(path: str, **how: object) -> Spoil:
    """Put a data set that claims much, and of which nothing is stored."""

    def spoil(file: h5py.File) -> None:
        del file[path]
        file.create_dataset(path, **how)

    return spoil


def link(path: str, to: object) -> Spoil:
    """Put a link in the place of a member."""

    def spoil(file: h5py.File) -> None:
        file.pop(path, None)
        file[path] = to

    return spoil


def external(file: h5py.File) -> None:
    """Let a data set take its bytes from another file."""
    del file[WEIGHT]
    file.create_dataset(WEIGHT, (64, 32), "i1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File) -> None:
    """Let a data set be a view of another file's."""
    layout = h5py.VirtualLayout((64, 32), "i1")
    layout[:] = h5py.VirtualSource("other.h5", "weight", (64, 32))
    del file[WEIGHT]
    file.create_virtual_dataset(WEIGHT, layout)


def bomb(file: h5py.File) -> None:
    """Store one of very many chunks of zeros."""
    del file[WEIGHT]
    weight = file.create_dataset(WEIGHT, (2**20, 2**11), "i1", chunks=(2**10, 2**10), compression="gzip")
    weight[: 2**10, : 2**10] = 0


def filtered_twice(path: str, claimed: tuple[int, int], chunk: tuple[int, int], raw: bytes | None) -> Spoil:
    """Store a data set that is deflated twice, so that its bytes can expand a million times; or one chunk as `raw`."""

    def spoil(file: h5py.File) -> None:
        del file[path]
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk(chunk)
        how.set_deflate(9)
        if raw is None:
            how.set_deflate(9)
        parent, _, name = path.rpartition("/")
        space = h5py.h5s.create_simple(claimed)
        made = h5py.h5d.create(file[parent].id, name.encode(), h5py.h5t.NATIVE_INT8, space, how)
        if raw is None:
            h5py.Dataset(made)[:] = 0
        else:
            made.write_direct_chunk((0, 0), raw)

    return spoil


def larger_than_said() -> bytes:
    """Return a deflated chunk of 16 MB."""
    import zlib

    return zlib.compress(bytes(2**24), 9)


def hard_loop(file: h5py.File) -> None:
    """Let a group be its own member."""
    file["populations/loop"] = file["populations"]


def cycle(file: h5py.File) -> None:
    """Lead back from a population to itself without delay."""
    group = file.create_group("projections/000002")
    texts = {name: np.bytes_(value) for name, value in (("kind", "dense"), ("source", "hidden"), ("target", "hidden"))}
    group.attrs.update(texts, delay=0)
    group["weight"] = np.ones((32, 32), np.int8)


def pools(**sources: str | None) -> Spoil:
    """Add max_pool populations, each behind the one that it names, or behind none."""

    def spoil(file: h5py.File) -> None:
        for name in sources:
            group = file.create_group(f"populations/{name}")
            group.attrs.update(kind=np.bytes_("max_pool"), shape=np.array([1, 8, 8]))
        for name, source in sources.items():
            if source is not None:
                group = file.create_group(f"projections/{len(file['projections']):06d}")
                texts = {"kind": "window", "source": source, "target": name}
                group.attrs.update({key: np.bytes_(text) for key, text in texts.items()})
                group.attrs.update(delay=0, kernel=[1, 1], stride=[1, 1], padding=[0, 0], dilation=[1, 1])

    return spoil


def rule(**changed: object) -> Spoil:
    """Put synapses that a rule says in the place of the listed ones, with something changed; None: left out."""

    def spoil(file: h5py.File) -> None:
        del file["projections/000001"]
        group = file.create_group("projections/000001")
        texts = {"kind": "random", "source": "hidden", "target": "out"}
        group.attrs.update({key: np.bytes_(text) for key, text in texts.items()})
        values: dict[str, object] = {"sources": 32, "size": 4, "synapses": 99, "seed": 5}
        values |= {"weight": np.array([3, 4], np.int8), "weight_thresholds": np.array([2**31], np.uint32)}
        for key, value in (values | changed).items():
            if isinstance(value, np.ndarray):
                group[key] = value
            elif value is not None:
                group.attrs[key] = value

    return spoil


def noise(thresholds: object) -> Spoil:
    """Make of the input neurons that send by themselves, by these thresholds."""

    def spoil(file: h5py.File) -> None:
        group = file["populations/in"]
        for name in list(group.attrs):
            if name != "shape":
                del group.attrs[name]
        group.attrs.update(kind=np.bytes_("poisson"), seed=3)
        group["thresholds"] = thresholds

    return spoil


def gap(file: h5py.File) -> None:
    """Leave a number out."""
    file.move("projections/000001", "projections/000002")


def attribute_of_bytes(path: str) -> Spoil:
    """Add an attribute whose name is no text."""

    def spoil(file: h5py.File) -> None:
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file[path].id, b"\xff", h5py.h5t.NATIVE_INT8, space).write(np.array(1, np.int8))

    return spoil


def text_of_variable_length(file: h5py.File) -> None:
    """Put a text where HDF5 reads what may be damaged such that it never ends."""
    file["populations/in"].attrs.create("code", "bits", dtype=h5py.string_dtype())


def wrapped_indptr() -> np.ndarray:  # type: ignore[type-arg]
    """Return row pointers whose differences are positive only because they wrap."""
    pointers = np.full(33, 2**63 - 1, np.int64)
    pointers[0], pointers[2:] = 0, -(2**63) + 1
    pointers[-1] = 32
    return pointers


CASES: dict[str, tuple[str, Spoil]] = {
    # data sets that are not what they should be
    "wrong_dtype": ("/projections/000000: weight must have dtype int8", array(WEIGHT, np.zeros((64, 32), np.float32))),
    "float_threshold": ("/populations/hidden: threshold", array(THRESHOLD, np.full(32, 1.5))),
    "object_dtype": (f"/{THRESHOLD}", array(THRESHOLD, np.array(["1"] * 32, h5py.string_dtype()))),
    "string_dtype": (f"/{THRESHOLD}", array(THRESHOLD, np.array([b"1"] * 32))),
    "compound_dtype": (f"/{THRESHOLD}", array(THRESHOLD, np.zeros(32, [("a", "i4")]))),
    "nan_scale": ("/populations/out/scale", array("populations/out/scale", np.full(4, np.nan, np.float32))),
    "infinite_scale": ("/populations/out/scale", array("populations/out/scale", np.full(4, np.inf, np.float32))),
    "negative_scale": ("/populations/out: scale", array("populations/out/scale", np.full(4, -1, np.float32))),
    "zero_threshold": ("/populations/hidden: threshold", array(THRESHOLD, np.zeros(32, np.int32))),
    "empty_threshold": ("/populations/hidden: threshold must not be empty", array(THRESHOLD, np.zeros(0, np.int32))),
    "threshold_of_other_shape": ("population 'hidden'", array(THRESHOLD, np.ones(31, np.int32))),
    "null_dataspace": (f"/{THRESHOLD}", array(THRESHOLD, h5py.Empty("i4"))),
    "group_for_data": (f"/{WEIGHT}", lambda file: (file.pop(WEIGHT), file.create_group(WEIGHT))),
    "attribute_for_data": (
        "/populations/hidden: 'threshold'",
        lambda file: (file.pop(THRESHOLD), file["populations/hidden"].attrs.__setitem__("threshold", 9)),
    ),
    "wrapped_indptr": ("/projections/000001: indptr", array("projections/000001/indptr", wrapped_indptr())),
    "index_outside": ("/projections/000001: indices", array("projections/000001/indices", np.full(32, 4, np.int32))),
    "delays_of_other_weights": (
        "/projections/000001: delays must have a number of steps for each weight",
        array("projections/000001/delays", np.zeros(31, np.uint8)),
    ),
    "delays_beyond_a_byte": (
        "/projections/000001: delays must have dtype uint8",
        array("projections/000001/delays", np.full(32, 300)),
    ),
    "delays_of_words": (
        "projection hidden -> out: 'hidden' sends words",
        array("projections/000001/delays", np.arange(32, dtype=np.uint8)),
    ),
    "synapses_2_62": ("/projections/000001: synapses must be an integer in 1..2147483648", rule(synapses=2**62)),
    "synapses_2_31": ("population 'out'", rule(synapses=2**31)),
    "sources_that_are_not_there": ("projection hidden -> out: sources is 33", rule(sources=33)),
    "seed_below_0": ("/projections/000001: seed must be", rule(seed=-1)),
    "weights_without_thresholds": (
        "/projections/000001: weight must have one entry more than weight_thresholds",
        rule(weight_thresholds=None),
    ),
    "thresholds_that_fall": (
        "/populations/in: thresholds must not decrease",
        noise(np.array([9, 5], np.uint32)),
    ),
    "thresholds_of_other_type": ("/populations/in: thresholds must have dtype uint32", noise(np.array([5, 9]))),
    "thresholds_too_many": (
        "/populations/in: thresholds must have shape (E,) or (C, E), E up to 255",
        noise(np.arange(256, dtype=np.uint32)),
    ),
    # more claimed than stored
    "claims_2_40_contiguous": (f"/{WEIGHT}", unwritten(WEIGHT, shape=(HUGE, 1), dtype="i1")),
    "claims_2_40_chunked": (f"/{WEIGHT}", unwritten(WEIGHT, shape=(HUGE, 1), dtype="i1", chunks=(2**20, 1))),
    "claims_2_40_neurons": ("/populations/hidden", attribute("populations/hidden", "shape", np.array([HUGE]))),
    "claims_2_62_neurons": ("/populations/in", attribute("populations/in", "shape", np.full(3, 2**62))),
    "large_chunk": (
        f"/{WEIGHT}",
        unwritten(WEIGHT, shape=(1, 2**11), maxshape=(None, None), dtype="i1", chunks=(2**20, 2**11)),
    ),
    "bomb": (f"/{WEIGHT}", bomb),
    "bomb_deflated_twice": (f"/{WEIGHT}", filtered_twice(WEIGHT, (2**10, 2**16), (2**10, 2**16), None)),
    "bomb_larger_than_said": (f"/{WEIGHT}", filtered_twice(WEIGHT, (64, 32), (64, 32), larger_than_said())),
    # what lies elsewhere
    "external_link": ("/projections/000000: 'weight' is a link", link(WEIGHT, h5py.ExternalLink("other.h5", "/w"))),
    "soft_link": ("/projections/000000: 'weight' is a link", link(WEIGHT, h5py.SoftLink("/projections/000001/data"))),
    "group_link": ("/populations: 'in' is a link", link("populations/in", h5py.ExternalLink("other.h5", "/in"))),
    "root_link": ("/", link("meta", h5py.SoftLink("/populations"))),
    "external_data": (f"/{WEIGHT}", external),
    "virtual_data": (f"/{WEIGHT}", virtual),
    "hard_loop": ("/populations/loop", hard_loop),
    # members and attributes
    "name_not_utf8": (
        r"/populations: holds a name that is not UTF-8: b'\xff'",
        lambda file: h5py.h5g.create(file["populations"].id, b"\xff"),
    ),
    "name_in_projections_not_utf8": (
        r"/projections: holds a name that is not UTF-8: b'\xff'",
        lambda file: h5py.h5g.create(file["projections"].id, b"\xff"),
    ),
    "name_of_data_not_utf8": (
        r"/populations/hidden: holds a name that is not UTF-8: b'\xff'",
        lambda file: h5py.h5g.create(file["populations/hidden"].id, b"\xff"),
    ),
    "name_in_meta_not_utf8": (r"/meta: holds a name that is not UTF-8: b'\xff'", attribute_of_bytes("meta")),
    "name_of_attribute_not_utf8": (
        r"/populations/hidden: holds a name that is not UTF-8: b'\xff'",
        attribute_of_bytes("populations/hidden"),
    ),
    "escapes_in_a_kind": (
        r"/populations/hidden: unknown kind '\x1b]0;owned\x07'",
        attribute("populations/hidden", "kind", "\x1b]0;owned\x07"),
    ),
    "escapes_in_a_name": (r"/populations/\x1b[2J: attribute", lambda file: file.create_group("populations/\x1b[2J")),
    "unknown_kind": ("/populations/hidden: unknown kind 'spiking'", attribute("populations/hidden", "kind", "spiking")),
    "unknown_data": ("/populations/hidden: does not belong here: 'w'", array("populations/hidden/w", np.zeros(3))),
    "unknown_attribute": ("/populations/hidden: does not belong here: 'w'", attribute("populations/hidden", "w", 1)),
    "unknown_group": ("/: does not belong here: 'code'", lambda file: file.create_group("code")),
    "meta_with_members": ("/meta", lambda file: file.create_group("meta/more")),
    "missing_field": ("/populations/hidden: 'threshold' is missing", lambda file: file.pop(THRESHOLD)),
    "missing_kind": ("/populations/hidden: attribute 'kind'", no_attribute("populations/hidden", "kind")),
    "missing_shape": ("/populations/hidden: attribute 'shape'", no_attribute("populations/hidden", "shape")),
    "missing_group": ("/projections", lambda file: file.pop("projections")),
    "missing_format": ("/: attribute 'format'", no_attribute("/", "format")),
    "other_format": ("/: attribute 'format'", attribute("/", "format", "nir")),
    "other_contract": ("/: written by spikerun 0.1.0 in container 2 for contract 3", attribute("/", "contract", 3)),
    "newer_container": ("in container 3 for contract 1; this is spikerun", attribute("/", "container", 3)),
    "container_without_writer": ("/: attribute 'writer' is missing", no_attribute("/", "writer")),
    "steps_for_window": ("/: does not belong here: 'steps'", attribute("/", "steps", 8)),
    "text_for_number": ("/populations/hidden: attribute 'bits'", attribute("populations/hidden", "bits", "5")),
    "truth_for_number": ("/populations/hidden: attribute 'bits'", attribute("populations/hidden", "bits", True)),
    "number_for_truth": ("/populations/hidden: attribute 'signed'", attribute("populations/hidden", "signed", 1)),
    "reals_for_shape": ("/populations/hidden: attribute 'shape'", attribute("populations/hidden", "shape", [32.0])),
    "text_of_variable_length": ("/populations/in: attribute 'code'", text_of_variable_length),
    "huge_text": ("/meta: attribute 'made_by'", attribute("meta", "made_by", "x" * (2**16 + 1))),
    "huge_shape": (
        "/populations/in: attribute 'shape'",
        attribute("populations/in", "shape", np.ones(8100, np.int64)),
    ),
    "nan_in_meta": ("/meta: attribute 'loss'", attribute("meta", "loss", float("nan"))),
    "five_axes": ("population 'in'", attribute("populations/in", "shape", np.array([1, 2, 2, 2, 8]))),
    "zero_axis": ("/populations/in", attribute("populations/in", "shape", np.array([0, 8, 8]))),
    "negative_axis": ("/populations/in", attribute("populations/in", "shape", np.array([1, -8, -8]))),
    # networks that cannot be
    "negative_window": ("/: window must be", attribute("/", "window", -3)),
    "window_too_short": ("population 'in'", attribute("/", "window", 2)),
    "negative_delay": ("projection in -> hidden", attribute("projections/000000", "delay", -1)),
    "dangling_source": (
        "/projections/000000: there is no population 'ghost'",
        attribute("projections/000000", "source", "ghost"),
    ),
    "dangling_output": ("/: outputs: there is no population 'ghost'", attribute("/", "outputs", '["ghost"]')),
    "duplicate_output": ("/: outputs names a population twice: out", attribute("/", "outputs", '["out", "out"]')),
    "outputs_no_json": ("/: ", attribute("/", "outputs", "out")),
    "outputs_no_list": ("/: attribute 'outputs'", attribute("/", "outputs", '{"out": 1}')),
    "outputs_nested_deeply": ("/: ", attribute("/", "outputs", "[" * 20_000)),
    "cycle_without_delay": ("cycle without delay: hidden -> hidden", cycle),
    "pool_without_projection": ("population 'a'", pools(a=None)),
    "pool_behind_a_pool_without_projection": ("population 'b'", pools(a="b", b=None)),
    "pools_in_a_circle": ("max_pool populations feed each other", pools(a="b", b="a")),
    "unreached": ("population 'lost'", lambda file: file.copy("populations/hidden", "populations/lost")),
    "numbers_with_a_gap": ("/projections/000002: projections must be numbered", gap),
    "target_channels_of_three": ("/projections/000000", attribute("projections/000000", "target_channels", [0, 1, 2])),
}

# Not HDF5 any more, or a file that is damaged below what h5py can edit: made from the bytes of a good one.
DAMAGED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "empty": ("not an HDF5 file", lambda good: b""),
    "not_hdf5": ("not an HDF5 file", lambda good: b"PK\x03\x04 a network, honestly\n" * 40),
    "truncated": ("not an HDF5 file, or damaged", lambda good: good[: len(good) * 6 // 10]),
    "flipped_byte": (f"/{WEIGHT}", lambda good: flipped(good)),
    "flipped_checksum": (f"/{WEIGHT}", lambda good: flipped(good, from_end=2)),
}


def flipped(raw: bytes, from_end: int | None = None) -> bytes:
    """Return the bytes of a file with one bit turned in the weights, or in the checksum that follows them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "good.snn"
        path.write_bytes(raw)
        with h5py.File(path) as file:
            chunk = file[WEIGHT].id.get_chunk_info(0)
    at = chunk.byte_offset + (chunk.size - from_end if from_end else chunk.size // 2)
    return raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :]


def main(folder: Path) -> None:
    """Write all files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, spoil) in CASES.items():
        path = save(good(), folder / f"{name}.snn", force=True)
        with h5py.File(path, "r+") as file:
            spoil(file)
    original = save(good(), folder / "good.snn", force=True).read_bytes()
    (folder / "good.snn").unlink()
    for name, (_, damage) in DAMAGED.items():
        (folder / f"{name}.snn").write_bytes(damage(original))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
