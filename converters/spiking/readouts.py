# SPDX-License-Identifier: Apache-2.0
"""How results are made of the time steps: a readout for each output, and what its population reports for that."""

import math
from collections.abc import Mapping
from dataclasses import replace

from spikerun.converters.graph import Graph, Output
from spikerun.converters.spiking.step import Readout, Step, membranes
from spikerun.errors import ConversionError, UsageError

__all__ = ["answers", "with_readouts"]

# What a population answers, for a readout of its membrane (or of its spikes).
ANSWERS = {
    (False, "count"): "count", (False, "mean"): "count", (False, "first-spike"): "first_spike",
    (True, "last"): "last", (True, "max"): "max", (True, "mean"): "mean",
}  # fmt: skip


def with_readouts(step: Step, asked: Readout | None) -> Step:
    """Return the step with a readout for each output: its own, the one that is asked for, or the usual one.

    Raises ConversionError or UsageError where there is none.
    """
    seen, found = membranes(step.graph), {}
    for name in step.graph.outputs:
        usual = None if name in seen else Readout("count")
        readout = step.readouts.get(name) or asked or usual
        if readout is not None and (name in seen, readout.rule) in ANSWERS:
            found[name] = readout
    if not all(name in seen for name in found):  # spikes, and membranes beside them: the spikes decide
        found = {name: readout for name, readout in found.items() if name not in seen}
    if not found and step.readouts:
        of = {name: "membranes" if name in seen else "spikes" for name in step.readouts}
        own = ", ".join(f"'{name}' as {readout} of {of[name]}" for name, readout in step.readouts.items())
        raise ConversionError(
            f"the network itself makes its result {own}, which is not converted, and no --readout changes it: let "
            "it return the sum or mean of spikes, or the last, largest or mean of membranes, or those of all steps"
        )
    if not found:
        names = ", ".join(step.graph.outputs)
        raise UsageError(
            f"how is the result made of the time steps of {names}? Say --readout count, mean or "
            "first-spike (of spikes), or last, max or mean (of membranes)"
        )
    if asked is not None and asked not in found.values():
        own = ", ".join(f"'{name}' as {readout}" for name, readout in found.items())
        raise UsageError(
            f"{asked} is asked for, and the network itself reads {own}: leave --readout and --classes out, "
            "or change its code"
        )
    ends = {node.op.name: node for node in step.graph.nodes.values() if isinstance(node.op, Output)}
    for name, readout in found.items():
        if (size := math.prod(ends[name].shape)) % readout.groups:
            raise UsageError(
                f"--classes {readout.groups}: '{name}' has {size} neurons, which make no such groups of one size"
            )
    said = [f"the result '{n}' is not looked at" for n in step.graph.outputs if n not in found]
    said += [f"the result '{n}' is the {r.rule} of all steps" for n, r in found.items() if n not in step.readouts]
    nodes = {k: n for k, n in step.graph.nodes.items() if not isinstance(n.op, Output) or n.op.name in found}
    return replace(step, graph=Graph(nodes), readouts=found, assumed=(*step.assumed, *said))


def answers(step: Step, outputs: Mapping[str, str], steps: int) -> dict[str, tuple[str, float]]:
    """Return what each population that is an output reports, and what share of it a result is.

    outputs: the population of each result. Raises ConversionError for what none can report.
    """
    found: dict[str, tuple[str, float]] = {}
    potentials = membranes(step.graph)
    for name, readout in step.readouts.items():
        seen, rule = "a membrane" if name in potentials else "spikes", readout.rule
        answer = ANSWERS.get((name in potentials, rule))
        if answer is None or (answer != "count" and readout.groups > 1):
            groups = f" in {readout.groups} groups" if readout.groups > 1 else ""
            raise ConversionError(
                f"the result '{name}' is the readout '{rule}' of {seen}{groups}, which is not converted: say "
                "--readout count, mean or first-spike of spikes, or last, max or mean of membranes; --classes goes "
                "with count and mean of spikes"
            )
        share = 1 / steps if (answer, rule) == ("count", "mean") else 1.0
        if found.setdefault(outputs[name], (answer, share)) != (answer, share):
            raise ConversionError(f"two results are read from '{outputs[name]}' in two ways: return one")
    return found
