# SPDX-License-Identifier: Apache-2.0
"""What `spikerun bench` has found, as text and as Markdown."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from spikerun.commands.info import processor
from spikerun.text import markdown, plural, table

__all__ = ["as_markdown", "as_text"]

VERSIONS = ("spikerun", "torch", "onnxruntime", "numpy")
MEMORY = (
    "peak memory: by how much a new process grows that opens the network and runs single samples, its libraries "
    "imported before; the file as it is read, packed weights, buffers, pages of code"
)


def as_text(found: Mapping[str, Any]) -> str:
    """Return the figures for a terminal."""
    head, rows, right = _rows(found)
    return "\n\n".join((table(head, rows, right), "\n".join(_said(found)), table(*_activity(found))))


def as_markdown(found: Mapping[str, Any]) -> str:
    """Return the figures as a document, with the machine and the versions."""
    parts = [
        f"# {found['network']} on {found['data']}, {found['split']}",
        markdown(*_rows(found)),
        "\n".join(f"- {line}" for line in (*_said(found), _machine(found))),
        markdown(*_activity(found)),
    ]
    return "\n\n".join(parts) + "\n"


def _rows(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, a row for each contestant and number of threads, and the columns of numbers."""
    several = len(found["threads"]) > 1
    known = found["contestants"]
    judged = any("accuracy" in one for one in known.values())
    weighed = any(one["peak_bytes"] is not None for one in known.values())
    head = ["", *(["threads"] if several else []), "p20 ms", "p50 ms", "p80 ms", "p50 / spikerun"]
    head += [
        f"samples/s, batch {found['batch']}",
        *(["peak MB"] if weighed else []),
        *(["accuracy %"] if judged else []),
    ]
    rows = []
    for row in found["results"]:
        one = known[row["name"]]
        rate, peak = row["samples_per_second"], one["peak_bytes"]
        cells = [row["name"], *([str(row["threads"])] if several else [])]
        cells += [f"{row[key]:.3f}" for key in ("p20_ms", "p50_ms", "p80_ms")]
        cells += [f"{row['times_spikerun']:.2f}", "" if rate is None else f"{rate:,.0f}"]
        cells += ["" if peak is None else f"{peak / 1e6:.1f}"] if weighed else []
        cells += [f"{one['accuracy']:.2f}" if "accuracy" in one else ""] if judged else []
        rows.append(cells)
    return head, rows, list(range(1, len(head)))


def _said(found: Mapping[str, Any]) -> list[str]:
    """Return what the figures are of, a line each."""
    known = found["contestants"]
    lines = [f"{name}: {one['said']}" for name, one in known.items()]
    floats = next((name for name, one in known.items() if "accuracy" in one and "points" not in one), "")
    for name, one in known.items():
        if "points" in one:
            low, high = one["points_95"]
            lines.append(f"{name} is {one['points']:+.2f} points from {floats} (95 %: {low:+.2f} to {high:+.2f})")
    if any(one["peak_bytes"] is not None for one in known.values()):
        lines.append(MEMORY)
    threads = " and ".join(str(count) for count in found["threads"])
    single = found["threads"] == [1]
    where = f"{threads} thread{'' if single else 's'}" if found["device"] == "cpu" else f"device '{found['device']}'"
    lines.append(f"{plural(found['samples'], 'sample')}, {where}")
    return lines


def _activity(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the table of the populations that send anything."""
    activity = found["activity"]
    rows = [
        [name, f"{row['neurons']:,}", f"{100 * row['active']:.1f}", f"{row['spikes_per_neuron']:.3f}"]
        for name, row in activity["populations"].items()
    ]
    whole = ["all but inputs", "", f"{100 * activity['active']:.1f}", f"{activity['spikes_per_neuron']:.3f}"]
    return ["population", "neurons", f"active {activity['unit']} %", "spikes per neuron"], [*rows, whole], [1, 2, 3]


def _machine(given: Mapping[str, Any]) -> str:
    versions = []
    for package in VERSIONS:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    found = processor()
    python = f"Python {platform.python_version()}"
    return f"{found['model']}, {found['usable_cores']} cores, {given['isa']}; {', '.join([python, *versions])}"
