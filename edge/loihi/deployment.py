# SPDX-License-Identifier: Apache-2.0
"""The chips as targets: a network is judged, mapped, emulated beside the reference, and written as a bundle."""

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun import file
from spikerun.atomic import as_path
from spikerun.console import progress
from spikerun.edge import golden
from spikerun.edge.bundle import finish, require_free, scratch, write_all
from spikerun.edge.loihi import documents, lava
from spikerun.edge.loihi.answers import answers, described, flat
from spikerun.edge.loihi.emulate import Trace, run
from spikerun.edge.loihi.explain import explained
from spikerun.edge.loihi.graph import Graph, IntArray
from spikerun.edge.loihi.layout import lava_order
from spikerun.edge.loihi.limits import Chip, chip, chips
from spikerun.edge.loihi.mapping import to_graph
from spikerun.edge.loihi.models import MODELS
from spikerun.edge.loihi.partition import Partition, partition
from spikerun.edge.loihi.picture import svg
from spikerun.edge.loihi.samples import expected, npz, probes
from spikerun.edge.loihi.store import save_graph
from spikerun.edge.loihi.synapses import fan_out
from spikerun.edge.loihi.validate import complaints, remarks
from spikerun.edge.target import Bundle, Frames, Measure, Options, RunReport, Table, Tool, Verdict, option
from spikerun.errors import TargetError, UnsupportedError, UsageError
from spikerun.inputs import events as events_of
from spikerun.network import Network

__all__ = ["LoihiOptions", "LoihiTarget", "targets"]


MAX_NEURONS = 2**22  # four chips, filled


@dataclass(frozen=True)
class LoihiOptions(Options):
    """How bundles are verified."""

    timeout: float = option(0.0, "seconds after which Lava is ended; 0: by the size of the work")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.timeout >= 0 and math.isfinite(self.timeout)):
            raise UsageError(f"option 'timeout' must be a number of seconds, 0 or more, got {self.timeout:g}")


