# SPDX-License-Identifier: Apache-2.0
"""An ONNX file as a source: its float graph, and its own results by ONNX Runtime, or by ONNX's reference without it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper
from onnx.reference import ReferenceEvaluator

from spikerun.atomic import PathLike
from spikerun.converters.graph import Array, Graph, Shape
from spikerun.converters.onnx.ending import ending_at
from spikerun.converters.onnx.file import load
from spikerun.converters.onnx.model import model_of
from spikerun.converters.onnx.quantised import limits, wide, with_ranges
from spikerun.converters.onnx.read import read, require_rules
from spikerun.converters.onnx.tail import cut
from spikerun.converters.source import Source
from spikerun.errors import ConversionError, DataError, UsageError, printable
from spikerun.text import plural

__all__ = ["OnnxSource", "open_source"]

RUN = 256  # samples at once
MAX_QUOTED = 300  # characters of what a runtime says


class OnnxSource(Source):
    """A network of a file of opset 9 to 23.

    The only input is `input`, the only result `output`; several have the names of the file, made plain. outputs: the
    values of the file to end at, in place of its results. notes: what was left out, or read as something else.
    """

    name = "onnx"

    def __init__(self, path: PathLike, outputs: Sequence[str] | None = None) -> None:
        whole = model_of(load(Path(path)))
        model, self.notes = cut(whole if outputs is None else ending_at(whole, outputs))
        self.model = with_ranges(model.live())
        if self.model is not model and len(self.model.items) < len(model.live().items):
            self.notes.append(
                "pairs of QuantizeLinear and DequantizeLinear are read as ranges: the results to keep are those "
                "without the rounding of activations"
            )
        if count := wide(self.model):
            self.notes.append(
                f"{plural(count, 'range')} of pairs of 16 bits below 0 {'is' if count == 1 else 'are'} calibrated in "
                "place of what the file gives: words have 8 bits"
            )
        self.path = Path(path)
        used = {name for item in self.model.items for name in item.inputs}
        self.inputs = _named([name for name in self.model.inputs if name in used], "input")
        if not self.inputs:
            require_rules(self.model)
            raise ConversionError(f"'{path}': its results do not depend on an input through any layer")
        self.results = _named(self.model.outputs, "output", self.model.results)
        self._session: Any = None
        if not has_runtime():
            self.notes.append("onnxruntime is not installed: the model's own results are those of ONNX's reference")

    def expected(self) -> Mapping[str, tuple[int | None, ...] | None]:
        return {name: self.model.inputs[file].axes[1:] for file, name in self.inputs.items()}

    def choice(self) -> str:
        options = " or ".join(f"--outputs '{self.model.results.get(name, name)}'" for name in self.results)
        return printable(f"say which, {options} (in Python open_source(path, outputs=[...]))")

    def graph(self, shapes: Mapping[str, Shape]) -> Graph:
        """Return the float graph; raises ConversionError with all operators that cannot be converted."""
        given = {file: shapes[name] for file, name in self._checked(shapes).items()}
        return replace(read(self.model, given, self.inputs, self.results), notes=tuple(self.notes))

    def logits(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Return its results by name, float64, as `runtime` computes them."""
        if self._session is None:
            self._session = _runtime(self.proto(), None)
        return self._results(self._session, self._feeds(batch))

    def runner(self, batch: Mapping[str, Array], threads: int) -> Callable[[int, int], object]:
        """Return what computes the samples first..end, converted by now, in a session of so many threads."""
        feeds, session = self._feeds(batch), _runtime(self.proto(), threads)
        return lambda first, end: self._results(session, {name: x[first:end] for name, x in feeds.items()})

    def _checked(self, shapes: Mapping[str, Any]) -> dict[str, str]:
        if shapes.keys() != set(self.inputs.values()):
            raise DataError(
                f"'{self.path}': its inputs are {', '.join(self.inputs.values())}, samples are for {', '.join(shapes)}"
            )
        for file, name in self.inputs.items():
            own = self.model.inputs[file].axes
            if len(own) < 2:
                require_rules(self.model)
                raise ConversionError(
                    f"'{self.path}': its input '{file}' has no axis beside the batch; give it one, (batch, features)"
                )
            fits = len(own) == len(shapes[name]) + 1 and all(
                n is None or n == m for n, m in zip(own[1:], shapes[name], strict=True)
            )
            if not fits:
                said = ", ".join("any" if n is None else str(n) for n in own)
                raise DataError(
                    f"'{self.path}': samples have the shape {tuple(shapes[name])}, and its input '{file}' is ({said}), "
                    "the batch first"
                )
        return self.inputs

    def _feeds(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        names = self._checked({name: values.shape[1:] for name, values in batch.items()})
        return {file: _typed(batch[name], self.model.inputs[file].type, file) for file, name in names.items()}

    def _results(self, session: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the results of a batch, run in parts where the file fixes the batch."""
        count = len(next(iter(feeds.values())))
        fixed = next((e.axes[0] for e in self.model.inputs.values() if e.axes[0]), None)
        parts = []
        for first in range(0, count, fixed or RUN):
            part = {name: x[first : first + (fixed or RUN)] for name, x in feeds.items()}
            missing = (fixed or 0) - len(next(iter(part.values())))
            if missing > 0:
                part = {n: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) for n, x in part.items()}
            parts.append(session(part))
        names = self.results.values()
        return {
            name: np.concatenate([np.asarray(part[k]) for part in parts])[:count].astype(np.float64)
            for k, name in enumerate(names)
        }

    def proto(self) -> ModelProto:
        """Return the model as it is read: without its end, and with ranges for pairs."""
        graph = self.model.proto.graph
        inputs = [given for given in graph.input if given.name in self.inputs]
        nodes = [node for node in graph.node if node.op_type == "Constant" and node.domain in ("", "ai.onnx")]
        nodes += [item.proto for item in self.model.items if item.proto is not None]
        outputs = [ValueInfoProto(name=name) for name in self.results]
        made = helper.make_graph(
            nodes, graph.name or "graph", inputs, outputs, [*graph.initializer, *limits(self.model)]
        )
        return helper.make_model(
            made, opset_imports=self.model.proto.opset_import, ir_version=self.model.proto.ir_version
        )


def has_runtime() -> bool:
    """Return whether ONNX Runtime is installed."""
    return find_spec("onnxruntime") is not None


def _runtime(model: ModelProto, threads: int | None) -> Callable[[Mapping[str, Array]], list[Any]]:
    """Return what computes the results of a model for named inputs; threads: None, as many as there are."""
    if not has_runtime():
        return _runs("ONNX's reference", lambda: ReferenceEvaluator(model))
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Layers whose weights alone are quantised would be computed with values rounded to 8 bits.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    if threads is not None:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    raw = model.SerializeToString()
    return _runs("ONNX Runtime", lambda: onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"]))


def _runs(name: str, opened: Callable[[], Any]) -> Callable[[Mapping[str, Array]], list[Any]]:
    """Return what computes the results in what `opened` gives; raises ConversionError for whatever that raises."""

    def guarded(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:  # whatever its C++ raises
            said = " ".join(str(error).split())[:MAX_QUOTED]
            raise ConversionError(printable(f"{name} does not run the model: {said}")) from error

    session = guarded(opened)
    return lambda feeds: list(guarded(lambda: session.run(None, dict(feeds))))


def _typed(values: Array, kind: int, name: str) -> Array:
    """Return real samples in the type that an input has."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if dtype.kind in "iub":
        whole = np.rint(values)
        if not np.array_equal(whole, values):
            raise DataError(
                f"the input '{name}' of the model takes integers ({dtype}), and samples scaled are none: give "
                "Encoding(scale=1), or --scale 1"
            )
        return whole.astype(dtype)
    return np.ascontiguousarray(values, dtype)


def _named(names: Iterable[str], alone: str, called: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a plain name for each name of the file; the only one is called `alone`."""
    names = list(names)
    if len(names) == 1:
        return {names[0]: alone}
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W", "_", (called or {}).get(name, name), flags=re.ASCII) or "_"
        plain = plain if plain.isidentifier() else f"_{plain}"
        own, count = plain, 2
        while own in found.values():
            own, count = f"{plain}_{count}", count + 1
        found[name] = own
    return found


def open_source(where: str, weights: Path | None = None, outputs: str | Sequence[str] | None = None) -> OnnxSource:
    """Return the source of a .onnx file; outputs: the values to end at, as names or as text with commas between."""
    if weights is not None:
        raise UsageError("an .onnx file has its weights in it, or beside it: leave --weights out")
    return OnnxSource(where, outputs.split(",") if isinstance(outputs, str) else outputs)
