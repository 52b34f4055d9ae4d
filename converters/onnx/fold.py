# SPDX-License-Identifier: Apache-2.0
"""What does not depend on the input is computed while reading, by ONNX's own reference, its size bounded beforehand."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from spikerun.converters.graph import Array, Shape
from spikerun.converters.onnx.model import Item
from spikerun.converters.rules import Refusal

__all__ = ["FOLDED", "MAX_VALUES", "computed", "require_room"]

MAX_VALUES = 2**26  # of one array that is made while reading

_BROADCAST = (
    "Add Sub Mul Div Pow Mod Min Max Sum Mean And Or Xor Equal Less LessOrEqual Greater GreaterOrEqual Where PRelu"
)
_ALIKE = (
    "Abs Neg Sqrt Reciprocal Exp Log Floor Ceil Round Sign Sin Cos Tanh Sigmoid Relu Clip Erf Not IsNaN IsInf Identity "
    "Cast CastLike Reshape Flatten Squeeze Unsqueeze Transpose Slice Split Concat ReduceSum ReduceMean ReduceProd "
    "ReduceMax ReduceMin ReduceL2 Shape Size NonZero QuantizeLinear DequantizeLinear DepthToSpace SpaceToDepth "
    "Dropout Compress ScatterND ScatterElements Trilu CumSum GatherND GatherElements ArgMax ArgMin Softmax"
)
Bound = Callable[[Sequence[Any], Mapping[str, Any]], int]


def _product(values: Any) -> int:
    return math.prod(int(n) for n in np.asarray(values).reshape(-1))


def _matmul(given: Sequence[Any], said: Mapping[str, Any]) -> int:
    left: Shape = np.shape(given[0])
    right: Shape = np.shape(given[1])
    return math.prod(left[:-1]) * math.prod(right[:-2]) * math.prod(right[-1:])


def _padded(given: Sequence[Any], said: Mapping[str, Any]) -> int:
    total = np.abs(np.asarray(given[1] if len(given) > 1 else said.get("pads", 0), dtype=np.float64)).sum()
    return math.prod(n + int(min(total, MAX_VALUES)) for n in np.shape(given[0]))


def _gathered(given: Sequence[Any], said: Mapping[str, Any]) -> int:
    return int(np.size(given[0])) * max(int(np.size(given[1])), 1)


def _range(given: Sequence[Any], said: Mapping[str, Any]) -> int:
    start, limit, delta = (float(np.asarray(x).reshape(-1)[0]) for x in given[:3])
    return 0 if not delta else int(min(max((limit - start) / delta, 0), MAX_VALUES + 1)) + 1


def _expanded(given: Sequence[Any], said: Mapping[str, Any]) -> int:
    return int(np.size(given[0])) * abs(_product(given[1]))


# How many values an operator gives at most, from its inputs and attributes; 0: no more than it takes.
BOUNDS: Mapping[str, Bound] = {
    **dict.fromkeys(_ALIKE.split(), lambda given, said: 0),
    **dict.fromkeys(
        _BROADCAST.split(), lambda given, said: math.prod(np.broadcast_shapes(*(np.shape(x) for x in given)))
    ),
    "ConstantOfShape": lambda given, said: _product(given[0]),
    "Expand": _expanded,
    "Tile": _expanded,
    "Range": _range,
    "Pad": _padded,
    "Gather": _gathered,
    "MatMul": _matmul,
    "Gemm": _matmul,
    "EyeLike": lambda given, said: int(np.size(given[0])),
}
FOLDED = frozenset(BOUNDS)


def require_room(count: int) -> None:
    """Refuse arrays that no network needs."""
    if count > MAX_VALUES or count < 0:
        raise Refusal(f"it asks for {count} values, more than {MAX_VALUES}: its sizes are wrong")


def _along(values: Array, x: Array, said: Mapping[str, Any]) -> Array:
    """Return scales or zero points, one or one for each place of an axis, such that they broadcast to `x`."""
    if said.get("block_size"):
        raise Refusal("it has a scale for each block; only one, or one for each channel, is read")
    if values.size == 1:
        return values.reshape(())
    shape = [1] * x.ndim
    shape[said.get("axis", 1)] = -1
    return values.reshape(shape)


def _quantised(given: Sequence[Any], said: Mapping[str, Any]) -> Array:
    x, scale = given[0], np.asarray(given[1], np.float32)
    zero = given[2] if len(given) > 2 and given[2] is not None else np.zeros((), np.uint8)
    kind = np.iinfo(zero.dtype)
    found = np.rint(x / _along(scale, x, said)) + _along(zero, x, said).astype(np.float64)
    words: Array = np.clip(found, kind.min, kind.max).astype(zero.dtype)
    return words


def _dequantised(given: Sequence[Any], said: Mapping[str, Any]) -> Array:
    x, scale = given[0], np.asarray(given[1], np.float32)
    zero = given[2] if len(given) > 2 and given[2] is not None else np.zeros((), x.dtype)
    found: Array = (x.astype(np.float32) - _along(zero, x, said).astype(np.float32)) * _along(scale, x, said)
    return found


# Those that the reference of ONNX does not have in all versions.
OWN: Mapping[str, Callable[[Sequence[Any], Mapping[str, Any]], Array]] = {
    "QuantizeLinear": _quantised,
    "DequantizeLinear": _dequantised,
}


def computed(item: Item, given: Sequence[Array | None], opsets: Sequence[Any]) -> list[Array]:
    """Return what an operator of BOUNDS gives for constants; raises Refusal where it cannot be computed."""
    if item.proto is None:
        raise Refusal("it cannot be computed beforehand")
    name = item.operator
    try:
        require_room(BOUNDS[name](given, item.attributes))
        if name in OWN:
            return [OWN[name](given, item.attributes)]
        names = [f"i{k}" if x is not None else "" for k, x in enumerate(given)]
        results = [f"o{k}" if output else "" for k, output in enumerate(item.outputs)]
        node = helper.make_node(name, names, results)
        node.attribute.extend(item.proto.attribute)
        held = {k: x for k, x in zip(names, given, strict=True) if k and x is not None}
        infos = [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(x.dtype), None) for k, x in held.items()
        ]
        wanted = [helper.make_tensor_value_info(k, TensorProto.UNDEFINED, None) for k in results if k]
        model = helper.make_model(helper.make_graph([node], "constant", infos, wanted), opset_imports=list(opsets))
        with np.errstate(all="ignore"):
            found = iter(ReferenceEvaluator(model).run(None, held))
        return [np.asarray(next(found)) if k else np.zeros(0) for k in results]
    except Refusal:
        raise
    except Exception as error:  # whatever the reference raises for arguments that do not fit
        raise Refusal(f"its arguments do not fit: {type(error).__name__}: {str(error).splitlines()[:1]}") from error
