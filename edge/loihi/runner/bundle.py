# SPDX-License-Identifier: Apache-2.0
"""The graph and the samples of a bundle, read without trusting them. `spikerun/edge/loihi/store.py` says the format."""

import math
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np

FORMAT, VERSION = "spikerun.loihi", 1
MAX_BYTES = 2**32  # of one array
NEEDS = {
    "sources": ("name", "shape", "message_bits", "begin"),
    "neurons": ("name", "shape", "model", "begin", "parameters"),
    "synapses": ("source", "target", "form", "weight", "exponent", "weight_bits", "sign_mode", "message_bits",
                 "delay", "indices", "indptr", "stride", "padding", "dilation", "groups"),
}  # fmt: skip


class Damaged(Exception):
    """A bundle cannot be used: one sentence says why, and what to do."""


class Refused(Exception):
    """What is asked for cannot be done: one sentence says why, and what to do."""


class Graph(SimpleNamespace):
    """window, phased, meta; and sources, neurons, synapses: lists of namespaces with the names of the file."""

    def steps(self, samples):
        """Return how many steps a run of so many samples takes."""
        return samples * self.window + max(self.begins.values()) - 1

    @property
    def begins(self):
        """Return the step, from 1, in which each source and population begins."""
        return {part.name: part.begin for part in (*self.sources, *self.neurons)}

    @property
    def shapes(self):
        """Return the shape of each source and population."""
        return {part.name: part.shape for part in (*self.sources, *self.neurons)}

    def stream(self, source, given, more=0):
        """Return what a source sends in a run, (steps, *shape), of samples (N, W, *shape), and `more` silent steps."""
        sent = np.zeros((self.steps(len(given)) + more, *source.shape), np.int32)
        first = source.begin - 1
        sent[first : first + len(given) * self.window] = given.reshape(-1, *source.shape)
        return sent

    def samples(self, name, values):
        """Return (N, W, *shape) of all steps of a run."""
        first = self.begins[name] - 1
        count = (len(values) - max(self.begins.values()) + 1) // self.window
        return values[first : first + count * self.window].reshape(count, self.window, *values.shape[1:])


def read_graph(path):
    """Return the graph in a file. Raises Damaged."""
    try:
        with h5py.File(path, "r") as file:
            found = {key: _value(value) for key, value in file.attrs.items()}
            if found.get("format") != FORMAT or found.get("version") != VERSION:
                raise ValueError(f"it is no graph of {FORMAT}, version {VERSION}")
            parts = {what: [_part(group, what) for group in _groups(file[what])] for what in NEEDS}
            meta = {key: _value(value) for key, value in file["meta"].attrs.items()}
        graph = Graph(window=int(found["window"]), phased=bool(found["phased"]), meta=meta, **parts)
        _check(graph)
        return graph
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
        raise Damaged(_sentence(path, error)) from error


def read_samples(path, graph):
    """Return (inputs by source, expected values by what the file calls them). Raises Damaged."""
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        inputs = {source.name: arrays.pop(f"input/{source.name}") for source in graph.sources}
        count = len(next(iter(inputs.values())))
        for source in graph.sources:
            _fits(f"input/{source.name}", inputs[source.name], (count, graph.window, *source.shape))
        shapes = graph.shapes
        for key, values in arrays.items():
            kind, _, name = key.partition("/")
            name = name if kind == "events" else name.rpartition("/")[0]
            lead = (1 if graph.phased else count,) if kind == "last" else (count, graph.window)
            if kind not in ("events", "states", "last"):
                raise ValueError(f"nobody knows what {key!r} is")
            _fits(key, values, (*lead, *shapes[name]))
        return inputs, arrays
    except Exception as error:  # of zip files, of their compression, of NumPy: what they raise is not listed anywhere
        raise Damaged(_sentence(path, error)) from error


def _sentence(path, error):
    said = " ".join(str(error).split())[:300] or type(error).__name__
    what = f"it has no {said}" if isinstance(error, KeyError) else said
    return f"'{path}' is damaged or is not of this bundle ({what}); make the bundle again."


def _value(value):
    if isinstance(value, bytes):
        return value.decode()
    return tuple(value.tolist()) if np.ndim(value) else value.item()


def _groups(parent):
    for name in sorted(parent):
        yield parent[name]


def _part(group, what):
    found = {key: _value(value) for key, value in group.attrs.items()}
    for key in group:
        data = group[key]
        if (
            data.external
            or data.is_virtual
            or data.dtype.kind not in "iu"
            or data.size * data.dtype.itemsize > MAX_BYTES
        ):
            raise ValueError(f"{group.name}/{key} is no array of integers of this file")
        found[key] = data[...]
    parameters = {key.partition(".")[2]: found.pop(key) for key in list(found) if key.startswith("parameters.")}
    if what == "neurons":
        found["parameters"] = parameters
    if lacking := [key for key in NEEDS[what] if key not in found]:
        raise ValueError(f"{group.name} lacks {', '.join(lacking)}")
    return SimpleNamespace(**found)


def _check(graph):
    """Refuse what would let Lava hang: parts that nobody has, weights of another size, delays beyond 63."""
    shapes = graph.shapes
    if len(shapes) != len(graph.sources) + len(graph.neurons) or not graph.sources or graph.window < 1:
        raise ValueError("two parts have one name, or there is no source, or no step")
    for synapses in graph.synapses:
        sizes = math.prod(shapes[synapses.target]), math.prod(shapes[synapses.source])
        weight, delay, where = synapses.weight, np.asarray(synapses.delay), f"{synapses.source} -> {synapses.target}"
        if delay.size and (delay.min() < 0 or delay.max() > 63):
            raise ValueError(f"{where}: delays must be in 0..63")
        fits = delay.ndim == 0 or delay.shape == weight.shape
        if synapses.form == "dense":
            fits = fits and weight.shape == sizes
        elif synapses.form == "sparse":
            at, ends = synapses.indices, synapses.indptr
            fits = (
                fits and len(ends) == sizes[0] + 1 and ends[-1] == len(at) == len(weight) and (np.diff(ends) >= 0).all()
            )
            fits = fits and (not at.size or (at.min() >= 0 and at.max() < sizes[1]))
        elif synapses.form != "conv" or weight.ndim != 4:
            raise ValueError(f"{where}: nobody knows synapses of the form {synapses.form!r}")
        if not fits:
            raise ValueError(f"{where}: the weights do not fit")


def _fits(key, values, shape):
    if values.dtype.kind not in "iu" or values.shape != shape:
        raise ValueError(f"{key} must hold integers of shape {shape}, it holds {values.dtype} of {values.shape}")


def exists(folder):
    """Raise Damaged where a folder holds no bundle."""
    for name in ("graph.h5", "samples.npz"):
        if not (Path(folder) / name).is_file():
            raise Damaged(f"there is no file '{Path(folder) / name}': name the folder of a bundle.")
