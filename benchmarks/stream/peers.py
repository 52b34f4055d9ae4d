# SPDX-License-Identifier: Apache-2.0
"""A network stepped in bins of 1 ms: `stream.push` beside snnTorch, Norse and sinabs, in one process, one thread.

    PYTHONPATH=FOLDER python benchmarks/stream/peers.py cnn_sinabs.snn cnn_sinabs.nir nmnist.npz [rounds]

The network of NIR's paper (`recordings.py` says how it is converted), bin by bin of recordings that did not calibrate,
all from rest. Each package gets the weights of the .nir file in layers of torch, and its own integrate-and-fire
neurons, a call for each bin; its frames are made before and are not timed. Ours are made of events in `push`, one for
each bin, which runs the bin before. Norse's neurons reset to zero, which costs the same. Contestants take turns of one
recording; CPU time of the thread counts. A ratio is the median of the rounds' own. sinabs lies in FOLDER, as
`peers_accuracy.py` says, last on the path; what is not installed is left out, and said.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cpu"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nir
import torch
from record import record
from torch import nn
from turns import Call, in_turns, over

from spikerun import Session, datasets, load
from spikerun.commands.played import events_of
from spikerun.datasets import Bins, encoder_of
from spikerun.datasets.events import Recordings

NAME = "stream_peers"
ROUNDS, RECORDINGS = 5, 4
Stepping = Callable[[torch.Tensor], list[torch.Tensor]]  # a recording (T, 1, 2, 34, 34) to spikes of each step


class SumPool(nn.Module):
    """Sums of windows of 2 x 2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(x, 2, divisor_override=1)


def layers(graph: nir.NIRGraph, neuron: Callable[[float], nn.Module]) -> nn.ModuleList:
    """Return the nodes of a chain, in order, as modules; the neurons as `neuron` makes them, of their threshold."""
    following = dict(graph.edges)
    name, found = following["input"], nn.ModuleList()
    while name != "output":
        node = graph.nodes[name]
        if isinstance(node, nir.Conv2d):
            channels = node.weight.shape[1], node.weight.shape[0]
            how = {key: tuple(map(int, getattr(node, key))) for key in ("stride", "padding")}
            found.append(_weighted(nn.Conv2d(*channels, node.weight.shape[2:], **how), node))
        elif isinstance(node, nir.Affine):
            found.append(_weighted(nn.Linear(*node.weight.shape[::-1]), node))
        elif isinstance(node, nir.IF):
            found.append(neuron(float(node.v_threshold.ravel()[0])))
        else:
            found.append(SumPool() if isinstance(node, nir.SumPool2d) else nn.Flatten())
        name = following[name]
    return found


def _weighted(layer: Any, node: Any) -> Any:
    layer.weight.data, layer.bias.data = (torch.tensor(values).float() for values in (node.weight, node.bias))
    return layer


def snntorch(graph: nir.NIRGraph) -> Stepping:
    """Return the network with snnTorch's neurons without leak."""
    import snntorch as snn

    net = layers(graph, lambda threshold: snn.Leaky(beta=1.0, threshold=threshold, reset_mechanism="subtract"))

    def run(frames: torch.Tensor) -> list[torch.Tensor]:
        membranes = {k: layer.reset_mem() for k, layer in enumerate(net) if isinstance(layer, snn.Leaky)}
        found = []
        for frame in frames:
            x = frame
            for k, layer in enumerate(net):
                if k in membranes:
                    x, membranes[k] = layer(x, membranes[k])
                else:
                    x = layer(x)
            found.append(x)
        return found

    return run


def norse(graph: nir.NIRGraph) -> Stepping:
    """Return the network with Norse's."""
    from norse.torch import IAFCell, IAFParameters, SequentialState

    net = SequentialState(*layers(graph, lambda threshold: IAFCell(IAFParameters(v_th=torch.as_tensor(threshold)))))

    def run(frames: torch.Tensor) -> list[torch.Tensor]:
        state, found = None, []
        for frame in frames:
            x, state = net(frame, state)
            found.append(x)
        return found

    return run


def sinabs(graph: nir.NIRGraph) -> Stepping:
    """Return the network with sinabs's, which send one spike a step."""
    from sinabs.activation import SingleSpike
    from sinabs.layers import IAFSqueeze

    def neuron(threshold: float) -> nn.Module:
        return IAFSqueeze(
            batch_size=1, spike_threshold=torch.tensor(threshold), spike_fn=SingleSpike, min_v_mem=-threshold
        )

    net = nn.Sequential(*layers(graph, neuron))

    def run(frames: torch.Tensor) -> list[torch.Tensor]:
        for layer in net:
            if isinstance(layer, IAFSqueeze):
                layer.reset_states()
        return [net(frame) for frame in frames]

    return run


def ours(session: Session, data: Recordings, bins: Bins) -> Call:
    """Return what pushes a recording bin by bin; the stream is made before."""
    chunks = []
    for place in data.places[:RECORDINGS].tolist():
        events = events_of(data, place, bins)
        ends = np.searchsorted(events["t"] * 1000, np.arange(1, bins.steps) * bins.dt_ns)
        chunks.append(np.split(events, ends))
    stream = session.stream(bins.dt_us)
    rest = stream.snapshot()
    (output,) = session.net.outputs

    def call(k: int) -> np.ndarray[Any, Any]:
        stream.restore(rest)
        sent = [stream.push(chunk) for chunk in chunks[k % RECORDINGS]]
        sent.append(stream.advance(bins.steps - stream.t))
        index = np.concatenate([one.spikes[output]["index"] for one in sent])
        return np.bincount(index, minlength=session.net.populations[output].size)

    return call


def main(network: Path, graph: Path, file: Path, rounds: int = ROUNDS) -> None:
    """Record our time of a bin, and theirs over it."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    net, read = load(network), nir.read(graph)
    bins = encoder_of(net.meta, net.inputs[0])
    data = datasets.load(file).samples
    assert isinstance(bins, Bins) and isinstance(data, Recordings)
    frames = [torch.tensor(bins.encode(data, place)).float()[:, None] for place in data.places[:RECORDINGS].tolist()]
    calls: dict[str, Call] = {"spikerun": ours(Session(net, threads=1), data, bins)}
    for name, make in (("snnTorch", snntorch), ("Norse", norse), ("sinabs", sinabs)):
        try:
            calls[name] = _inferring(make(read), frames)
        except ImportError as error:
            print(f"{name} is left out: {error}")
    for name, call in calls.items():
        print(f"{name} says {[int(np.argmax(call(k))) for k in range(RECORDINGS)]}", flush=True)
    times = in_turns(list(calls.values()), rounds, inputs=2) / bins.steps
    for k, name in enumerate(calls):
        record(NAME, f"{network.stem}, a bin of 1 ms: {name}", float(np.median(times[:, k])), "us")
        if k:
            record(NAME, f"{network.stem}, a bin of 1 ms: {name} over spikerun", over(times, k, 0), "x")


def _inferring(run: Stepping, frames: list[torch.Tensor]) -> Call:
    def call(k: int) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            return torch.stack(run(frames[k % RECORDINGS])).sum(0).numpy()

    return call


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:]))
