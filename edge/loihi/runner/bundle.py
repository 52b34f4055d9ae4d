# SPDX-License-Identifier: Apache-2.0
"""The graph and the samples of a bundle, read without trusting them. `spikerun/edge/loihi/store.py` says the format."""

import math
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np

FORMAT, VERSION = "spikerun.loihi", 1
MAX_BYTES = 2**32  # of one array
MAX_INFLATION = 1100  # DEFLATE cannot expand further
MAX_NEURONS, MAX_PADDED = 2**26, 2**28  # of a population; of an image with its padding
MAX_PARTS = 10_000
MAX_WINDOW, MAX_BEGIN, MAX_DELAY = 2**15 - 1, 2**24, 63
INT32, BIT = (-(2**31), 2**31 - 1), (0, 1)
NEEDS = {
    "sources": ("name", "shape", "message_bits", "begin"),
    "neurons": ("name", "shape", "model", "begin", "parameters"),
    "synapses": ("source", "target", "form", "weight", "exponent", "weight_bits", "sign_mode", "message_bits",
                 "delay", "indices", "indptr", "stride", "padding", "dilation", "groups"),
}  # fmt: skip
TEXTS = ("name", "model", "source", "target", "form")
NUMBERS = {
    "begin": (1, MAX_BEGIN), "message_bits": (0, 32), "exponent": (-32, 32), "weight_bits": (1, 8),
    "sign_mode": (1, 3), "groups": (1, MAX_NEURONS), "delay": (0, MAX_DELAY), "weight": INT32,
    "indices": (0, MAX_NEURONS), "indptr": (0, 2**40),
}  # fmt: skip
LIF = {
    "du": (-1, 4095), "dv": (0, 4095), "vth": (0, 2**17 - 1), "bias_mant": (-(2**23), 2**23), "bias_exp": (-31, 7),
    "v_first": (1 - 2**23, 2**23 - 1), "reset_interval": (0, 2**31 - 1), "reset_offset": (0, 2**31 - 1),
}  # fmt: skip
SIGMA_DELTA = {
    "vth": (0, 2**23), "bias": (-(2**23), 2**23), "act_mode": BIT, "spike_exp": (0, 7), "state_exp": (0, 31),
}  # fmt: skip
SUMMING = {
    "bias": INT32, "window": (1, MAX_WINDOW), "first": (1, MAX_BEGIN), "in_code": (-1, 2), "in_bits": (1, 16),
    "in_signed": BIT, "in_lag": (0, MAX_WINDOW - 1),
}  # fmt: skip
MODELS = {  # the ranges of their parameters
    "lif": LIF, "lif_subtract": {**LIF, "taken": (0, 2**31 - 1)}, "sigma": {}, "sigma_delta": SIGMA_DELTA,
    "lif_subtract_after_leak": {**LIF, "taken": (0, 2**31 - 1)}, "sigma_delta_exact": SIGMA_DELTA, "summing": SUMMING,
    "words": {**SUMMING, "bits": (1, 8), "threshold": (1, 2**31 - 1), "signed": BIT, "kept": (1, 8), "code": (0, 2)},
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
            parts = {what: [_part(group, what) for group in _groups(_member(file, what))] for what in NEEDS}
            meta = {key: _value(value) for key, value in _member(file, "meta").attrs.items()}
        graph = Graph(window=found["window"], phased=bool(found["phased"]), meta=meta, **parts)
        _check(graph)
        return graph
    except Exception as error:  # of HDF5 and h5py, too, whatever they raise for damaged files
        raise Damaged(_sentence(path, error)) from error


def read_samples(path, graph):
    """Return (inputs by source, expected values by what the file calls them). Raises Damaged."""
    try:
        with open(path, "rb") as raw:
            _check_samples(_headers(raw), graph, MAX_INFLATION * path.stat().st_size)
            raw.seek(0)
            with np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        return {source.name: arrays.pop(f"input/{source.name}") for source in graph.sources}, arrays
    except Exception as error:  # of zip files, of their compression, of NumPy: what they raise is not listed anywhere
        raise Damaged(_sentence(path, error)) from error


def _headers(raw):
    """Return the shape and the dtype of each array, by name, of which nothing else is read."""
    found = {}
    with zipfile.ZipFile(raw) as file:
        for one in file.infolist():
            name, _, suffix = one.filename.rpartition(".")
            if suffix != "npy" or name in found or one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"nobody knows what {one.filename[:99]!r} is, or it is there twice")
            with file.open(one) as array:
                if np.lib.format.read_magic(array) != (1, 0):
                    raise ValueError(f"{name} has a header of another version")
                shape, _, dtype = np.lib.format.read_array_header_1_0(array)
            found[name] = shape, dtype
    return found