@dataclass(frozen=True, eq=False)
class Mapped:
    """A network on a chip."""

    graph: Graph
    parts: Partition
    complaints: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Return whether it fits, by the public limits."""
        graph, parts = self.graph, self.parts
        rows = []
        for n in graph.neurons:
            share = [core.share(parts.chip) for core in parts.cores if core.population == n.name]
            fullest = max((value for core in share for value in core.values()), default=0.0)
            rows.append((n.name, n.model, int(np.prod(n.shape)), parts.counts[n.name], round(fullest, 1)))
        measures: dict[str, Measure] = {
            "neurons": sum(row[2] for row in rows),
            "cores": len(parts.cores),
            "chips": parts.chips,
            "steps_per_sample": graph.window,
            "latency_steps": max(graph.begins.values()) - 1,
            "runs_on": "chip and simulation"
            if all(MODELS[n.model].stock for n in graph.neurons)
            else "simulation only",
        }
        table = Table(("population", "model", "neurons", "cores", "fullest core %"), tuple(rows))
        return Verdict(parts.chip.name, not self.complaints, self.complaints, table, measures, self.notes)


@dataclass(frozen=True)
class LoihiTarget:
    """A generation of the chip as a target (`spikerun.edge.Target`)."""

    chip: Chip

    @property
    def name(self) -> str:
        """Return the name of the generation."""
        return self.chip.name

    @property
    def summary(self) -> str:
        """Return what it is."""
        return self.chip.summary

    @property
    def facts(self) -> Mapping[str, Measure]:
        """Return nothing: cores and their limits are in `limits.toml`."""
        return {}

    @property
    def options(self) -> type[Options]:
        """Return the class of its options."""
        return LoihiOptions

    def tools(self) -> list[Tool]:
        """Return the Python that has Lava."""
        try:
            path = str(lava.find().python)
        except TargetError:
            path = None
        return [Tool("lava", "Python that has Lava", path, "spikerun lava-env create")]

    def require(self, options: Options | None = None) -> None:
        """Raise TargetError unless there is a Python that has Lava."""
        _own(options)
        lava.find()

    def check(self, net: Network, options: Options | None = None, samples: Frames | int | None = None) -> Verdict:
        """Judge whether the network maps and fits. Raises UnsupportedError, by name, for what does not map."""
        return self.mapped(net).verdict

    def mapped(self, net: Network) -> Mapped:
        """Return the network on the chip."""
        if (count := sum(population.size for population in net.populations.values())) > MAX_NEURONS:
            raise UnsupportedError(
                f"the network has {count:,} neurons, and a bundle holds {MAX_NEURONS:,}: make it smaller"
            )
        graph = to_graph(net)
        parts = partition(graph, self.chip)
        notes = (*explained(net, graph), *remarks(graph, parts))
        return Mapped(graph, parts, tuple(complaints(graph, parts)), notes)

    def deploy(
        self,
        net: Network,
        out: str | Path,
        samples: Frames | int = 16,
        options: Options | None = None,
        *,
        run: bool = False,
        force: bool = False,
    ) -> Bundle:
        """Write a bundle to the folder `out`, and with `run` run it in Lava and compare every spike.

        samples: integers (samples, *shape of the input) with which the bundle is verified, or a number of random ones.
        Raises TargetError if the network does not fit, before anything is written, or if no Python has Lava.
        """
        out, chosen = as_path(out), _own(options)
        require_free(out, force)
        if run:
            self.require(options)
        mapped = self.mapped(net)
        if mapped.complaints:
            raise TargetError(f"the network does not fit '{self.name}': {' '.join(mapped.complaints)}")
        frames = golden.frames_of(net, samples)
        inputs, trace, outputs = emulated(net, mapped.graph, frames)
        picture = svg(mapped.parts, str(net.meta.get("converted_from", "network")))
        with scratch(out) as folder:
            save_graph(mapped.graph, folder / "graph.h5")
            file.save(net, folder / "network.snn")
            (folder / "samples.npz").write_bytes(npz(expected(mapped.graph, inputs, trace)))
            results = json.dumps(described(net, mapped.graph), indent=2)
            texts = {**documents.files(net, mapped.graph, self.chip), "cores.svg": picture, "results.json": results}
            write_all(folder, texts)
            done = _verified(net, mapped.graph, folder, inputs, outputs, chosen) if run else None
            activity = _activity(mapped.graph, trace)
            verdict = mapped.verdict
            a_sample = {f"{key}s_per_sample": round(value, 1) for key, value in activity.items()}
            verdict = replace(verdict, measures={**verdict.measures, **a_sample})
            bundle = Bundle(out, verdict, len(outputs), "network", run=done)
            finish(folder, bundle, documents.report_text(self.chip, bundle, activity))
        return bundle


def targets() -> dict[str, LoihiTarget]:
    """Return the generations of the chip as targets, by name."""
    return {name: LoihiTarget(chip(name)) for name in chips()}


def emulated(
    net: Network, graph: Graph, frames: Mapping[str, npt.NDArray[Any]]
) -> tuple[dict[str, npt.NDArray[np.int32]], Trace, npt.NDArray[np.int32]]:
    """Return (what sources send, what populations do, results (N, outputs)) of samples, from the emulator.

    Raises TargetError where the results are not the reference's: a current or membrane has left the chip's 24 bits.
    """
    inputs = {
        source.name: lava_order(events_of(net, source.name, frames[source.name], batch=True), len(source.shape))
        .astype(np.int32)
        for source in graph.sources
    }  # fmt: skip
    count = len(next(iter(inputs.values())))
    total = graph.steps(count) if graph.phased else count * graph.steps(1)
    with progress("emulate", total) as advance:
        trace = run(graph, inputs, states=probes(graph), tell=lambda done, total: advance(1))
    found = answers(net, graph, trace.events, {name: trace.states[name]["v"] for name in probes(graph)})
    with progress("compare with the reference", count) as advance:
        for k in range(count):
            _compare(net, trace, found, {name: values[k] for name, values in frames.items()}, k)
            advance(1)
    return inputs, trace, flat(net, found)


def _compare(
    net: Network, trace: Trace, found: Mapping[str, IntArray], frame: Mapping[str, npt.NDArray[Any]], k: int
) -> None:
    """Refuse a sample whose events or results are not the reference's."""
    for name, turn in golden.turns(net, frame).items():
        sent, neuron = lava_order(turn.events, len(net.populations[name].shape)), net.populations[name].neuron
        silent = neuron.is_input or not neuron.fires  # a readout may send its sum on the chip
        same = (silent or np.array_equal(trace.events[name][k], sent)) and (
            name not in found or np.array_equal(found[name][k], turn.answer)
        )
        if not same:
            usual = "a current or membrane leaves the chip's 24 bits: convert it with smaller weights (`--limits`)"
            if net.meta.get("coding") == "sdnn":
                usual = "a word is cut at 255, which the chip does not do: calibrate with more samples"
            raise TargetError(
                f"sample {k}, population '{name}': the chip computes something else than the network, usually because "
                f"{usual}, or deploy it with other samples (--data; without, they are random)"
            )


