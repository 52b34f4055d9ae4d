# SPDX-License-Identifier: Apache-2.0
"""The text files of a bundle: README, requirements, report, and the runner, which is copied as it is."""

from collections.abc import Mapping
from pathlib import Path

from spikerun.edge.bundle import LICENSE
from spikerun.edge.loihi.graph import Graph
from spikerun.edge.loihi.limits import Chip
from spikerun.edge.loihi.models import MODELS
from spikerun.edge.target import Bundle
from spikerun.network import Network
from spikerun.text import plural

__all__ = ["files", "report_text"]

RUNNER = Path(__file__).parent / "runner"
PUBLISHED = "# Python 3.10, as Lava was published for\nlava-nc==0.10.0\nh5py\n"
MODERN = (
    "# Python 3.11 to 3.13: pip install --no-deps --ignore-requires-python lava-nc==0.10.0, and then these;\n"
    "# the runner mends in memory what keeps Lava from being imported. `spikerun lava-env create` does both.\n"
    "numpy\nscipy\nnetworkx\nasteval\nscikit-learn\nh5py\n"
)


def files(net: Network, graph: Graph, chip: Chip) -> dict[str, str]:
    """Return the text files of a bundle, but for its reports, by name."""
    found = {
        f"runner/{path.relative_to(RUNNER).as_posix()}": path.read_text(encoding="utf-8")
        for path in sorted(RUNNER.rglob("*.py"))
    }
    return {
        **found,
        "README.md": _readme(net, graph, chip),
        "requirements-python3.10.txt": PUBLISHED,
        "requirements-modern.txt": MODERN,
        "LICENSE": LICENSE.read_text(encoding="utf-8"),
    }


def _own(graph: Graph) -> list[str]:
    """Return the models that no chip has."""
    return sorted({n.model for n in graph.neurons if not MODELS[n.model].stock})


def _readme(net: Network, graph: Graph, chip: Chip) -> str:
    own = _own(graph)
    runs = "one after the other in one run" if graph.phased else "in a run each"
    simulation = (
        f"\nIt runs in simulation only: its models {', '.join(own)} are this bundle's own, and no chip has them.\n"
        if own
        else ""
    )
    return f"""# A network for {chip.name}

Made by spikerun. It fits the public limits of the chip, which does not mean that a compiler takes it: `report.md` says
what it takes of them, `cores.svg` shows it.
{simulation}
## Run it

    python -m venv lava && lava/bin/pip install -r requirements-python3.10.txt     # Python 3.10
    lava/bin/python runner

With a newer Python `spikerun lava-env create` makes an environment, and `spikerun lava-env show` says where its Python
is. The runner runs `samples.npz` in Lava's fixed-point models, {runs}, and compares every spike of every population
with what is expected: it prints what differs, and ends with 0 if nothing does. `python runner --help` has more.

## On a chip

    python runner --hardware

is for hosts that have a board and the lava-loihi package. It was written after public examples and has never run on
silicon.

## Without Lava

`network.snn` is the same network: `spikerun run network.snn --data DATA` computes the same spikes on a CPU.

## What is in it

| file | what it is |
|---|---|
| `graph.h5` | sources, populations and synapses in Lava's terms and layout, (W, H, C); integers |
| `samples.npz` | what sources send, `input/NAME`, and then populations, `events/NAME`: (samples, steps, ...) |
| `results.json` | how results are made of events and membranes |
| `runner/` | builds the graph of Lava's processes, runs and compares it |
| `network.snn` | the network that the graph was made of |

`results.json` says how a result is made outside of the chip: of the `events` of an output in a sample, or of its
`membrane`, without the lowest `bits`; `sum` over the steps, each times its `weights`, or `last`, `max`, `mean`,
`first_spike`; then `scale * (that + bias)`, for each neuron in the order (C, H, W).

A population's first step of the first sample is the step `begin` of `graph.h5`, counted from 1: each synapse takes a
step.
"""


def report_text(chip: Chip, bundle: Bundle, activity: Mapping[str, float]) -> str:
    """Return report.md: what it takes of the public limits, what was assumed, what a sample costs, how it ran."""
    verdict, run = bundle.verdict, bundle.run
    lines = [
        f"# {chip.name}: {chip.summary}",
        "",
        f"| {' | '.join(verdict.table.columns)} |",
        f"|{'|'.join('---' if k < 2 else '---:' for k in range(len(verdict.table.columns)))}|",
        *(f"| {' | '.join(map(str, row))} |" for row in verdict.table.rows),
        "",
        *(f"- {key.replace('_', ' ')}: {value}" for key, value in verdict.measures.items()),
        "- fits the public limits; whether it compiles, only the chip's own compiler can say",
        *(f"- {note.removesuffix('.')}" for note in verdict.notes),
        "",
        f"## One sample (mean of {plural(bundle.samples, 'sample')})",
        "",
        f"- {activity['spike']:,.1f} spikes, {activity['synaptic_operation']:,.0f} synaptic operations, "
        f"{activity['neuron_update']:,.0f} neuron updates",
        *_energy(chip, activity),
        "",
        "## Public limits",
        "",
        "| limit | least | most | how sure | source |",
        "|---|---:|---:|---|---|",
        *(
            f"| {name.replace('_', ' ')} | {limit.least} | {limit.most} | {limit.confidence} | {limit.source} |"
            for name, limit in chip.limits.items()
        ),
    ]
    if run is not None:
        verdict_ = "yes" if run.identical else "NO"
        lines += ["", f"- {plural(bundle.samples, 'sample')} run on {run.where}, every spike as expected: {verdict_}"]
        lines += [f"  - {text}" for text in run.mismatches[:20]]
    return "\n".join(lines) + "\n"


def _energy(chip: Chip, activity: Mapping[str, float]) -> list[str]:
    """Return what a sample takes by figures that somebody has published of this generation."""
    if not chip.energy:
        return [f"- energy: no figure, for none is published of an operation of {chip.name}"]
    synaptic = chip.energy["synaptic_operation"]
    idle, busy = chip.energy["inactive_neuron_update"], chip.energy["active_neuron_update"]
    operations, updates = activity["synaptic_operation"], activity["neuron_update"]
    low, high = (operations * synaptic.picojoules + updates * one.picojoules for one in (idle, busy))
    return [
        f"- energy of {chip.name}, an estimate: {low / 1e6:,.3f} to {high / 1e6:,.3f} microjoules "
        f"({synaptic.picojoules} pJ a synaptic operation, {idle.picojoules} to {busy.picojoules} pJ a neuron update; "
        f"{synaptic.source}); routing, static power and what feeds the chip are left out"
    ]
