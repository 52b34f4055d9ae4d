# SPDX-License-Identifier: Apache-2.0
"""`spikerun inspect`: what is in a .snn file; it is not run."""

from typing import Annotated, Any

import numpy as np
import typer

from spikerun import real
from spikerun.console import JsonOption, NetworkArgument, QuietOption, emit, suggest, table
from spikerun.errors import SpikerunError
from spikerun.file import load
from spikerun.memory import drawn
from spikerun.network import Link, Network, Population
from spikerun.text import plural

__all__ = ["inspect"]


def inspect(
    network: NetworkArgument,
    plan: Annotated[bool, typer.Option("--plan", help="Print the program that runs the network instead.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show the populations, fan-out, memory and bounds of a network, and the targets that it fits.

    Nothing is run, but where many weights are 0 their layouts are timed on this computer.
    """
    net = load(network)
    if plan:
        from spikerun.plan import describe

        program = describe(net)
        emit("spikerun.inspect.plan/1", {"network": str(network), "plan": program.splitlines()}, json, program)
        return
    found = {
        "network": str(network),
        "bits": sorted({word.bits for name in net.order if (word := _word(net, name))}),
        "window": net.window,
        "latency_windows": max(net.latency[name] for name in net.outputs),
        "neurons": sum(p.size for p in net.populations.values()),
        "weights": sum(link.connection.weights for link in net.links),
        "zeros": sum(link.connection.zeros for link in net.links),
        "drawn": list(drawn(net)),
        "macs": net.macs,
        "dense": net.dense,
        "populations": [_population(net, name, p) for name, p in net.populations.items()],
        "projections": [_projection(net, link) for link in net.links],
        "layouts": _layouts(net),
        "inputs": list(net.inputs),
        "outputs": list(net.outputs),
        "targets": _targets(net),
        "meta": dict(net.meta),
    }
    words = [net.sender_of(name) for name in net.inputs]
    emit("spikerun.inspect/1", found, json, lambda: _text(found))
    if not json and words and not any(word.code == "spikes" for word in words if word):
        suggest(f"spikerun run {network} --data NAME", quiet)


def _population(net: Network, name: str, p: Population) -> dict[str, Any]:
    neuron = p.neuron
    word = net.sender_of(name)
    described: dict[str, Any] = {
        "name": name,
        "kind": neuron.kind,
        "shape": list(p.shape),
        "neurons": p.size,
        "code": f"{word.code}, {plural(word.bits, 'bit')}{', signed' if word.signed else ''}" if word else "",
        "latency": net.latency[name],
        "accumulator_bits": net.bounds[name].bit_length() + 1 if name in net.bounds else None,
    }
    arrays = neuron.arrays()
    for key in {"threshold", "levels"} & arrays.keys():
        described[key] = [int(arrays[key].min()), int(arrays[key].max())]
    if neuron.reported and name in net.outputs:
        described["scale"] = neuron.real_scale.ravel().tolist()
    return described


def _word(net: Network, name: str) -> Any:
    """Return what defines the words of a population that computes them, or None."""
    neuron = net.populations[name].neuron
    return net.sender_of(name) if neuron.fires and name not in net.roots else None


def _projection(net: Network, link: Link) -> dict[str, Any]:
    fans = link.connection.fan_out(net.populations[link.source].shape)
    return {
        "source": link.source,
        "target": link.target,
        "kind": link.connection.kind,
        "weights": link.connection.weights,
        "zeros": link.connection.zeros,
        "bytes": sum(v.nbytes for _, v in link.connection.parameters() if isinstance(v, np.ndarray)),
        "fan_out_mean": float(np.mean(fans)),
        "fan_out_max": int(np.max(fans)),
        "delay": link.projection.delay,
        "lag": link.lag,
        "latest": link.latest,
        "exponent": link.projection.exponent,
    }


def _layouts(net: Network) -> dict[str, list[tuple[str, int]]]:
    """Return how weights of which half and more are 0 lie in memory here, (layout, bytes), by the population."""
    from spikerun.session import Session

    sparse = {link.target for link in net.links if 2 * link.connection.zeros >= link.connection.weights > 0}
    try:
        return {name: found for name, found in Session(net).plan.layouts.items() if name in sparse} if sparse else {}
    except SpikerunError:  # no kernels for it
        return {}


def _targets(net: Network) -> dict[str, str]:
    """Return, for each target, "fits", or why the network does not fit."""
    from spikerun import edge

    verdicts = {}
    for name, target in edge.targets().items():
        try:
            verdicts[name] = "fits" if target.check(net).fits else "does not fit"
        except SpikerunError as error:
            verdicts[name] = str(error)
    return verdicts


def _text(found: dict[str, Any]) -> str:
    head = [
        ("time", _time(found)),
        ("neurons", f"{found['neurons']:,}"),
        ("weights", f"{plural(found['weights'], 'byte')}{_share(found, ', {} of them 0')}"),
        *([("synapses drawn", _drawn(*found["drawn"]))] if found["drawn"][0] else []),
        ("dense operations", f"{found['dense']:,} a sample, if each neuron sends one spike"),
        *([("MACs of the ANN", f"{found['macs']:,} a sample")] if found["macs"] else []),
        *_scales(found),
    ]
    populations = [
        (
            p["name"], p["kind"], "x".join(map(str, p["shape"])), p["code"],
            " to ".join(dict.fromkeys(map(str, p.get("threshold", p.get("levels", []))))),
            p["accumulator_bits"] or "", p["latency"],
        )
        for p in found["populations"]
    ]  # fmt: skip
    projections = [
        (
            p["source"],
            p["target"],
            p["kind"],
            f"{p['weights']:,}",
            _share(p, "{}"),
            f"{p['bytes']:,}",
            f"{p['fan_out_mean']:.1f}",
            " to ".join(dict.fromkeys((str(p["lag"]), str(p["latest"])))),
        )
        for p in found["projections"]
    ]
    layouts = [(name, one, f"{size:,}") for name, every in found["layouts"].items() for one, size in every]
    return "\n\n".join(
        (
            table((), head),
            table(("population", "kind", "shape", "code", "threshold", "bits of v", "window"), populations, (5, 6)),
            table(("from", "to", "kind", "weights", "zeros", "bytes", "fan-out", "lag"), projections, (3, 4, 5, 6, 7)),
            *([table(("weights into", "layout here", "bytes"), layouts, (2,))] if layouts else []),
            table(("target", "verdict"), list(found["targets"].items())),
        )
    )


def _drawn(synapses: int, size: int) -> str:
    return f"{synapses:,}, of which the file has the rules; {size / 1e6:,.0f} MB where they are run"


def _share(found: dict[str, Any], said: str) -> str:
    """Return how many of the weights are 0; empty where there are none."""
    return said.format(f"{100 * found['zeros'] / found['weights']:.1f} %") if found["weights"] else ""


def _time(found: dict[str, Any]) -> str:
    bits, windows = found["bits"], found["latency_windows"]
    words = f"{' to '.join(dict.fromkeys(map(str, (bits[0], bits[-1]))))}-bit activations, " if bits else ""
    answer = f", the answer comes {plural(windows, 'window')} after the frame" if windows else ""
    return f"{words}{plural(found['window'], 'time step')}{answer}"


def _scales(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what the integers of the inputs and outputs stand for."""
    values = {name: real.formula(found["meta"], name, "{} x integer") for name in found["inputs"]}
    rows = [(f"input {name}", f"real value = {value}") for name, value in values.items() if value]
    for p in found["populations"]:
        if "scale" in p:
            low, high = min(p["scale"]), max(p["scale"])
            scale = f"{low:.8g}" if low == high else f"{low:.8g} to {high:.8g}, by channel,"
            rows.append((f"output {p['name']}", f"real value = {scale} x v"))
    return rows
