# SPDX-License-Identifier: Apache-2.0
"""Plain text that commands and reports share."""

from collections.abc import Iterable, Sequence

from spikerun.errors import UsageError

__all__ = ["beside_macs", "listed", "markdown", "plural", "seconds", "table"]

SHOWN = 4  # names of a long list that a message holds
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def beside_macs(synops: float, macs: int | None) -> str:
    """Return in words what synaptic operations are beside the MACs of the ANN, if there was one."""
    return f" against {macs:,} MACs of the ANN (ratio {synops / macs:.3f})" if macs else ""


def listed(names: Iterable[object]) -> str:
    """Return the first of some names as a sentence has them: 'a', 'b' and 3 more."""
    shown = sorted(map(str, names))
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in shown[:SHOWN]) + more


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: 1 step, 2 steps, 1,000 steps."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def seconds(text: str, option: str, none: bool = False) -> float:
    """Return a duration such as 1ms, 100us or 0.001 in seconds. Raises UsageError, with the option's name.

    none: whether it may be 0
    """
    number, factor = text.strip(), 1.0
    for unit in sorted(UNITS, key=len, reverse=True):
        if number.endswith(unit):
            number, factor = number.removesuffix(unit), UNITS[unit]
            break
    try:
        found = float(number) * factor
    except ValueError:
        raise UsageError(f"{option} is a time, such as 1ms, 100us or 0.001 (seconds), got '{text}'") from None
    if not 0 <= found < float("inf") or not (found or none):
        least = "0 or more" if none else "more than no time"
        raise UsageError(f"{option} must be {least}, such as 1ms, got '{text}'")
    return found


def table(header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> str:
    """Return aligned plain text, two spaces between columns; those in `right` are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in ([header] if header else []) + list(rows)]
    if len({len(row) for row in cells}) > 1:
        raise ValueError(f"rows of different length in a table with the header {list(header)}")
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> str:
    """Return a table in Markdown; columns in `right` are aligned to the right."""
    rule = ["---:" if index in right else "---" for index in range(len(header))]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (header, rule, *rows)]
    if len({len(row) for row in cells}) > 1:
        raise ValueError(f"rows of different length in a table with the header {list(header)}")
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
