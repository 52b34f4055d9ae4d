# SPDX-License-Identifier: Apache-2.0
"""Every neuron of snnTorch, Norse and SpikingJelly beside its cell and its integers: a table.

    python benchmarks/spiking_exactness.py

The cases are those of tests/exactness/: 64 neurons, 200 steps, weights of 1. A share of a spike train is of the spikes
that either has. `first` is how far the membrane was from the threshold where the integers first had another spike, at
most, in units of the last fraction bit, and in brackets how far roundings may take it there.
"""

import sys

from record import ROOT, record

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from exactness import CASES, Row, measured  # noqa: E402

from spikerun.text import table  # noqa: E402

NAME = "spiking_exactness"
HEAD = ["neuron", "reset", "delay", "numbers", "F", "spikes", "float %", "integer %", "first"]


def cells(row: Row, dyadic: bool) -> list[str | int]:
    """Return a line of the table."""
    case = row.case
    first = f"{row.distance:.1f} ({row.room:.1f})" if row.distance else ""
    if case.shows:
        first = f"membrane off by {first}"
    numbers = "dyadic" if dyadic else "any"
    shares = [f"{row.cell:.3f}", "" if case.shows else f"{row.integers:.3f}"]
    name = f"{case.framework} {case.neuron}"
    return [name, case.reset, case.delay, numbers, row.fraction_bits, row.spikes, *shares, first]


def main() -> None:
    """Print the table, record its worst lines."""
    rows = [(measured(c, dyadic), dyadic) for c in CASES.values() for dyadic in (True, False) if c.dyadic or not dyadic]
    print(table(HEAD, [cells(*row) for row in rows], right=range(4, 9)))
    fire = [(row, dyadic) for row, dyadic in rows if not row.case.shows]
    record(NAME, "neurons of frameworks, float: fewest spikes the same", min(row.cell for row, _ in rows), "%")
    for said, kind in (("dyadic", True), ("any", False)):
        worst = min(row.integers for row, dyadic in fire if dyadic is kind)
        record(NAME, f"neurons of frameworks, integers of {said} numbers: fewest spikes the same", worst, "%")
    record(
        NAME, "first differences further from the threshold than roundings", sum(not row.near for row, _ in rows), ""
    )


if __name__ == "__main__":
    main()