def _check_samples(headers, graph, most):
    """Refuse arrays that are not of the graph, or that take more bytes than a file of this size can hold."""
    count = min(headers[f"input/{source.name}"][0][0] for source in graph.sources)
    shapes, populations = graph.shapes, {neurons.name for neurons in graph.neurons}
    if count < 1:
        raise ValueError("it has no samples")
    for key, (shape, dtype) in headers.items():
        kind, _, name = key.partition("/")
        name, _, state = (name, "", "u") if kind in ("input", "events") else name.rpartition("/")
        known = kind in ("events", "states", "last") and state in ("u", "v") and name in populations
        if not known and (kind != "input" or name not in shapes or name in populations):
            raise ValueError(f"nobody knows what {key[:99]!r} is")
        lead = (1 if graph.phased else count,) if kind == "last" else (count, graph.window)
        if dtype.kind not in "iu" or shape != (*lead, *shapes[name]):
            raise ValueError(f"{key} must hold integers of shape {(*lead, *shapes[name])}, it holds {dtype} of {shape}")
        most -= math.prod(shape) * dtype.itemsize
        if most < 0 or math.prod(shape) * dtype.itemsize > MAX_BYTES:
            raise ValueError(f"{key} of shape {shape} is more than the file can hold, or than {MAX_BYTES} bytes")


def _sentence(path, error):
    said = " ".join(str(error).split())[:300] or type(error).__name__
    what = f"it has no {said}" if isinstance(error, KeyError) else said
    return f"'{path}' is damaged or is not of this bundle ({what}); make the bundle again."


def _value(value):
    if isinstance(value, (bytes, str)):
        return value if isinstance(value, str) else value.decode()
    return tuple(value.tolist()) if np.ndim(value) else value.item()


def _member(group, name):
    """Return a member that lies in this file: links are not followed."""
    link = group.get(name, getlink=True)
    if link is None:
        raise KeyError(name)
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{group.name}/{name} is a link; everything must lie in this file")
    return group[name]


def _groups(parent):
    if len(parent) > MAX_PARTS:
        raise ValueError(f"{parent.name} has {len(parent)} parts, and {MAX_PARTS} is the most")
    for name in sorted(parent):
        yield _member(parent, name)


def _part(group, what):
    found = {key: _value(value) for key, value in group.attrs.items()}
    for key in group:
        data = _member(group, key)
        size = data.size * data.dtype.itemsize
        stored = MAX_INFLATION * (data.id.get_storage_size() + 64)
        if data.external or data.is_virtual or data.dtype.kind not in "iu" or size > min(MAX_BYTES, stored):
            raise ValueError(f"{group.name}/{key} is no array of integers of this file, or too large")
        found[key] = data[...]
    parameters = {key.partition(".")[2]: found.pop(key) for key in list(found) if key.startswith("parameters.")}
    if what == "neurons":
        found["parameters"] = parameters
    if lacking := [key for key in NEEDS[what] if key not in found]:
        raise ValueError(f"{group.name} lacks {', '.join(lacking)}")
    for key in found.keys() & {*TEXTS}:
        if not isinstance(found[key], str):
            raise ValueError(f"{group.name}: {key} is no text")
    for key in found.keys() & NUMBERS.keys():
        _within(f"{group.name}: {key}", found[key], *NUMBERS[key])
    part = SimpleNamespace(**found)
    if "shape" in found:
        _within(f"{group.name}: shape", part.shape, 1, MAX_NEURONS)
        if len(part.shape) not in (1, 3) or math.prod(part.shape) > MAX_NEURONS:
            raise ValueError(f"{group.name}: shape must be of 1 or 3 axes, and at most {MAX_NEURONS} neurons")
    if what == "neurons":
        _check_parameters(group.name, part)
    return part


