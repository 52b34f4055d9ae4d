# SPDX-License-Identifier: Apache-2.0
"""What pruning has left of each layer, and what it has cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from spikerun.converters.accuracy import Accuracy
from spikerun.converters.pruning.methods import Round
from spikerun.converters.pruning.structure import Structure
from spikerun.converters.training import Epoch
from spikerun.text import plural, table

__all__ = ["SCHEMA", "LayerRow", "PruneReport", "layer_rows"]

SCHEMA = "spikerun.prune/1"


@dataclass(frozen=True)
class LayerRow:
    """A layer by the name of its weight; outputs: its channels or neurons, silent: those without any weight."""

    name: str
    shape: tuple[int, ...]
    weights: int
    zeros: int
    outputs: int
    silent: int

    @property
    def sparsity(self) -> float:
        """Return the share of weights that are zero."""
        return self.zeros / self.weights


@dataclass(frozen=True)
class PruneReport:
    """asked, reached: shares of what the pattern counts, `counted`; held_out, test: the network before (`ann`) and
    after (`snn`), in percent. rounds: of the lottery.
    """

    pattern: str
    method: str
    asked: float
    reached: float
    counted: str
    layers: tuple[LayerRow, ...]
    held_out: Accuracy
    test: Accuracy | None = None
    epochs: tuple[Epoch, ...] = ()
    rounds: tuple[Round, ...] = ()
    notes: tuple[str, ...] = ()
    labelled: bool = field(default=True, repr=False)

    @property
    def weights(self) -> int:
        """Return the weights of all layers."""
        return sum(layer.weights for layer in self.layers)

    @property
    def zeros(self) -> int:
        """Return how many of them are zero."""
        return sum(layer.zeros for layer in self.layers)

    def json(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "pattern": self.pattern,
            "method": self.method,
            "sparsity_asked": self.asked,
            "sparsity": self.reached,
            "counted": self.counted,
            "weights": self.weights,
            "zeros": self.zeros,
            "layers": [vars(layer) | {"shape": list(layer.shape), "sparsity": layer.sparsity} for layer in self.layers],
            "held_out": _accuracy(self.held_out),
            "test": None if self.test is None else _accuracy(self.test),
            "epochs": [vars(epoch) for epoch in self.epochs],
            "rounds": [vars(one) for one in self.rounds],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """Return the report as a table and lines."""
        header = ("weight", "shape", "weights", "zeros", "sparsity", "outputs", "silent")
        rows = [
            (row.name, "x".join(map(str, row.shape)), f"{row.weights:,}", f"{row.zeros:,}", f"{row.sparsity:.1%}",
             f"{row.outputs:,}", f"{row.silent:,}")
            for row in self.layers
        ]  # fmt: skip
        total = ("all", "", f"{self.weights:,}", f"{self.zeros:,}", f"{self.zeros / self.weights:.1%}", "", "")
        lines = [
            table(header, [*rows, total], right=(2, 3, 4, 5, 6)),
            "",
            f"{self.pattern}, {self.method}: {self.reached:.1%} of {self.counted} are gone (asked: {self.asked:.1%})",
        ]
        if self.rounds:
            shown = [(r.number, f"{r.sparsity:.1%}", f"{r.score:.2f}") for r in self.rounds]
            lines += ["", table(("round", "sparsity", "held out %"), shown, right=(0, 1, 2)), ""]
        for name, found in (("held-out training sample", self.held_out), ("test sample", self.test)):
            if found is not None:
                lines.append(self._said(name, found))
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _said(self, name: str, found: Accuracy) -> str:
        what = "accuracy" if self.labelled else "as the network before"
        return (
            f"{what} on {plural(found.samples, name)}: {found.ann:.2f} % before, {found.snn:.2f} % after, "
            f"{-found.drop:+.2f} points (standard error {found.standard_error:.2f})"
        )


def layer_rows(model: nn.Module, structure: Structure) -> tuple[LayerRow, ...]:
    """Return a row for each weight of a model."""
    rows = []
    for name in structure.weights:
        use = next(use for use in structure.uses if use.weight == name)
        weight = model.get_parameter(name).detach().cpu().numpy()
        turned = weight.swapaxes(0, 1) if use.swapped else weight
        silent = int((np.abs(turned).reshape(len(turned), -1).max(axis=1) == 0).sum())
        rows.append(LayerRow(name, weight.shape, weight.size, int((weight == 0).sum()), len(turned), silent))
    return tuple(rows)


def _accuracy(found: Accuracy) -> Mapping[str, Any]:
    return {
        "samples": found.samples,
        "before": found.ann,
        "after": found.snn,
        "drop": found.drop,
        "drop_95": list(found.bounds),
        "standard_error": found.standard_error,
        "agreement": found.agreement,
    }
