# SPDX-License-Identifier: Apache-2.0
"""Runs a bundle of spikerun in Lava, and compares every event with what is expected: `python runner`."""

import argparse
import json
import sys
import time
import warnings
from pathlib import Path

TESTED = "0.10.0"
SCHEMA = "spikerun.loihi.verdict/1"
EQUAL, DIFFERENT, USAGE, BAD_BUNDLE, FAILED = range(5)
MOST_STATES = 2**20  # neurons whose states are read; each costs a few bytes for each of its samples
EXAMPLES = """examples:
  python runner                        run all samples, and compare every event
  python runner --samples 2 --states   the first two, and currents and membranes at the end as well
  python runner --hardware --profile   the same on Loihi 2 (written after public examples, never run on silicon)

needs: numpy, scipy, h5py and lava-nc 0.10.0, on Python 3.10; or 3.11 to 3.13, where `spikerun lava-env create` makes
an environment. Exit codes: 0 equal, 1 different, 2 usage or no Lava, 3 the bundle is damaged, 4 Lava failed.
On an INRC host, NXSDKHOST names the address of the board; else SLURM is asked, for BOARD or PARTITION. LOIHI_GEN is
the generation of the chip.
"""


def arguments():
    parser = argparse.ArgumentParser(
        "python runner", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=Path(__file__).resolve().parent.parent, metavar="FOLDER",
                        help="the folder with graph.h5 and samples.npz (default: the one that the runner is in)")  # fmt: skip
    parser.add_argument("--samples", type=int, metavar="N", help="run the first N samples only")
    parser.add_argument("--states", action="store_true", help="read u and v of all populations after the last step")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdict here too")
    parser.add_argument("--out", type=Path, metavar="FILE.npz", help="write the events, and states, that were got")
    parser.add_argument("--timeout", type=float, default=3600, metavar="S", help="seconds for everything (3600)")
    parser.add_argument("--hardware", action="store_true", help="run on Loihi 2; never run on silicon so far")
    parser.add_argument("--profile", action="store_true", help="with --hardware: measure power and time")
    parser.add_argument("--input-latency", type=int, default=0, metavar="K",
                        help="with --hardware: steps by which its adapters delay what goes in")  # fmt: skip
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)  # a process to end with
    given = parser.parse_args()
    if (given.profile or given.input_latency) and not given.hardware:
        parser.error("--profile and --input-latency need --hardware")
    if given.states and given.hardware:
        parser.error("--states are not read from a chip; leave out --states or --hardware")
    if given.samples is not None and given.samples < 1:
        parser.error("--samples must be at least 1")
    return given


def main():
    given = arguments()
    sys.dont_write_bytecode = True  # the bundle stays as it was
    import guard

    deadline = time.monotonic() + given.timeout
    guard.set_up(given.parent)
    try:
        code = work(given, deadline)
    except KeyboardInterrupt:
        guard.leave(130, "interrupted")
    except Exception as error:  # whatever Lava raises must end with its processes
        guard.leave(FAILED, f"Lava failed: {type(error).__name__}: {error}")
    guard.leave(code)


def work(given, deadline):
    try:
        import bundle

        import lavacompat

        lavacompat.install()
        warnings.simplefilter("ignore")  # of Lava, about itself
        import lavanet
    except ImportError as error:
        return say(USAGE, f"{error}: this Python ({sys.executable}) lacks what a bundle needs; run it with one that has "
                          "lava-nc 0.10.0 and h5py, such as that of `spikerun lava-env create`")  # fmt: skip
    try:
        bundle.exists(given.bundle)
        graph = bundle.read_graph(given.bundle / "graph.h5")
        inputs, expected = bundle.read_samples(given.bundle / "samples.npz", graph)
        check(graph, lavanet, given)
    except bundle.Damaged as error:
        return say(BAD_BUNDLE, str(error))
    if given.samples is not None:
        inputs = {name: values[: given.samples] for name, values in inputs.items()}
    where, chip = lavanet.Direct(), None
    if given.hardware:
        import hardware

        try:
            where = chip = hardware.Chip(graph, given.profile)
        except hardware.Unavailable as error:
            return say(USAGE, str(error))
        shift(graph, given.input_latency)
    begin = time.monotonic()
    got, late, steps = runs(graph, inputs, expected, where, chip, given, deadline)
    verdict = compare(got, expected, given, len(next(iter(inputs.values()))))
    verdict |= {
        "schema": SCHEMA, "lava": version(), "python": ".".join(map(str, sys.version_info[:3])), "steps": steps,
        "seconds": round(time.monotonic() - begin, 3), "where": chip.where if chip else "Lava's simulation, fixed point",
        "late": late, "measures": chip.measures() if chip else {},
    }  # fmt: skip
    if chip:
        verdict["warning"] = hardware.UNTRIED
    report(verdict, got, given)
    return EQUAL if verdict["equal"] else DIFFERENT


def say(code, message):
    print(f"error: {message}", file=sys.stderr)
    return code


def version():
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of

    try:
        return of("lava-nc")
    except PackageNotFoundError:  # a checkout on the path
        return "unknown"