def _own(options: Options | None) -> LoihiOptions:
    if options is not None and not isinstance(options, LoihiOptions):
        raise UsageError(f"Loihi takes LoihiOptions, got {options!r:.80}")
    return options or LoihiOptions()


def _activity(graph: Graph, trace: Trace) -> dict[str, float]:
    """Return what a sample costs, by name of the operation: means over the samples."""
    count = len(next(iter(trace.events.values())))
    operations = 0
    for s in graph.synapses:
        sent = (trace.events[s.source] != 0).sum(axis=(0, 1))
        operations += int((sent * fan_out(s, graph.shapes[s.source], graph.shapes[s.target])).sum())
    neurons = sum(int(np.prod(n.shape)) for n in graph.neurons)
    spikes = sum(int((trace.events[n.name] != 0).sum()) for n in graph.neurons)
    return {
        "spike": spikes / count,
        "synaptic_operation": operations / count,
        "neuron_update": float(neurons * graph.window),
    }


def _verified(
    net: Network,
    graph: Graph,
    folder: Path,
    inputs: Mapping[str, npt.NDArray[Any]],
    wanted: npt.NDArray[np.int32],
    options: LoihiOptions,
) -> RunReport:
    """Run a bundle in Lava, and compare."""
    timeout = options.timeout or lava.seconds(graph, len(wanted))
    with tempfile.TemporaryDirectory(prefix="spikerun-") as made:
        out = Path(made) / "got.npz"
        verdict = lava.run(folder, lava.find(), timeout, ("--out", str(out)))
        with np.load(out, allow_pickle=False) as file:
            got = {name: file[name] for name in file.files}
    got |= {f"events/{source.name}": inputs[source.name] for source in graph.sources}
    membranes = {name: got[f"states/{name}/v"] for name in probes(graph)}
    events = {name: got[f"events/{name}"] for name in graph.shapes}
    outputs = flat(net, answers(net, graph, events, membranes))
    mismatches = [
        f"{row['what']}: {row['different']:,} of {row['values']:,} values differ, first {row['first']}"
        for row in verdict["compared"]
        if row["different"]
    ]
    mismatches += [f"{name} is missing" for name in verdict["missing"]]
    wrong = np.flatnonzero((outputs != wanted).any(axis=1))
    mismatches += [f"sample {k}: the results are not the reference's" for k in wrong]
    where = f"{verdict['where']}, lava-nc {verdict['lava']}, Python {verdict['python']}"
    measures = {"lava_seconds": verdict["seconds"], "lava_steps": verdict["steps"]}
    return RunReport(not mismatches, outputs, tuple(mismatches), where, measures)
