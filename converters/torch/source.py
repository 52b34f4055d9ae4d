# SPDX-License-Identifier: Apache-2.0
"""A torch module as a source: its float graph by torch.export, and its own results."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikerun.converters.graph import Array, Graph, Shape
from spikerun.converters.source import Source
from spikerun.converters.torch.export import named, read
from spikerun.converters.torch.spiking.source import TorchStepSource, frameworks
from spikerun.converters.torch.user_model import load_model
from spikerun.errors import ConversionError

__all__ = ["TorchSource", "open_source", "source_of"]


class TorchSource(Source):
    """A module in inference mode; it is left in the mode that it was in.

    The only input is the first argument of its forward, several are keyword arguments. Results in a dict have its
    names; one result is `output`, those of a tuple are `output_0`, `output_1`, ... Modules of lower precision than
    float32 are taken in float32, which holds their weights exactly.
    """

    name = "torch"

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise ConversionError(f"the model must be a torch.nn.Module or a Source, got {type(model).__name__}")
        _check_tensors(model)
        short = any(t.is_floating_point() and t.element_size() < 4 for t in model.state_dict().values())
        self.model = deepcopy(model).float() if short else model
        parameter = next(self.model.parameters(), torch.zeros(()))
        self.like: dict[str, Any] = {"device": parameter.device, "dtype": parameter.dtype}

    def expected(self) -> Mapping[str, tuple[int | None, ...] | None]:
        """Return the arguments that forward needs; torch says nothing of their shapes."""
        parameters = inspect.signature(self.model.forward).parameters.values()
        plain = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.default is p.empty]
        return dict.fromkeys([p.name for p in plain]) if len(plain) > 1 else super().expected()

    def graph(self, shapes: Mapping[str, Shape]) -> Graph:
        """Return the float graph; raises ConversionError with all operators that cannot be converted."""
        with _inference(self.model):
            return read(self.model, shapes, self.like)

    def logits(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Return what forward returns, by name, float64."""
        tensors = self._tensors(batch)
        with _inference(self.model), torch.no_grad():
            results = self._results(tensors)
        return {name: y.double().cpu().numpy() for name, y in named(results, torch.Tensor).items()}

    def runner(self, batch: Mapping[str, Array], threads: int) -> Callable[[int, int], object]:
        """Return what runs forward on samples first..end, which are tensors by now; the model stays in inference mode.

        The number of threads is one of the process.
        """
        tensors = self._tensors(batch)
        self.model.eval()
        torch.set_num_threads(threads)

        def run(first: int, end: int) -> object:
            with torch.inference_mode():
                return self._results({name: values[first:end] for name, values in tensors.items()})

        return run

    def _tensors(self, batch: Mapping[str, Array]) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(values).to(**self.like) for name, values in batch.items()}

    def _results(self, tensors: Mapping[str, torch.Tensor]) -> Any:
        return self.model(*tensors.values()) if len(tensors) == 1 else self.model(**tensors)


def open_source(where: str, weights: Path | None = None) -> TorchSource | TorchStepSource:
    """Return the module that a Python file's function builds, as a source: the opener of `FILE.py:FUNCTION`."""
    return source_of(load_model(where, weights))


def source_of(model: nn.Module) -> TorchSource | TorchStepSource:
    """Return a module as a source: of a spiking network, where it holds neurons of a framework of these."""
    return TorchStepSource(model) if frameworks(model) else TorchSource(model)


@contextmanager
def _inference(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _check_tensors(model: nn.Module) -> None:
    tensors: list[tuple[str, Any]] = [*model.named_parameters(), *model.named_buffers()]
    for name, tensor in tensors:
        if nn.parameter.is_lazy(tensor):
            raise ConversionError(
                f"'{name}' of the model has no shape yet: run the model once on a batch, then convert"
            )
        if tensor.is_meta:
            raise ConversionError(
                f"'{name}' of the model is on the device 'meta', without values: load its weights first"
            )
        if tensor.is_complex() or tensor.is_quantized or tensor.layout is not torch.strided:
            raise ConversionError(
                f"'{name}' of the model is a tensor of {tensor.dtype}, {tensor.layout}; weights must be real and "
                "dense: convert the float model that it was made from"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ConversionError(
                f"'{name}' of the model holds NaN or infinity: the training diverged, or the weights file is broken. "
                "Load weights of which the ANN itself gives finite results."
            )
