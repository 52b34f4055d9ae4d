"""`spikerun inspect`: what is in a .snn file; nothing is run."""

from typing import Any

import numpy as np

from spikerun.activity import network_macs
from spikerun.console import JsonOption, NetworkArgument, QuietOption, emit, suggest, table
from spikerun.errors import SpikerunError
from spikerun.file import load
from spikerun.linear import fan_out
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes

__all__ = ["inspect"]


def inspect(network: NetworkArgument, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show the populations, fan-out, memory and bounds of a network, and the targets that it fits."""
    net = load(network)
    found = {
        "network": str(network),
        "window": net.window,
        "latency_windows": max(net.latency[name] for name in net.outputs),
        "neurons": sum(p.size for p in net.populations.values()),
        "weights": sum(_weights(p) for p in net.projections),
        "macs": network_macs(net),
        "populations": [_population(net, name, p) for name, p in net.populations.items()],
        "projections": [_projection(net, k, p) for k, p in enumerate(net.projections)],
        "outputs": list(net.outputs),
        "targets": _targets(net),
        "meta": dict(net.meta),
    }
    emit("spikerun.inspect/1", found, json, lambda: _text(found))
    takes_frames = all(getattr(net.populations[name].neuron, "code", "") != "spikes" for name in net.inputs)
    if not json and takes_frames:
        suggest(f"spikerun run {network} --data NAME", quiet)


def _population(net: Network, name: str, p: Population) -> dict[str, Any]:
    neuron = p.neuron
    word = net.sender_of(name)
    described: dict[str, Any] = {
        "name": name,
        "kind": neuron.kind,
        "shape": list(p.shape),
        "neurons": p.size,
        "code": f"{word.code}, {word.bits} bits{', signed' if word.signed else ''}" if word else "",
        "latency": net.latency[name],
        "accumulator_bits": net.bounds[name].bit_length() + 1 if name in net.bounds else None,
    }
    if isinstance(neuron, FewSpikes):
        described["threshold"] = [int(neuron.threshold.min()), int(neuron.threshold.max())]
    return described


def _projection(net: Network, k: int, p: Projection) -> dict[str, Any]:
    fans = fan_out(p.connection, net.populations[p.source].shape)
    return {
        "source": p.source,
        "target": p.target,
        "kind": p.connection.kind,
        "weights": _weights(p),
        "fan_out_mean": float(np.mean(fans)),
        "fan_out_max": int(np.max(fans)),
        "delay": p.delay,
        "lag": net.lag[k],
    }


def _weights(p: Projection) -> int:
    """Return the number of int8 weights stored for a projection."""
    values = vars(p.connection)
    return int(values["weight"].size if "weight" in values else len(values["data"]) if "data" in values else 0)


def _targets(net: Network) -> dict[str, str]:
    """Return, for each target, "fits", or why the network does not fit."""
    from spikerun import edge

    verdicts = {}
    for name in edge.targets():
        try:
            report = edge.load(name).check(net)
            verdicts[name] = "fits" if report["fits"] else "does not fit"
        except SpikerunError as error:
            verdicts[name] = str(error)
    return verdicts


def _text(found: dict[str, Any]) -> str:
    head = [
        ("window", f"{found['window']} steps, answer after {found['latency_windows']} windows more"),
        ("neurons", f"{found['neurons']:,}"),
        ("weights", f"{found['weights']:,} bytes"),
        ("MACs of the ANN", f"{found['macs']:,}"),
    ]
    populations = [
        (
            p["name"], p["kind"], "x".join(map(str, p["shape"])), p["code"],
            "-".join(map(str, p.get("threshold", []))), p["accumulator_bits"] or "", p["latency"],
        )
        for p in found["populations"]
    ]  # fmt: skip
    projections = [
        (p["source"], p["target"], p["kind"], f"{p['weights']:,}", f"{p['fan_out_mean']:.1f}", p["lag"])
        for p in found["projections"]
    ]
    return "\n\n".join(
        (
            table((), head),
            table(("population", "kind", "shape", "code", "threshold", "bits of v", "window"), populations, (5, 6)),
            table(("from", "to", "kind", "weights", "fan-out", "lag"), projections, (3, 4, 5)),
            table(("target", "verdict"), list(found["targets"].items())),
        )
    )
