"""Golden vectors: what the reference computes for some samples, as checksums that firmware can compare."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.codes import word_range
from spikerun.edge.mcu import emit
from spikerun.edge.mcu.calls import Model
from spikerun.edge.mcu.cgen import NOTICE
from spikerun.edge.mcu.layout import Layout
from spikerun.edge.target import Frames
from spikerun.errors import DataError
from spikerun.inputs import by_name, checked
from spikerun.network import Network
from spikerun.neurons import Input, Readout
from spikerun.reference import blocked, stepped

__all__ = ["Golden", "crc_membrane", "crc_words", "frames_of", "make", "random_frames", "source"]


@dataclass(frozen=True, eq=False)
class Golden:
    """Samples and what the reference makes of them.

    frames: uint8 (samples, frame bytes); outputs: int32 (samples, outputs); checksums: uint32 (samples, populations,
    2), of membrane and words, 0 where there is none; tables: uint32, of each constant array.
    """

    frames: npt.NDArray[np.uint8]
    outputs: npt.NDArray[np.int32]
    checksums: npt.NDArray[np.uint32]
    tables: npt.NDArray[np.uint32]


def frames_of(net: Network, samples: Frames) -> dict[str, npt.NDArray[np.int64]]:
    """Return the samples by input, checked: integers (samples, *shape) within the range of the input's words."""
    given = {name: checked(net, name, array, batch=True) for name, array in by_name(net, samples).items()}
    counts = {len(array) for array in given.values()}
    if len(counts) != 1 or counts == {0}:
        raise DataError(f"samples must be at least one, and equally many for each input; got {sorted(counts)}")
    return {name: array.astype(np.int64) for name, array in given.items()}


def random_frames(net: Network, count: int, seed: int = 0) -> dict[str, npt.NDArray[np.int64]]:
    """Return random samples over the whole range of each input; every other one is sparse."""
    rng = np.random.default_rng(seed)
    frames = {}
    for name in net.inputs:
        neuron = net.populations[name].neuron
        assert isinstance(neuron, Input)
        low, high = word_range(neuron.bits, neuron.signed)
        steps = (net.window,) if neuron.code == "spikes" else ()
        values = rng.integers(low, high + 1, (count, *steps, *net.populations[name].shape))
        keep = rng.random(values.shape) < np.where(np.arange(count) % 2, 0.2, 1.0).reshape(-1, *[1] * (values.ndim - 1))
        frames[name] = np.where(keep, values, 0)
    return frames


def make(model: Model, samples: Frames) -> Golden:
    """Run the samples through the reference."""
    layout, net = model.layout, model.layout.net
    given = frames_of(net, samples)
    count = len(next(iter(given.values())))
    frames = np.concatenate([given[name].reshape(count, -1) for name in layout.frames], axis=1)
    outputs = np.zeros((count, layout.output_count), np.int32)
    checksums = np.zeros((count, len(layout.order), 2), np.uint32)
    for k in range(count):
        outputs[k], checksums[k] = _sample(layout, {name: array[k] for name, array in given.items()})
    tables = np.array([zlib.crc32(values.tobytes()) for values in model.arrays.values()], np.uint32)
    return Golden((frames & 0xFF).astype(np.uint8), outputs, checksums, tables)


def _sample(
    layout: Layout, frame: Mapping[str, npt.NDArray[np.int64]]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
    turns = (blocked if layout.net.feedforward else stepped)(layout.net, frame)
    results = []
    for name in layout.outputs:
        turn, readout = turns[name], isinstance(layout.net.populations[name].neuron, Readout)
        value = turn.membrane if readout else turn.word
        assert value is not None
        results.append(value.ravel())
    sums = np.zeros((len(layout.order), 2), np.uint32)
    for k, name in enumerate(layout.order):
        membrane = turns[name].membrane
        sums[k, 0] = 0 if membrane is None else crc_membrane(membrane)
        sent = turns[name].events if layout.stepped else turns[name].word
        sums[k, 1] = crc_words(sent) if name in layout.words else 0
    return np.concatenate(results).astype(np.int32), sums


def crc_membrane(membrane: npt.NDArray[np.integer[Any]]) -> int:
    """Return the CRC-32 of membranes in C order, each as four bytes, least significant first."""
    return zlib.crc32(np.ascontiguousarray(membrane, dtype="<i4").tobytes())


def crc_words(words: npt.NDArray[np.integer[Any]]) -> int:
    """Return the CRC-32 of words in C order, each as one byte."""
    return zlib.crc32((np.ascontiguousarray(words) & 0xFF).astype(np.uint8).tobytes())


def source(layout: Layout, golden: Golden) -> str:
    """Return `golden.c`."""
    names = "\n".join(f"    {emit.string(name)}," for name in layout.order)
    return f"""{NOTICE}#include "golden.h"

const int32_t golden_samples = {len(golden.frames)};

const char* const golden_names[MODEL_POPULATIONS] = {{
{names}
}};

{emit.array("golden_frames", golden.frames, static=False)}

{emit.array("golden_outputs", golden.outputs, static=False)}

/* of membrane and words of each population of each sample */
{emit.array("golden_checksums", golden.checksums, static=False)}

{emit.array("golden_tables", golden.tables if golden.tables.size else np.zeros(1, np.uint32), static=False)}
"""
