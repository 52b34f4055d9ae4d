# SPDX-License-Identifier: Apache-2.0
"""What a conversion writes is what it wrote: every integer of a small network of each framework, as committed text.

After an intended change: SPIKERUN_REGENERATE=1 pytest tests/converters/spiking/test_golden.py, and look at the changes.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nirfiles import node, write
from torch import nn

from spikerun.converters import convert_spiking
from spikerun.converters.encoding import Encoding
from spikerun.converters.nir.source import NirSource
from spikerun.converters.spiking.step import Readout
from spikerun.network import Network
from spikerun.session import Session

GOLDEN = Path(__file__).parents[2] / "golden" / "converted"
STEPS = 16


def numbers(*shape: int) -> Any:
    """Return numbers of -15/16..15/16, the same everywhere."""
    count = np.arange(int(np.prod(shape)))
    return ((count * 11 + count // 7 + 4) % 31 - 15).reshape(shape) / 16


def filled(model: nn.Module) -> nn.Module:
    """Return a model whose weights and biases are numbers."""
    for name, parameter in model.named_parameters():
        if name.endswith(("weight", "bias")):
            parameter.data = torch.tensor(numbers(*parameter.shape), dtype=torch.float32)
    return model.eval()


def snntorch(folder: Path) -> Any:
    import snntorch as snn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(4, 5), nn.Linear(5, 3)
            self.lif1 = snn.RLeaky(beta=0.9, linear_features=5)
            self.lif2 = snn.Synaptic(
                alpha=0.7, beta=0.8, threshold=torch.tensor([0.5, 0.75, 1.0]), reset_mechanism="zero"
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one, two, out = self.lif1.reset_mem(), self.lif2.reset_mem(), []
            for _ in range(STEPS):
                one = self.lif1(self.fc1(x), *one)
                spikes, *two = self.lif2(self.fc2(one[0]), *two)
                out.append(spikes)
            return torch.stack(out).mean(0)

    return filled(Net())


def norse(folder: Path) -> Any:
    import norse.torch as norse

    p = norse.LIFParameters(v_leak=torch.tensor(0.05), v_reset=torch.tensor(-0.1), v_th=torch.tensor(0.3))
    layers = nn.Linear(4, 5), norse.LIFRefracCell(norse.LIFRefracParameters(p, torch.tensor(2.0))), nn.Linear(5, 3)
    return filled(norse.SequentialState(*layers, norse.LICell()))


def spikingjelly(folder: Path) -> Any:
    from spikingjelly.activation_based import layer, neuron

    return filled(
        nn.Sequential(
            layer.Conv2d(1, 2, 3, padding=1), neuron.IFNode(v_reset=0.1), layer.MaxPool2d(2, 2), layer.Flatten(),
            layer.Linear(8, 3), neuron.LIFNode(tau=1.5, v_reset=None, decay_input=False),
        )
    )  # fmt: skip


def nir(folder: Path) -> Any:
    lif = {"tau_syn": [0.02], "tau_mem": [0.05], "r": [3.0], "v_leak": [0.1], "w_in": [2.5], "v_threshold": [0.6]}
    lif |= {"v_reset": [-0.2]}
    nodes = {
        "input": node("Input", shape=[4]), "output": node("Output", shape=[3]),
        "fc": node("Affine", weight=numbers(5, 4), bias=numbers(5)), "back": node("Linear", weight=numbers(5, 5)),
        "lif": node("CubaLIF", **lif), "late": node("Delay", delay=[0.03]),
        "out": node("Linear", weight=numbers(3, 5)), "if": node("IF", r=[100.0], v_threshold=[0.5]),
    }  # fmt: skip
    edges = [
        ("input", "fc"), ("fc", "lif"), ("lif", "late"), ("late", "back"), ("back", "lif"), ("lif", "out"),
        ("out", "if"), ("if", "output"),
    ]  # fmt: skip
    return NirSource(write(folder / "a.nir", nodes, edges), dt=0.01)


MADE: dict[str, Callable[[Path], Any]] = {f.__name__: f for f in (snntorch, norse, spikingjelly, nir)}


def converted(name: str, folder: Path) -> Network:
    shape = (1, 4, 4) if name == "spikingjelly" else (4,)
    samples = (np.arange(6 * int(np.prod(shape))) * 5 % 19).reshape(6, *shape)
    readout = Readout("max") if name == "norse" else None
    duration = None if name == "snntorch" else STEPS
    encoding = Encoding(scale=0.25, code="current")
    return convert_spiking(MADE[name](folder), samples, duration=duration, readout=readout, encoding=encoding).network


def lines(net: Network) -> Iterator[str]:
    """Yield all integers and words of a network, and what it answers; the real numbers of its answers are left out."""
    yield f"{net.window} steps, outputs {', '.join(net.outputs)}"
    for name, population in net.populations.items():
        yield f"\n{name}: {population.neuron.kind} {population.shape}"
        yield from described(population.neuron)
    for p in net.projections:
        yield f"\n{p.source} -> {p.target}: {p.connection.kind}, delay {p.delay}, exponent {p.exponent}"
        yield from described(p.connection)
    (shape,) = (net.populations[name].shape for name in net.inputs)
    given = (np.arange(3 * int(np.prod(shape))) * 7 % 19).reshape(3, *shape)
    result = Session(net, threads=1).run(given)
    yield "\nanswers"
    for name, values in result.outputs.items():
        yield from (f"  {name} {sample.tolist()}" for sample in values)


def described(thing: Any) -> Iterator[str]:
    for field in fields(thing):
        value = getattr(thing, field.name)
        if isinstance(value, np.ndarray):
            if value.dtype.kind != "f":
                rows = value.reshape(-1, value.shape[-1]) if value.ndim > 1 else [value]
                yield f"  {field.name}" + (f" {value.tolist()}" if value.ndim < 2 else f" {value.shape}")
                yield from (f"    {row.tolist()}" for row in rows if value.ndim > 1)
        elif value is not None:
            yield f"  {field.name} {value}"


@pytest.mark.parametrize("name", MADE)
def test_a_conversion_is_the_committed_one(name: str, tmp_path: Path) -> None:
    text, golden = "\n".join(lines(converted(name, tmp_path))) + "\n", GOLDEN / f"{name}.txt"
    if os.environ.get("SPIKERUN_REGENERATE"):
        GOLDEN.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
