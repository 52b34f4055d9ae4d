# SPDX-License-Identifier: Apache-2.0
"""The file of a graph, HDF5: `sources`, `neurons` and `synapses`, a numbered group each; read like files of strangers.

Integers, texts and pairs are attributes, arrays are data sets. `runner/__main__.py` reads it in Lava's Python.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikerun.atomic import PathLike, as_path, write_atomically
from spikerun.checks import MAX_WINDOW
from spikerun.edge.loihi.graph import MAX_BEGIN, Graph, Neurons, Shape, Source, Synapses
from spikerun.edge.loihi.models import MODELS, check
from spikerun.errors import UnsupportedError
from spikerun.hdf5 import Group, Reader, image, located, make_group, opened, write_array, write_attributes

__all__ = ["FORMAT", "VERSION", "load_graph", "save_graph"]

FORMAT, VERSION = "spikerun.loihi", 1
MAX_PARTS = 10_000
MAX_NEURONS = 2**26
FORMS = ("dense", "sparse", "conv")
MAX_DELAY = 63
MAX_PADDED = 2**28  # values of an image with its padding
NUMBERS = {
    "exponent": (-32, 32), "weight_bits": (1, 8), "sign_mode": (1, 3), "message_bits": (0, 32),
    "groups": (1, MAX_NEURONS),
}  # fmt: skip
PAIRS = ("stride", "padding", "dilation")


def save_graph(graph: Graph, path: PathLike, force: bool = False) -> Path:
    """Write a graph whole or not at all, and return the path. Raises UnsupportedError for one that begins too late."""
    for name, begin in graph.begins.items():
        if begin > MAX_BEGIN:
            raise UnsupportedError(
                f"population '{name}' begins its first sample in step {begin}, and {MAX_BEGIN} is the last one that "
                "a bundle holds: take a shorter window, or fewer layers"
            )
    write_atomically(as_path(path), image(lambda root: _write(graph, root)), force)
    return as_path(path)


def _write(graph: Graph, root: Any) -> None:
    write_attributes(root, {"format": FORMAT, "version": VERSION, "window": graph.window, "phased": int(graph.phased)})
    write_attributes(make_group(root, "meta"), graph.meta)
    parts: dict[str, list[dict[str, Any]]] = {
        "sources": [vars(source) for source in graph.sources],
        "neurons": [
            {**{f"parameters.{k}": v for k, v in n.parameters.items()}, "name": n.name, "shape": n.shape,
             "model": n.model, "begin": n.begin}
            for n in graph.neurons
        ],
        "synapses": [vars(synapses) for synapses in graph.synapses],
    }  # fmt: skip
    for what, several in parts.items():
        group = make_group(root, what)
        for k, values in enumerate(several):
            part = make_group(group, f"{k:06d}")
            arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}
            write_attributes(part, {key: value for key, value in values.items() if key not in arrays})
            for key, value in arrays.items():
                write_array(part, key, value.astype(np.int32) if key == "weight" else value)


def load_graph(path: PathLike) -> Graph:
    """Read a graph. Raises FileFormatError with the path of the offending part."""
    with opened(path, ".h5") as (source, file):
        return _GraphReader(source, file).graph()


class _GraphReader(Reader):
    def graph(self) -> Graph:
        """Return the graph of the file."""
        root = self.root
        with located(self.source, "/"):
            if root.attribute("format", str) != FORMAT or root.attribute("version", int) != VERSION:
                raise ValueError(f"is no graph of {FORMAT}, version {VERSION}: make the bundle again")
            window, phased = root.attribute("window", int), bool(root.attribute("phased", int))
            if not 1 <= window <= MAX_WINDOW:
                raise ValueError(f"window must be in 1..{MAX_WINDOW}, got {window}")
        meta = self.group(root, "meta")
        with located(self.source, "/meta"):
            said = {name: meta.attribute(name, str, int, float) for name in meta.attributes}
        sources = tuple(self._source(group) for group in self._parts("sources"))
        neurons = tuple(self._neurons(group) for group in self._parts("neurons"))
        parts: list[Source | Neurons] = [*sources, *neurons]
        shapes = {part.name: part.shape for part in parts}
        with located(self.source, "/"):
            if len(shapes) != len(sources) + len(neurons) or not sources:
                raise ValueError("two parts have one name, or there is no source")
        populations = {part.name for part in neurons}
        synapses = tuple(self._synapses(group, shapes, populations) for group in self._parts("synapses"))
        return Graph(window, sources, neurons, synapses, phased, said)

    def _parts(self, what: str) -> Iterator[Group]:
        parent = self.group(self.root, what, MAX_PARTS)
        for name in sorted(parent.members):
            yield self.group(parent, name)

    def _source(self, group: Group) -> Source:
        with located(self.source, group.name):
            return Source(
                *self._named(group), _number(group, "message_bits", 0, 32), _number(group, "begin", 1, MAX_BEGIN)
            )

    def _named(self, group: Group) -> tuple[str, Shape]:
        shape = group.attribute("shape", tuple)
        if len(shape) not in (1, 3) or min(shape) < 1 or math.prod(shape) > MAX_NEURONS:
            raise ValueError(f"shape must be (N,) or (W, H, C) of at most {MAX_NEURONS} neurons, got {shape}")
        return group.attribute("name", str), shape

    def _neurons(self, group: Group) -> Neurons:
        with located(self.source, group.name):
            name, shape = self._named(group)
            model = group.attribute("model", str)
            if model not in MODELS:
                raise ValueError(f"unknown model {model!r}; known: {', '.join(MODELS)}")
            given: dict[str, Any] = {
                key.partition(".")[2]: group.attribute(key, int)
                for key in group.attributes if key.startswith("parameters.")
            }  # fmt: skip
            for key in group.members:
                given[key.partition(".")[2]] = self._int32(group, key)
            neurons = Neurons(name, shape, model, given, _number(group, "begin", 1, MAX_BEGIN))
            check(neurons)
            return neurons

    def _synapses(self, group: Group, shapes: Mapping[str, Shape], populations: set[str]) -> Synapses:
        with located(self.source, group.name):
            source, target, form = (group.attribute(key, str) for key in ("source", "target", "form"))
            if source not in shapes or target not in populations:
                raise ValueError(f"{source!r} sends nothing, or {target!r} is no population")
            if form not in FORMS:
                raise ValueError(f"unknown form {form!r}; known: {', '.join(FORMS)}")
            given: dict[str, Any] = {key: _number(group, key, *limits) for key, limits in NUMBERS.items()}
            given |= {key: group.attribute(key, tuple) for key in PAIRS}
            given |= {"indices": self._int32(group, "indices"), "indptr": self.array(group, "indptr")}
            delay = self._int32(group, "delay") if "delay" in group.members else _number(group, "delay", 0, MAX_DELAY)
            made = Synapses(source, target, form, self._int32(group, "weight"), delay=delay, **given)
            _check(made, shapes[source], shapes[target])
            return made

    def _int32(self, group: Group, name: str) -> Any:
        values = self.array(group, name)
        if values.dtype.kind not in "iu" or (values.size and (values.min() < -(2**31) or values.max() >= 2**31)):
            raise ValueError(f"{name} must hold integers of 32 bits")
        return values.astype(np.int32)


def _number(group: Group, name: str, least: int, most: int) -> int:
    value: int = group.attribute(name, int)
    if not least <= value <= most:
        raise ValueError(f"{name} must be in {least}..{most}, got {value}")
    return value


def _check(made: Synapses, source: Shape, target: Shape) -> None:
    """Refuse synapses that do not fit the populations that they connect."""
    ends = (math.prod(target), math.prod(source))
    delays = np.asarray(made.delay)
    if delays.size and (delays.min() < 0 or delays.max() > MAX_DELAY):
        raise ValueError(f"delays must be in 0..{MAX_DELAY}, got {delays.min()}..{delays.max()}")
    if delays.ndim and delays.shape != made.weight.shape:
        raise ValueError(f"delay has shape {delays.shape}, weight {made.weight.shape}")
    if made.form == "dense":
        fits = made.weight.shape == ends
    elif made.form == "sparse":
        ptr, at = made.indptr, made.indices
        fits = ptr.shape == (ends[0] + 1,) and made.weight.shape == at.shape and bool((np.diff(ptr) >= 0).all())
        fits = fits and ptr[0] == 0 and ptr[-1] == len(at) and (not at.size or 0 <= at.min() <= at.max() < ends[1])
    else:
        fits = not delays.any() and len(source) == len(target) == 3 and _sizes(made, source, target)
    if not fits:
        raise ValueError(f"{made}: the weights do not fit {source} -> {target}")


def _sizes(made: Synapses, source: Shape, target: Shape) -> bool:
    """Return whether a convolution makes of `source` what `target` is."""
    kernel, groups = made.weight.shape[1:3], made.groups
    pairs = (made.stride, made.padding, made.dilation)
    if made.weight.ndim != 4 or any(len(pair) != 2 for pair in pairs):
        return False
    if min(*made.stride, *made.dilation, groups) < 1 or min(made.padding) < 0:
        return False
    if math.prod(n + 2 * p for n, p in zip(source, (*made.padding, 0), strict=True)) > MAX_PADDED:
        return False
    out = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(source[:2], kernel, made.stride, made.padding, made.dilation, strict=True)
    )
    inputs, outputs = made.weight.shape[3], made.weight.shape[0]
    return min(kernel) >= 1 and (*out, outputs) == target and inputs * groups == source[2] and outputs % groups == 0
