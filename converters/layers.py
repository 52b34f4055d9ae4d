"""The network regrouped by populations, still in real numbers: a sum of maps of coded values, a bias, an activation."""

from dataclasses import dataclass
from math import inf

from spikerun.converters.graph import Array, Origin, Pair, Shape
from spikerun.converters.maps import Term

__all__ = ["InputLayer", "Layer", "Layers", "PoolLayer"]


@dataclass(frozen=True)
class InputLayer:
    """The samples: integers."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class PoolLayer:
    """The largest word of each window of `source`."""

    name: str
    shape: Shape
    source: str
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons: activation of `sum of terms + bias`.

    kind: `relu` (0 to bound, T bits), `positive` and `signed` (no activation: as many bits as the window has room for),
    `readout` (no words).
    """

    name: str
    shape: Shape
    terms: tuple[Term, ...]
    bias: Array  # of `shape`
    kind: str
    bound: float = inf
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class Layers:
    """Layers in order, the last one is the readout."""

    all: tuple[InputLayer | PoolLayer | Layer, ...]

    def shape(self, name: str) -> Shape:
        """Return the shape of a layer."""
        return next(layer.shape for layer in self.all if layer.name == name)

    @property
    def readout(self) -> Layer:
        """Return the last layer."""
        last = self.all[-1]
        assert isinstance(last, Layer)
        return last
