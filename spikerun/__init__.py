# SPDX-License-Identifier: Apache-2.0
"""Run neural networks as spikes, with the same bits on every target.

    import spikerun as sr
    net = sr.load("model.snn")          # validated, nothing executed
    session = sr.Session(net)           # made ready for this machine
    result = session.run(images)        # integers (batch, C, H, W) -> result.logits, .classes, .activity
    net = sr.convert(model, some_images).network    # a trained torch module; nothing else here needs torch

Importing this package loads neither torch nor anything else that is slow: names are looked up when they are used.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

# In a checkout the sub-packages lie beside this folder and not in it; in a wheel they lie in it.
_checkout = Path(__file__).resolve().parent.parent
if not (Path(__file__).resolve().parent / "kernels").is_dir() and (_checkout / "kernels").is_dir():
    __path__.append(str(_checkout))

if TYPE_CHECKING:
    from spikerun import sources as sources
    from spikerun.activity import Activity
    from spikerun.comparison import Comparison, compare
    from spikerun.connections import Conv, Dense, Diagonal, PooledConv, Random, Sparse, SumPool, Window
    from spikerun.converters import Encoding, convert, convert_spiking, to_torch
    from spikerun.errors import SpikerunError
    from spikerun.events import EVENT, as_events
    from spikerun.file import load, save
    from spikerun.network import Network, Population, Projection
    from spikerun.neurons import IF, LIF, FewSpikes, Input, Levels, MaxPool, Poisson, Readout
    from spikerun.outputs import Outputs, Reading, Spike
    from spikerun.result import Result
    from spikerun.session import Session
    from spikerun.stream import Stream

__version__ = "0.1.0"

__all__ = [
    "EVENT",
    "IF",
    "LIF",
    "Activity",
    "Comparison",
    "Conv",
    "Dense",
    "Diagonal",
    "Encoding",
    "FewSpikes",
    "Input",
    "Levels",
    "MaxPool",
    "Network",
    "Outputs",
    "Poisson",
    "PooledConv",
    "Population",
    "Projection",
    "Random",
    "Reading",
    "Readout",
    "Result",
    "Session",
    "Sparse",
    "Spike",
    "SpikerunError",
    "Stream",
    "SumPool",
    "Window",
    "__version__",
    "as_events",
    "compare",
    "convert",
    "convert_spiking",
    "load",
    "save",
    "sources",
    "to_torch",
]

_HOMES = {
    "activity": ("Activity",),
    "comparison": ("Comparison", "compare"),
    "connections": ("Conv", "Dense", "Diagonal", "PooledConv", "Random", "Sparse", "SumPool", "Window"),
    "converters": ("Encoding", "convert", "convert_spiking", "to_torch"),
    "errors": ("SpikerunError",),
    "events": ("EVENT", "as_events"),
    "file": ("load", "save"),
    "network": ("Network", "Population", "Projection"),
    "neurons": ("IF", "LIF", "FewSpikes", "Input", "Levels", "MaxPool", "Poisson", "Readout"),
    "outputs": ("Outputs", "Reading", "Spike"),
    "result": ("Result",),
    "session": ("Session",),
    "stream": ("Stream",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "sources":
        return importlib.import_module("spikerun.sources")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'spikerun' has no attribute '{name}'")
    return getattr(importlib.import_module(f"spikerun.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