def _within(what, value, least, most):
    values = np.asarray(value)
    if values.dtype.kind not in "iu" or (values.size and not least <= values.min() <= values.max() <= most):
        raise ValueError(f"{what} must be integers in {least}..{most}")


def _check_parameters(where, neurons):
    """Refuse parameters that a model has not, lacks, or does not take."""
    ranges = MODELS.get(neurons.model)
    if ranges is None:
        raise ValueError(f"this runner has no neurons of the model {neurons.model!r}")
    if wrong := sorted(ranges.keys() ^ neurons.parameters.keys()):
        raise ValueError(f"{where}: {neurons.model} has other parameters, see {', '.join(wrong)}")
    for key, value in neurons.parameters.items():
        _within(f"{where}: {key}", value, *ranges[key])
        if np.ndim(value) and np.shape(value) != neurons.shape:
            raise ValueError(f"{where}: {key} has shape {np.shape(value)}, the population {neurons.shape}")


def _check(graph):
    """Refuse what would let Lava hang: parts that nobody has, weights of another size."""
    shapes, populations = graph.shapes, {neurons.name for neurons in graph.neurons}
    if len(shapes) != len(graph.sources) + len(graph.neurons) or not graph.sources:
        raise ValueError("two parts have one name, or there is no source")
    _within("window", graph.window, 1, MAX_WINDOW)
    for made in graph.synapses:
        where = f"{made.source} -> {made.target}"
        if made.source not in shapes or made.target not in populations:
            raise ValueError(f"{where}: the one sends nothing, or the other is no population")
        if made.form not in FITS:
            raise ValueError(f"{where}: nobody knows synapses of the form {made.form!r}")
        fits = np.ndim(made.delay) == 0 or np.shape(made.delay) == made.weight.shape
        if not fits or not FITS[made.form](made, shapes[made.source], shapes[made.target]):
            raise ValueError(f"{where}: the weights do not fit")


def _dense_fits(made, source, target):
    return made.weight.shape == (math.prod(target), math.prod(source))


def _sparse_fits(made, source, target):
    at, ends, weight = made.indices, made.indptr, made.weight
    fits = ends.shape == (math.prod(target) + 1,) and at.shape == weight.shape == (len(at),)
    fits = fits and ends[0] == 0 and ends[-1] == len(at) and (ends[1:] >= ends[:-1]).all()
    return fits and (not at.size or at.max() < math.prod(source))


def _conv_fits(made, source, target):
    """Return whether it has no delays, and makes of `source` what `target` is."""
    pairs = (made.stride, made.padding, made.dilation)
    if made.weight.ndim != 4 or np.any(made.delay) or len(source) != 3 or any(len(pair) != 2 for pair in pairs):
        return False
    outputs, *kernel, inputs = made.weight.shape
    for pair, least in zip(pairs, (1, 0, 1), strict=True):
        _within("stride, padding and dilation", pair, least, MAX_PADDED)
    padded = [n + 2 * p for n, p in zip(source[:2], made.padding, strict=True)]
    if min(kernel) < 1 or math.prod(padded) * source[2] > MAX_PADDED:
        return False
    each = zip(padded, made.dilation, kernel, made.stride, strict=True)
    out = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in each]
    return (*out, outputs) == tuple(target) and inputs * made.groups == source[2] and outputs % made.groups == 0


# Of synapses, not of connections: there is no diagonal, sum_pool, pooled_conv, random or window in a graph.
FITS = {"dense": _dense_fits, "sparse": _sparse_fits, "conv": _conv_fits}


def exists(folder):
    """Raise Damaged where a folder holds no bundle."""
    for name in ("graph.h5", "samples.npz"):
        if not (Path(folder) / name).is_file():
            raise Damaged(f"there is no file '{Path(folder) / name}': name the folder of a bundle.")
