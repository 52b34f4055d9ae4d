# SPDX-License-Identifier: Apache-2.0
"""An ONNX file, read without trust: its size, its tensors, the files beside it and its functions are checked first.

What comes back is one `ModelProto` of the operators of the standard alone, whose tensors all lie in it.
"""

import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PureWindowsPath

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, checker, inliner, numpy_helper

from spikerun.converters.graph import Array
from spikerun.errors import ConversionError, FileFormatError, printable

__all__ = ["LEARN", "OPSETS", "load", "nodes_within", "opset_of", "tensor"]

MAX_BYTES = 2**31 - 1  # of the file with all that lies beside it: no message of protobuf holds more
MAX_NODES = 100_000  # functions laid open
MAX_AXES = 8
MAX_QUOTED = 300  # characters of what others say
OPSETS = (9, 23)
LEARN = "ai.onnx.ml"
DOMAINS = {"": "ai.onnx", "ai.onnx": "ai.onnx", LEARN: LEARN}
# Bytes of one value, and the field that holds it where `raw_data` does not.
TYPES: Mapping[int, tuple[str, int]] = {
    TensorProto.FLOAT: ("float_data", 4),
    TensorProto.DOUBLE: ("double_data", 8),
    TensorProto.FLOAT16: ("int32_data", 2),
    TensorProto.BFLOAT16: ("int32_data", 2),
    TensorProto.INT8: ("int32_data", 1),
    TensorProto.UINT8: ("int32_data", 1),
    TensorProto.INT16: ("int32_data", 2),
    TensorProto.UINT16: ("int32_data", 2),
    TensorProto.INT32: ("int32_data", 4),
    TensorProto.UINT32: ("uint64_data", 4),
    TensorProto.INT64: ("int64_data", 8),
    TensorProto.UINT64: ("uint64_data", 8),
    TensorProto.BOOL: ("int32_data", 1),
}


def load(path: Path) -> ModelProto:
    """Return the model of a file, its tensors in it and its functions laid open.

    Raises FileFormatError where the file is broken, ConversionError where it is sound and cannot be converted.
    """
    try:
        return _loaded(path)
    except (FileFormatError, ConversionError) as error:
        raise type(error)(f"'{path}': {printable(str(error))}") from error


def _loaded(path: Path) -> ModelProto:
    raw = _bytes(path)
    model = ModelProto()
    try:
        model.ParseFromString(raw)
    except Exception as error:  # that of protobuf, which onnx does not name
        raise FileFormatError(f"is no ONNX file, or is cut off or nested too deeply ({_short(error)})") from None
    if not model.ir_version or not model.HasField("graph"):
        raise FileFormatError("is no ONNX file: it holds no graph")
    room = MAX_BYTES - len(raw)
    for where, held in _tensors(model):
        try:
            room -= _gather(held, path.parent, room)
            _check_tensor(held)
        except FileFormatError as error:
            raise FileFormatError(f"tensor {where}: {error}") from error
    model = _inlined(model)
    _check_opsets(model)
    _check(model)
    return model


def _bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileFormatError("is no file")
        if status.st_size > MAX_BYTES:
            raise FileFormatError(f"has {status.st_size} bytes, more than the {MAX_BYTES} of an ONNX file")
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"cannot be read: {error.strerror or error}") from None


def _short(error: Exception) -> str:
    """Return what an error of others says, on one line: they write the name of a node below what is wrong with it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}..."


# --- tensors ---------------------------------------------------------------------------------------------------------


def _tensors(model: ModelProto) -> Iterator[tuple[str, TensorProto]]:
    """Yield every tensor, with the words that say where it is."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)
        yield from _of_attributes(function.attribute_proto, f"of function '{function.name}'")


