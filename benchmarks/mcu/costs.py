# SPDX-License-Identifier: Apache-2.0
"""What kernels cost on each core: small layers in emulation, and the table [costs] that fits them.

    python benchmarks/mcu/costs.py [--write] [core]...

A layer's instructions are counted by QEMU; the costs of its kernel are the least squares of relative errors, none below
0. The table is printed, with the largest error of each kernel, and with --write put into edge/mcu/cores/CORE.toml.
"""

import itertools
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from tables import replace_table

from spikerun.connections import Conv, Dense, Sparse
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import costs, crossover, deploy
from spikerun.kernels.operations import Map
from spikerun.kernels.program import Register
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Levels, Readout
from spikerun.plan import lower

SILENT = 2**23  # a threshold that no layer here reaches
FILL = 1.6  # instructions for a neuron, that its bias is filled in: an estimate, which is part of the next cost
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """A map of a kind of kernel, its ends, and how many of its words are active; bits: 1 for spikes."""

    kind: str
    connection: Dense | Conv
    source: Shape
    target: Shape
    share: float
    bits: int = 5


def weights(*shape: int) -> npt.NDArray[np.int8]:
    """Return weights none of which is 0."""
    drawn: npt.NDArray[np.int8] = np.random.default_rng(1).integers(1, 127, shape).astype(np.int8)
    return drawn


