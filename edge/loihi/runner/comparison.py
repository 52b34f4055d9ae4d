# SPDX-License-Identifier: Apache-2.0
"""One bundle: all its samples in Lava, and every event beside what is expected."""

import json
import math
import sys
import time
from importlib import metadata

import bundle
import hardware
import lavanet
import numpy as np
from bundle import Damaged, Refused

TESTED = "0.10.0"
SCHEMA = "spikerun.loihi.verdict/1"
MOST_STATES = 2**20  # neurons whose states are read


def run(folder, given, deadline):
    """Run a bundle until a time of `time.monotonic`; return 0 if all is equal, else 1. Raises Damaged, Refused."""
    bundle.exists(folder)
    graph = bundle.read_graph(folder / "graph.h5")
    inputs, expected = bundle.read_samples(folder / "samples.npz", graph)
    check(graph, given)
    if given.samples is not None:
        inputs = {name: values[: given.samples] for name, values in inputs.items()}
    chip, early = None, {}
    if given.hardware:
        chip = hardware.Chip(graph, given.profile, given.own_models)
        early = shift(graph, given.input_latency)
    begin = time.monotonic()
    got, late, steps = runs(graph, inputs, expected, chip, early, given, deadline)
    verdict = compare(got, expected, given, len(next(iter(inputs.values()))))
    verdict |= {
        "schema": SCHEMA,
        "lava": version(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "steps": steps,
        "seconds": round(time.monotonic() - begin, 3),
        "where": chip.where if chip else "Lava's simulation, fixed point",
        "late": late,
        "measures": chip.measures() if chip else {},
    }
    if chip:
        verdict["warning"] = hardware.UNTRIED
    report(verdict, got, given)
    return 0 if verdict["equal"] else 1


def version():
    """Return Lava's version."""
    try:
        return metadata.version("lava-nc")
    except metadata.PackageNotFoundError:  # a checkout on the path
        return "unknown"


def check(graph, given):
    """Refuse what the runner cannot do, before anything is started."""
    names = {n.name for n in graph.neurons}
    if lost := [name for name in probes(graph) if name not in names]:
        raise Damaged(f"the bundle probes a population that it lacks ({', '.join(lost)}); make it again.")
    if given.states and (count := sum(math.prod(n.shape) for n in graph.neurons)) > MOST_STATES:
        raise Refused(f"--states reads at most {MOST_STATES} neurons, the bundle has {count}; leave out --states.")


def probes(graph):
    """Return the populations whose membranes are read after each step."""
    return [name for name in str(graph.meta.get("probes", "")).split(",") if name]


def shift(graph, latency):
    """Let samples reach each population so many steps later; return {population: steps it is early all the same}.

    Those that are reset, or that wait for a step, do so later. Others are moved by what reaches them; if they send by
    themselves, what they send takes longer. Raises Refused where that cannot be.
    """
    if not 0 <= latency <= hardware.LATEST:
        raise Refused(f"--input-latency must be in 0..{hardware.LATEST}, it is {latency}")
    early = {}
    for neurons in graph.neurons if latency else ():
        given = neurons.parameters
        if "first" in given:
            given["first"] += latency
        elif given.get("reset_interval"):
            given["reset_offset"] += latency
            given["reset_interval"] += 0 if graph.phased else latency  # which is that of one sample: none comes sooner
        elif any(np.any(given.get(key, 0)) for key in ("bias", "bias_mant", "v_first")):
            delay_all(graph, neurons.name, latency)
            early[neurons.name] = latency
    return early


def delay_all(graph, name, latency):
    """Let all that a population sends take so many steps longer."""
    out = [made for made in graph.synapses if made.source == name]
    longest = max([int(np.max(made.delay, initial=0)) + latency for made in out], default=0)
    if any(made.target == name for made in graph.synapses) or any(made.form == "conv" for made in out) or longest > 63:
        raise Refused(f"population '{name}' sends by itself from the first step, which cannot be made {latency} steps "
                      "later; leave out --input-latency")  # fmt: skip
    for made in out:
        made.delay = made.delay + latency


def runs(graph, inputs, expected, chip, early, given, deadline):
    """Return ({key of samples.npz: values}, steps that the chip is late, steps of all runs)."""
    where, every = (chip, ()) if chip else (lavanet.Direct(), probes(graph))
    count = len(next(iter(inputs.values())))
    at_once, more = count if graph.phased else 1, hardware.LATEST if chip else 0
    done, steps = [], graph.steps(at_once) + more
    for name, shape in graph.shapes.items():
        if 4 * steps * math.prod(shape) > bundle.MAX_BYTES:
            raise Refused(f"{steps} steps of '{name}', {math.prod(shape)} neurons, are more than {bundle.MAX_BYTES} "
                          "bytes; give fewer --samples, or make the bundle with a shorter window")  # fmt: skip
    for first in range(0, count, at_once):
        streams = {s.name: graph.stream(s, inputs[s.name][first : first + at_once], more) for s in graph.sources}
        done.append(lavanet.run(graph, streams, steps, where, deadline, every, given.states))
    late = hardware.lateness(graph, [events for events, _ in done], expected, early) if chip else 0
    got = {}
    for n in graph.neurons:
        values, own = [events[n.name] for events, _ in done], late - early.get(n.name, 0)
        got[f"events/{n.name}"] = joined(graph, n.name, values, own, more)
    for name, state in done[0][1]:
        values = [states[name, state] for _, states in done]
        if state == "v" and name in every:
            got[f"states/{name}/{state}"] = joined(graph, name, values)
        if given.states:
            got[f"last/{name}/{state}"] = np.stack([x[-1] for x in values])
    return got, late, steps * len(done)


def joined(graph, name, several, late=0, more=0):
    """Return (N, W, *shape) of the steps of all runs, of which `more` were added at the end."""
    return np.concatenate([graph.samples(name, x[late : len(x) - more + late]) for x in several])


def compare(got, expected, given, count):
    """Return what is equal, in words and numbers. What is expected of fewer samples than all is cut."""
    rows = []
    for key, values in got.items():
        if key not in expected:
            continue
        wanted = expected[key]
        if key.startswith("last/") and given.samples is not None and len(wanted) == 1:
            continue  # it stands for the end of all samples
        wanted = wanted[: len(values)]
        unequal = np.argwhere(values != wanted)
        row = {
            "what": key,
            "values": int(values.size),
            "nonzero": int(np.count_nonzero(values)),
            "different": len(unequal),
        }
        if len(unequal):
            at = tuple(unequal[0])
            row["first"] = {"at": [int(k) for k in at], "got": int(values[at]), "expected": int(wanted[at])}
        rows.append(row)
    missing = sorted(key for key in expected if key.startswith("events/") and key not in got)
    unread = sorted(key for key in expected if key.startswith("states/") and key not in got)
    equal = not missing and bool(rows) and not any(row["different"] for row in rows)
    return {"equal": equal, "samples": count, "compared": rows, "missing": missing, "unread": unread}


def report(verdict, got, given):
    """Print the verdict, and write what was asked for."""
    if verdict["lava"] != TESTED:
        print(f"note: this is lava-nc {verdict['lava']}; bundles were tested with {TESTED}", file=sys.stderr)
    if given.out:
        with given.out.open("wb") as file:
            np.savez_compressed(file, **got)
    if given.json:
        with given.json.open("a", encoding="utf-8") as file:
            file.write(json.dumps(verdict) + "\n")
    width = max([len(row["what"]) for row in verdict["compared"]], default=0)
    for row in verdict["compared"]:
        said = "equal" if not row["different"] else f"{row['different']:,} different, first {row['first']}"
        print(f"{row['what']:{width}}  {row['values']:>12,} values, {row['nonzero']:>12,} not zero  {said}")
    late = f", {verdict['late']} steps late" if verdict["late"] else ""
    print(
        f"{verdict['samples']} samples, {verdict['steps']:,} steps in {verdict['seconds']} s, {verdict['where']}{late}"
    )
    for name, value in verdict["measures"].items():
        print(f"{name} {value:g}")
    if "warning" in verdict:
        print(f"note: this mode was {verdict['warning']}")
    if unread := verdict["missing"] + verdict["unread"]:
        print(f"note: not compared, for it is not read: {', '.join(unread)}")
    nothing = not verdict["compared"]
    print("identical: " + ("nothing was expected" if nothing else identical(verdict)))


def identical(verdict):
    """Return whether all is equal, in words; what is part of the result and was not read is not passed over."""
    if not verdict["equal"]:
        return "no"
    return "yes, all events; not the membranes, which are part of the result" if verdict["unread"] else "yes"
