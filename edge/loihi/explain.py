# SPDX-License-Identifier: Apache-2.0
"""Why a network lies on the chip as it does, in sentences: what each population, input and projection became."""

from collections.abc import Iterator

from spikerun.chip import CHIPS
from spikerun.edge.loihi.graph import Graph
from spikerun.network import Network
from spikerun.text import plural

__all__ = ["explained"]

END = CHIPS["loihi2"].threshold  # of a membrane, in units of the currents
MODELS = {
    "lif": "neurons of the chip, which reset to zero (LIFReset in Lava)",
    "lif_subtract": "a model of our own, for no chip resets by subtraction",
    "lif_subtract_after_leak": "a model of our own, for no chip resets by subtraction",
    "words": "a model of our own, for no chip weighs the spikes of words",
    "summing": "a model of our own, for no chip weighs the spikes of words",
    "sigma_delta": "sigma-delta neurons (SigmaDelta in Lava), which send changes as graded spikes",
    "sigma_delta_exact": "a model of our own, sigma-delta neurons that forget nothing of what they have not sent",
    "sigma": "sums of changes (Sigma in Lava)",
}


def explained(net: Network, graph: Graph) -> tuple[str, ...]:
    """Return what was chosen, a sentence each."""
    return (*_inputs(graph), *_populations(net, graph), *_synapses(net, graph), _runs(net, graph))


def _inputs(graph: Graph) -> Iterator[str]:
    for source in graph.sources:
        how = f"graded spikes of {source.message_bits} bits" if source.message_bits else "spikes"
        yield f"input '{source.name}' enters as {how}"


def _populations(net: Network, graph: Graph) -> Iterator[str]:
    for model, what in MODELS.items():
        names = [n.name for n in graph.neurons if n.model == model]
        passive = [name for name in names if name in net.populations and not net.populations[name].neuron.fires]
        if firing := [name for name in names if name not in passive]:
            yield f"{', '.join(firing)}: {what}"
        if passive and model == "lif":
            yield f"{', '.join(passive)}: the sums are membranes of neurons that never fire"
            yield from (_end(net, name) for name in passive if net.bounds[name] > END)
        elif passive:
            yield f"{', '.join(passive)}: {what}"


def _end(net: Network, name: str) -> str:
    return (
        f"{name}: its sums could reach {net.bounds[name]:,} by its weights, and on the chip they end at {END:,}: a "
        "bundle is compared on its samples, and scaled weights, or fewer steps, leave more room"
    )


def _synapses(net: Network, graph: Graph) -> Iterator[str]:
    shaped = {(k.source, k.target) for k in net.links if k.connection.target_shape(net.populations[k.source].shape)}
    for s in graph.synapses:
        where = f"projection {s.source} -> {s.target}"
        if s.form == "sparse" and (s.source, s.target) in shaped and len(graph.shapes[s.source]) == 3:
            why = "a delay" if s.largest_delay else "its groups or channels"
            yield f"{where}: lists of synapses instead of a shared kernel, for {why}"
        if s.largest_delay:
            yield f"{where}: delayed by {plural(s.largest_delay, 'step')}, so that what belongs together meets"


def _runs(net: Network, graph: Graph) -> str:
    if graph.phased:
        return "samples follow one another in one run: each population is reset when the next sample reaches it"
    return "each sample is a run of its own, for what is under way would reach the next one"
