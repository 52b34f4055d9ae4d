# SPDX-License-Identifier: Apache-2.0
"""The same network of integrate-and-fire neurons in torch, torch.compile, SpikingJelly, snnTorch and Norse.

A network is read off a spikerun `Network`: convolutions, max pools and a readout in a row. Weights and thresholds are
its integers over 128, which halves hold exactly. Each gives the sums of the readout over all steps. Norse has no
neurons that only integrate: it runs its LIF cells of the same size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spikerun import Network

__all__ = ["OTHERS", "UNIT", "Layer", "Other", "layers", "stepwise"]

UNIT = 128.0
Run = Callable[[torch.Tensor], torch.Tensor]  # pixels (B, C, H, W), as real numbers, to (B, classes)


@dataclass(frozen=True)
class Layer:
    """A convolution (Cout, Cin, 3, 3), its thresholds (Cout, 1, 1), and whether a max pool of 2x2 follows."""

    weight: torch.Tensor
    threshold: torch.Tensor
    pooled: bool


@dataclass(frozen=True)
class Other:
    """Another package. make: from layers, the readout's weights (out, in), the steps and the type."""

    name: str
    dtype: torch.dtype
    make: Callable[[list[Layer], torch.Tensor, int, torch.dtype], Run]


def layers(net: Network, dtype: torch.dtype, device: str = "cuda") -> tuple[list[Layer], torch.Tensor]:
    """Return the layers of a network and the weights of its readout (out, in)."""
    found = []
    for projection in net.projections:
        connection: Any = projection.connection
        if connection.kind == "conv":
            neuron: Any = net.populations[projection.target].neuron
            pooled = any(p.source == projection.target and p.connection.kind == "window" for p in net.projections)
            threshold = torch.from_numpy(np.array(neuron.threshold)).reshape(-1, 1, 1) / UNIT
            weight = torch.from_numpy(np.array(connection.weight)).float() / UNIT
            weight = weight.to(device, dtype).contiguous(memory_format=torch.channels_last)
            found.append(Layer(weight, threshold.to(device, dtype), pooled))
        elif connection.kind == "dense":
            readout = torch.from_numpy(np.array(connection.weight)).float().T / UNIT
    return found, readout.to(device, dtype)


def stepwise(layers: list[Layer], readout: torch.Tensor, steps: int, dtype: torch.dtype) -> Run:
    """Return torch, step by step."""

    def run(x: torch.Tensor) -> torch.Tensor:
        v: list[Any] = [None] * len(layers)
        total: Any = 0
        for _ in range(steps):
            a = x
            for k, layer in enumerate(layers):
                current = F.conv2d(a, layer.weight, padding=1)
                charged = current if v[k] is None else v[k] + current
                a = (charged >= layer.threshold).to(dtype)
                v[k] = charged - a * layer.threshold
                a = F.max_pool2d(a, 2) if layer.pooled else a
            total = total + F.linear(a.flatten(1), readout)
        return total

    return run


def multistep(layers: list[Layer], readout: torch.Tensor, steps: int, dtype: torch.dtype) -> Run:
    """Return torch, layer by layer, all steps of one at once."""

    def run(x: torch.Tensor) -> torch.Tensor:
        a = x.repeat(steps, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        for layer in layers:
            currents = F.conv2d(a, layer.weight, padding=1).unflatten(0, (steps, -1))
            v, sent = torch.zeros_like(currents[0]), []
            for current in currents:
                v = v + current
                sent.append((v >= layer.threshold).to(dtype))
                v = v - sent[-1] * layer.threshold
            a = torch.stack(sent).flatten(0, 1).contiguous(memory_format=torch.channels_last)
            a = F.max_pool2d(a, 2) if layer.pooled else a
        return F.linear(a.flatten(1), readout).unflatten(0, (steps, -1)).sum(0)

    return run


def compiled(layers: list[Layer], readout: torch.Tensor, steps: int, dtype: torch.dtype) -> Run:
    """Return the multi-step network by torch.compile; a graph is captured around it as around all others."""
    found: Run = torch.compile(multistep(layers, readout, steps, dtype))
    return found


def spikingjelly(layers: list[Layer], readout: torch.Tensor, steps: int, dtype: torch.dtype) -> Run:
    """Return SpikingJelly's multi-step modules, which have one threshold a layer: the mean of its channels'."""
    from spikingjelly.activation_based import functional, layer, neuron

    parts: list[nn.Module] = []
    for one in layers:
        conv = layer.Conv2d(one.weight.shape[1], one.weight.shape[0], 3, padding=1, bias=False)
        conv.weight.data = one.weight
        parts += [conv, neuron.IFNode(v_threshold=float(one.threshold.mean()), v_reset=None)]
        parts += [layer.MaxPool2d(2, 2)] if one.pooled else []
    net = nn.Sequential(*parts, layer.Flatten()).to("cuda", dtype).eval()
    functional.set_step_mode(net, "m")

    def run(x: torch.Tensor) -> torch.Tensor:
        functional.reset_net(net)
        return F.linear(net(x.repeat(steps, 1, 1, 1, 1)), readout).sum(0)

    return run


def snntorch(layers: list[Layer], readout: torch.Tensor, steps: int, dtype: torch.dtype) -> Run:
    """Return snnTorch's modules, step by step."""
    import snntorch as snn

    neurons = [
        snn.Leaky(beta=1.0, threshold=layer.threshold, reset_mechanism="subtract").to("cuda", dtype) for layer in layers
    ]

    def run(x: torch.Tensor) -> torch.Tensor:
        v = [one.init_leaky() for one in neurons]
        total: Any = 0
        for _ in range(steps):
            a = x
            for k, layer in enumerate(layers):
                a, v[k] = neurons[k](F.conv2d(a, layer.weight, padding=1), v[k])
                a = F.max_pool2d(a, 2) if layer.pooled else a
            total = total + F.linear(a.flatten(1), readout)
        return total

    return run


def norse(layers: list[Layer], readout: torch.Tensor, steps: int, dtype: torch.dtype) -> Run:
    """Return Norse's cells, step by step."""
    import norse.torch as nt

    cells = [nt.LIFCell() for _ in layers]

    def run(x: torch.Tensor) -> torch.Tensor:
        state: list[Any] = [None] * len(layers)
        total: Any = 0
        for _ in range(steps):
            a = x
            for k, layer in enumerate(layers):
                a, state[k] = cells[k](F.conv2d(a, layer.weight, padding=1), state[k])
                a = F.max_pool2d(a, 2) if layer.pooled else a
            total = total + F.linear(a.flatten(1).to(dtype), readout)
        return total

    return run


OTHERS = (
    Other("torch, step by step, fp16", torch.float16, stepwise),
    Other("torch, layer by layer, fp16", torch.float16, multistep),
    Other("torch.compile, layer by layer, fp16", torch.float16, compiled),
    Other("SpikingJelly, fp32", torch.float32, spikingjelly),
    Other("SpikingJelly, fp16", torch.float16, spikingjelly),
    Other("snnTorch, fp32", torch.float32, snntorch),
    Other("Norse, fp32", torch.float32, norse),
)
