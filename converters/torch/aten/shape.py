# SPDX-License-Identifier: Apache-2.0
"""Operators that move values and compute nothing: what they do to numbered places is what they do to all values."""

from typing import Any

import numpy as np
import torch

from spikerun.converters.graph import Array, Flatten, Identity, Op, Rearrange
from spikerun.converters.rules import Call, Refusal, Value
from spikerun.converters.torch.aten.dialect import ATEN

__all__ = ["MIXES", "SPLITS", "order"]

SPLITS = (
    "aten.split.Tensor",
    "aten.split_with_sizes.default",
    "aten.chunk.default",
    "aten.tensor_split.sections",
    "aten.unbind.int",
    "aten.unsafe_split.Tensor",
    "aten.unsafe_chunk.default",
)
INDICES = ("index", "indices")  # arguments that are places


@ATEN.rule(
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    "aten.flatten.using_ints",
    "aten.unflatten.int",
    "aten.squeeze.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.unsqueeze.default",
)
def reshape(call: Call) -> tuple[Op, tuple[str, ...]]:
    """View, reshape, flatten, unflatten, squeeze, unsqueeze of a sample."""
    return _moved(call)


@ATEN.rule(
    "aten.permute.default",
    "aten.transpose.int",
    "aten.movedim.int",
    "aten.movedim.intlist",
    "aten.swapaxes.default",
    "aten.numpy_T.default",
    "aten.mT.default",
)
def permute(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Permute, transpose, movedim: other orders of the axes behind the batch."""
    return _moved(call)


@ATEN.rule(
    "aten.slice.Tensor",
    "aten.select.int",
    "aten.narrow.default",
    "aten.index_select.default",
    "aten.index.Tensor",
    "aten.flip.default",
    "aten.roll.default",
    "aten.diagonal.default",
)
def chosen(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Slices, single places, index_select, constant indices, flip, roll."""
    return _moved(call)


@ATEN.rule(*SPLITS)
def split(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Split, chunk, unbind: each part is a slice."""
    return _moved(call)


@ATEN.rule("aten.expand.default", "aten.repeat.default", "aten.repeat_interleave.self_int", "aten.tile.default")
def repeated(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Expand, repeat, tile, repeat_interleave: the same value at several places."""
    return _moved(call)


@ATEN.rule(
    "aten.upsample_nearest1d.vec",
    "aten.upsample_nearest1d.default",
    "aten.upsample_nearest2d.vec",
    "aten.upsample_nearest2d.default",
    "aten._upsample_nearest_exact1d.vec",
    "aten._upsample_nearest_exact1d.default",
    "aten._upsample_nearest_exact2d.vec",
    "aten._upsample_nearest_exact2d.default",
)
def nearest(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Upsample and interpolate, modes nearest and nearest-exact."""
    return _moved(call)


@ATEN.rule(
    "aten.pixel_shuffle.default",
    "aten.pixel_unshuffle.default",
    "aten.channel_shuffle.default",
    "aten.native_channel_shuffle.default",
    "aten.im2col.default",
)
def shuffle(call: Call) -> tuple[Op, tuple[str, ...]]:
    """PixelShuffle, PixelUnshuffle, ChannelShuffle, Unfold."""
    return _moved(call)


@ATEN.rule(
    "aten.pad.default",
    "aten.constant_pad_nd.default",
    "aten.reflection_pad1d.default",
    "aten.reflection_pad2d.default",
    "aten.replication_pad1d.default",
    "aten.replication_pad2d.default",
    "aten._pad_circular.default",
)
def pad(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Padding with zeros, a constant, the reflected or repeated edge, or from the other end."""
    given = dict(call.arguments)
    fill = 0.0
    if "value" in given and given.get("mode", "constant") == "constant":
        fill = float(given["value"] or 0.0)
        given["value"] = -1.0  # the place of a constant
    return _moved(call, given, fill)


@ATEN.rule(
    "aten.clone.default",
    "aten.alias.default",
    "aten.detach.default",
    "aten.contiguous.default",
    "aten.lift_fresh_copy.default",
)
def same(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Clone, detach, contiguous: nothing."""
    return Identity(), (call.value("self").name,)


@ATEN.rule("aten._to_copy.default", "aten.to.dtype", "aten.to.dtype_layout", "aten.to.other", "aten.type_as.default")
def cast(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Casts between real types: nothing."""
    dtype = call.arguments.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise Refusal(f"it rounds to {dtype}; synapses carry real values: leave the cast out")
    return Identity(), (call.value("self").name,)


def order(call: Call, x: Value, axes: tuple[int, ...]) -> Value:
    """Return `x` with its axes (without the batch) in another order."""
    if axes == tuple(range(len(axes))):
        return x
    return call.emit(Rearrange(np.arange(int(np.prod(x.shape))).reshape(x.shape).transpose(axes)), x)


def _moved(call: Call, arguments: Any = None, fill: float = 0.0) -> tuple[Op, tuple[str, ...]]:
    given = dict(call.arguments if arguments is None else arguments)
    values = [name for name, value in given.items() if isinstance(value, Value)]
    if len(values) != 1:
        raise Refusal("which values it takes is computed from the input; only fixed places can become synapses")
    x = given[values[0]]
    index = _places(call, x, {**given, values[0]: _numbered(call.batch, x)})
    if index.shape == x.shape and np.array_equal(index.reshape(-1), np.arange(index.size)):
        return Identity(), (x.name,)
    if index.ndim == 1 and np.array_equal(index, np.arange(int(np.prod(x.shape)))):
        return Flatten(), (x.name,)
    return Rearrange(index, fill), (x.name,)


def _numbered(batch: int, x: Value) -> torch.Tensor:
    """Return the places of `x` (batch, *shape), counted through all samples; float64, which all operators take."""
    size = batch * int(np.prod(x.shape))
    return torch.arange(size, dtype=torch.float64).reshape(batch, *x.shape)


def _places(call: Call, x: Value, arguments: dict[str, Any]) -> Array:
    """Return the place of a sample that each place of the result takes, int64, -1 for none."""
    dialect, name, overload = call.operator.split(".")
    target = getattr(getattr(getattr(torch.ops, dialect), name), overload)
    given = {key: _indices(value) if key in INDICES else value for key, value in arguments.items()}
    try:
        result = target(**given)
        if isinstance(result, tuple | list):
            result = result[call.item]
    except (RuntimeError, IndexError) as error:  # it stands behind an operator that was refused, and its shapes
        raise Refusal(MIXES) from error
    found = result.to(torch.int64).numpy()
    size = int(np.prod(x.shape))
    if found.shape != (call.batch, *call.shape):
        raise Refusal(MIXES)
    own = found[0]
    for sample, places in enumerate(found):
        if not np.array_equal(places, np.where(own < 0, -1, own + sample * size)) or own.max() >= size:
            raise Refusal(MIXES)
    return np.ascontiguousarray(own)


MIXES = (
    "it mixes the samples of a batch, or moves the batch from the first axis; keep the batch first, and reshape what "
    "is behind it: x.reshape(len(x), ...)"
)


def _indices(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_indices(item) for item in value]
    if isinstance(value, Value):
        raise Refusal("its indices are computed from the input; only fixed places can become synapses")
    return torch.from_numpy(np.asarray(value)).long() if isinstance(value, np.ndarray) else value