def conv(kind: str, source: Shape, channels: int, share: float, bits: int = 5, kernel: int = 3, step: int = 1) -> Layer:
    """Return a convolution that keeps the size but for its stride; kind `depthwise` of each channel alone."""
    groups = source[0] if kind == "depthwise" else 1
    shape = (channels, source[0] // groups, kernel, kernel)
    connection = Conv(weights(*shape), (step, step), (kernel // 2, kernel // 2), groups=groups)
    return Layer(kind, connection, source, (channels, *(-(-n // step) for n in source[1:])), share, bits)


def linear(kind: str, inputs: int, outputs: int, share: float, bits: int = 5) -> Layer:
    """Return a linear map."""
    return Layer(kind, Dense(weights(inputs, outputs)), (inputs,), (outputs,), share, bits)


def layers(features: frozenset[str]) -> Iterator[Layer]:
    """Yield the layers of all kernels."""
    for share, bits in itertools.product((0.1, 0.4, 0.9), (1, 5)):
        yield conv("conv", (8, 10, 10), 16, share, bits)
        yield conv("conv", (32, 6, 5), 32, share, bits, 1)
        yield conv("conv", (1, 20, 20), 8, share, bits)
        yield conv("conv", (3, 16, 16), 8, share, bits, 3, 2)
        yield conv("conv", (16, 5, 5), 64, share, bits, 1)
        yield linear("dense", 256, 64, share, bits)
        yield linear("dense", 64, 10, share, bits)
        yield linear("dense", 200, 16, share, bits)
    for share in (0.1, 0.4, 0.9):
        yield conv("depthwise", (64, 8, 5), 64, share)
        yield conv("depthwise", (16, 16, 16), 16, share, 5, 3, 2)
        yield conv("depthwise", (128, 3, 3), 128, share)
    if "mve" in features:
        yield from dense_layers("dot")
        yield linear("dot", 256, 64, 0.5)
        yield linear("dot", 64, 10, 0.5)
    elif "dsp" in features:
        yield from dense_layers("pairs")


def dense_layers(kind: str) -> Iterator[Layer]:
    """Yield layers of a kernel that multiplies every word."""
    yield conv(kind, (8, 10, 10), 16, 0.5)
    yield conv(kind, (16, 8, 8), 16, 0.5)
    yield conv(kind, (3, 16, 16), 8, 0.5, 5, 3, 2)
    for channels in (8, 32, 64, 128):
        yield conv(kind, (channels, 6, 5), channels, 0.5, 5, 1)


def counted(core: str, populations: dict[str, Population], links: list[Projection]) -> dict[str, float]:
    """Return the instructions of each population; those of Layer.kind take that kernel.

    Inputs are as active as the second part of their name says, in percent.
    """
    rng = np.random.default_rng(2)
    frames = {}
    for name, found in populations.items():
        if isinstance(found.neuron, Input):
            values = rng.integers(1, 2**found.neuron.bits, (1, *found.shape))
            frames[name] = np.where(rng.random(values.shape) < float(name.split("_")[1]) / 100, values, 0)

    def forced(m: Map, x: Register, *_: object) -> crossover.Choice:
        return crossover.Choice(next((kind for kind in ("dot", "pairs") if x.name.startswith(kind)), ""), "")

    net = Network(populations, links, ["out"], 8)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(crossover, "choice", forced):
        bundle = deploy(net, Path(folder) / "fw", f"generic-{core}", frames, run=True, toolchain="gcc", emulator="qemu")
    assert bundle.run is not None
    assert bundle.run.identical
    assert bundle.run.parts is not None
    return {str(part[0]): float(part[1]) for part in bundle.run.parts.rows}


def bare(inputs: int, outputs: int) -> Sparse:
    """Return a map that does nothing."""
    return Sparse(np.zeros(inputs + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int8), outputs)


def neurons() -> dict[str, Population]:
    """Return populations that nothing comes to: silent ones, and those that are all active."""
    shape, threshold = (32, 16, 8), np.arange(32) + 40
    levels = np.tile(np.arange(1, 256) * 40, (32, 1)).astype(np.int32)
    found = {}
    for name, more in (("silent", 0), ("active", 3000)):
        bias = (np.arange(32) + more).astype(np.int32)
        found[f"fire.{name}"] = Population(shape, FewSpikes(8, threshold.astype(np.int32), bias))
        found[f"fire_levels.{name}"] = Population(shape, Levels(8, levels, bias=bias))
    return found


def measured(core: str) -> tuple[list[Layer], list[float], dict[str, float]]:
    """Return layers and their instructions, with those of filling and firing; and these, of a neuron."""
    found = list(layers(boards.load(f"generic-{core}").features))
    populations = {"in_100": Population((1,), Input(5)), "out": Population((1,), Readout())}
    links = []
    first = {"first": Population((1,), FewSpikes(8, np.int32(1)))}  # to which the reading of all inputs is reckoned
    for name, each in (first | neurons()).items():
        populations[name] = each
        links += [Projection("in_100", name, bare(1, each.size)), Projection(name, "out", bare(each.size, 1))]
    for k, layer in enumerate(found):
        name, target = f"{layer.kind}{k}_{100 * layer.share:.0f}", f"hidden.{k}"
        populations[name] = Population(layer.source, Input(layer.bits))
        bias = np.arange(layer.target[0]).astype(np.int32)
        populations[target] = Population(layer.target, FewSpikes(5, np.int32(SILENT), bias))
        links.append(Projection(name, target, layer.connection))
        links.append(Projection(target, "out", bare(populations[target].size, 1)))
    spent = counted(core, populations, links)
    sizes = {name: populations[name].size for name in neurons()}
    return found, [spent[f"hidden.{k}"] for k in range(len(found))], {n: spent[n] / sizes[n] for n in sizes}


def fitted(core: str) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return the costs of a core, and how far the worst layer of each kernel is from what they say."""
    found: dict[str, dict[str, float]] = {"fill": {"neuron": FILL}}
    of_layers, spent, of_neurons = measured(core)
    for kind in ("fire", "fire_levels"):
        silent, active = of_neurons[f"{kind}.silent"], of_neurons[f"{kind}.active"]
        found[kind] = {"neuron": silent - FILL, "active": max(0.0, active - silent)}
    seen: dict[str, list[tuple[dict[str, float], float]]] = {}
    for layer, instructions in zip(of_layers, spent, strict=True):
        counts = costs.counted(layer.kind, as_map(layer), layer.share, layer.bits == 1)
        assert counts is not None
        rest = instructions - float(np.prod(layer.target)) * (found["fire"]["neuron"] + FILL)
        seen.setdefault(layer.kind, []).append((counts, rest))
    errors = {}
    for kind, samples in seen.items():
        keys = costs.COUNTED[kind][0]
        matrix = np.array([[counts.get(key, 0.0) / rest for key in keys] for counts, rest in samples])
        fit, _ = nnls(matrix, np.ones(len(samples)))
        found[kind] = dict(zip(keys, map(float, fit), strict=True))
        errors[kind] = float(np.abs(matrix @ fit - 1).max())
    return found, errors


def as_map(layer: Layer) -> Map:
    """Return the map of a layer as a program has it."""
    populations = {"in": Population(layer.source, Input(layer.bits)), "out": Population(layer.target, Readout())}
    net = Network(populations, [Projection("in", "out", layer.connection)], ["out"], 8)
    operations: list[Any] = [operation for operation in lower(net, "blocked").operations if operation.name == "apply"]
    found: Map = operations[0].map
    return found


def text(found: dict[str, dict[str, float]]) -> str:
    """Return the table as it stands in a core's file."""
    lines = [
        f"{kind} = {{ {', '.join(f'{key} = {cost:.3g}' for key, cost in of.items())} }}" for kind, of in found.items()
    ]
    return "\n".join(
        ["[costs]", "# benchmarks/mcu/costs.py: instructions, gcc -O2, counted by QEMU", *sorted(lines), ""]
    )


def main(cores: list[str], write: bool) -> None:
    """Print, or write, the tables of cores."""
    for core in cores or sorted(path.stem for path in boards.CORES.glob("*.toml") if path.stem != "host"):
        found, errors = fitted(core)
        print(
            f"# {core}\n{text(found)}# largest error: {', '.join(f'{k} {e:.0%}' for k, e in errors.items())}",
            flush=True,
        )
        if write:
            replace_table(core, "costs", text(found))


if __name__ == "__main__":
    main([name for name in sys.argv[1:] if name != "--write"], "--write" in sys.argv)