def check(graph, lavanet, given):
    """Refuse what the runner does not know, before anything is started."""
    from bundle import Damaged

    if strange := sorted({n.model for n in graph.neurons} - set(lavanet.MODELS)):
        raise Damaged(f"the bundle has neurons of a model that this runner lacks ({', '.join(strange)}); make it again.")
    names = {n.name for n in graph.neurons}
    if lost := [name for name in probes(graph) if name not in names]:
        raise Damaged(f"the bundle probes a population that it lacks ({', '.join(lost)}); make it again.")
    if given.states and (count := sum(_size(n.shape) for n in graph.neurons)) > MOST_STATES:
        raise Damaged(f"--states reads at most {MOST_STATES} neurons, the bundle has {count}; leave out --states.")


def _size(shape):
    total = 1
    for n in shape:
        total *= n
    return total


def probes(graph):
    """Return the populations whose membranes are read after each step."""
    return [name for name in str(graph.meta.get("probes", "")).split(",") if name]


def shift(graph, latency):
    """Let samples reach each population so many steps later."""
    for neurons in graph.neurons:
        neurons.parameters["reset_offset"] = neurons.parameters.get("reset_offset", 0) + latency


def runs(graph, inputs, expected, where, chip, given, deadline):
    """Return ({key of samples.npz: values}, steps that the chip is late, steps of all runs)."""
    import lavanet
    import numpy as np

    count = len(next(iter(inputs.values())))
    parts = [slice(None)] if graph.phased else [slice(k, k + 1) for k in range(count)]
    every = () if chip else probes(graph)
    done, steps = [], 0
    for part in parts:
        streams = {source.name: graph.stream(source, inputs[source.name][part]) for source in graph.sources}
        if chip:
            from hardware import LATEST

            streams = {name: np.concatenate([x, np.zeros((LATEST, *x.shape[1:]), x.dtype)]) for name, x in streams.items()}
        steps += len(next(iter(streams.values())))
        done.append(lavanet.run(graph, streams, len(next(iter(streams.values()))), where, deadline, every, given.states))
    late = 0
    if chip:
        import hardware

        wanted = {n.name: expected[f"events/{n.name}"][:count] for n in graph.neurons if f"events/{n.name}" in expected}
        late = hardware.lateness(graph, [events for events, _ in done], wanted)
        end = hardware.LATEST - late
        done = [({name: x[late : len(x) - end] for name, x in events.items()}, states) for events, states in done]
    got = {}
    for n in graph.neurons:
        got[f"events/{n.name}"] = np.concatenate([graph.samples(n.name, events[n.name]) for events, _ in done])
    for name, state in done[0][1]:
        values = [states[name, state] for _, states in done]
        if state == "v" and name in every:
            got[f"states/{name}/{state}"] = np.concatenate([graph.samples(name, x) for x in values])
        if given.states:
            got[f"last/{name}/{state}"] = np.stack([x[-1] for x in values])
    return got, late, steps


def compare(got, expected, given, count):
    """Return what is equal, in words and numbers. What is expected of fewer samples than all is cut."""
    import numpy as np

    rows = []
    for key, values in got.items():
        if key not in expected:
            continue
        wanted = expected[key]
        if key.startswith("last/") and given.samples is not None and len(wanted) == 1:
            continue  # it stands for the end of all samples
        wanted = wanted[: len(values)]
        unequal = np.argwhere(values != wanted)
        row = {"what": key, "values": int(values.size), "nonzero": int(np.count_nonzero(values)), "different": len(unequal)}
        if len(unequal):
            at = tuple(unequal[0])
            row["first"] = {"at": [int(k) for k in at], "got": int(values[at]), "expected": int(wanted[at])}
        rows.append(row)
    missing = sorted(key for key in expected if key.startswith("events/") and key not in got)
    equal = not missing and bool(rows) and not any(row["different"] for row in rows)
    return {"equal": equal, "samples": count, "compared": rows, "missing": missing}


def report(verdict, got, given):
    """Print the verdict, and write what was asked for."""
    import numpy as np

    if verdict["lava"] != TESTED:
        print(f"note: this is lava-nc {verdict['lava']}; bundles were tested with {TESTED}", file=sys.stderr)
    if given.out:
        with given.out.open("wb") as file:
            np.savez_compressed(file, **got)
    if given.json:
        given.json.write_text(json.dumps(verdict, indent=2) + "\n", encoding="utf-8")
    width = max([len(row["what"]) for row in verdict["compared"]], default=0)
    for row in verdict["compared"]:
        said = "equal" if not row["different"] else f"{row['different']:,} different, first {row['first']}"
        print(f"{row['what']:{width}}  {row['values']:>12,} values, {row['nonzero']:>12,} not zero  {said}")
    late = f", {verdict['late']} steps late" if verdict["late"] else ""
    print(f"{verdict['samples']} samples, {verdict['steps']:,} steps in {verdict['seconds']} s, {verdict['where']}{late}")
    for name, value in verdict["measures"].items():
        print(f"{name} {value:g}")
    if "warning" in verdict:
        print(f"note: this mode was {verdict['warning']}")
    nothing = not verdict["compared"]
    print("identical: " + ("nothing was expected" if nothing else "yes" if verdict["equal"] else "no"))


if __name__ == "__main__":
    main()