def _of_graph(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    if graph.sparse_initializer:
        raise ConversionError(
            f"tensor '{graph.sparse_initializer[0].values.name}' is sparse; store dense weights: the zeros cost nothing"
        )
    for held in graph.initializer:
        yield f"'{held.name}'", held
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[NodeProto]) -> Iterator[tuple[str, TensorProto]]:
    for node in nodes:
        yield from _of_attributes(node.attribute, f"of the {node.op_type} that gives '{next(iter(node.output), '')}'")


def _of_attributes(attributes: Iterable[AttributeProto], where: str) -> Iterator[tuple[str, TensorProto]]:
    for attribute in attributes:
        for held in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
            yield where, held
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from _of_graph(graph)


def _gather(held: TensorProto, folder: Path, room: int) -> int:
    """Put what a tensor has in a file beside into itself, and return how many bytes those are."""
    if held.data_location != TensorProto.EXTERNAL:
        return 0
    said = {entry.key: entry.value for entry in held.external_data}
    place = said.get("location", "")
    parts = Path(place).parts
    if not place or "\0" in place or Path(place).is_absolute() or PureWindowsPath(place).drive or ".." in parts:
        raise FileFormatError(f"its data lie in '{place}', which is no relative path within the folder of the file")
    beside = folder
    try:
        for part in parts:
            beside = beside / part
            if beside.is_symlink():
                raise FileFormatError(f"its data lie in '{place}', which is a link: links are not followed")
        with open(os.open(beside, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileFormatError(f"its data lie in '{place}', which is no file")
            offset = _whole(said, "offset", 0)
            length = _whole(said, "length", status.st_size - offset)
            if length < 0 or offset + length > status.st_size:
                raise FileFormatError(
                    f"its data are bytes {offset} to {offset + length} of '{place}', which has {status.st_size}"
                )
            if length > room:
                raise FileFormatError(f"with its data the file has more than {MAX_BYTES} bytes")
            file.seek(offset)
            held.raw_data = file.read(length)
    except OSError as error:
        why = error.strerror or error
        raise FileFormatError(f"its data lie in '{place:.{MAX_QUOTED}}', which cannot be read: {why}") from None
    held.ClearField("data_location")
    held.ClearField("external_data")
    return length


def _whole(said: Mapping[str, str], key: str, default: int) -> int:
    text = said.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise FileFormatError(f"the {key} of its data is '{text:.40}', which is no number of bytes")
    return int(text)


def _check_tensor(held: TensorProto) -> None:
    """Raise FileFormatError unless the values of a tensor are as many as its shape says."""
    kind = held.data_type
    if any(n < 0 for n in held.dims) or len(held.dims) > MAX_AXES:
        raise FileFormatError(f"its shape {tuple(held.dims)} is impossible")
    count = math.prod(held.dims)
    if kind == TensorProto.STRING:
        found, wanted = len(held.string_data), count
    elif kind not in TYPES:
        names = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else str(kind)
        raise FileFormatError(f"its values are of type {names}, which is not read; store float32, or int8 for QDQ")
    elif held.HasField("raw_data"):
        found, wanted = len(held.raw_data), count * TYPES[kind][1]
    else:
        found, wanted = len(getattr(held, TYPES[kind][0])), count
    if found != wanted:
        what = "bytes" if held.HasField("raw_data") else "values"
        raise FileFormatError(f"its shape {tuple(held.dims)} asks for {wanted} {what}, it has {found}")


def tensor(held: TensorProto) -> Array:
    """Return the values of a tensor that was checked."""
    values = numpy_helper.to_array(held)
    return np.asarray(values, np.float32) if held.data_type == TensorProto.BFLOAT16 else values


# --- operators -------------------------------------------------------------------------------------------------------


def _inlined(model: ModelProto) -> ModelProto:
    """Return the model with the bodies of its functions in the place of their calls."""
    _check_functions(model)
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # whatever the C++ of onnx raises
        raise FileFormatError(f"its functions cannot be laid open: {_short(error)}") from None


def _check_functions(model: ModelProto) -> None:
    """Refuse functions that call themselves, and graphs of too many nodes once they are laid open."""
    bodies = {(f.domain, f.name): f.node for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(nodes: Iterable[NodeProto], within: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in within:
                raise FileFormatError(f"its function '{node.op_type}' calls itself")
            if key in bodies and key not in sizes:
                if len(within) > 32:
                    raise FileFormatError("its functions are nested too deeply")
                sizes[key] = size(bodies[key], (*within, key))
            total += sizes.get(key, 1)
            total += sum(size(graph.node, within) for graph in _graphs(node))
        if total > MAX_NODES:
            raise FileFormatError(f"it has more than {MAX_NODES} operators")
        return total

    size(model.graph.node, ())


def _graphs(node: NodeProto) -> list[GraphProto]:
    found: list[GraphProto] = []
    for attribute in node.attribute:
        found += [attribute.g] if attribute.HasField("g") else []
        found += attribute.graphs
    return found


def nodes_within(node: NodeProto) -> Iterator[NodeProto]:
    """Yield the operators of the graphs that an operator holds, as branches and loops do, with those within them."""
    for graph in _graphs(node):
        for inner in graph.node:
            yield inner
            yield from nodes_within(inner)


def opset_of(model: ModelProto) -> int:
    """Return the version of the standard's operators that the file is written in."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def _check_opsets(model: ModelProto) -> None:
    used = {node.domain for node in model.graph.node}
    for node in model.graph.node:
        if node.domain not in DOMAINS:
            raise ConversionError(_strange(node))
    version, (first, last) = opset_of(model), OPSETS
    if used & {"", "ai.onnx"} and not first <= version <= last:
        raise ConversionError(
            f"is of opset {version}; those of {first} to {last} are read. Export it again with opset 20 "
            "(torch.onnx.export(..., opset_version=20)), or use onnx.version_converter.convert_version"
        )


def _strange(node: NodeProto) -> str:
    name = f"{node.domain}::{node.op_type}"
    where = f"it has the operator {name} (node '{node.name}', output '{next(iter(node.output), '')}')"
    if node.domain == "com.microsoft" and (
        node.op_type.startswith("QLinear") or node.op_type in ("QGemm", "QAttention")
    ):
        return f"{where}: quantised operators are not read. Export it as QDQ (quant_format=QuantFormat.QDQ)"
    if node.domain.startswith(("com.microsoft", "org.pytorch")):
        return f"{where}, which only its own runtime knows: export it without optimisations and without such operators"
    return f"{where}, which is of no standard: replace it by standard operators"


def _check(model: ModelProto) -> None:
    del model.graph.value_info[:]  # what a file says of shapes in its midst is not asked for
    for result in model.graph.output:
        if result.type.HasField("tensor_type") and not result.type.tensor_type.HasField("shape"):
            result.type.tensor_type.shape.SetInParent()  # nor is that of results, which many leave out
    try:
        checker.check_model(model)
    except checker.ValidationError as error:
        raise FileFormatError(f"is not valid: {_short(error)}") from None
    except Exception as error:  # whatever the C++ of onnx raises
        raise FileFormatError(f"cannot be checked: {type(error).__name__}: {_short(error)}") from None
    for node in model.graph.node:
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx") and len(node.attribute) != 1:
            raise FileFormatError(f"is not valid: the Constant that gives '{node.output[0]}' holds no single value")
    for given in model.graph.input:
        kind = given.type.tensor_type
        if not given.type.HasField("tensor_type") or kind.elem_type not in TYPES:
            raise ConversionError(f"its input '{given.name}' is no tensor of numbers")
        if not kind.HasField("shape"):
            raise ConversionError(f"its input '{given.name}' has no shape; export it with one (the batch may be free)")
        for dim in kind.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0 and dim.dim_value != -1:  # some write -1 for a free one
                raise FileFormatError(f"its input '{given.name}' has an axis of length {dim.dim_value}")
