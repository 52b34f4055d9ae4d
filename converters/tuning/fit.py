# SPDX-License-Identifier: Apache-2.0
"""What training has found out beside the weights: the bits and steps of every population, kept with them in the file.

A weights file holds it as text in its metadata, which other readers of the file pass over.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from spikerun.codes import MAX_BITS
from spikerun.converters.activations import Grid
from spikerun.converters.calibrate import Fit, LayerFit
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Array
from spikerun.converters.layers import Layer, Layers
from spikerun.converters.quantise import QLayer, Settings
from spikerun.errors import ConversionError, UsageError

__all__ = ["KEY", "Tuned", "TunedWords"]

KEY = "spikerun.tuning"  # in the metadata of a safetensors file
VERSION = 1


@dataclass(frozen=True, eq=False)
class TunedWords:
    """The words of a population: their bits and what they stand for; bias (C,): what training adds to that of the
    layer and no tensor of the model could hold, 0 where all went into the file.
    """

    bits: int
    grid: Grid
    bias: Array


@dataclass(frozen=True, eq=False)
class Tuned:
    """Words by the names of populations; recoded: bits by the names of the inputs that are coded anew behind."""

    layers: Mapping[str, TunedWords]
    encodings: Mapping[str, Encoding]
    recoded: Mapping[str, int] = field(default_factory=dict)

    def settings(self, code: str = "bits") -> Settings:
        """Return the settings of a conversion with these words."""
        bits = {name: words.bits for name, words in self.layers.items() if words.bits}
        return Settings(min(bits.values(), default=MAX_BITS), code, bits)

    @staticmethod
    def require_alone(*asked: str) -> None:
        """Refuse what chooses words, which training has chosen."""
        if asked:
            raise UsageError(
                f"the weights were tuned together with their words, and {', '.join(asked)} would choose others: "
                "leave it out, or take the weights alone and fit words anew (--recalibrate; in Python tuned=None)"
            )

    def require(self, layers: Layers, encodings: Mapping[str, Encoding]) -> None:
        """Refuse layers and encodings that are not those of the training."""
        shapes = {layer.name: layer.shape[0] for layer in layers.sums}
        strange = [n for n, words in self.layers.items() if shapes.get(n) != len(words.grid.step)]
        if strange or self.encodings.keys() != encodings.keys() or not self.recoded.keys() <= encodings.keys():
            what = f"populations {', '.join(strange)}" if strange else f"inputs {', '.join(self.encodings)}"
            raise ConversionError(
                f"the weights were tuned for other {what} than the model has: give the model that was"
            )
        own = {layer.name: layer.shape[0] for layer in layers.sums if layer.activation.fires}
        theirs = {name: len(words.grid.step) for name, words in self.layers.items() if words.bits}
        if own != theirs:
            lacks = ", ".join(sorted(own.keys() ^ theirs.keys())) or "numbers of channels"
            raise ConversionError(
                f"the weights were tuned for other populations than the model has now (they differ in: {lacks}); give "
                "the model that was tuned, or tune this one"
            )
        for name, encoding in encodings.items():
            told, given = (_told(one) for one in (self.encodings[name], encoding))
            if told != given:
                differ = ", ".join(f"{key} {told[key]} (now {given[key]})" for key in told if told[key] != given[key])
                raise UsageError(
                    f"the weights were tuned for samples of another encoding at '{name}': {differ}; give --scale, "
                    "--mean, --std and --input-bits as they were for tune"
                )

    def way(self, layers: Layers, layer: Layer, *args: Any, **more: Any) -> "TunedFit":
        """Return the fit of a layer: see `Calibration.fit`."""
        fit = TunedFit(layers, layer, *args, **more)
        fit.words = self.layers.get(layer.name)
        return fit

    def text(self) -> str:
        """Return it as JSON."""
        layers = {
            name: {
                "bits": words.bits,
                "step": words.grid.step.tolist(),
                **({"zero": words.grid.zero.tolist()} if words.grid.zero.any() else {}),
                **({"bias": words.bias.tolist()} if words.bias.any() else {}),
            }
            for name, words in self.layers.items()
        }
        encodings = {name: _told(encoding) for name, encoding in self.encodings.items()}
        whole = {"version": VERSION, "layers": layers, "encodings": encodings, "recoded": dict(self.recoded)}
        return json.dumps(whole, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str, what: str) -> Self:
        """Return what `text` says; raises ConversionError for what is no such text."""
        try:
            whole = json.loads(text)
            version = whole["version"]
            if version != VERSION:
                raise ConversionError(
                    f"{what} was tuned by another version (format {version!r:.20}, here {VERSION}): tune again"
                )
            layers = {str(name): _words(**words) for name, words in whole["layers"].items()}
            encodings = {str(name): Encoding(**given) for name, given in whole["encodings"].items()}
            recoded = {str(name): int(bits) for name, bits in whole["recoded"].items()}
            if not all(1 <= bits <= MAX_BITS for bits in recoded.values()):
                raise ValueError("inputs are coded anew in 1 to 8 bits")
        except ConversionError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UsageError) as error:
            raise ConversionError(
                f"what {what} says of its tuning (metadata '{KEY}') cannot be read ({type(error).__name__}: {error}): "
                "tune again, or take the weights alone without it (--recalibrate)"
            ) from error
        return cls(layers, encodings, recoded)

    @classmethod
    def of_file(cls, path: Path | None) -> "Tuned | None":
        """Return what a weights file says of its tuning; None where it says nothing."""
        if path is None or path.suffix != ".safetensors" or not path.is_file():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                text = (file.metadata() or {}).get(KEY)
        except SafetensorError:  # the reader of weights says so
            return None
        return None if text is None else cls.of_text(text, f"'{path}'")


def _words(bits: int, step: list[float], zero: list[int] | None = None, bias: list[float] | None = None) -> TunedWords:
    steps = np.array(step, np.float64)
    zeros, biases = (np.zeros(len(steps)) if one is None else np.array(one, np.float64) for one in (zero, bias))
    whole = steps.ndim == 1 and steps.shape == zeros.shape == biases.shape and type(bits) is int
    if not whole or not 0 <= bits <= MAX_BITS or not np.isfinite([steps, zeros, biases]).all() or (steps <= 0).any():
        raise ValueError("steps are numbers above 0, one for each channel, of words of 1 to 8 bits")
    return TunedWords(bits, Grid(steps, zeros.astype(np.int64)), biases)


def _told(encoding: Encoding) -> dict[str, Any]:
    mean, std = (np.atleast_1d(values).tolist() for values in (encoding.mean, encoding.std))
    return {
        "scale": encoding.scale, "mean": mean, "std": std, "bits": encoding.bits, "signed": encoding.signed,
        "rounds": encoding.rounds,
    }  # fmt: skip


@dataclass
class TunedFit(Fit):
    """A layer whose words training has chosen: nothing is fitted, and no bias corrected but for what was trained."""

    words: TunedWords | None = None

    def made(self, words: Mapping[str, Array], grids: Mapping[str, Grid]) -> tuple[QLayer, LayerFit, Array]:
        if self.words is not None and self.words.bias.any():
            shape = self.layer.shape
            self.layer = replace(
                self.layer, bias=self.layer.bias + self.words.bias.reshape(-1, *(1,) * (len(shape) - 1))
            )
        return super().made(words, grids)

    def top(self) -> Array:
        if self.words is None or not self.layer.activation.fires:
            return super().top()
        found: Array = self.words.grid.step * max(map(abs, self.layer.activation.word_range(self.bits)))
        return found

    def grid(self, made: QLayer, v: Array) -> tuple[Grid, str]:
        assert self.words is not None, "its populations were held against those of the layers"
        grid = self.words.grid
        if not made.activation.divides:
            return grid, "training"
        if self.layer.together:
            return grid, "training"
        room = float((2**31 - 1) >> made.bits)
        return Grid(np.clip(np.rint(grid.step / made.scale), 1, room) * made.scale, grid.zero), "training"

    def corrected(self, bias: Array, v: Array, scale: Array, part: slice) -> Array:
        return bias
