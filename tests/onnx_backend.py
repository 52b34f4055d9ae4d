# SPDX-License-Identifier: Apache-2.0
"""ONNX's own tests of single operators, for every operator that is read: the float graph beside their stored results.

A case has all its inputs as inputs of the model where they may be (equal first axes: the batch), or one of them, the
others being constants. It passes where the graph of one of these gives what is stored, else it is refused for a reason.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from spikerun.converters.graph import Array
from spikerun.converters.onnx.file import OPSETS, TYPES, tensor
from spikerun.converters.onnx.model import RANGE
from spikerun.converters.onnx.operators import ONNX
from spikerun.converters.onnx.source import OnnxSource
from spikerun.converters.onnx.tail import ENDS
from spikerun.errors import SpikerunError

__all__ = ["FAULTS", "PASS", "Case", "cases", "outcome", "page", "results", "written"]

PASS, WRONG, UNKNOWN = "pass", "wrong result", "unknown reason"
FAULTS = (WRONG, UNKNOWN)
MARK = "<!-- what follows is written by scripts/onnx -->\n"
NOT_REAL = "no real numbers"
# What a refusal says, and how the page puts it.
REASONS: Sequence[tuple[str, str]] = (
    ("no axis beside the batch", "no axis but the batch"),
    ("axis of length 0", "no values"),
    ("it leaves no value", "no values"),
    ("do not depend on an input", "no values"),
    ("the samples are no longer apart", "samples of the batch meet"),
    ("acts on the axis of the batch", "samples of the batch meet"),
    ("concatenates along the batch", "samples of the batch meet"),
    ("pads the batch", "samples of the batch meet"),
    ("resizes the batch", "samples of the batch meet"),
    ("so that samples", "samples of the batch meet"),
    ("adds axes in front of the batch", "samples of the batch meet"),
    ("differs between the samples", "a constant that differs between samples"),
    ("differs between samples", "a constant that differs between samples"),
    ("only images (C, H, W) and signals", "volumes: three axes and more beside the channels"),
    ("statistics of the batch", "training mode"),
    ("active at inference", "training mode"),
    ("it interpolates", "linear and cubic interpolation"),
    ("used besides the first", "indices or masks as a second result"),
    ("divides by a computed value", "division by a computed value"),
    ("two computed values", "products of two computed matrices"),
    ("computed from the input", "weights, sizes or places that are computed"),
    ("exponent is computed", "a computed exponent"),
    ("exponent differs", "exponents that differ between values"),
    ("compares several computed values", "maximum and minimum of several computed values"),
    ("constant differs between values", "limits that differ between values"),
    ("makes integers", "integers made of values"),
    ("several matrices", "weights of several matrices"),
    ("its limits are computed", "computed limits"),
    ("is not valid", "attributes or operators of later opsets"),
    ("stands before the batch", "samples of the batch meet"),
    ("takes nothing but padding", "windows that see nothing but padding"),
    ("nothing but padding", "windows that see nothing but padding"),
    ("without an axis", "results of one number in the midst of a model"),
    ("holds no value", "limits that hold no value"),
    ("wrong sizes", "values that are too many"),
    ("with a bias", "transposed convolutions padded beyond their kernel"),
    ("not that of its weights", "a kernel_shape that is not that of the weights"),
    ("holds NaN or infinity", "constants that are not finite"),
)
# Operators of each value alone, whose samples may get an axis in front.
EACH = (
    " Abs Add Celu Clip Div Elu Erf Exp Gelu HardSigmoid HardSwish Identity LeakyRelu Log Max Mean Min Mish Mul Neg "
    "Pow PRelu Relu Selu Shrink Sigmoid Softplus Softsign Sqrt Sub Sum Tanh ThresholdedRelu Dropout Cast "
)


@dataclass(frozen=True)
class Case:
    """A case of ONNX: a model of one operator, its inputs and what it gives."""

    name: str
    operator: str
    model: ModelProto
    inputs: Sequence[Any]
    outputs: Sequence[Any]


def cases() -> Iterator[Case]:
    """Yield every case of an operator that is read."""
    from onnx.backend.test.case.node import collect_testcases

    read = {name for name, _ in ONNX.coverage()}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    for case in found:
        assert case.model is not None and case.data_sets is not None, case.name
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].domain in ("", "ai.onnx") and nodes[0].op_type in read:
            yield Case(case.name, nodes[0].op_type, case.model, *case.data_sets[0])


def outcome(case: Case, folder: Path) -> str:
    """Return PASS, or why the case is not read; anything else is a fault."""
    inputs = [_array(x) for x in case.inputs]
    plain = [isinstance(x, (np.ndarray, np.generic)) for x in inputs]
    if not plain or not all(plain) or not any(np.asarray(x).dtype.kind == "f" for x in inputs[:2]):
        return NOT_REAL
    given = [np.asarray(x) for x in inputs]
    if f" {case.operator} " in EACH and max(x.ndim for x in given) == 1:
        given = [x[None] if x.ndim else x for x in given]
    together = [k for k, x in enumerate(given) if x.dtype.kind == "f" and x.ndim > 1 and len(x) == len(given[0])]
    said = []
    for which in (together, [0], [1]):
        if which and max(which) < len(given):
            said.append(_tried(case, given, which, folder))
            if said[-1] in (PASS, WRONG):
                return said[-1]
    return next((one for one in said if one != UNKNOWN), UNKNOWN)


def results(folder: Path) -> Iterator[tuple[Case, str]]:
    """Yield every case, and its outcome."""
    for case in cases():
        yield case, outcome(case, folder)


def _array(values: Any) -> Any:
    """Return a tensor of a type that is read as an array."""
    return tensor(values) if isinstance(values, TensorProto) and values.data_type in TYPES else values


def _tried(case: Case, given: Sequence[Array], which: Sequence[int], folder: Path) -> str:
    """Return what becomes of a case whose inputs `which` are inputs of the model, the others constants."""
    path = folder / "case.onnx"
    path.write_bytes(_with_constants(case, given, which).SerializeToString())
    names = [info.name for info in case.model.graph.input]
    try:
        source = OnnxSource(path)
        samples = {source.inputs[names[k]]: given[k].astype(np.float64) for k in which if names[k] in source.inputs}
        found = source.graph({name: x.shape[1:] for name, x in samples.items()}).evaluate(samples)
    except SpikerunError as error:
        return next((reason for part, reason in REASONS if part in str(error)), UNKNOWN)
    for info, expected in zip(case.model.graph.output, case.outputs, strict=True):
        if info.name in source.results and not _close(found[source.results[info.name]], expected):
            return WRONG
    return PASS


def _with_constants(case: Case, given: Sequence[Array], which: Sequence[int]) -> ModelProto:
    model = ModelProto()
    model.CopyFrom(case.model)
    inputs = list(model.graph.input)
    del model.graph.input[:]
    for k, (info, values) in enumerate(zip(inputs, given, strict=True)):
        if k in which:
            model.graph.input.append(
                helper.make_tensor_value_info(info.name, info.type.tensor_type.elem_type, values.shape)
            )
        else:
            model.graph.initializer.append(numpy_helper.from_array(values, info.name))
    if case.operator in ENDS:  # at the end of a model it would be left out
        model.graph.node[0].output[0] = "inner"
        model.graph.node.append(helper.make_node("Reshape", ["inner", "shape"], ["again"]))
        model.graph.node.append(helper.make_node("Mul", ["again", "one"], [model.graph.output[0].name]))
        shape = np.array([*np.shape(given[0])])
        model.graph.initializer.append(numpy_helper.from_array(shape, "shape"))
        model.graph.initializer.append(numpy_helper.from_array(np.ones((), np.float32), "one"))
    for entry in model.opset_import:
        entry.version = min(entry.version, OPSETS[1]) if entry.domain in ("", "ai.onnx") else entry.version
    return model


def _close(found: Array, stored: Any) -> bool:
    expected = np.asarray(_array(stored))
    short = isinstance(stored, TensorProto) or expected.dtype.kind != "f" or expected.dtype.itemsize < 4
    if found.size != expected.size:
        return False
    return bool(np.allclose(found.reshape(expected.shape), expected, 1e-2 if short else 1e-4, 1e-4, True))


def page(found: Iterable[tuple[str, str]]) -> str:
    """Return the table of the documentation; found: the operator and the outcome of every case."""
    outcomes: dict[str, list[str]] = {name: [] for name, _ in ONNX.coverage() if name != RANGE}
    for operator, result in found:
        outcomes[operator].append(result)
    does = dict(ONNX.coverage())
    passed = sum(of.count(PASS) for of in outcomes.values())
    total = sum(map(len, outcomes.values()))
    return "\n".join([
        f"Of {total} cases {passed} pass and {total - passed} are refused.",
        "",
        "| operator | what it becomes | pass | refused, and why |",
        "|---|---|---|---|",
        *(
            f"| {operator.rpartition('::')[2]} | {does[operator]} | {of.count(PASS)} | {_reasons(of)} |"
            for operator, of in sorted(outcomes.items())
        ),
        "",
    ])  # fmt: skip


def written(text: str, found: Iterable[tuple[str, str]]) -> str:
    """Return the text of the page with its table anew."""
    return text.partition(MARK)[0] + MARK + "\n" + page(found)


def _reasons(of: Sequence[str]) -> str:
    counts = Counter(reason for reason in of if reason != PASS)
    return "; ".join(f"{count}: {reason}" for reason, count in sorted(counts.items()))
